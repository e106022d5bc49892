package fsq

import (
	"context"
	"errors"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Status is a queue at a glance. The counts are taken while jobs move, so they may
// be off by those that moved.
type Status struct {
	Spool            string       `json:"spool"`
	Queue            string       `json:"queue"`
	Pending          int          `json:"pending"`
	Scheduled        int          `json:"scheduled"`
	Retrying         int          `json:"retrying"`
	Held             int          `json:"held"`
	Processing       int          `json:"processing"`
	Done             int          `json:"done"`
	Dead             int          `json:"dead"`
	Cancelled        int          `json:"cancelled"`
	Rejected         int          `json:"rejected"`   // files that never became jobs
	Dropped          int          `json:"dropped"`    // files that no worker has adopted yet
	Unfinished       int          `json:"unfinished"` // of them, those that are no jobs so far
	OldestDueSeconds *float64     `json:"oldest_due_seconds"`
	NextDueAt        *time.Time   `json:"next_due_at"`
	Paused           *Pause       `json:"paused"` // null: it takes jobs
	Limit            *int         `json:"limit"`  // so many of its jobs may run at the same time; null: as many as there are slots; 0: one that cannot be read, and none is started
	Workers          []WorkerInfo `json:"workers"`
}

// Status counts jobs, from names alone.
func (q *Queue) Status(ctx context.Context) (Status, error) {
	st := Status{Spool: q.Root(), Queue: q.Name(), Workers: []WorkerInfo{}}
	now := q.now()
	var oldest, next time.Time
	count := map[State]*int{
		Pending: &st.Pending, Scheduled: &st.Scheduled, Retrying: &st.Retrying, Held: &st.Held,
		Processing: &st.Processing, Done: &st.Done, Dead: &st.Dead, Cancelled: &st.Cancelled,
	}
	err := q.s.EachAndDrops(func(e spool.Entry) error {
		state := stateOf(e, now)
		*count[state]++
		switch state {
		case Pending:
			if oldest.IsZero() || e.Due.Before(oldest) {
				oldest = e.Due
			}
		case Scheduled, Retrying:
			if next.IsZero() || e.Due.Before(next) {
				next = e.Due
			}
		}
		return ctx.Err()
	}, func(base string) {
		st.Dropped++
		if q.dropInfo(base).Error != "" {
			st.Unfinished++
		}
	}, spool.Pending, spool.Processing, spool.Dead, spool.Done)
	if err != nil {
		return st, err
	}
	if !oldest.IsZero() {
		st.OldestDueSeconds = ptr(now.Sub(oldest).Seconds())
	}
	if !next.IsZero() {
		st.NextDueAt = ptr(next)
	}
	rejected, err := q.s.Rejects()
	if err != nil {
		return st, err
	}
	st.Rejected = len(rejected)
	if st.Paused, err = q.s.Paused(); err != nil {
		return st, err
	}
	if st.Limit, err = q.limit(); err != nil {
		return st, err
	}
	st.Workers, err = q.Workers(ctx)
	return st, err
}

// limit is the queue's limit as a Status tells it.
func (q *Queue) limit() (*int, error) {
	n, err := q.s.Limit()
	if errors.Is(err, ErrBadLimit) {
		return ptr(0), nil
	}
	if err != nil || n == 0 {
		return nil, err
	}
	return &n, nil
}
