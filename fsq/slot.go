package fsq

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// slot is one claim on its way from claimed to settled.
type slot struct {
	in      *incarnation
	claim   *spool.Claim
	ctx     context.Context
	cancel  context.CancelCauseFunc
	missed  int         // audits that did not see the claim; guarded by in.mu
	signals chan string // for the command, while it runs
}

// maxSignals is how many signals may wait for a command to start.
const maxSignals = 16

func newSlot(in *incarnation, c *spool.Claim) *slot {
	s := &slot{in: in, claim: c, signals: make(chan string, maxSignals)}
	s.ctx, s.cancel = context.WithCancelCause(in.runs)
	return s
}

// work runs the claim to its settlement. It returns the name under which the job
// waits again, if it does and this worker should know.
func (s *slot) work() (again spool.Name) {
	defer s.cancel(nil)
	job, err := s.read()
	switch {
	case err == nil && s.in.cancelled(s.claim):
		return s.settle(ending{outcome: OutcomeCancelled})
	case errors.Is(err, errGivenBack) && errors.Is(context.Cause(s.ctx), ErrCancelled):
		return s.settle(ending{outcome: OutcomeCancelled})
	case errors.Is(err, ErrLost):
		s.lost()
		return spool.Name{}
	case errors.Is(err, errGivenBack):
		return s.settle(ending{outcome: OutcomeInterrupted})
	case err != nil:
		s.reject(err)
		return spool.Name{}
	}
	return s.settle(s.attempt(job))
}

var errGivenBack = errors.New("given back")

// read gets the job, as soon as it is whole. A file that Put or Adopt made is; a
// copy made by hand into pending/ may still be being written, and its claim is kept
// until that is clear.
func (s *slot) read() (Job, error) {
	begun := time.Now()
	for {
		content, err := s.claim.Read()
		switch {
		case errors.Is(err, ErrLost):
			return Job{}, err
		case err != nil && !content.Unfinished:
			if permanentRead(err) || time.Since(begun) > copyPatience {
				return Job{}, err
			}
			s.in.w.problem(err)
		case err == nil:
			if err := s.in.q.distrust(content.UID, content.GID, content.Mode); err != nil {
				return Job{}, err
			}
			job, parseErr := ParseJob(content.Data, time.Now())
			if parseErr == nil {
				return job, nil
			}
			if !content.Unfinished || time.Since(begun) > copyPatience {
				return Job{}, parseErr
			}
		}
		select {
		case <-s.ctx.Done():
			if errors.Is(context.Cause(s.ctx), ErrLost) {
				return Job{}, ErrLost
			}
			return Job{}, errGivenBack
		case <-time.After(rereadInterval):
		}
	}
}

const (
	copyPatience   = 5 * time.Minute
	rereadInterval = 200 * time.Millisecond
)

// permanentRead reports whether reading again would help nothing.
func permanentRead(err error) bool {
	return errors.Is(err, spool.ErrNotRegular) || errors.Is(err, spool.ErrTooLarge) || errors.Is(err, fs.ErrPermission) || spool.IsLink(err)
}

