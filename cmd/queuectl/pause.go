package main

import (
	"context"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type pauseOptions struct{ reason, until string }

func newPause(a *app) *command {
	var o pauseOptions
	c := &command{
		name:  "pause",
		short: "Let no worker take jobs until resume",
		long: `Running jobs go on, and jobs can be queued. It holds for the workers of all hosts, and
for those that start later.`,
		examples: []example{
			{"Until further notice", "queuectl pause --reason 'the disk is being changed'"},
			{"For an hour", "queuectl pause --until +1h"},
		},
		flags: newFlagSet(),
		run:   func(_ context.Context, _ []string) error { return a.pause(o) },
	}
	stringFlag(c.flags, &o.reason, "reason", "TEXT", "why, for others to read")
	stringFlag(c.flags, &o.until, "until", "TIME", "when it ends by itself: RFC 3339, local time without a zone, or +1h")
	return c
}

func (a *app) pause(o pauseOptions) error {
	p := fsq.Pause{Reason: o.reason, By: fsq.Self()}
	if o.until != "" {
		until, err := fsq.ParseTime(o.until, a.now())
		if err != nil {
			return usagef("--until: %v", err)
		}
		if !until.After(a.now()) {
			return usagef("--until: %s is over already", both(until, a.now()))
		}
		p.Until = until
	}
	q, err := a.open()
	if err != nil {
		return err
	}
	if err := q.Pause(p); err != nil {
		return err
	}
	if a.json {
		now, err := q.Paused()
		if err != nil {
			return err
		}
		return a.out.json(struct {
			Paused *fsq.Pause `json:"paused"`
		}{now})
	}
	a.note("paused%s; %s resume ends it", untilText(p.Until, a.now()), a.ctl())
	return nil
}

func untilText(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + both(t, now)
}

// pausedLine says what a pause says.
func pausedLine(p *fsq.Pause, now time.Time) string {
	s := "paused"
	if p.By != "" {
		s += " by " + p.By
	}
	s += " " + relative(p.At, now) + untilText(p.Until, now)
	if p.Reason != "" {
		s += ": " + p.Reason
	}
	return s
}
