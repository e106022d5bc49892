package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

func newRun(a *app) *command {
	var o enqueueFlags
	c := &command{
		name:  "run",
		args:  "CMD ARG…",
		most:  anyNumber,
		short: "Queue a command, show its output, and end as it does",
		long: `The command is a job like any other: a worker takes it when it is its turn, on whatever
host, and its output is shown as it comes. If no worker is alive, this program works the
job itself. It is not retried unless --max-retries says so.

Flags of queuectl run stand before the command. Ctrl-C cancels the job; a second one
within a second leaves it in the queue and says how to see it again.`,
		also: []string{"exec", "srun"},
		examples: []example{
			{"A command", "queuectl run make all"},
			{"A shell text, when it is its turn, an hour at most", "queuectl run --timeout 1h -c 'make all 2>&1 | tee log'"},
			{"One that is tried again when it fails", "queuectl run --max-retries 5 --id fetch -- curl -O https://example.org/data"},
		},
		exits: []exitStatus{
			{exitOK, "the job is done"},
			{exitFailed, "the job ended without an exit status of its own, or something else failed"},
			{exitTimeout, "the job's --timeout was over"},
			{126, "the command could not be started, 127 if there is no such command; every other status is the job's own, or 128 and the number of the signal that ended it"},
			{exitSignal + int(syscall.SIGINT), "Ctrl-C; the job is cancelled"},
		},
		settings: []string{"max-retries", "backoff-base", "timeout"},
		flags:    newFlagSet(),
		letters:  map[string]string{"c": "command"},
		rest:     true,
		run:      func(ctx context.Context, args []string) error { return a.runJob(ctx, args, &o) },
		signals:  true,
	}
	stringFlag(c.flags, &o.command, "command", "TEXT", "run this by sh -c")
	o.defineJob(c.flags)
	return c
}

func (a *app) runJob(ctx context.Context, args []string, o *enqueueFlags) error {
	switch {
	case o.command == "" && len(args) == 0:
		return &usageError{"queuectl run needs a command", "queuectl run make all"}
	case o.command != "" && len(args) > 0:
		return usagef("either -c or a command, not both")
	}
	over, err := a.overlay(o, false)
	if err != nil {
		return err
	}
	job := fsq.Job{Command: fsq.Command{Shell: o.command}}
	if len(args) > 0 {
		job.Command.Args = args
	}
	if !a.settings.personal("max-retries") {
		job.MaxRetries = new(int) // who waits for it sees that it failed, and can try again
	}
	if err := over.apply(&job); err != nil {
		return err
	}
	q, err := a.open()
	if err != nil {
		return err
	}
	workers, err := q.Workers(ctx)
	if err != nil {
		return err
	}
	if job, err = q.Enqueue(ctx, job); err != nil {
		return a.duplicateHint(err)
	}
	r := &jobRun{app: a, q: q, id: job.ID, began: make(chan struct{})}
	if alive(workers) == 0 {
		r.workHere()
	}
	return r.follow(ctx)
}

// jobRun is a job that somebody waits for.
type jobRun struct {
	*app
	q     *fsq.Queue
	id    string
	began chan struct{} // closed when the first attempt begins

	worker *fsq.Worker // nil: others work the job
	stop   context.CancelFunc
	ended  chan error
}

// workHere makes this process a worker that takes this one job.
func (r *jobRun) workHere() {
	ctx, stop := context.WithCancel(context.Background())
	r.worker = r.q.NewWorker(fsq.WorkerOptions{Only: r.id, Log: slog.New(logHandler{a: r.app}), Events: func(e fsq.Event) {
		if e.Kind == fsq.EventProblem {
			r.warn("%s", e.Error)
		}
	}})
	r.stop, r.ended = stop, make(chan error, 1)
	go func() { r.ended <- r.worker.Run(ctx) }()
}

// tailed is what became of the job.
type tailed struct {
	fsq.Waited
	err error
}

func (r *jobRun) follow(ctx context.Context) error {
	tailing, stop := context.WithCancel(context.Background())
	defer stop()
	over := make(chan tailed, 1)
	begun := false
	go func() {
		end, err := r.q.Tail(tailing, r.id, fsq.TailOptions{Stdout: r.out, Stderr: r.err, Earlier: true, Attempt: func(at fsq.Attempt) {
			if !begun {
				begun = true
				close(r.began)
			}
			if at.Outcome != fsq.OutcomeRunning && at.Next != "dead" {
				r.attemptView()(at)
			}
		}})
		over <- tailed{end, err}
	}()
	waiting := time.NewTimer(runPatience)
	defer waiting.Stop()
	// Nothing tells of a worker's death.
	lookout := time.NewTicker(workersEvery)
	defer lookout.Stop()
	for {
		select {
		case end := <-over:
			return r.over(end)
		case err := <-r.ended:
			if err == nil {
				err = errors.New("the worker was stopped")
			}
			return &hinted{fmt.Errorf("working job %q: %w", r.id, err), r.whereabouts()}
		case <-r.began:
			waiting.Stop()
			r.began = nil
		case <-waiting.C:
			r.sayWaiting()
		case <-lookout.C:
			r.workIfAlone(ctx)
		case <-ctx.Done():
			return r.interrupted(context.Cause(ctx), over)
		}
	}
}

