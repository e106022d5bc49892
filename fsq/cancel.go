package fsq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Cancellation is what Cancel has done so far.
type Cancellation struct {
	ID    string
	State State  // Cancelled, or Processing if its worker is asked to
	By    string // that worker

	attempt int // of the claim that it was asked about: a job's never falls
}

// maxChases bounds how often a job is looked for that moves from under one's hands.
const maxChases = 20

// Cancel cancels a job. One that waits is cancelled when it returns, durably. Of one
// that runs, its worker is asked, on whatever host: it ends the job's processes and
// files it as cancelled; AwaitCancelled waits for that. The error wraps ErrNotFound, or
// ErrState if the job has ended already.
func (q *Queue) Cancel(ctx context.Context, id string) (Cancellation, error) {
	return q.cancel(ctx, jobNamed(id))
}

func (q *Queue) cancel(ctx context.Context, t *target) (Cancellation, error) {
	id := t.id
	if err := q.recover(); err != nil {
		return Cancellation{}, err
	}
	asked, attempt := false, 0
	for range maxChases {
		e, err := q.locate(t)
		if asked && (err != nil || e.Attempt < attempt) {
			// What was asked about is gone; another job has its id.
			return Cancellation{}, errors.Join(fmt.Errorf("job %q has ended already: %w", id, ErrState), q.s.WithdrawDemand(spool.Demand{ID: id}))
		}
		if errors.Is(err, ErrNotFound) {
			if drop, ok := q.findDrop(id); ok {
				return Cancellation{}, fmt.Errorf("job %q is a dropped file that no worker has adopted yet, %s: %w", id, drop.File, ErrState)
			}
		}
		if err != nil {
			return Cancellation{}, err
		}
		switch e.State {
		case spool.Pending:
			if err = q.calibrate(); err == nil { // its name will tell when
				_, err = q.s.Cancel(e)
			}
			if err == nil {
				q.acted(ctx, id, ActionCancel, "")
				return Cancellation{ID: id, State: Cancelled}, nil
			}
		case spool.Processing:
			asked, attempt, t.states = true, e.Attempt, nil
			err = q.s.Demand(spool.Demand{ID: id})
			if err == nil && q.stillRuns(e) {
				q.acted(ctx, id, ActionCancel, "while it ran")
				return Cancellation{ID: id, State: Processing, By: e.Worker, attempt: e.Attempt}, nil
			}
		default:
			if asked && e.Attempt == attempt && stateOf(e, q.now()) == Cancelled {
				return Cancellation{ID: id, State: Cancelled}, q.s.WithdrawDemand(spool.Demand{ID: id}) // the worker was faster than this look
			}
			err := fmt.Errorf("job %q has ended already, it is %s: %w", id, stateOf(e, q.now()), ErrState)
			if asked { // nobody else takes it back, and it would be about this job once it is retried
				err = errors.Join(err, q.s.WithdrawDemand(spool.Demand{ID: id}))
			}
			return Cancellation{}, err
		}
		if err != nil && !errors.Is(err, ErrLost) {
			return Cancellation{}, err
		}
		if err := q.finishEdit(ctx, e); err != nil {
			return Cancellation{}, err
		}
		if err := ctx.Err(); err != nil {
			return Cancellation{}, err
		}
	}
	return Cancellation{}, fmt.Errorf("job %q moves faster than it can be cancelled: %w", id, ErrState)
}

// stillRuns reports whether the claim is where it was, after a demand was made: its
// worker will see the demand then.
func (q *Queue) stillRuns(e spool.Entry) bool {
	_, err := q.s.ClaimedAt(e)
	return err == nil
}

// AwaitCancelled waits until a job that Cancel has asked about has ended, and cancels it
// if its worker gave it back instead. It returns how the job has ended: it may have
// been done before the demand reached its worker. If another job has the id by then, this
// one was cancelled, because that is what frees an id.
func (q *Queue) AwaitCancelled(ctx context.Context, c Cancellation) (Waited, error) {
	var last Waited
	id := c.ID
	f, err := q.newFollower(nil)
	if err != nil {
		return last, err
	}
	defer f.close()
	for {
		e, err := q.find(id)
		switch {
		case err != nil:
			return last, err
		case e.Attempt < c.attempt:
			return Waited{ID: id, State: Cancelled, Outcome: string(OutcomeCancelled), Attempts: c.attempt}, nil
		case e.State == spool.Pending:
			if err := q.cancelGivenBack(ctx, e); err != nil {
				return last, err
			}
			continue
		case e.State != spool.Processing:
			i := info(e, q.now())
			// A worker that did not see it leaves it to whoever made it.
			return Waited{ID: id, State: i.State, Outcome: i.Outcome, Attempts: i.Attempts, DurationSeconds: i.DurationSeconds},
				q.s.WithdrawDemand(spool.Demand{ID: id})
		}
		// Not every end is told of where no events are: see Follow.
		limited, cancel := context.WithTimeout(ctx, lookAgain)
		_, err = f.next(limited)
		cancel()
		if err != nil && (ctx.Err() != nil || limited.Err() == nil) {
			return last, fmt.Errorf("wait for job %q: %w", id, err)
		}
	}
}

