package main

import (
	"context"
	"fmt"
	"syscall"

	"github.com/queuectl/queuectl/fsq"
)

func newEvents(a *app) *command {
	var follow bool
	c := &command{
		name:  "events",
		short: "Print what happens to jobs, as it happens",
		long: `Each arrival of a job in a state is a line: enqueued, held, released, changed, started,
done, retry, snoozed, requeued (given back), lost (its worker died), dead, cancelled and
revived. With --json each is an object. It ends with Ctrl-C. On a network file system it
looks every few seconds, and what a job does in between is not seen.`,
		also: []string{"tail", "monitor"},
		examples: []example{
			{"Everything", "queuectl events --follow"},
			{"Everything in all queues, also in those that are made later", "queuectl events --follow --queue '*'"},
			{"A line for each job that dies", `queuectl events --follow --json | jq -r 'select(.event == "dead").job_id'`},
		},
		exits:   []exitStatus{{exitNotFound, "no spool"}, {exitSignal + int(syscall.SIGINT), "stopped by Ctrl-C"}},
		queues:  someQueue,
		flags:   newFlagSet(),
		run:     func(ctx context.Context, _ []string) error { return a.events(ctx) },
		signals: true,
	}
	boolFlag(c.flags, &follow, "follow", "go on until stopped; it always does")
	return c
}

func (a *app) events(ctx context.Context) error {
	qs, err := a.queues()
	if err != nil {
		return err
	}
	var later func(func(string) bool) ([]*fsq.Queue, error)
	if a.names(everyQueue) {
		later = a.laterQueues
	}
	err = fsq.FollowAll(ctx, qs, later, func(t fsq.Transition) error {
		if a.json {
			return a.out.jsonLine(t)
		}
		queue := ""
		if a.manyQueues() {
			queue = fmt.Sprintf("%-*s ", len(fsq.DefaultQueue), clean(t.Queue))
		}
		a.out.printf("%s %s%s\n", a.out.paint(dim, t.Time.Local().Format("15:04:05")), queue, transitionLine(a.out, t))
		return a.out.err
	})
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

var transitionStyle = map[string]style{
	fsq.EventStarted: cyan, fsq.EventDone: green, fsq.EventDead: red, fsq.EventRetry: yellow,
	fsq.EventLost: red, fsq.EventCancelled: yellow, fsq.EventRequeued: yellow, fsq.EventSnoozed: yellow,
}

func transitionLine(o *output, t fsq.Transition) string {
	s := o.paint(transitionStyle[t.Event], fmt.Sprintf("%-9s", t.Event)) + " " + clean(t.JobID)
	if t.Attempt > 0 {
		s += fmt.Sprintf("  attempt %d/%d", t.Attempt, t.MaxAttempts)
	}
	if t.Event == fsq.EventStarted {
		s += " by " + clean(t.Worker)
	}
	if t.DurationSeconds != nil && *t.DurationSeconds > 0 {
		s += " after " + span(seconds(*t.DurationSeconds))
	}
	if t.Event == fsq.EventDead && t.Outcome != "" {
		s += ", " + clean(t.Outcome)
	}
	if t.DueAt != nil && t.State != fsq.Processing && t.DueAt.After(t.Time) {
		s += ", due " + relative(*t.DueAt, t.Time)
	}
	return s
}
