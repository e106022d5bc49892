package fsq

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// settle records the ending and makes the job's next transition. An outcome is not
// dropped because the disk is full: it is tried until it succeeds, or the worker must go.
func (s *slot) settle(e ending) (again spool.Name) {
	q, n := s.in.q, s.claim.Name()
	if e.outcome == OutcomeLost {
		s.in.cutShort(n)
		s.lost()
		return spool.Name{}
	}
	if e.killed {
		e.outcome = OutcomeLost
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
		s.tellLost("its outcome could not be written; it counts as lost with this worker") // whoever waits for the settlement would wait for ever
		return spool.Name{}
	}
	if settled.Next.ID != "" {
		s.in.adopter.found.put(settled.Next)
	}
	s.in.commits.add(settled, s.event(d, e))
	s.in.records.ended(q.s.Now(), d.Outcome == OutcomeFailed || d.Outcome == OutcomeTimeout)
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
	case e.killed && d.Outcome == OutcomeLost:
		r.Error = "its worker was suspended past its lease, and the job killed as that of a dead one"
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
	err = s.persist(func() error {
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
	end := spool.Ending{Outcome: string(d.Outcome), Wait: e.wait, Run: e.run, Lost: d.Lost}
	switch d.Verdict {
	case VerdictDone:
		return s.claim.Done(end)
	case VerdictRetry:
		return s.claim.Retry(d.Due)
	case VerdictRequeue:
		if d.Outcome == OutcomeLost {
			return s.claim.Lose(d.Due)
		}
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
