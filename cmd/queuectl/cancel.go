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
	var await func(context.Context, *fsq.Queue, *fsq.ActResult)
	if !o.noWait {
		await = a.awaitCancelled
	}
	return a.act(ctx, c, &o.selection, ids, fsq.Act{Action: fsq.ActionCancel}, await)
}

// awaitCancelled waits until a job has ended whose worker is asked to end it.
func (a *app) awaitCancelled(ctx context.Context, q *fsq.Queue, r *fsq.ActResult) {
	if r.Result != fsq.ResultAsked {
		return
	}
	if a.err.terminal() {
		a.note("asked worker %s to end %s", r.Asked.By, r.ID)
	}
	end, err := q.AwaitCancelled(ctx, r.Asked)
	if err == nil && end.State != fsq.Cancelled {
		err = fmt.Errorf("job %q was not cancelled: it is %s by now: %w", r.ID, end.State, fsq.ErrState)
	}
	if r.Result = "cancelled"; err != nil {
		r.Fail(err)
	}
}