// workersEvery is how often a run that others are to work looks whether there are any. A
// look is some system calls.
const workersEvery = 2 * time.Second

// workIfAlone makes this process the worker when the last other one has gone.
func (r *jobRun) workIfAlone(ctx context.Context) {
	if r.worker != nil {
		return
	}
	workers, err := r.q.Workers(ctx)
	if err != nil || alive(workers) > 0 {
		return // what is wrong with the spool, the job's own follower tells
	}
	r.workHere()
}

// runPatience is how long a person waits without asking why nothing happens.
const runPatience = time.Second

func (r *jobRun) sayWaiting() {
	if !r.err.terminal() || r.began == nil {
		return
	}
	r.note("%s waits for its turn; Ctrl-C cancels it", r.id)
	if p, err := r.q.Paused(); err == nil && p != nil {
		r.hint("the queue is %s", pausedLine(p, r.now()))
	}
}

// over ends as the job did.
func (r *jobRun) over(end tailed) error {
	if err := r.leave(false); err != nil {
		return err
	}
	switch {
	case end.err != nil && r.out.err != nil:
		return nil // it could not be shown, which is said elsewhere
	case end.err != nil:
		return &hinted{end.err, r.whereabouts()}
	case end.State == fsq.Cancelled:
		r.note("%s was cancelled", r.id)
		return &reported{exitFailed}
	}
	r.sayWhy()
	return r.exitAs(context.Background(), r.q, r.id)
}

// sayWhy tells how the job ended where its own output cannot.
func (r *jobRun) sayWhy() {
	j, err := r.q.Get(context.Background(), r.id)
	if err != nil || j.State == fsq.Done || len(j.Records) == 0 {
		return
	}
	last := j.Records[len(j.Records)-1]
	if last.PID == 0 || last.Outcome != string(fsq.OutcomeFailed) || last.Signal != "" {
		r.report(errors.New(last.Error))
	}
}

// leave ends the worker in this process, if there is one.
func (r *jobRun) leave(now bool) error {
	if r.worker == nil {
		return nil
	}
	r.stop()
	if now {
		r.worker.Interrupt()
	}
	return <-r.ended
}

// interrupted cancels the job, or lets it be when it is asked a second time.
func (r *jobRun) interrupted(cause error, over <-chan tailed) error {
	r.note("cancelling %s; again to leave it in the queue", r.id)
	select {
	case <-r.second:
		return r.detach(cause)
	case end := <-over:
		return r.over(end)
	case <-time.After(detachPatience):
	}
	cancelled := make(chan error, 1)
	go func() {
		c, err := r.q.Cancel(context.Background(), r.id)
		if err == nil && c.State != fsq.Cancelled {
			_, err = r.q.AwaitCancelled(context.Background(), c)
		}
		cancelled <- err
	}()
	for {
		select {
		case err := <-cancelled:
			if err != nil && !errors.Is(err, fsq.ErrState) {
				r.report(err)
			}
			cancelled = nil
		case end := <-over:
			if end.err == nil && end.State != fsq.Cancelled {
				return r.over(end) // it had ended before
			}
			if err := r.leave(false); err != nil {
				return err
			}
			return cause
		case err := <-r.ended:
			return errors.Join(err, cause)
		case <-r.second:
			r.note("%s is being cancelled; not waiting for it", r.id)
			if err := r.leave(true); err != nil {
				return err
			}
			return cause
		}
	}
}

// detachPatience is how long a second Ctrl-C has time to keep the job from being
// cancelled, which nothing can take back.
const detachPatience = time.Second

// detach leaves the job alone.
func (r *jobRun) detach(cause error) error {
	if r.worker == nil {
		r.note("%s stays in the queue", r.id)
		r.hint("%s", r.whereabouts())
		return cause
	}
	r.note("%s goes back into the queue; its processes have %s to end", r.id, fsq.FormatDuration(r.settings.cfg.KillGrace))
	if err := r.leave(true); err != nil {
		return err
	}
	r.hint("%s worker start runs it; %s", r.ctl(), r.whereabouts())
	return cause
}

func (r *jobRun) whereabouts() string {
	return fmt.Sprintf("%s logs -f %s shows it again", r.ctl(), shellQuote(r.id))
}