// cancelGivenBack cancels a job that waits again. One that is amid an edit comes out of it
// first.
func (q *Queue) cancelGivenBack(ctx context.Context, e spool.Entry) error {
	if err := q.calibrate(); err != nil { // its name will tell when
		return err
	}
	_, err := q.s.Cancel(e)
	if err == nil || !errors.Is(err, ErrLost) {
		return err
	}
	return errors.Join(q.finishEdit(ctx, e), ctx.Err())
}

// lookAgain is how long to trust that events would have told.
const lookAgain = 5 * time.Second

// Signal sends a signal, such as "USR1" or "TERM", to the process group of a running
// job, through its worker. It returns when the worker is asked. The error wraps
// ErrNotFound, or ErrState if the job does not run.
func (q *Queue) Signal(ctx context.Context, id, signal string) error {
	return q.signal(ctx, jobNamed(id), signal)
}

func (q *Queue) signal(ctx context.Context, t *target, signal string) error {
	id := t.id
	if _, err := signalNumber(signal); err != nil {
		return err
	}
	e, err := q.locate(t)
	if err != nil {
		return err
	}
	if e.State != spool.Processing {
		return fmt.Errorf("job %q does not run, it is %s: %w", id, stateOf(e, q.now()), ErrState)
	}
	if err := q.s.Demand(spool.Demand{ID: id, Signal: signal}); err != nil {
		return err
	}
	q.acted(ctx, id, ActionSignal, signal)
	return nil
}

// Pause stops all workers of the queue from taking jobs, until Resume or the given time
// (the zero time: no end). What they run they finish.
func (q *Queue) Pause(p Pause) error { return q.s.Pause(p) }

// Pause says why a queue takes no jobs, and until when.
type Pause = spool.Pause

// Limit is how many jobs of the queue may run at the same time, over all workers and hosts;
// 0: as many as there are slots. The error wraps ErrBadLimit if somebody has set a limit
// that cannot be read: no jobs are taken then.
func (q *Queue) Limit() (int, error) { return q.s.Limit() }

// SetLimit sets the limit, from 1 to MaxLimit; 0 takes it away. It holds for the workers of
// all hosts, at once as far as their looks go; more jobs that run already go on.
func (q *Queue) SetLimit(n int) error { return q.s.SetLimit(n) }

// MaxLimit is the highest limit of a queue.
const MaxLimit = spool.MaxLimit

// ErrBadLimit says that a queue has a limit which cannot be read.
var ErrBadLimit = spool.ErrBadLimit

// Paused is the pause that holds now, or nil.
func (q *Queue) Paused() (*Pause, error) { return q.s.Paused() }

// Resume ends a pause, and reports whether there was one.
func (q *Queue) Resume() (bool, error) { return q.s.Resume() }

// Delete removes a job that does not run, with all that is known of it. The error wraps
// ErrNotFound, or ErrState if it runs.
func (q *Queue) Delete(ctx context.Context, id string) error { return q.remove(ctx, jobNamed(id)) }

func (q *Queue) remove(ctx context.Context, t *target) error {
	id := t.id
	if err := q.recover(); err != nil {
		return err
	}
	for range maxChases {
		e, err := q.locate(t)
		if err != nil {
			return err
		}
		if e.State == spool.Processing {
			return fmt.Errorf("job %q runs: %w", id, ErrState)
		}
		if t.unsynced {
			if err = q.s.RemoveUnsynced(e); err == nil {
				t.removed = &e
			}
		} else {
			err = q.s.Remove(e)
		}
		if !errors.Is(err, ErrLost) {
			return err
		}
		if err := q.finishEdit(ctx, e); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return fmt.Errorf("job %q moves faster than it can be removed: %w", id, ErrState)
}
