package main

import (
	"context"
	"fmt"

	"github.com/queuectl/queuectl/fsq"
)

type cancelOptions struct {
	selection
	noWait bool
}

func newCancel(a *app) *command {
	var o cancelOptions
	c := &command{
		name:  "cancel",
		args:  "[ID…]",
		most:  anyNumber,
		short: "Cancel jobs that wait or run, on any host",
		long: `A job that waits is cancelled at once. Of one that runs its worker is asked, on whatever
host: its processes get SIGTERM, and SIGKILL after kill-grace. Cancelled jobs are kept
until they are pruned or another job wants the id; queuectl retry puts them back.

` + selectorHelp,
		also: []string{"abort", "stop-job"},
		examples: []example{
			{"A job", "queuectl cancel job-1"},
			{"Everything that waits and has a tag", "queuectl cancel --state waiting --tag nightly"},
			{"What would go, if all that runs ./render went", "queuectl cancel --command './render *' --dry-run"},
		},
		exits: []exitStatus{
			{exitNotFound, "no such job; the others were cancelled"},
			{exitConflict, "the job had ended already; the others were cancelled"},
		},
		queues:  someQueue,
		flags:   newFlagSet(),
		signals: true,
	}
	o.add(c.flags, true)
	boolFlag(c.flags, &o.noWait, "no-wait", "do not wait for running jobs to end")
	c.run = func(ctx context.Context, ids []string) error { return a.cancel(ctx, c, o, ids) }
	return c
}

func (a *app) cancel(ctx context.Context, c *command, o cancelOptions, ids []string) error {
	v := verb{
		done:   "cancelled",
		states: []fsq.State{fsq.Pending, fsq.Scheduled, fsq.Retrying, fsq.Held, fsq.Processing},
		do: func(ctx context.Context, q *fsq.Queue, id string) (string, error) {
			return a.cancelOne(ctx, q, id, o.noWait)
		},
	}
	return a.act(ctx, c, &o.selection, ids, v)
}

func (a *app) cancelOne(ctx context.Context, q *fsq.Queue, id string, noWait bool) (string, error) {
	got, err := q.Cancel(ctx, id)
	if err != nil || got.State == fsq.Cancelled {
		return "cancelled", err
	}
	if noWait {
		return "asked", nil
	}
	if a.err.terminal() {
		a.note("asked worker %s to end %s", got.By, id)
	}
	end, err := q.AwaitCancelled(ctx, got)
	if err != nil {
		return "", err
	}
	if end.State != fsq.Cancelled {
		return "", fmt.Errorf("job %q was not cancelled: it is %s by now: %w", id, end.State, fsq.ErrState)
	}
	return "cancelled", nil
}
