package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type setOptions struct {
	selection
	priority *int
	runAt    string
	delay    *time.Duration
}

func newSet(a *app) *command {
	var o setOptions
	c := &command{
		name:  "set",
		args:  "[ID…]",
		most:  anyNumber,
		short: "Give waiting jobs another priority or time",
		long: `Everything else about a job is in its document: queuectl edit changes that.

` + selectorHelp,
		also: []string{"reschedule", "reprioritize", "renice", "update"},
		examples: []example{
			{"Before others", "queuectl set job-1 --priority 5"},
			{"An hour later", "queuectl set job-1 --run-at +1h"},
			{"All that a tag has, after the rest", "queuectl set --tag bulk --all --priority -10"},
		},
		exits:  append([]exitStatus{{exitUsage, "wrong usage or value, nothing was done"}}, waitingExits("changed")...),
		queues: someQueue,
		flags:  newFlagSet(),
	}
	c.flags.Var(&value{arg: "N", set: func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < fsq.MinPriority || n > fsq.MaxPriority {
			return fmt.Errorf("must be a whole number from %d to %d, not %q", fsq.MinPriority, fsq.MaxPriority, s)
		}
		o.priority = &n
		return nil
	}}, "priority", "among due jobs the higher first, -999 to 999")
	stringFlag(c.flags, &o.runAt, "run-at", "TIME", "not before: 2030-01-02T03:00, with a zone or in local time, or +10m")
	durationFlag(c.flags, &o.delay, "delay", "not before this time has passed, such as 10m")
	o.add(c.flags, true)
	c.run = func(ctx context.Context, ids []string) error {
		change, err := o.change(c, a.now())
		if err != nil {
			return err
		}
		return a.act(ctx, c, &o.selection, ids, fsq.Act{Action: fsq.ActionSet, Change: change}, nil)
	}
	return c
}

// change is what the flags say.
func (o *setOptions) change(c *command, now time.Time) (change fsq.Change, err error) {
	change.Priority = o.priority
	switch {
	case o.runAt != "" && o.delay != nil:
		return change, usagef("--run-at and --delay say the same: give one of them")
	case o.delay != nil:
		at := now.Add(*o.delay)
		change.RunAt = &at
	case o.runAt != "":
		at, err := fsq.ParseTime(o.runAt, now)
		if err != nil {
			return change, usagef("--run-at: %v", err)
		}
		change.RunAt = &at
	case o.priority == nil:
		return change, &usageError{
			problem: c.path + " needs --priority, --run-at or --delay",
			hint:    "queuectl edit changes everything else, such as the timeout or the retries",
		}
	}
	return change, nil
}
