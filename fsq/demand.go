package fsq

import (
	"errors"
	"fmt"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// obeyDemands does what is asked of jobs that run here. It remembers what is asked of
// the others: they may be claimed here next.
func (in *incarnation) obeyDemands() error {
	all, err := in.q.s.Demands()
	if err != nil {
		in.w.problem(err)
		return err
	}
	cancels := make(map[string]spool.Demand, len(all))
	for _, d := range all {
		if d.Signal == "" {
			cancels[d.ID] = d
		}
		if s := in.runningJob(d.ID); s != nil {
			in.obeyDemand(s, d)
		}
	}
	in.mu.Lock()
	in.cancels = cancels
	in.mu.Unlock()
	return nil
}

func (in *incarnation) obeyDemand(s *slot, d spool.Demand) {
	if !s.claim.Means(d) {
		return // of an earlier job, or attempt
	}
	if d.Signal == "" {
		s.cancel(ErrCancelled)
		return
	}
	if err := s.signal(d.Signal); err != nil {
		in.w.problem(fmt.Errorf("send SIG%s to job %q: %w", d.Signal, d.ID, err))
	}
	if err := in.q.s.WithdrawDemand(d); err != nil {
		in.w.problem(err)
	}
}

func (in *incarnation) runningJob(id string) *slot {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, s := range in.running {
		if s.claim.Name().ID == id {
			return s
		}
	}
	return nil
}

// cancelled reports whether a job that is just claimed was cancelled before.
func (in *incarnation) cancelled(c *spool.Claim) bool {
	in.mu.Lock()
	d, asked := in.cancels[c.Name().ID]
	in.mu.Unlock()
	// What is remembered may have been withdrawn, by who retries the job.
	return asked && c.Means(d) && in.q.s.Stands(d)
}

// meet withdraws the demand to cancel a job that has ended for good. One that goes back
// to the queue is still to be cancelled. A demand that this worker has not seen yet would
// be about the job again once somebody retries it; to look for it costs a call on a
// local file system, and a request on a network, where retrying sees to it alone.
func (in *incarnation) meet(id string) {
	in.mu.Lock()
	_, asked := in.cancels[id]
	delete(in.cancels, id)
	in.mu.Unlock()
	if !asked && in.q.s.Network() {
		return
	}
	if err := in.q.s.WithdrawDemand(spool.Demand{ID: id}); err != nil {
		in.w.problem(err)
	}
}

// signal hands a signal to the slot's command. Only whoever waits for the command knows
// that its process number is still its own.
func (s *slot) signal(name string) error {
	select {
	case s.signals <- name:
		return nil
	default:
		return errors.New("too many signals wait for it")
	}
}

// lookForPause finds out whether claims are stopped. A pause that cannot be looked for
// is none: the claims would fail, too.
func (in *incarnation) lookForPause() error {
	p, err := in.q.s.Paused()
	if err != nil {
		in.w.problem(err)
		return err
	}
	was := in.paused
	in.paused = p
	if (was == nil) == (p == nil) {
		return nil
	}
	if p != nil {
		in.w.emit(Event{Kind: EventPaused, Error: p.Reason, Due: timeOrNil(p.Until)})
	} else {
		in.w.emit(Event{Kind: EventResumed})
	}
	return nil
}

// lookForLimit finds out how many jobs of the queue may run. Where that cannot be told none
// is claimed: somebody meant a limit.
func (in *incarnation) lookForLimit() error {
	limit, err := in.q.s.Limit()
	if err != nil {
		in.w.problem(fmt.Errorf("no jobs are taken: %w", err))
		limit = -1
	}
	if limit != in.limit {
		in.limit, in.crowded = limit, time.Time{}
	}
	return err
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
