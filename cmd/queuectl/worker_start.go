package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/queuectl/queuectl/fsq"
)

type startOptions struct {
	detach bool
	ready  int // descriptor that is told when the worker is ready; 0: none
}

func newWorkerStart(a *app) *command {
	var o startOptions
	c := &command{
		name:  "start",
		short: "Run jobs until stopped",
		long: `Stays in the foreground and says on stderr what it does; with --json each event is a
JSON object on a line of stdout. SIGTERM or SIGINT (Ctrl-C): takes no more jobs and ends
when the running ones have ended. A second one interrupts these; they go back to the
queue and lose none of their retries.`,
		also: []string{"run", "work", "daemon"},
		examples: []example{
			{"Run jobs, four at a time", "queuectl worker start --count 4"},
			{"In the background, with a log file", "queuectl worker start --detach"},
			{"Ten minutes at most for jobs that do not say", "queuectl worker start --timeout 10m"},
		},
		exits: []exitStatus{
			{exitOK, "stopped, and everything that ran has ended; with --detach: it is running"},
			{exitSignal + int(syscall.SIGINT), "interrupted by the second SIGINT"},
			{exitSignal + int(syscall.SIGTERM), "interrupted by the second SIGTERM"},
		},
		settings: append([]string{"count"}, settingKeys()...),
		flags:    newFlagSet(),
		run:      func(ctx context.Context, _ []string) error { return a.workerStart(ctx, o) },
		signals:  true,
	}
	boolFlag(c.flags, &o.detach, "detach", "run in the background, with a log file in the spool; returns once it is ready")
	intFlag(c.flags, &o.ready, readyFlag, 0, 0, "")
	return c
}

func (a *app) workerStart(ctx context.Context, o startOptions) error {
	if o.detach {
		return a.detach(ctx)
	}
	ready := readyFile(o.ready)
	defer ready.Close()
	q, err := a.open()
	if err != nil {
		return err
	}
	view := &eventView{app: a, stream: *a.out}
	w := q.NewWorker(fsq.WorkerOptions{
		Slots: a.settings.count,
		Log:   slog.New(logHandler{a: a}),
		Events: func(e fsq.Event) {
			view.event(e)
			if e.Kind == fsq.EventReady {
				tellReady(ready, e)
			}
		},
	})
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case s := <-a.second:
		a.note("interrupting; the jobs go back to the queue")
		w.Interrupt()
		if err := <-ended; err != nil {
			return err
		}
		return &signalled{s.(syscall.Signal)}
	}
}

// readyFlag and what follows are the child's side of --detach (detach.go).
const readyFlag = "ready-fd"

type readiness struct {
	Worker string `json:"worker"`
	PID    int    `json:"pid"`
	Log    string `json:"log"`
}

// readyFile is the descriptor that the parent passed, or nil. Jobs must not get
// it: the parent waits until nobody has it open any more.
func readyFile(fd int) *os.File {
	if fd < 3 {
		return nil
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "ready")
}

func tellReady(f *os.File, e fsq.Event) {
	if f == nil {
		return
	}
	line, err := json.Marshal(readiness{Worker: e.Worker, PID: os.Getpid()})
	if err == nil {
		// A parent that was killed meanwhile is no reason to stop.
		_, _ = fmt.Fprintf(f, "%s\n", line)
	}
	f.Close()
}
