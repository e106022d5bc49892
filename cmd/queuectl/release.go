package main

import (
	"context"

	"github.com/queuectl/queuectl/fsq"
)

func newRelease(a *app) *command {
	var s selection
	c := &command{
		name:  "release",
		args:  "[ID…]",
		most:  anyNumber,
		short: "Let held jobs run when they are due",
		long: `A job whose time came while it was held is due at once. A job that waits and is not
held stays as it is.

` + selectorHelp,
		also: []string{"unhold", "unstash"},
		examples: []example{
			{"A job", "queuectl release job-1"},
			{"All that are held", "queuectl release --all"},
		},
		exits:  waitingExits("released"),
		queues: someQueue,
		flags:  newFlagSet(),
	}
	s.add(c.flags, true)
	c.run = func(ctx context.Context, ids []string) error {
		return a.act(ctx, c, &s, ids, fsq.Act{Action: fsq.ActionRelease}, nil)
	}
	return c
}
