package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type waitOptions struct {
	selection
	ids      string
	timeout  *time.Duration
	exitCode bool
	quiet    bool
}

func newWait(a *app) *command {
	var o waitOptions
	c := &command{
		name:  "wait",
		args:  "[ID…]",
		most:  anyNumber,
		short: "Wait until jobs have ended",
		long: `Waits for the jobs that are chosen when it starts, until each of them is done, dead or
cancelled; --all are all that wait or run then. Of jobs that did not succeed it says so on
stderr as they end; with --json each job is a line on stdout. A job that fails and is
retried has not ended.

` + selectorHelp,
		examples: []example{
			{"A job that was just queued", `queuectl wait "$(queuectl enqueue '{"command":"make"}')"`},
			{"A pipeline", `queuectl enqueue - | queuectl wait --ids -`},
			{"Everything with a tag, ten minutes at most", "queuectl wait --tag nightly --timeout 10m"},
		},
		exits: []exitStatus{
			{exitOK, "all have succeeded"},
			{exitFailed, "some ended dead or cancelled, or were removed"},
			{exitNotFound, "a job is unknown; the others were waited for"},
			{exitTimeout, "the time of --timeout is over"},
		},
		queues:  someQueue,
		flags:   newFlagSet(),
		signals: true,
	}
	o.add(c.flags, false)
	boolFlag(c.flags, &o.all, "all", "all jobs that wait or run now")
	stringFlag(c.flags, &o.ids, "ids", "FILE", "read ids from a file, separated by blanks; - is stdin")
	durationFlag(c.flags, &o.timeout, "timeout", "wait so long at most")
	boolFlag(c.flags, &o.exitCode, "exit-code", "of one job: end with its own exit status, 128 and the number of a signal")
	boolFlag(c.flags, &o.quiet, "quiet", "no progress, and no word about jobs that did not succeed")
	c.run = func(ctx context.Context, ids []string) error { return a.wait(ctx, c, o, ids) }
	return c
}

func (a *app) wait(ctx context.Context, c *command, o waitOptions, ids []string) error {
	if o.ids != "" {
		more, err := a.readIDs(o.ids)
		if err != nil {
			return err
		}
		if ids = append(ids, more...); len(ids) == 0 {
			return nil // a pipeline without a job
		}
	}
	sel, err := o.selector(ids, a.now)
	if err != nil {
		return err
	}
	if sel.Empty() && a.line.gives("queue") {
		sel.All = true // all of that queue
	}
	switch {
	case sel.Empty():
		return &usageError{c.path + " needs ids, or flags that say which jobs", "--all waits for all that wait or run now"}
	case o.exitCode && len(ids) != 1:
		return usagef("--exit-code is for one job")
	}
	var failures failures
	jobs, err := a.choose(ctx, &o.selection, sel, []fsq.State{fsq.Pending, fsq.Scheduled, fsq.Retrying, fsq.Held, fsq.Processing}, &failures)
	if err != nil {
		return err
	}
	if len(jobs) == 0 && failures.err() == nil && !sel.All && !o.quiet {
		a.note("no job that waits or runs is meant%s", a.inQueue()) // or a typo would look like success
	}
	return a.waitFor(ctx, jobs, o, failures)
}

// errWaitedTooLong is the cause of a wait's end by --timeout.
var errWaitedTooLong = errors.New("not all jobs have ended in time")

// byQueue sorts jobs by their queues.
func byQueue(jobs []ref) []fsq.Awaited {
	var all []fsq.Awaited
	at := map[*fsq.Queue]int{}
	for _, j := range jobs {
		i, known := at[j.q]
		if !known {
			i = len(all)
			at[j.q], all = i, append(all, fsq.Awaited{Queue: j.q})
		}
		all[i].IDs = append(all[i].IDs, j.id)
	}
	return all
}

