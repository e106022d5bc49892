package main

import (
	"context"

	"github.com/queuectl/queuectl/fsq"
)

func newRetry(a *app) *command {
	var s selection
	c := &command{
		name:  "retry",
		args:  "[ID…]",
		most:  anyNumber,
		short: "Put dead and cancelled jobs back into the queue",
		long: `Each gets all its retries again and keeps everything else, also its history. Files
that never became jobs are for queuectl dlq retry.

` + selectorHelp,
		examples: []example{
			{"A job", "queuectl retry job-3"},
			{"What failed since lunch because a host was away", "queuectl retry --state dead --newer 4h --error 'no route'"},
		},
		exits: []exitStatus{
			{exitNotFound, "no such job; the others were retried"},
			{exitConflict, "the job is neither dead nor cancelled; the others were retried"},
		},
		queues: someQueue,
		flags:  newFlagSet(),
	}
	s.add(c.flags, true)
	c.run = func(ctx context.Context, ids []string) error {
		return a.act(ctx, c, &s, ids, fsq.Act{Action: fsq.ActionRetry}, nil)
	}
	return c
}
