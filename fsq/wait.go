package fsq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Waited is a job that Wait has waited for.
type Waited struct {
	Queue           string   `json:"queue"`
	ID              string   `json:"id"`
	State           State    `json:"state"` // done, dead or cancelled; "" if it was removed
	Outcome         string   `json:"outcome"`
	Attempts        int      `json:"attempts"`
	DurationSeconds *float64 `json:"duration_seconds"`

	entry spool.Entry
}

// Succeeded reports whether the job is done.
func (w Waited) Succeeded() bool { return w.State == Done }

// WaitProgress is how far Wait has got.
type WaitProgress struct {
	Total   int
	Ended   int
	Failed  int // of those that have ended: not done
	Running int
}

// WaitOptions are whom Wait tells of what. All are optional.
type WaitOptions struct {
	Ended    func(Waited)       // each job as it ends, and first those that have ended already
	Unknown  func(error)        // each id that no job has, as soon as that is known
	Progress func(WaitProgress) // whenever it has changed
}

// Wait waits until each of the jobs is done, dead or cancelled, or ctx is done, which is
// the error then. A dead job that is retried later counts as dead: it had ended. Jobs
// that the queue does not hold are in an error that wraps ErrNotFound; the others are
// waited for all the same.
func (q *Queue) Wait(ctx context.Context, ids []string, opt WaitOptions) error {
	w := &waiter{q: q, opt: opt, left: make(map[string]spool.Entry, len(ids))}
	for _, id := range ids {
		w.left[id] = spool.Entry{}
	}
	w.unseen = len(w.left)
	w.progress.Total = len(w.left)
	f, err := q.newFollower(w.see)
	if err != nil {
		return err
	}
	defer f.close()
	missing, err := w.look()
	if err != nil {
		return err
	}
	w.report()
	return errors.Join(missing, w.wait(ctx, f))
}

// Awaited are jobs of a queue.
type Awaited struct {
	Queue *Queue
	IDs   []string
}

// WaitAll is Wait for jobs of several queues. The error is made of those of each queue. The
// functions of opt are called by one goroutine at a time, with the progress of all queues
// together.
func WaitAll(ctx context.Context, all []Awaited, opt WaitOptions) error {
	if len(all) == 1 {
		return all[0].Queue.Wait(ctx, all[0].IDs, opt)
	}
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		errs    []error
		parts   = make([]WaitProgress, len(all))
	)
	for i, jobs := range all {
		part := WaitOptions{
			Ended: func(w Waited) {
				mu.Lock()
				defer mu.Unlock()
				if opt.Ended != nil {
					opt.Ended(w)
				}
			},
			Unknown: func(err error) {
				mu.Lock()
				defer mu.Unlock()
				if opt.Unknown != nil {
					opt.Unknown(err)
				}
			},
			Progress: func(p WaitProgress) {
				mu.Lock()
				defer mu.Unlock()
				parts[i] = p
				if opt.Progress != nil {
					opt.Progress(sumProgress(parts))
				}
			},
		}
		running.Go(func() {
			err := jobs.Queue.Wait(ctx, jobs.IDs, part)
			mu.Lock()
			defer mu.Unlock()
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				errs = append(errs, joined.Unwrap()...)
			} else if err != nil {
				errs = append(errs, err)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

func sumProgress(parts []WaitProgress) (sum WaitProgress) {
	for _, p := range parts {
		sum.Total += p.Total
		sum.Ended += p.Ended
		sum.Failed += p.Failed
		sum.Running += p.Running
	}
	return sum
}

type waiter struct {
	q        *Queue
	opt      WaitOptions
	left     map[string]spool.Entry // jobs that have not ended, where they were seen last
	unseen   int                    // of those, that were seen nowhere yet
	progress WaitProgress
	told     WaitProgress
	started  bool
}

// see takes note of a job's whereabouts.
func (w *waiter) see(e spool.Entry) {
	id := e.Name.ID
	old, waited := w.left[id]
	if !waited {
		return
	}
	if old.Path == "" {
		w.unseen--
	}
	if old.State == spool.Processing {
		w.progress.Running--
	}
	if e.State == spool.Processing {
		w.progress.Running++
	}
	w.left[id] = e
	if e.State != spool.Done && e.State != spool.Dead {
		return
	}
	i := info(e, w.q.now())
	w.end(Waited{Queue: w.q.Name(), ID: id, State: i.State, Outcome: i.Outcome, Attempts: i.Attempts, DurationSeconds: i.DurationSeconds, entry: e})
}

func (w *waiter) end(j Waited) {
	delete(w.left, j.ID)
	w.progress.Ended++
	if !j.Succeeded() {
		w.progress.Failed++
	}
	if w.opt.Ended != nil {
		w.opt.Ended(j)
	}
}

// look finds the jobs that were not seen: they are done, or a file that was dropped and
// is no job yet, or nowhere. One look that does not see a job proves nothing.
func (w *waiter) look() (missing, err error) {
	for range 2 {
		if w.unseen == 0 {
			return nil, nil
		}
		err := w.q.s.Each(func(e spool.Entry) error {
			if old, waited := w.left[e.Name.ID]; waited && old.Path == "" {
				w.see(e)
				if w.unseen == 0 {
					return spool.Stop
				}
			}
			return nil
		}, spool.Done, spool.Dead, spool.Processing, spool.Pending)
		if err != nil {
			return nil, fmt.Errorf("wait for jobs: %w", err)
		}
	}
	for id, e := range w.left {
		if e.Path != "" {
			continue
		}
		w.unseen--
		if drop, ok := w.q.findDrop(id); ok {
			w.left[id] = spool.Entry{State: spool.Pending, Path: drop.File}
			continue
		}
		delete(w.left, id)
		w.progress.Total--
		missing = errors.Join(missing, notFound(id))
		if w.opt.Unknown != nil {
			w.opt.Unknown(notFound(id))
		}
	}
	return missing, nil
}

func (w *waiter) wait(ctx context.Context, f *follower) error {
	checked := time.Now()
	for len(w.left) > 0 {
		limited, cancel := context.WithTimeout(ctx, removedAfter)
		all, err := f.next(limited)
		cancel()
		if err != nil && (ctx.Err() != nil || limited.Err() == nil) {
			return fmt.Errorf("wait for %d jobs: %w", len(w.left), err)
		}
		for _, a := range all {
			w.see(a.Entry)
		}
		if time.Since(checked) >= removedAfter {
			if err := w.findRemoved(); err != nil {
				return err
			}
			checked = time.Now()
		}
		w.report()
	}
	return nil
}

// removedAfter is how often Wait looks for jobs that nobody will ever end, because
// somebody removed them.
const removedAfter = time.Minute

func (w *waiter) findRemoved() error {
	seen := make(map[string]spool.Entry, len(w.left))
	for range 2 {
		if err := w.q.s.Each(func(e spool.Entry) error {
			if _, waited := w.left[e.Name.ID]; waited {
				seen[e.Name.ID] = e
			}
			return nil
		}, spool.Pending, spool.Processing, spool.Dead, spool.Done); err != nil {
			return fmt.Errorf("wait for jobs: %w", err)
		}
	}
	for id := range w.left {
		if e, ok := seen[id]; ok {
			w.see(e)
			continue
		}
		if _, ok := w.q.findDrop(id); !ok {
			w.end(Waited{Queue: w.q.Name(), ID: id})
		}
	}
	return nil
}

func (w *waiter) report() {
	if w.opt.Progress != nil && (!w.started || w.progress != w.told) {
		w.started, w.told = true, w.progress
		w.opt.Progress(w.progress)
	}
}
