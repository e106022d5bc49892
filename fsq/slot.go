package fsq

import (
	"context"
	"errors"
	"fmt"
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
	owner   uint32      // of the job's file
	grows   bool        // its output could not be cut, and that was told
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
		if s.reject(err) {
			return spool.Name{}
		}
		return s.work()
	}
	s.killPredecessor()
	return s.settle(s.attempt(job))
}

// killPredecessor kills what still runs here of the attempt before this one, if that was
// lost: its worker is suspended on this host, and one on another host gave the job back,
// who could not kill it. What does not die is in the kernel, and runs no more code.
func (s *slot) killPredecessor() {
	n := s.claim.Name()
	if n.Lost == 0 {
		return
	}
	before, ok := s.in.q.readRecord(n.ID, n.Attempt-1)
	if !ok || before.Outcome != string(OutcomeLost) || spool.WorkerHost(before.Worker) != spool.WorkerHost(s.in.lease.Worker()) {
		return
	}
	if err := killOrphans(before.Worker, map[string]int{n.ID: before.Number}); err != nil {
		s.in.w.problem(err)
	}
}

var errGivenBack = errors.New("given back")

func (s *slot) lost() {
	s.claim.Abandon()
	s.tellLost("")
}

// tellLost says that the attempt's outcome is dropped: by another worker's having the job, or
// for a reason.
func (s *slot) tellLost(reason string) {
	n := s.claim.Name()
	s.in.w.emit(Event{Kind: EventLost, JobID: n.ID, Attempt: n.Attempt, MaxAttempts: n.Allowed, Error: reason})
}

// persist repeats what the file system refuses, less and less often, until it
// succeeds, the job is lost, or the worker is interrupted. It does not give up on a drain:
// the job's outcome is worth the wait.
func (s *slot) persist(do func() error) error { return s.persistUnless(nil, nil, do) }

// persistUnless gives up also when one of the channels is closed.
func (s *slot) persistUnless(unwanted, given <-chan struct{}, do func() error) error {
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
		case <-given:
			return err
		case <-time.After(pause):
		}
	}
}