func (a *app) waitFor(ctx context.Context, jobs []ref, o waitOptions, failures failures) error {
	limited := ctx
	if o.timeout != nil {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeoutCause(ctx, *o.timeout, errWaitedTooLong)
		defer cancel()
	}
	w := &waitView{app: a, quiet: o.quiet, began: a.now(), line: statusLine{o: a.err}}
	stop := w.tick()
	err := fsq.WaitAll(limited, byQueue(jobs), fsq.WaitOptions{Ended: w.ended, Progress: w.progress, Unknown: func(err error) {
		w.line.clear()
		failures.add(a, err)
	}})
	stop()
	for _, e := range parts(err) {
		switch {
		case errors.Is(e, fsq.ErrNotFound): // said already
		case ctx.Err() == nil && errors.Is(context.Cause(limited), errWaitedTooLong):
			a.report(errWaitedTooLong)
			return &reported{exitTimeout}
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return e
		}
	}
	switch {
	case failures.err() != nil:
		return failures.err()
	case o.exitCode:
		return a.exitAs(ctx, jobs[0].q, jobs[0].id)
	case w.failed > 0:
		return &reported{exitFailed}
	}
	return nil
}

// exitAs ends as a job did.
func (a *app) exitAs(ctx context.Context, q *fsq.Queue, id string) error {
	j, err := q.Get(ctx, id)
	if err != nil {
		return err
	}
	if code := exitCodeOf(j); code != exitOK {
		return &reported{code}
	}
	return nil
}

// exitCodeOf is a job's own exit status: that of its last attempt, 128 and its number for
// a signal, as shells have it, and 1 for what has none.
func exitCodeOf(j fsq.JobInfo) int {
	if j.State == fsq.Done {
		return exitOK
	}
	if n := len(j.Records); n > 0 {
		switch last := j.Records[n-1]; {
		case last.Outcome == string(fsq.OutcomeTimeout):
			return exitTimeout
		case last.Signal != "":
			return exitSignal + fsq.SignalNumber(last.Signal)
		case last.ExitCode != nil && *last.ExitCode != 0:
			return *last.ExitCode
		}
	}
	return exitFailed
}

// readIDs reads ids as other commands print them.
func (a *app) readIDs(file string) (ids []string, err error) {
	if file != "-" {
		return nil, usagef("--ids: only - is taken, for stdin")
	}
	s := bufio.NewScanner(a.in)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := strings.TrimSpace(s.Text())
		if line != "" {
			ids = append(ids, line)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("reading stdin: %w", err)
	}
	return ids, nil
}

// waitView shows how far a wait has got.
type waitView struct {
	*app
	quiet bool
	began time.Time
	line  statusLine

	mu     sync.Mutex
	p      fsq.WaitProgress
	failed int
}

func (w *waitView) ended(j fsq.Waited) {
	if w.json {
		_ = w.out.jsonLine(j)
	}
	if j.Succeeded() {
		return
	}
	w.failed++
	if w.quiet {
		return
	}
	w.line.clear()
	switch j.State {
	case "":
		w.note("%s was removed", j.ID)
	case fsq.Cancelled:
		w.note("%s was cancelled", j.ID)
	default:
		w.note("%s is dead: %s after %s", j.ID, j.Outcome, plural(j.Attempts, "attempt"))
	}
}

func (w *waitView) progress(p fsq.WaitProgress) {
	w.mu.Lock()
	w.p = p
	w.mu.Unlock()
	w.show()
}

func (w *waitView) show() {
	w.mu.Lock()
	p := w.p
	w.mu.Unlock()
	if w.quiet || p.Total == 0 || p.Ended == p.Total {
		return
	}
	s := fmt.Sprintf("%d/%d ended, %d running", p.Ended, p.Total, p.Running)
	if p.Failed > 0 {
		s += fmt.Sprintf(", %d failed", p.Failed)
	}
	took := w.now().Sub(w.began)
	if p.Ended > 0 {
		s += ", about " + span(took/time.Duration(p.Ended)*time.Duration(p.Total-p.Ended)) + " left"
	}
	w.line.show(s + ", " + span(took.Truncate(time.Second)) + " so far")
}

// tick keeps the times on a terminal true until stop is called.
func (w *waitView) tick() (stop func()) {
	if !w.err.terminal() || w.quiet {
		return func() {}
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-end:
				return
			case <-tick.C:
				w.show()
			}
		}
	}()
	return func() {
		close(end)
		<-ended
		w.line.clear()
	}
}
