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
later ones by time, then dead and done ones, the newest first.

` + selectorHelp,
		also: []string{"ls", "jobs"},
		examples: []example{
			{"What runs and waits", "queuectl list --state processing,pending"},
			{"Everything that failed", "queuectl list --state failed --limit 0"},
			{"What runs in all queues", "queuectl list --queue '*' --state running"},
			{"The ids of all dead jobs", "queuectl list --state dead --limit 0 --json | jq -r '.jobs[].id'"},
		},
		queues: someQueue,
		flags:  newFlagSet(),
		run:    func(ctx context.Context, ids []string) error { return a.list(ctx, o, ids) },
	}
	o.add(c.flags, false)
	intFlag(c.flags, &o.limit, "limit", listLimit, 0, "at most so many jobs; 0: all")
	return c
}

func (a *app) list(ctx context.Context, o listOptions, ids []string) error {
	sel, err := o.selector(ids)
	if err != nil {
		return err
	}
	qs, err := a.queuesOrNone()
	if err != nil {
		return err
	}
	jobs, more, err := fsq.ListAll(ctx, qs, fsq.ListOptions{Where: sel, Limit: o.limit, Details: true})
	if err != nil {
		return err
	}
	if a.json {
		err = a.out.json(struct {
			Jobs []fsq.JobInfo `json:"jobs"`
			More bool          `json:"more"` // the limit has cut the list
		}{jobs, more})
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
