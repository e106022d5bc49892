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

// sorts are what jobs can be sorted by.
var sorts = []string{"turn", "due", "enqueued", "ended", "wait", "run", "attempts", "priority"}

// filter says which jobs are meant, in which order and how many: the same words in the URL
// of a page, in a call and in the body of an action. What is not given is zero.
type filter struct {
	States   []fsq.State
	Queue    string
	Tags     []string // each of them
	Priority string   // N, N.., ..N or N..M
	Host     string
	Worker   string
	ExitCode *int
	Command  string // a text in it; with * or ? a glob of it all
	Error    string // a text in it
	Since    string // a time, or how long ago
	Until    string
	Sort     string // one of sorts, "-" before it for the reverse
	Limit    int
	After    string // where the page before ended

	state string // as given: "failed" stays that
}

// parseFilter reads a query. The error says what is wrong with which part of it.
func parseFilter(v url.Values) (filter, error) {
	f := filter{
		Queue: v.Get("queue"), Priority: v.Get("priority"), Host: v.Get("host"), Worker: v.Get("worker"),
		Command: v.Get("command"), Error: v.Get("error"), Since: v.Get("since"), Until: v.Get("until"),
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
	if s := v.Get("exit_code"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			return f, fmt.Errorf("exit_code must be a whole number, not %q", s)
		}
		f.ExitCode = &n
	}
	if f.Sort != "" && !slices.Contains(sorts, strings.TrimPrefix(f.Sort, "-")) {
		return f, fmt.Errorf("sort must be one of %s, not %q", strings.Join(sorts, ", "), f.Sort)
	}
	if s := v.Get("limit"); s != "" {
		if f.Limit, err = strconv.Atoi(s); err != nil || f.Limit < 1 || f.Limit > maxLimit {
			return f, fmt.Errorf("limit must be a whole number from 1 to %d, not %q", maxLimit, s)
		}
	}
	return f, nil
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
	if f.ExitCode != nil {
		set("exit_code", strconv.Itoa(*f.ExitCode))
	}
	set("command", f.Command)
	set("error", f.Error)
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
	f.Sort, f.Limit, f.After = "", 0, ""
	return len(f.values()) == 0
}

// filterKeys are the words of a filter.
var filterKeys = []string{
	"state", "queue", "tag", "priority", "host", "worker", "exit_code", "command", "error", "since", "until", "sort", "limit", "after",
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

// selector is the filter for fsq.
func (f filter) selector() fsq.Selector {
	return fsq.Selector{States: f.States, Tags: f.Tags, Command: f.Command, Error: f.Error, All: true}
}

// options are the filter for a list.
func (f filter) options(now time.Time) (opt fsq.ListOptions, err error) {
	opt = fsq.ListOptions{After: f.After, Limit: f.Limit}
	if opt.Sort, opt.Reverse, err = fsq.ParseSort(f.Sort); err != nil {
		return opt, err
	}
	opt.Where, err = f.where(now)
	return opt, err
}

// where is the filter for fsq, as of now.
func (f filter) where(now time.Time) (s fsq.Selector, err error) {
	s = fsq.Selector{States: f.States, Tags: f.Tags, Error: f.Error, All: true}
	if strings.ContainsAny(f.Command, "*?") {
		s.Command = f.Command
	} else {
		s.Contains = f.Command
	}
	if f.Host != "" {
		s.Hosts = []string{f.Host}
	}
	if f.Worker != "" {
		s.Workers = []string{f.Worker}
	}
	if f.ExitCode != nil {
		s.ExitCodes = []int{*f.ExitCode}
	}
	if f.Priority != "" {
		if s.MinPriority, s.MaxPriority, err = fsq.ParsePriorities(f.Priority); err != nil {
			return s, badf("priority %v", err)
		}
	}
	for _, t := range []struct {
		key, value string
		to         *time.Time
	}{{"since", f.Since, &s.Since}, {"until", f.Until, &s.Until}} {
		if t.value == "" {
			continue
		}
		if *t.to, err = fsq.ParseMoment(t.value, now); err != nil {
			return s, badf("%s %v", t.key, err)
		}
	}
	return s, nil
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
