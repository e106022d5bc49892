package dashboard

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

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
