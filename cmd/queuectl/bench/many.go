package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// chosenID is the job that is looked at among the others. It is claimed after them all.
const chosenID = "chosen"

// standing is a queue in which jobs wait.
type standing struct {
	q   *fsq.Queue
	dir string // of its spool
	in  string // where the waiting jobs lie
}

// waiting makes a queue in which n jobs wait.
func (e *env) waiting(ctx context.Context, n int) (standing, error) {
	q, dir, err := e.queue()
	if err != nil {
		return standing{}, err
	}
	if err := fill(ctx, q, n); err != nil {
		return standing{}, err
	}
	chosen := job
	chosen.ID, chosen.Priority = chosenID, fsq.MinPriority
	if _, err := q.Enqueue(ctx, chosen); err != nil {
		return standing{}, err
	}
	info, err := q.Get(ctx, chosenID)
	return standing{q, dir, filepath.Dir(filepath.Join(q.Dir(), info.File))}, err
}

// many is the queue that the lines about many jobs share: it costs more to fill than to
// measure, and they take few of its jobs.
func (e *env) many(ctx context.Context) (standing, error) {
	return shared(e, "many", false, func() (standing, error) { return e.waiting(ctx, streamJobs*e.scale) })
}

func (e *env) few(ctx context.Context) (standing, error) {
	return shared(e, "few", false, func() (standing, error) { return e.waiting(ctx, 100) })
}

// claimsWithMany claims and settles the same number of jobs, once while few more wait and
// once while many do.
func claimsWithMany(ctx context.Context, e *env) (floor, queue float64, err error) {
	few, err := e.waiting(ctx, 1000)
	if err != nil {
		return 0, 0, err
	}
	many, err := e.many(ctx)
	if err != nil {
		return 0, 0, err
	}
	return both(func() (float64, error) { return claims(ctx, few.q) }, func() (float64, error) { return claims(ctx, many.q) })
}

// claims has a worker in this process handle some jobs of a queue, and returns the rate
// from the first one on: the listing before it is another figure.
func claims(ctx context.Context, q *fsq.Queue) (float64, error) {
	var (
		once  sync.Once
		begun time.Time
		done  atomic.Int64
	)
	w := q.NewWorker(fsq.WorkerOptions{
		Slots: 8, MaxJobs: 1000,
		Handler: fsq.HandlerFunc(func(context.Context, *fsq.Run) error {
			once.Do(func() { begun = time.Now() })
			done.Add(1)
			return nil
		}),
	})
	err := w.Run(ctx)
	if err == nil {
		err = ctx.Err()
	}
	return float64(done.Load()) / time.Since(begun).Seconds(), err
}

// showWithMany asks for one job by its id.
func showWithMany(ctx context.Context, e *env) (floor, queue float64, err error) {
	of := func(s standing, err error) (float64, error) {
		if err != nil {
			return 0, err
		}
		return took(51, func() error {
			_, err := s.q.Get(ctx, chosenID)
			return err
		})
	}
	return both(func() (float64, error) { return of(e.few(ctx)) }, func() (float64, error) { return of(e.many(ctx)) })
}

func statusWithMany(ctx context.Context, e *env) (floor, queue float64, err error) {
	return againstListings(ctx, e, func(q *fsq.Queue) error {
		_, err := q.Status(ctx)
		return err
	})
}

func listWithMany(ctx context.Context, e *env) (floor, queue float64, err error) {
	return againstListings(ctx, e, func(q *fsq.Queue) error {
		jobs, _, err := q.List(ctx, fsq.ListOptions{Limit: 20, Details: true})
		if err == nil && len(jobs) != 20 {
			err = fmt.Errorf("20 jobs were asked for, and %d came", len(jobs))
		}
		return err
	})
}

func againstListings(ctx context.Context, e *env, do func(q *fsq.Queue) error) (floor, queue float64, err error) {
	many, err := e.many(ctx)
	if err != nil {
		return 0, 0, err
	}
	return both(func() (float64, error) {
		return took(5, func() error { return errors.Join(listing(many.in), listing(many.in)) })
	}, func() (float64, error) {
		return took(5, func() error { return do(many.q) })
	})
}

// listing reads the names in a directory, and does nothing with them.
func listing(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for err == nil {
		_, err = d.Readdirnames(1024)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// took is how long do takes, the median of n, in milliseconds.
func took(n int, do func() error) (float64, error) {
	var all []float64
	for range n {
		begun := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		all = append(all, milliseconds(time.Since(begun)))
	}
	return median(all), nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
