package fsq

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// ending is an attempt that is over.
type ending struct {
	outcome Outcome // as the attempt itself has it; Decide says as what it counts
	err     error   // what its handler returned
	policy  Policy
	record  Attempt
	wait    time.Duration
	run     time.Duration
	command string
	killed  bool // by a reaper that took this worker for dead
}

// attempt runs the job's handler once.
func (s *slot) attempt(job Job) ending {
	q, n := s.in.q, s.claim.Name()
	start := q.s.Now()
	e := ending{policy: q.policy(job), wait: waited(start, n.Due, job.EnqueuedAt), command: job.Command.String()}
	e.record = Attempt{
		JobID: n.ID, Number: n.Attempt, Worker: s.in.lease.Worker(), Host: spool.WorkerHost(s.in.lease.Worker()),
		StartedAt: ptr(start.UTC()), WaitSeconds: ptr(e.wait.Seconds()),
	}
	stdout, stderr, ok := s.openOutputs(n)
	if !ok {
		e.outcome, e.record = OutcomeInterrupted, Attempt{} // it did not begin: a record would only be waited for
		if errors.Is(context.Cause(s.ctx), ErrCancelled) {
			e.outcome = OutcomeCancelled
		}
		return e
	}
	result, progress := s.report(n, kindResult, maxResult), s.report(n, kindProgress, maxProgressFile)
	job.ID = n.ID
	r := &Run{
		Job: job, ID: n.ID, Attempt: n.Attempt, MaxRetries: e.policy.Allowance - 1,
		Worker: s.in.lease.Worker(), Spool: q.Root(), Queue: q.Name(), KillGrace: q.cfg.KillGrace,
		Stdout: stdout.file(), Stderr: stderr.file(), Result: result.path, Progress: progress.path, lock: s.in.lease.Lock(),
		guard: s.in.w.guard, umask: s.in.w.umask, started: func(pid int) { e.record.PID = pid }, signals: s.signals,
	}
	if q.cfg.RunAsOwner {
		r.lock, r.owner = nil, ptr(s.owner) // who has the descriptor could write the registry
	}
	s.in.w.emit(Event{Kind: EventStarted, JobID: n.ID, Command: e.command, Attempt: n.Attempt, MaxAttempts: n.Allowed})
	began, begun := bootTime(), time.Now()
	err := s.handOver(r)
	if err == nil {
		err = s.handle(r, q.timeout(job), stdout, stderr, result, progress)
	}
	e.run = time.Since(begun)
	e.outcome = outcomeOf(err, context.Cause(s.ctx), q.codes(job))
	e.killed = killedAsOrphan(err, e.outcome) && s.in.pulse.lapsedSince(began, bootTime())
	e.fill(err, q.s.Now())
	for _, o := range []*report{result, progress} {
		s.enforce(o)
		if r.owner == nil {
			continue
		}
		if err := o.clear(); err != nil {
			s.in.w.log.Warn("clear up after the attempt", "job", n.ID, "error", err)
		}
	}
	// Of a job that wrote, the file may have no name yet, for which a full disk has no room.
	for _, o := range []*output{stdout, stderr} {
		begun := time.Now()
		_ = s.persist(func() error {
			err := o.keep()
			if time.Since(begun) >= s.in.recordPatience {
				return nil // closeOutput says what is lost
			}
			return err
		})
	}
	e.record.StdoutBytes, e.record.StdoutCut = closeOutput(s, stdout)
	e.record.StderrBytes, e.record.StderrCut = closeOutput(s, stderr)
	return e
}

// waited is how long a job that could have run did not: from its due time, or from
// when it was enqueued if that was later, as with a run_at in the past.
func waited(start, due, enqueued time.Time) time.Duration {
	if enqueued.After(due) {
		due = enqueued
	}
	return max(start.Sub(due), 0)
}

func (q *Queue) timeout(job Job) time.Duration {
	if job.TimeoutSet {
		return job.Timeout
	}
	return q.cfg.Timeout
}

// handle calls the handler under the job's timeout and watches over its output.
func (s *slot) handle(r *Run, timeout time.Duration, outputs ...limited) (err error) {
	ctx := s.ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, ErrTimeout)
		defer cancel()
	}
	limits := s.limit(outputs)
	defer func() {
		limits.stop()
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil && errors.Is(context.Cause(ctx), ErrTimeout) {
			err = &timeoutError{after: timeout, err: err}
		}
	}()
	if !s.in.sure() {
		s.cancel(ErrLost)
		return ErrLost
	}
	return s.in.w.opt.Handler.Handle(ctx, r)
}

