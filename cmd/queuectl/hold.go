package main

import (
	"context"

	"github.com/queuectl/queuectl/fsq"
)

// waitingStates are those of jobs that can be held, set and edited.
var waitingStates = []fsq.State{fsq.Pending, fsq.Scheduled, fsq.Retrying, fsq.Held}

func newHold(a *app) *command {
	var s selection
	c := &command{
		name:  "hold",
		args:  "[ID…]",
		most:  anyNumber,
		short: "Keep waiting jobs from running until they are released",
		long: `The job keeps its place in the queue. queuectl enqueue --hold makes one that is held
from the beginning; queuectl pause stops all jobs at once.

` + selectorHelp,
		also: []string{"stash", "suspend"},
		examples: []example{
			{"A job", "queuectl hold job-1"},
			{"Everything that waits and has a tag", "queuectl hold --tag nightly --all"},
		},
		exits:  waitingExits("held"),
		queues: someQueue,
		flags:  newFlagSet(),
	}
	s.add(c.flags, true)
	c.run = func(ctx context.Context, ids []string) error {
		return a.act(ctx, c, &s, ids, fsq.Act{Action: fsq.ActionHold}, nil)
	}
	return c
}

// waitingExits are the statuses of commands that change jobs that wait.
func waitingExits(done string) []exitStatus {
	return []exitStatus{
		{exitNotFound, "no such job; the others were " + done},
		{exitConflict, "the job does not wait: it runs, or has ended; the others were " + done},
	}
}
