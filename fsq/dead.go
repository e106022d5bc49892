package fsq

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Rejected is a file that never became a job.
type Rejected struct {
	Queue   string    `json:"queue"`
	Name    string    `json:"name"`    // in rejected/
	Dropped string    `json:"dropped"` // the name that it was dropped under
	At      time.Time `json:"rejected_at"`
	Reason  string    `json:"reason"`
	Size    int64     `json:"size_bytes"`
	File    string    `json:"file"` // below the spool
}

// DeadLetters lists the dead jobs, newest first, and the rejected files, oldest
// first. Jobs in the states of also are listed with the dead ones: Cancelled, which lie in
// dead/ too, but which nobody has to look after. limit bounds the jobs; 0 does not.
func (q *Queue) DeadLetters(ctx context.Context, limit int, also ...State) ([]JobInfo, []Rejected, error) {
	jobs, _, err := q.List(ctx, ListOptions{States: append([]State{Dead}, also...), Limit: limit, Details: true})
	if err != nil {
		return nil, nil, err
	}
	rejected, err := q.Rejects()
	if err != nil {
		return nil, nil, err
	}
	return jobs, rejected, nil
}

// RetryDead gives a dead job a fresh budget of attempts and makes it due now; its
// history, priority, timeout and all other fields stay. For a rejected file, by either
// of its names, it means to be tried again as a drop. The error wraps ErrNotFound, or
// ErrState if the job is not dead or several files were dropped under that name. It is durable when it returns.
func (q *Queue) RetryDead(ctx context.Context, id string) error {
	return q.retryDead(ctx, jobNamed(id))
}

func (q *Queue) retryDead(ctx context.Context, t *target) error {
	id := t.id
	e, err := q.findDead(t)
	if errors.Is(err, ErrNotFound) {
		name, rejectErr := q.rejectedName(id)
		if rejectErr == nil {
			rejectErr = q.readmit(name)
		}
		if !errors.Is(rejectErr, fs.ErrNotExist) {
			return rejectErr
		}
	}
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	allowance := q.cfg.MaxRetries + 1
	if data, err := q.s.Read(e); err == nil {
		if j, err := ParseJob(data, time.Now()); err == nil {
			allowance = q.allowance(j)
			e.Name.Queued = j.Array.limited() // its turn has gone to another
		}
	}
	if err := q.calibrate(); err != nil {
		return err
	}
	if _, err = q.s.Revive(e, allowance); err == nil {
		q.acted(ctx, id, ActionRetry, "")
	}
	return err
}

// rejectedName is the name in rejected/ of the file that is asked for by that name, or by
// the one that it was dropped under if only one was. The error wraps fs.ErrNotExist if
// there is none, ErrState if there are several.
func (q *Queue) rejectedName(asked string) (string, error) {
	all, err := q.s.Rejects()
	if err != nil {
		return "", err
	}
	var dropped []string
	for _, r := range all {
		if r.Base == asked {
			return asked, nil
		}
		if r.Name() == asked {
			dropped = append(dropped, r.Base)
		}
	}
	switch len(dropped) {
	case 0:
		return "", fs.ErrNotExist
	case 1:
		return dropped[0], nil
	}
	return "", fmt.Errorf("%d rejected files were called %s, say which one, such as %s: %w", len(dropped), quote(asked), dropped[len(dropped)-1], ErrState)
}

func (q *Queue) readmit(name string) error {
	err := q.s.Readmit(name)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: a file of that name is in pending/", ErrDuplicate)
	}
	return err
}

// findDead returns a job that is dead.
func (q *Queue) findDead(t *target) (found spool.Entry, err error) {
	id := t.id
	if err := q.recover(); err != nil {
		return found, err
	}
	if t.seen != nil {
		if e, err := q.locate(t); err != nil || e.State == spool.Dead {
			return e, err
		}
	}
	err = q.s.Each(func(e spool.Entry) error {
		if e.Name.ID == id {
			found = e
			return spool.Stop
		}
		return nil
	}, spool.Dead)
	if err != nil || found.Path != "" {
		return found, err
	}
	e, err := q.find(id)
	if err != nil {
		return spool.Entry{}, err
	}
	if e.State == spool.Dead {
		return e, nil
	}
	return spool.Entry{}, fmt.Errorf("job %q is not dead but %s: %w", id, stateOf(e, q.now()), ErrState)
}

// RemoveDead deletes a dead job with its records, or a rejected file. The errors are
// those of RetryDead.
func (q *Queue) RemoveDead(ctx context.Context, id string) error {
	e, err := q.findDead(jobNamed(id))
	if errors.Is(err, ErrNotFound) {
		name, rejectErr := q.rejectedName(id)
		if rejectErr == nil {
			rejectErr = q.s.RemoveRejected(name)
		}
		if !errors.Is(rejectErr, fs.ErrNotExist) {
			return rejectErr
		}
	}
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return q.s.Remove(e)
}

// Rejects lists the rejected files, oldest first.
func (q *Queue) Rejects() ([]Rejected, error) {
	found, err := q.s.Rejects()
	if err != nil {
		return nil, err
	}
	rejected := make([]Rejected, 0, len(found))
	for _, r := range found {
		rejected = append(rejected, Rejected{Queue: q.Name(), Name: r.Base, Dropped: r.Name(), At: r.At, Reason: r.Reason, Size: r.Size, File: spool.RejectedPath(r.Base)})
	}
	return rejected, nil
}

// Drops counts the dropped files that no worker has adopted yet, and those of them that are
// no jobs so far. It lists all that waits.
func (q *Queue) Drops() (dropped, unfinished int, err error) {
	err = q.s.Drops(func(base string) {
		dropped++
		if q.dropInfo(base).Error != "" {
			unfinished++
		}
	})
	return dropped, unfinished, err
}