// timeoutError is an attempt that was stopped at its time limit.
type timeoutError struct {
	after time.Duration
	err   error
}

func (e *timeoutError) Error() string {
	text := "timed out after " + FormatDuration(e.after)
	var exit *ExitError
	if errors.As(e.err, &exit) {
		text += ", " + exit.Error()
	}
	return text
}

func (e *timeoutError) Unwrap() error { return e.err }

// outcomeOf judges an attempt: what its handler returned counts before why its
// context was cancelled, because a job may have finished just then.
func outcomeOf(err, cause error, codes exitMeaning) Outcome {
	var (
		timeout *timeoutError
		snooze  *snoozeError
		fatal   *fatalError
		exit    *ExitError
		start   *StartError
		code    int
	)
	switch {
	case errors.As(err, &exit):
		code = exit.Code
	case errors.As(err, &start):
		code = start.Code
	}
	switch {
	case err == nil:
		return OutcomeDone
	case errors.As(err, &timeout):
		return OutcomeTimeout
	case errors.Is(cause, ErrLost):
		return OutcomeLost
	case errors.Is(cause, ErrCancelled):
		return OutcomeCancelled
	case errors.Is(cause, ErrInterrupted), errors.Is(err, errReleased):
		return OutcomeInterrupted
	case errors.As(err, &fatal), codes.fatal.Has(code):
		return OutcomeFatal
	case errors.As(err, &snooze), codes.snooze.Has(code):
		return OutcomeSnoozed
	default:
		return OutcomeFailed
	}
}

// exitMeaning is what exit statuses say beside failure.
type exitMeaning struct{ snooze, fatal ExitCodes }

// codes are those of a job, or of the settings where it says nothing.
func (q *Queue) codes(j Job) exitMeaning {
	m := exitMeaning{snooze: q.cfg.SnoozeCodes, fatal: q.cfg.FatalCodes}
	if j.SnoozeCodes != nil {
		m.snooze = *j.SnoozeCodes
	}
	if j.FatalCodes != nil {
		m.fatal = *j.FatalCodes
	}
	return m
}

// fill completes the record.
func (e *ending) fill(err error, now time.Time) {
	r := &e.record
	e.err = err
	r.EndedAt = ptr(now.UTC())
	r.DurationSeconds = ptr(e.run.Seconds())
	if err == nil {
		r.ExitCode = ptr(0)
		return
	}
	var snooze *snoozeError
	if errors.As(err, &snooze) {
		e.policy.SnoozeFor = snooze.after
	}
	var start *StartError
	if errors.As(err, &start) {
		r.ExitCode = ptr(start.Code)
	}
	var exit *ExitError
	if errors.As(err, &exit) {
		r.Signal = exit.Signal
		if exit.Signal == "" {
			r.ExitCode = ptr(exit.Code)
		}
	}
}

// openOutputs makes the files for the attempt's output. As long as the disk is full
// it tries again: a job without its output is no use to anyone. A worker that drains gives
// such a job back, for which a rename is enough.
func (s *slot) openOutputs(n spool.Name) (stdout, stderr *output, ok bool) {
	q := s.in.q
	err := s.persistUnless(s.ctx.Done(), s.in.drained, func() (err error) {
		if err := q.s.PrepareLogs(n.ID); err != nil {
			return err
		}
		if stdout == nil {
			if stdout, err = s.openOutput(n, kindStdout); err != nil {
				return err
			}
		}
		stderr, err = s.openOutput(n, kindStderr)
		return err
	})
	if err != nil && stdout != nil {
		closeOutput(s, stdout)
	}
	return stdout, stderr, err == nil
}

func (s *slot) openOutput(n spool.Name, kind string) (*output, error) {
	q := s.in.q
	o, err := openOutput(q.s.LogPath(n.ID, n.Attempt, kind), q.cfg.OutputLimit)
	if errors.Is(err, fs.ErrExist) {
		// Of a claim that a power cut undid, or of a job that was put back from a copy.
		if err := q.s.SetLogAside(n.ID, n.Attempt, kind); err != nil {
			return nil, err
		}
		o, err = openOutput(q.s.LogPath(n.ID, n.Attempt, kind), q.cfg.OutputLimit)
	}
	if err == nil && q.s.Group() != "" {
		err = o.file().Chmod(q.s.FilePerm())
	}
	return o, err
}

func closeOutput(s *slot, o *output) (size, cut int64) {
	size, cut, err := o.finish()
	if err != nil {
		s.in.w.log.Warn("close the output", "job", s.claim.Name().ID, "error", err)
	}
	return size, cut
}
