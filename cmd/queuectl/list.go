package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

type listOptions struct {
	selection
	sort  string
	after string
	limit int
}

// listLimit fits a screen or two; more is asked for by who wants it.
const listLimit = 50

func newList(a *app) *command {
	var o listOptions
	c := &command{
		name:  "list",
		args:  "[ID…]",
		most:  anyNumber,
		short: "List jobs",
		long: `Running jobs come first, then waiting ones in the order in which they will run, then
later ones by time, then what has ended, the newest first. --sort gives another order;
who has no such value comes last. With --limit and --json, "next" is what --after takes to
go on: no job that stays where it is is left out then or shown twice.

` + selectorHelp,
		also: []string{"ls", "jobs"},
		examples: []example{
			{"What runs and waits", "queuectl list --state processing,pending"},
			{"Everything that failed", "queuectl list --state failed --limit 0"},
			{"What runs in all queues", "queuectl list --queue '*' --state running"},
			{"What took longest, of the last day", "queuectl list --state done --since 1d --sort -run"},
			{"The ids of all dead jobs", "queuectl list --state dead --limit 0 --json | jq -r '.jobs[].id'"},
		},
		queues: someQueue,
		flags:  newFlagSet(),
		run:    func(ctx context.Context, ids []string) error { return a.list(ctx, o, ids) },
	}
	o.add(c.flags, false)
	stringFlag(c.flags, &o.sort, "sort", "ORDER", "turn, due, enqueued, ended, wait, run, attempts or priority, the lowest first; -run and the like reverse it")
	stringFlag(c.flags, &o.after, "after", "NEXT", "go on from where another list ended")
	intFlag(c.flags, &o.limit, "limit", listLimit, 0, "at most so many jobs; 0: all")
	return c
}

func (a *app) list(ctx context.Context, o listOptions, ids []string) error {
	sel, err := o.selector(ids, a.now)
	if err != nil {
		return err
	}
	by, reverse, err := fsq.ParseSort(o.sort)
	if err != nil {
		return listed(err)
	}
	qs, err := a.queuesOrNone()
	if err != nil {
		return err
	}
	page, err := fsq.Page(ctx, qs, fsq.ListOptions{Where: sel, Sort: by, Reverse: reverse, After: o.after, Limit: o.limit, Details: true})
	if err != nil {
		return listed(err)
	}
	jobs, more := page.Jobs, page.Next != ""
	if a.json {
		err = a.out.json(struct {
			Jobs []fsq.JobInfo `json:"jobs"`
			More bool          `json:"more"` // the limit has cut the list
			Next string        `json:"next"` // what --after takes to go on; "" at the end
		}{jobs, more, page.Next})
	} else {
		a.jobTable(jobs).write(a.out)
		if len(jobs) == 0 && qs != nil {
			a.note("no jobs%s", inStates(o.states))
		}
	}
	if more {
		a.note("there are more than %s; --limit 0 lists all", plural(len(jobs), "job"))
	}
	return err
}

// listed is an error of a list: one of a field is one of its flag.
func listed(err error) error {
	if field := (*fsq.FieldError)(nil); errors.As(err, &field) {
		return usagef("--%s: %s", field.Field, field.Problem)
	}
	return err
}

func inStates(s string) string {
	if s == "" {
		return ""
	}
	return " in state " + strings.ReplaceAll(s, ",", " or ")
}

// parseStates reads the value of --state; nil means all.
func parseStates(s string) ([]fsq.State, error) {
	if s == "" {
		return nil, nil
	}
	var states []fsq.State
	for _, word := range strings.Split(s, ",") {
		found, err := fsq.ParseState(strings.TrimSpace(word))
		if unknown := (*fsq.UnknownStateError)(nil); errors.As(err, &unknown) {
			e := &usageError{
				problem: fmt.Sprintf("--state: unknown state %q", unknown.State),
				hint:    "the states are pending, scheduled, retrying, held, processing, done, dead and cancelled",
			}
			if unknown.Nearest != "" {
				e.problem += fmt.Sprintf("; did you mean %q?", unknown.Nearest)
			}
			return nil, e
		}
		if err != nil {
			return nil, err
		}
		states = append(states, found...)
	}
	return states, nil
}
