package main

import (
	"context"

	"github.com/queuectl/queuectl/fsq"
)

func newRunNow(a *app) *command {
	var s selection
	c := &command{
		name:  "run-now",
		args:  "[ID…]",
		most:  anyNumber,
		short: "Make waiting jobs due, also those that are held",
		long: `The job does not wait for its time or for its next retry any more; it still waits for
a worker, and for its turn among those that are due: queuectl set --priority moves it up.

` + selectorHelp,
		also: []string{"now", "start-now"},
		examples: []example{
			{"A scheduled job", "queuectl run-now backup"},
			{"All that wait for their next retry", "queuectl run-now --state retrying"},
		},
		exits:  waitingExits("made due"),
		queues: someQueue,
		flags:  newFlagSet(),
	}
	s.add(c.flags, true)
	c.run = func(ctx context.Context, ids []string) error {
		return a.act(ctx, c, &s, ids, fsq.Act{Action: fsq.ActionRunNow}, nil)
	}
	return c
}
