package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type stopOptions struct {
	now     bool
	all     bool
	hosts   []string
	timeout *time.Duration
}

func newWorkerStop(a *app) *command {
	var o stopOptions
	c := &command{
		name:  "stop",
		args:  "[WORKER…]",
		most:  anyNumber,
		short: "Stop workers, on any host",
		long: `Asks the workers to finish what they run and then end, waits for it, and reports each
one. Without WORKER, or with --all: all of the queue that --queue names, or of the spool
itself; '*' means those of all queues. A process that serves several queues stops in all
of them. Ctrl-C ends the waiting; what was asked stays asked.`,
		examples: []example{
			{"Stop all workers gracefully", "queuectl worker stop"},
			{"Those of all queues", "queuectl worker stop --queue '*'"},
			{"Those of one host, from any other", "queuectl worker stop --host web1"},
			{"Interrupt the jobs; they go back to the queue and lose no retries", "queuectl worker stop --now"},
			{"Give them a minute", "queuectl worker stop --timeout 1m || queuectl worker stop --now"},
		},
		exits: []exitStatus{
			{exitOK, "the workers have stopped, or there were none"},
			{exitFailed, "a worker still runs when --timeout is over"},
			{exitNotFound, "no such worker"},
		},
		queues:  someQueue,
		flags:   newFlagSet(),
		run:     func(ctx context.Context, args []string) error { return a.workerStop(ctx, o, args) },
		signals: true,
	}
	boolFlag(c.flags, &o.all, "all", "all of them, as if no WORKER is given")
	stringsFlag(c.flags, &o.hosts, "host", "HOST", "only those on this host, by the name that worker list shows; repeatable")
	boolFlag(c.flags, &o.now, "now", "interrupt the running jobs instead of waiting for their end")
	durationFlag(c.flags, &o.timeout, "timeout", "wait so long at most")
	return c
}

type stopResult struct {
	Queue  string `json:"queue"`
	Worker string `json:"worker"`
	Host   string `json:"host"`
	PID    int    `json:"pid"`
	Result string `json:"result"`
}

func (a *app) workerStop(ctx context.Context, o stopOptions, ids []string) error {
	if o.all && len(ids) > 0 {
		return usagef("--all and a WORKER exclude each other")
	}
	qs, err := a.queuesOrNone()
	if err != nil {
		return err
	}
	if len(qs) == 0 {
		return a.noWorkers(o, ids)
	}
	limited := ctx
	if o.timeout != nil {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, *o.timeout)
		defer cancel()
	}
	waiting := make(map[string]fsq.WorkerInfo)
	seen := 0
	err = fsq.StopAll(limited, qs, fsq.StopOptions{IDs: ids, Hosts: o.hosts, Now: o.now}, func(e fsq.StopEvent) {
		seen++
		if e.Result == fsq.StopAsked {
			waiting[e.Worker.ID] = e.Worker
			if a.err.terminal() {
				a.note("asked %s to stop, %s", e.Worker.ID, runningJobs(e.Worker))
			}
			return
		}
		delete(waiting, e.Worker.ID)
		a.printStop(e)
	})
	switch {
	case err != nil && len(waiting) > 0 && limited.Err() != nil:
		return a.stillRunning(ctx, waiting)
	case err != nil:
		return err
	case seen == 0:
		err := a.noWorkers(o, ids)
		a.hintElsewhere(ctx, "worker stop")
		return err
	}
	return nil
}

// noWorkers is the answer when nobody is there to be stopped.
func (a *app) noWorkers(o stopOptions, ids []string) error {
	if len(ids) > 0 {
		if len(o.hosts) > 0 {
			return fmt.Errorf("worker %q on %s: %w", ids[0], strings.Join(o.hosts, ", "), fsq.ErrNotFound)
		}
		return fmt.Errorf("worker %q: %w", ids[0], fsq.ErrNotFound)
	}
	where := ""
	if len(o.hosts) > 0 {
		where = " on " + strings.Join(o.hosts, ", ")
	}
	a.note("no worker is running%s%s", where, a.inQueue())
	return nil
}

func (a *app) printStop(e fsq.StopEvent) {
	if a.json {
		_ = a.out.jsonLine(stopResult{e.Worker.Queue, e.Worker.ID, e.Worker.Host, e.Worker.PID, e.Result})
		return
	}
	a.out.printf("%s %s\n", clean(e.Worker.ID), stopWords[e.Result])
}

// stopRunning is the result for a worker that was not waited for.
const stopRunning = "running"

var stopWords = map[string]string{
	fsq.StopStopped: "has stopped",
	fsq.StopLost:    "was dead; its jobs are taken from it",
	fsq.StopSilent:  "gives no sign of life; when it does, it stops",
	stopRunning:     "is still running",
}

func runningJobs(w fsq.WorkerInfo) string {
	if w.Busy == 0 {
		return "it runs nothing"
	}
	return "it runs " + plural(w.Busy, "job")
}

// stillRunning reports the workers that were not waited for.
func (a *app) stillRunning(ctx context.Context, left map[string]fsq.WorkerInfo) error {
	for _, id := range sortedKeys(left) {
		a.printStop(fsq.StopEvent{Worker: left[id], Result: stopRunning})
	}
	if ctx.Err() != nil {
		a.note("stopped waiting; what was asked stays asked")
		return context.Cause(ctx)
	}
	return &hinted{errors.New("not all workers have stopped in time"), "they stop when their jobs have ended; --now interrupts these"}
}