// ending is an attempt that is over.
type ending struct {
	outcome Outcome // as the attempt itself has it; Decide says as what it counts
	err     error   // what its handler returned
	policy  Policy
	record  Attempt
	wait    time.Duration
	run     time.Duration
	command string
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
		e.outcome = OutcomeInterrupted
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
		guard: s.in.w.guard, started: func(pid int) { e.record.PID = pid }, signals: s.signals,
	}
	s.in.w.emit(Event{Kind: EventStarted, JobID: n.ID, Command: e.command, Attempt: n.Attempt, MaxAttempts: n.Allowed})
	begun := time.Now()
	err := s.handle(r, q.timeout(job), stdout, stderr, result, progress)
	e.run = time.Since(begun)
	e.outcome = outcomeOf(err, context.Cause(s.ctx), q.codes(job))
	e.fill(err, q.s.Now())
	for _, o := range []*report{result, progress} {
		if err := o.enforce(); err != nil {
			s.in.w.log.Warn("limit the output", "job", n.ID, "error", err)
		}
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

// outputCheck is how often a running attempt's output is measured. What a job writes
// within that time can exceed the limit for as long.
const outputCheck = 100 * time.Millisecond

// limited is a file that a job writes and that is kept from growing without end.
type limited interface{ enforce() error }

// handle calls the handler under the job's timeout and watches over its output.
func (s *slot) handle(r *Run, timeout time.Duration, outputs ...limited) (err error) {
	ctx := s.ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, ErrTimeout)
		defer cancel()
	}
	over := make(chan struct{})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		tick := time.NewTicker(outputCheck)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				for _, o := range outputs {
					if err := o.enforce(); err != nil {
						s.in.w.log.Warn("limit the output", "job", r.ID, "error", err)
					}
				}
			}
		}
	}()
	defer func() {
		close(over)
		<-watching
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil && errors.Is(context.Cause(ctx), ErrTimeout) {
			err = &timeoutError{after: timeout, err: err}
		}
	}()
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
// it tries again: a job without its output is no use to anyone.
func (s *slot) openOutputs(n spool.Name) (stdout, stderr *output, ok bool) {
	q := s.in.q
	err := s.persist(s.ctx.Done(), func() (err error) {
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

// settle records the ending and makes the job's next transition. An outcome is not
// dropped because the disk is full: it is tried until it succeeds, or the worker must go.
func (s *slot) settle(e ending) (again spool.Name) {
	q, n := s.in.q, s.claim.Name()
	if e.outcome == OutcomeLost {
		s.lost()
		return spool.Name{}
	}
	// A demand that comes while the job ends otherwise holds for what would follow.
	if e.outcome != OutcomeDone && s.in.cancelled(s.claim) {
		e.outcome = OutcomeCancelled
	}
	d := Decide(n, e.outcome, e.policy, q.s.Now(), rand.Float64())
	e.judge(d)
	settled, err := s.end(d, e)
	if errors.Is(err, ErrLost) {
		s.lost()
		return spool.Name{}
	}
	if err != nil {
		s.in.unsettled(n)
		s.in.w.problem(err)
		s.tellLost() // whoever waits for the settlement would wait for ever
		return spool.Name{}
	}
	if settled.Next.ID != "" {
		s.in.adopter.found.put(settled.Next)
	}
	s.in.commits.add(settled, s.event(d, e))
	if settled.State == spool.Pending {
		return settled.Name
	}
	s.in.meet(n.ID)
	return spool.Name{}
}

// judge completes the record with what was decided.
func (e *ending) judge(d Decision) {
	r := &e.record
	r.Outcome, r.Next, r.Fatal = string(d.Outcome), d.Verdict.String(), e.outcome == OutcomeFatal
	switch {
	case d.Outcome == OutcomeInterrupted && e.err != nil:
		r.Error = "the worker gave it back"
	case e.err != nil:
		r.Error = reason(e.err, d.Outcome, e.outcome, e.policy)
	}
	switch d.Verdict {
	case VerdictRetry, VerdictRequeue, VerdictSnooze:
		r.NextDue = ptr(d.Due)
	}
}

// end writes the record and makes the transition, which needs no space where the
// directory is there. So a record that finds none keeps the transition back only for a
// while, and not when the worker must go: without it the outcome would be thrown away
// with the claim, and the job run again.
func (s *slot) end(d Decision, e ending) (settled spool.Settled, err error) {
	begun := time.Now()
	var unrecorded error
	finish := func() (err error) {
		if unrecorded != nil {
			s.in.w.problem(fmt.Errorf("%w (going on without it)", unrecorded))
		}
		settled, err = s.transition(d, e)
		return err
	}
	err = s.persist(nil, func() error {
		unrecorded = nil
		if e.record.JobID != "" {
			unrecorded = s.in.q.writeRecord(e.record)
		}
		if unrecorded != nil && time.Since(begun) < s.in.recordPatience {
			return unrecorded
		}
		return finish()
	})
	// Also of a lease that is lost: until others have taken the claim, it is this one's.
	if err != nil && errors.Is(err, unrecorded) {
		err = finish()
	}
	return settled, err
}

// recordPatience is how long an outcome waits for its record: less than the 90 s after
// which systemd kills a service that does not stop.
const recordPatience = 30 * time.Second

func (s *slot) transition(d Decision, e ending) (spool.Settled, error) {
	end := spool.Ending{Outcome: string(d.Outcome), Wait: e.wait, Run: e.run}
	switch d.Verdict {
	case VerdictDone:
		return s.claim.Done(end)
	case VerdictRetry:
		return s.claim.Retry(d.Due)
	case VerdictRequeue:
		return s.claim.Release(d.Due)
	case VerdictSnooze:
		return s.claim.Snooze(d.Due)
	default:
		return s.claim.Bury(end)
	}
}

func (s *slot) event(d Decision, e ending) Event {
	n := s.claim.Name()
	ev := Event{
		JobID: n.ID, Command: e.command, Attempt: n.Attempt, MaxAttempts: n.Allowed,
		Outcome: string(d.Outcome), Fatal: e.record.Fatal, Error: e.record.Error, Duration: e.run, PID: e.record.PID, Due: e.record.NextDue,
	}
	switch d.Verdict {
	case VerdictDone:
		ev.Kind = EventDone
	case VerdictRetry:
		ev.Kind = EventRetry
	case VerdictRequeue:
		ev.Kind = EventRequeued
	case VerdictSnooze:
		ev.Kind = EventSnoozed
	case VerdictDead:
		ev.Kind = EventDead
		if e.outcome == OutcomeCancelled {
			ev.Kind = EventCancelled
		}
	}
	return ev
}

func (s *slot) lost() {
	s.claim.Abandon()
	s.tellLost()
}

func (s *slot) tellLost() {
	n := s.claim.Name()
	s.in.w.emit(Event{Kind: EventLost, JobID: n.ID, Attempt: n.Attempt, MaxAttempts: n.Allowed})
}

// reject sets a file aside that cannot be run.
func (s *slot) reject(reason error) {
	n := s.claim.Name()
	err := s.persist(nil, func() error {
		_, err := s.claim.Reject(reason.Error())
		return err
	})
	switch {
	case errors.Is(err, ErrLost):
		s.lost()
	case err != nil:
		s.in.w.problem(err)
	default:
		s.in.meet(n.ID)
		s.in.w.emit(Event{Kind: EventRejected, JobID: n.ID, Error: reason.Error()})
	}
}

// persist repeats what the file system refuses, less and less often, until it
// succeeds, the job is lost, the worker is interrupted, or it is not wanted any more. It
// does not give up on a drain: the job's outcome is worth the wait.
func (s *slot) persist(unwanted <-chan struct{}, do func() error) error {
	told := false
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := do()
		if err == nil || errors.Is(err, ErrLost) {
			return err
		}
		if !told {
			told = true
			s.in.w.problem(fmt.Errorf("%w (trying again)", err))
		}
		select {
		case <-s.in.w.stop:
			return err
		case <-s.in.lost:
			return err
		case <-unwanted:
			return err
		case <-time.After(pause):
		}
	}
}
