package main

import (
	"context"

	"github.com/queuectl/queuectl/fsq"
)

func newDelete(a *app) *command {
	var s selection
	c := &command{
		name:  "delete",
		args:  "[ID…]",
		most:  anyNumber,
		short: "Remove jobs that do not run, for good",
		long: `Nothing is left of them, neither their output nor their ids. A job that waits never
runs; one that runs must be cancelled first. --all spares what runs, too.

` + selectorHelp,
		also: []string{"rm", "remove"},
		examples: []example{
			{"A job", "queuectl delete job-1"},
			{"Cancelled jobs older than a day", "queuectl delete --state cancelled --older 1d"},
			{"What would go", "queuectl delete --tag test --dry-run"},
		},
		exits: []exitStatus{
			{exitNotFound, "no such job; the others were removed"},
			{exitConflict, "the job runs; the others were removed"},
		},
		queues: someQueue,
		flags:  newFlagSet(),
	}
	s.add(c.flags, true)
	c.run = func(ctx context.Context, ids []string) error {
		return a.act(ctx, c, &s, ids, fsq.Act{Action: fsq.ActionDelete}, nil)
	}
	return c
}
