package fsq

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Enqueued is the result for one job of a batch.
type Enqueued struct {
	Job    Job
	HeldBy string // who keeps it from running: "", HeldByUser, or HeldByArray
	Err    error
}

// Enqueue puts a job into the queue and returns it as it is stored, with its id.
// When the error is nil, the job survives a power cut. The error is a *FieldError
// if the job is not valid, and wraps ErrDuplicate if its id is taken; after one
// that wraps ErrUncertain the job is in the queue, but perhaps not on the disk.
func (q *Queue) Enqueue(ctx context.Context, j Job) (Job, error) {
	it, j, err := q.item(j)
	if err != nil {
		return j, err
	}
	if err := ctx.Err(); err != nil {
		return j, err
	}
	return j, putError(j, q.put(it))
}

// EnqueueBatch is Enqueue for many jobs at the price of a few fsyncs. A job that
// fails does not keep the others back.
func (q *Queue) EnqueueBatch(ctx context.Context, jobs []Job) []Enqueued {
	return q.EnqueueWith(ctx, jobs, EnqueueOptions{})
}

// EnqueueOptions are what a job's document does not say.
type EnqueueOptions struct {
	Hold bool // it is not to run before somebody releases it

	turns int // so many of the first jobs have a turn of their array
}

// EnqueueWith is EnqueueBatch with options.
func (q *Queue) EnqueueWith(ctx context.Context, jobs []Job, opt EnqueueOptions) []Enqueued {
	return q.Prepare(ctx, jobs, opt).Put()
}

// Batch is a set of jobs that have their ids and their place in the order of enqueuing,
// but are not in the queue yet.
type Batch struct {
	q       *Queue
	results []Enqueued
	items   []spool.Item
	index   []int // of items in results
}

// Prepare is the first half of EnqueueWith, and Put of what it returns the second: who has
// more jobs prepares the next batch while one is on its way to the disk.
func (q *Queue) Prepare(ctx context.Context, jobs []Job, opt EnqueueOptions) *Batch {
	results := make([]Enqueued, len(jobs))
	items := make([]spool.Item, 0, len(jobs))
	index := make([]int, 0, len(jobs))
	for i, j := range jobs {
		it, j, err := q.item(j)
		if err == nil {
			err = ctx.Err()
		}
		it.Name.Held = opt.Hold
		// One that is held does not use its turn: it gets one when it is released.
		if it.Name.Queued && i < opt.turns && !opt.Hold {
			it.Name.Queued, it.Name.Turn = false, true
		}
		heldBy := heldBy(it.Name)
		results[i] = Enqueued{Job: j, HeldBy: heldBy, Err: err}
		if err == nil {
			items, index = append(items, it), append(index, i)
		}
	}
	return &Batch{q, results, items, index}
}

// Put puts the batch into the queue. It is called once; several batches may be put at a
// time.
func (b *Batch) Put() []Enqueued {
	for i, err := range b.q.putBatch(b.items) {
		r := &b.results[b.index[i]]
		r.Err = putError(r.Job, err)
	}
	return b.results
}

// put is Put on a queue that may just be being removed.
func (q *Queue) put(it spool.Item) error {
	err := q.s.Put(it)
	for range remakes {
		if !q.removed(err) {
			break
		}
		if err := q.remake(); err != nil {
			return err
		}
		err = q.s.Put(it)
	}
	return err
}

func (q *Queue) putBatch(items []spool.Item) []error {
	errs := q.s.PutBatch(items)
	for range remakes {
		if !slices.ContainsFunc(errs, q.removed) {
			break
		}
		if err := q.remake(); err != nil {
			return errs
		}
		for i, err := range errs {
			if q.removed(err) {
				errs[i] = q.s.Put(items[i])
			}
		}
	}
	return errs
}

// remakes bounds what somebody can do who removes the queue again and again.
const remakes = 10

// removed reports whether a job was not put because the queue is not there any more.
func (q *Queue) removed(err error) bool {
	return q.Name() != DefaultQueue && errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrUncertain)
}

func (q *Queue) remake() error {
	_, err := spool.InitQueue(q.Root(), q.Name(), "")
	return err
}

func putError(j Job, err error) error {
	switch {
	case errors.Is(err, spool.ErrDuplicate):
		return &DuplicateError{ID: j.ID}
	case errors.Is(err, spool.ErrTooLarge):
		return &FieldError{Problem: err.Error()}
	}
	return err
}

// item completes a job and makes its file.
func (q *Queue) item(j Job) (spool.Item, Job, error) {
	if err := j.Validate(); err != nil {
		return spool.Item{}, j, err
	}
	if err := q.calibrate(); err != nil {
		return spool.Item{}, j, err
	}
	now := q.s.Now()
	if j.ID == "" && j.Array != nil {
		j.ID = spool.ElementID(j.Array.ID, j.Array.Index)
	}
	chosen := j.ID != ""
	if !chosen {
		j.ID = q.s.NewID()
	}
	j.EnqueuedAt = spool.Truncate(now)
	data, err := j.MarshalJSON()
	if err != nil {
		return spool.Item{}, j, fmt.Errorf("encode job %q: %w", j.ID, err)
	}
	if limit := q.s.MaxJobBytes(); int64(len(data)) > limit {
		return spool.Item{}, j, &FieldError{Problem: fmt.Sprintf("the job has %d bytes, %d is the limit", len(data), limit)}
	}
	return spool.Item{Name: q.name(j, now), Data: append(data, '\n'), Reserved: chosen}, j, nil
}

// name is a new job's: what its document and the settings say about when and how
// often it may run.
func (q *Queue) name(j Job, now time.Time) spool.Name {
	due := now
	if !j.RunAt.IsZero() {
		due = j.RunAt
	}
	return spool.Name{
		ID: j.ID, Due: spool.Truncate(due), Priority: j.Priority, Allowed: q.allowance(j), Queued: j.Array.limited(),
	}
}
