package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type startOptions struct {
	detach  bool
	drain   bool
	once    bool
	maxJobs int
	maxTime *time.Duration
	ready   int // descriptor that is told when the worker is ready; 0: none
}

func newWorkerStart(a *app) *command {
	var o startOptions
	c := &command{
		name:  "start",
		short: "Run jobs until stopped",
		long: `Stays in the foreground and says on stderr what it does; with --json each event is a
JSON object on a line of stdout. SIGTERM or SIGINT (Ctrl-C): takes no more jobs and ends
when the running ones have ended. A second one interrupts these; they go back to the
queue and lose none of their retries.

With --drain it ends by itself once nothing is due: for cron. What is scheduled, held,
retried later or run by other workers does not keep it; what is due does, also while it
waits for the limit of its queue. --max-jobs and --max-time end it earlier; what runs then
may finish.

--queue names the queues to work: with mail,default a job of default starts only when
mail has none that is due; with mail=2,default=4 both get their shares of the starts, a
third and two thirds, and what one does not use the others do. * are all, also those that
are made later. --count bounds the jobs of all queues together; without it there are as
many as the numbers say.`,
		also: []string{"run", "work", "daemon"},
		examples: []example{
			{"Run jobs, four at a time", "queuectl worker start --count 4"},
			{"In the background, with a log file", "queuectl worker start --detach"},
			{"What is due, then end: for cron", "queuectl worker start --drain --max-time 50m"},
			{"Two queues, four jobs at a time, twice as many starts for the second", "queuectl worker start --count 4 --queue mail=1,default=2"},
		},
		exits: []exitStatus{
			{exitOK, "stopped, or nothing was left to do, and everything that ran has ended; with --detach: it is running"},
			{exitSignal + int(syscall.SIGINT), "interrupted by the second SIGINT"},
			{exitSignal + int(syscall.SIGTERM), "interrupted by the second SIGTERM"},
		},
		queues:   sharedOut,
		settings: append([]string{"count"}, settingKeys()...),
		flags:    newFlagSet(),
		run:      func(ctx context.Context, _ []string) error { return a.workerStart(ctx, o) },
		signals:  true,
	}
	boolFlag(c.flags, &o.detach, "detach", "run in the background, with a log file in the spool; returns once it is ready")
	boolFlag(c.flags, &o.drain, "drain", "end once nothing is due any more")
	boolFlag(c.flags, &o.once, "once", "run one job, if one is due, and end: --drain --max-jobs 1")
	intFlag(c.flags, &o.maxJobs, "max-jobs", 0, 1, "take so many jobs at most and end when they have ended")
	durationFlag(c.flags, &o.maxTime, "max-time", "take no job after this time and end when all have ended")
	intFlag(c.flags, &o.ready, readyFlag, 0, 0, "")
	return c
}

func (a *app) workerStart(ctx context.Context, o startOptions) error {
	switch {
	case o.once && o.maxJobs > 1:
		return usagef("--once takes one job, --max-jobs %d more", o.maxJobs)
	case o.once:
		o.drain, o.maxJobs = true, 1
	}
	notify, err := newNotifier()
	if err != nil {
		a.warn("%v", err)
	}
	defer notify.close()
	if o.detach {
		return a.detach(ctx, o)
	}
	ready := readyFile(o.ready)
	defer ready.Close()
	shares, err := a.shares()
	if err != nil {
		return err
	}
	// What a worker holds of a long queue is most of its memory, and a scan makes as much
	// garbage: 220 MB with 300,000 jobs waiting, 57 MB with this and ReadyLimit as it is.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
	p := fsq.NewPool(shares, a.workerOptions(o, len(shares), ready, notify))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	select {
	case err := <-ended:
		return err
	case s := <-a.second:
		a.note("interrupting; the jobs go back to the queue")
		p.Interrupt()
		if err := <-ended; err != nil {
			return err
		}
		return &signalled{s.(syscall.Signal)}
	}
}

// workerOptions are those of a worker that serves so many queues at first.
func (a *app) workerOptions(o startOptions, queues int, ready *os.File, notify *notifier) fsq.WorkerOptions {
	view := &eventView{app: a, stream: *a.out, many: a.manyQueues()}
	unready, first := queues, ""
	opt := fsq.WorkerOptions{
		Slots: a.slots(), Drain: o.drain, MaxJobs: o.maxJobs,
		Log: slog.New(logHandler{a: a}),
		Events: func(e fsq.Event) {
			view.event(e)
			notify.event(e)
			if e.Kind != fsq.EventReady {
				return
			}
			if first == "" || e.Queue == a.firstQueue() {
				first = e.Worker
			}
			if unready--; unready == 0 {
				tellReady(ready, first)
			}
		},
	}
	if o.maxTime != nil {
		// Not 0, which is no limit: what is not to take jobs at all does not get far.
		opt.MaxTime = max(*o.maxTime, 1)
	}
	if notify != nil {
		notify.expects = queues
		opt.Alive, opt.AliveEvery = notify.alive, notify.every
		if notify.every == 0 {
			opt.AliveEvery = statusPause * 10
		}
	}
	if a.names(everyQueue) {
		opt.Later = a.laterShares
	}
	return opt
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

func tellReady(f *os.File, worker string) {
	if f == nil {
		return
	}
	line, err := json.Marshal(readiness{Worker: worker, PID: os.Getpid()})
	if err == nil {
		// A parent that was killed meanwhile is no reason to stop.
		_, _ = fmt.Fprintf(f, "%s\n", line)
	}
	f.Close()
}
