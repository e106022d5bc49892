package dashboard

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// How many jobs a page or a call shows.
const (
	defaultLimit = 100
	maxLimit     = 500
)

// filter says which jobs are meant, in which order and how many: the same words in the URL
// of a page, in a call and in the body of an action. What is not given is zero.
type filter struct {
	States   []fsq.State
	Queue    string
	Tags     []string // each of them
	Priority string   // N, N.., ..N or N..M
	Host     string
	Worker   string
	ExitCode string // one, or several with commas
	Command  string // a text in it; with * or ? a glob of it all
	Error    string // a text in it
	Group    string // the key of a group of dead jobs
	Since    string // a time, or how long ago: it ended then or later, or else was enqueued
	Until    string // or before
	Sort     string // an fsq.Sort, "-" before it for the reverse
	Limit    int
	After    string // where the page before ended

	exitCodes []int

	state string // as given: "failed" stays that
}

// parseFilter reads a query. The error says what is wrong with which part of it.
func parseFilter(v url.Values) (filter, error) {
	f := filter{
		Queue: v.Get("queue"), Priority: v.Get("priority"), Host: v.Get("host"), Worker: v.Get("worker"),
		Command: v.Get("command"), Error: v.Get("error"), Group: v.Get("group"), Since: v.Get("since"), Until: v.Get("until"),
		Sort: v.Get("sort"), Limit: defaultLimit, After: v.Get("after"),
	}
	for _, s := range v["state"] { // of check boxes there are several
		if s != "" {
			f.state = strings.TrimPrefix(f.state+","+s, ",")
		}
	}
	var err error
	if f.state != "" {
		if f.States, err = fsq.ParseState(f.state); err != nil {
			return f, fmt.Errorf("state: %w", err)
		}
	}
	for _, t := range v["tag"] {
		if t != "" {
			f.Tags = append(f.Tags, t)
		}
	}
	f.ExitCode = strings.Trim(strings.Join(v["exit_code"], ","), ",")
	if f.ExitCode != "" {
		for s := range strings.SplitSeq(f.ExitCode, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(s))
			if err != nil {
				return f, badf("exit_code must be a whole number, or several with commas, not %s", quote(f.ExitCode))
			}
			f.exitCodes = append(f.exitCodes, n)
		}
	}
	if s := v.Get("limit"); s != "" {
		if f.Limit, err = strconv.Atoi(s); err != nil || f.Limit < 1 || f.Limit > maxLimit {
			return f, badf("limit must be a whole number from 1 to %d, not %s", maxLimit, quote(s))
		}
	}
	if _, err := f.selector(time.Now()); err != nil {
		return f, err
	}
	_, _, err = fsq.ParseSort(f.Sort)
	return f, err
}

// values is the filter as a query, without what is not given.
func (f filter) values() url.Values {
	v := url.Values{}
	set := func(key, value string) {
		if value != "" {
			v.Set(key, value)
		}
	}
	set("state", f.state)
	set("queue", f.Queue)
	for _, t := range f.Tags {
		v.Add("tag", t)
	}
	set("priority", f.Priority)
	set("host", f.Host)
	set("worker", f.Worker)
	set("exit_code", f.ExitCode)
	set("command", f.Command)
	set("error", f.Error)
	set("group", f.Group)
	set("since", f.Since)
	set("until", f.Until)
	set("sort", f.Sort)
	if f.Limit != 0 && f.Limit != defaultLimit {
		set("limit", strconv.Itoa(f.Limit))
	}
	set("after", f.After)
	return v
}

// empty reports whether the filter leaves no job out.
func (f filter) empty() bool {
	v := f.values()
	for _, key := range []string{"sort", "limit", "after"} {
		v.Del(key)
	}
	return len(v) == 0
}

// filterKeys are the words of a filter.
var filterKeys = []string{
	"state", "queue", "tag", "priority", "host", "worker", "exit_code", "command", "error", "group", "since", "until", "sort", "limit", "after",
}

