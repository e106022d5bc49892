package main

import (
	"context"
	"errors"

	"github.com/queuectl/queuectl/fsq"
)

func newKill(a *app) *command {
	var signal string
	c := &command{
		name:  "kill",
		args:  "ID…",
		least: 1,
		most:  anyNumber,
		short: "Send a signal to the processes of running jobs, on any host",
		long: `The signal goes to the whole process group of the job, through its worker. What the
job makes of it is its own affair: if it ends, that counts as any other end, and a job
that fails is retried. To end a job for good use queuectl cancel.`,
		also: []string{"signal"},
		examples: []example{
			{"Reload a job's configuration", "queuectl kill -s HUP job-1"},
			{"Suspend a job, and let it go on", "queuectl kill -s STOP job-1; queuectl kill -s CONT job-1"},
		},
		exits: []exitStatus{
			{exitOK, "the worker is asked to send it"},
			{exitNotFound, "no such job; the others got the signal"},
			{exitConflict, "the job does not run; the others got the signal"},
		},
		queues:  someQueue,
		flags:   newFlagSet(),
		letters: map[string]string{"s": "signal"},
	}
	stringFlag(c.flags, &signal, "signal", "SIGNAL", "a name such as TERM or SIGUSR1, or a number (TERM if not given)")
	c.run = func(ctx context.Context, ids []string) error {
		name, err := signalNamed(signal)
		if err != nil {
			return err
		}
		return a.act(ctx, c, &selection{}, ids, fsq.Act{Action: fsq.ActionSignal, Signal: name}, nil)
	}
	return c
}

func signalNamed(s string) (string, error) {
	if s == "" {
		s = "TERM"
	}
	name, err := fsq.ParseSignal(s)
	if errors.Is(err, fsq.ErrSignal) {
		return "", &usageError{"--signal: there is no signal " + clean(s), "kill -l lists the signals"}
	}
	return name, err
}
