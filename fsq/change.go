package fsq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Change is what Reschedule changes of a job that waits.
type Change struct {
	Priority *int       // MinPriority to MaxPriority; nil: as it is
	RunAt    *time.Time // not before; nil: as it is
}

// Hold keeps a job that waits from being run until Release. It is durable when it
// returns; a job that is held already stays so. The error wraps ErrNotFound, or ErrState
// if the job does not wait: it runs, or has ended.
func (q *Queue) Hold(ctx context.Context, id string) error {
	return q.hold(ctx, jobNamed(id))
}

// Release ends a Hold: the job runs when it is due. A job that is not held stays as it
// is. The errors are those of Hold.
func (q *Queue) Release(ctx context.Context, id string) error {
	return q.release(ctx, jobNamed(id))
}

// RunNow makes a job that waits due, also one that is held. It goes behind those that
// are due already and have its priority. The errors are those of Hold.
func (q *Queue) RunNow(ctx context.Context, id string) error { return q.runNow(ctx, jobNamed(id)) }

func (q *Queue) hold(ctx context.Context, t *target) error {
	return q.changeWaiting(ctx, t, ActionHold, q.s.Hold)
}

func (q *Queue) release(ctx context.Context, t *target) error {
	return q.changeWaiting(ctx, t, ActionRelease, q.s.Release)
}

func (q *Queue) runNow(ctx context.Context, t *target) error {
	return q.changeWaiting(ctx, t, ActionRunNow, func(e spool.Entry) (spool.Entry, error) {
		if !e.Held && !e.Queued && !e.Due.After(q.s.Now()) {
			return e, nil
		}
		return q.s.RunNow(e)
	})
}

// Reschedule gives a job that waits another priority or another time. Its document keeps
// what it says: the name counts. The error is a *FieldError if a value is out of range,
// else one of those of Hold.
func (q *Queue) Reschedule(ctx context.Context, id string, c Change) error {
	return q.reschedule(ctx, jobNamed(id), c)
}

// validate reports what is out of range, as a *FieldError.
func (c Change) validate() error {
	var probe Job
	if c.Priority != nil {
		probe.Priority = *c.Priority
	}
	if c.RunAt != nil {
		probe.RunAt = *c.RunAt
	}
	return errors.Join(probe.checkNumbers(), probe.checkTimes())
}

func (q *Queue) reschedule(ctx context.Context, t *target, c Change) error {
	if err := c.validate(); err != nil {
		return err
	}
	return q.changeWaiting(ctx, t, ActionSet, func(e spool.Entry) (spool.Entry, error) {
		priority, due := e.Priority, e.Due
		if c.Priority != nil {
			priority = *c.Priority
		}
		if c.RunAt != nil {
			due = *c.RunAt
		}
		return q.s.Reschedule(e, priority, due)
	})
}

// changeWaiting makes a change of a job that waits, as often as the job moves from under
// it, and keeps what has changed.
func (q *Queue) changeWaiting(ctx context.Context, t *target, action string, do func(spool.Entry) (spool.Entry, error)) error {
	for range maxChases {
		e, err := q.waiting(ctx, t)
		if err != nil {
			return err
		}
		to, err := do(e)
		if err == nil && to.Name != e.Name {
			q.acted(ctx, t.id, action, changes(action, e.Name, to.Name))
		}
		if !errors.Is(err, ErrLost) {
			return err
		}
	}
	return fmt.Errorf("job %q moves faster than it can be changed: %w", t.id, ErrState)
}

// changes says what an action has made of a job's priority and due time.
func changes(action string, was, is spool.Name) string {
	if action != ActionSet {
		return ""
	}
	var all []string
	if was.Priority != is.Priority {
		all = append(all, fmt.Sprintf("priority %d, was %d", is.Priority, was.Priority))
	}
	if !was.Due.Equal(is.Due) {
		all = append(all, fmt.Sprintf("run_at %s, was %s", is.Due.Format(time.RFC3339), was.Due.Format(time.RFC3339)))
	}
	return strings.Join(all, "; ")
}

// waiting finds a job that waits and is to be changed. An edit of it that was cut short
// is finished first.
func (q *Queue) waiting(ctx context.Context, t *target) (spool.Entry, error) {
	id := t.id
	if err := q.recover(); err != nil {
		return spool.Entry{}, err
	}
	for range maxChases {
		e, err := q.locate(t)
		if errors.Is(err, ErrNotFound) {
			if drop, ok := q.findDrop(id); ok {
				return e, fmt.Errorf("job %q is a dropped file that no worker has adopted yet, %s: %w", id, drop.File, ErrState)
			}
		}
		switch {
		case err != nil:
			return e, err
		case e.State == spool.Processing:
			return e, fmt.Errorf("job %q runs: %w", id, ErrState)
		case e.State != spool.Pending:
			return e, fmt.Errorf("job %q has ended already, it is %s: %w", id, stateOf(e, q.s.Now()), ErrState)
		case !e.Editing():
			return e, ctx.Err()
		}
		if err := q.finishEdit(ctx, e); err != nil {
			return e, err
		}
	}
	return spool.Entry{}, fmt.Errorf("job %q is being edited: %w", id, ErrState)
}

// finishEdit has a job that is amid an edit come out of it. An edit that is under way is
// over in a moment; one whose process is gone, others finish.
func (q *Queue) finishEdit(ctx context.Context, e spool.Entry) error {
	if !e.Editing() {
		return nil
	}
	if _, err := q.s.RecoverEdits(0); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(editPause):
		return nil
	}
}

// editPause is how long to wait for an edit to be over, which is a few fsyncs.
const editPause = 50 * time.Millisecond