// onlyKeys refuses a word that means nothing: a filter with a slip in it would mean other
// jobs, mostly more.
func onlyKeys(v url.Values, more ...string) error {
	for key := range v {
		if !slices.Contains(filterKeys, key) && !slices.Contains(more, key) {
			problem := fmt.Sprintf("there is no %s", quote(key))
			if near := fsq.Nearest(key, append(more, filterKeys...)); near != "" {
				problem += fmt.Sprintf("; did you mean %q?", near)
			}
			return &badRequest{problem}
		}
	}
	return nil
}

// filterValues is a filter that was given as a JSON object: strings, numbers, or lists of
// them.
func filterValues(doc map[string]any) (url.Values, error) {
	v := url.Values{}
	for key, value := range doc {
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		for _, item := range list {
			switch item := item.(type) {
			case nil:
			case string:
				v.Add(key, item)
			case float64:
				v.Add(key, strconv.FormatFloat(item, 'f', -1, 64))
			default:
				return nil, badf("filter: %s must be a text or a number", key)
			}
		}
	}
	return v, onlyKeys(v)
}

// selector is the filter for fsq; ages are relative to now.
func (f filter) selector(now time.Time) (fsq.Selector, error) {
	sel := fsq.Selector{States: f.States, Tags: f.Tags, Error: f.Error, Group: f.Group, ExitCodes: f.exitCodes, All: true}
	if f.Host != "" {
		sel.Hosts = []string{f.Host}
	}
	if f.Worker != "" {
		sel.Workers = []string{f.Worker}
	}
	if strings.ContainsAny(f.Command, "*?") {
		sel.Command = f.Command
	} else {
		sel.Contains = f.Command
	}
	var err error
	if sel.MinPriority, sel.MaxPriority, err = parseRange(f.Priority); err != nil {
		return sel, err
	}
	if sel.Since, err = parseAge("since", f.Since, now); err != nil {
		return sel, err
	}
	if sel.Until, err = parseAge("until", f.Until, now); err != nil {
		return sel, err
	}
	return sel, sel.Validate()
}

// parseRange reads N, N.., ..N or N..M.
func parseRange(s string) (lo, hi *int, err error) {
	if s == "" {
		return nil, nil, nil
	}
	low, high, isRange := strings.Cut(s, "..")
	if !isRange {
		high = low
	}
	for _, end := range []struct {
		text string
		to   **int
	}{{low, &lo}, {high, &hi}} {
		if end.text == "" && isRange {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(end.text))
		if err != nil {
			return nil, nil, badf("priority must be a whole number, or a range such as 5.. or 1..9, not %s", quote(s))
		}
		*end.to = &n
	}
	return lo, hi, nil
}

// parseAge reads a time, or how long ago it was.
func parseAge(name, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if ago, err := fsq.ParseDuration(s); err == nil {
		return now.Add(-ago), nil
	}
	at, err := fsq.ParseTime(s, now)
	if err != nil {
		return at, badf("%s must be a time such as 2026-01-31T12:00, or how long ago, such as 2h, not %s", name, quote(s))
	}
	return at, nil
}

// options are the filter for fsq.Page.
func (f filter) options(now time.Time) (fsq.ListOptions, error) {
	where, err := f.selector(now)
	if err != nil {
		return fsq.ListOptions{}, err
	}
	by, reverse, err := fsq.ParseSort(f.Sort)
	return fsq.ListOptions{Where: where, Sort: by, Reverse: reverse, After: f.After, Limit: f.Limit, Details: true}, err
}

// selected are the queues that a filter asks about.
func (d *Dashboard) selected(f filter) ([]*fsq.Queue, error) {
	if f.Queue == "" {
		return d.queues()
	}
	q, err := d.queue(f.Queue)
	if err != nil {
		return nil, err
	}
	return []*fsq.Queue{q}, nil
}
