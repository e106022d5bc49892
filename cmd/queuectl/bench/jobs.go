package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/queuectl/queuectl/fsq"
	"github.com/queuectl/queuectl/spool"
)

// both measures the floor and then the queue.
func both(floor, queue func() (float64, error)) (f, q float64, err error) {
	if f, err = floor(); err != nil {
		return 0, 0, fmt.Errorf("the floor: %w", err)
	}
	if q, err = queue(); err != nil {
		return 0, 0, err
	}
	return f, q, nil
}

var job = fsq.Job{Command: fsq.Command{Shell: "true"}}

func enqueueBy(ctx context.Context, e *env, callers int) (float64, error) {
	q, _, err := e.queue()
	if err != nil {
		return 0, err
	}
	return rate(ctx, e.window, callers, func(int, int) error {
		_, err := q.Enqueue(ctx, job)
		return err
	})
}

// fill puts n jobs into a queue.
func fill(ctx context.Context, q *fsq.Queue, n int) error {
	for n > 0 {
		some := make([]fsq.Job, min(n, 1000))
		for i := range some {
			some[i] = job
		}
		for _, r := range q.EnqueueBatch(ctx, some) {
			if r.Err != nil {
				return fmt.Errorf("enqueue: %w", r.Err)
			}
		}
		n -= len(some)
	}
	return nil
}

func enqueueProcess(ctx context.Context, e *env) (floor, queue float64, err error) {
	d, err := e.fresh("tmp", "q")
	if err != nil {
		return 0, 0, err
	}
	_, dir, err := e.queue()
	if err != nil {
		return 0, 0, err
	}
	n := 5 * e.scale
	return both(
		func() (float64, error) {
			return started(n, func() *exec.Cmd { return exec.CommandContext(ctx, e.o.Hello, "-dir", d) })
		},
		func() (float64, error) {
			return started(n, func() *exec.Cmd { return e.queuectl(ctx, dir, "enqueue", "--", "true") })
		})
}

// bulk is what one process that enqueues a stream was seen to do.
type bulk struct {
	perSecond float64
	peak      float64 // MiB
}

// bulkOf enqueues a stream, once in a round.
func bulkOf(ctx context.Context, e *env) (bulk, error) {
	return shared(e, "a stream", true, func() (bulk, error) {
		_, dir, err := e.queue()
		if err != nil {
			return bulk{}, err
		}
		jobs := streamJobs * e.scale
		c := e.queuectl(ctx, dir, "enqueue", "-")
		c.Stdin = bytes.NewReader(bytes.Repeat([]byte(`{"command":"true"}`+"\n"), jobs))
		begun := time.Now()
		peak, err := peakOf(c)
		if err != nil {
			return bulk{}, err
		}
		return bulk{float64(jobs) / time.Since(begun).Seconds(), peak}, nil
	})
}

func enqueueStream(ctx context.Context, e *env) (floor, queue float64, err error) {
	return both(func() (float64, error) { return floorBulk(ctx, e) }, func() (float64, error) {
		b, err := bulkOf(ctx, e)
		return b.perSecond, err
	})
}

func lifeUnsynced(ctx context.Context, e *env) (floor, queue float64, err error) {
	jobs := 500 * e.scale
	return both(func() (float64, error) { return floorLife(ctx, e, 1, jobs, false) }, func() (float64, error) {
		q, dir, err := e.queue()
		if err != nil {
			return 0, err
		}
		if err := fill(ctx, q, jobs); err != nil {
			return 0, err
		}
		s, err := spool.Open(dir)
		if err != nil {
			return 0, err
		}
		l, err := s.Register(1, "bench", time.Minute)
		if err != nil {
			return 0, err
		}
		begun := time.Now()
		var waiting []spool.Name
		if err := s.Waiting(func(n spool.Name) { waiting = append(waiting, n) }, func(string) {}); err != nil {
			return 0, err
		}
		for _, n := range waiting {
			c, err := l.Claim(n)
			if err = errors.Join(err, ctx.Err()); err != nil {
				return 0, errors.Join(err, l.Leave())
			}
			if _, err := c.Done(spool.Ending{Outcome: "done"}); err != nil {
				return 0, err
			}
		}
		took := time.Since(begun)
		if len(waiting) != jobs {
			return 0, fmt.Errorf("%d of %d jobs waited", len(waiting), jobs)
		}
		return float64(jobs) / took.Seconds(), l.Leave()
	})
}

// work has a worker in this process handle all jobs of a queue, and returns the rate.
func work(ctx context.Context, q *fsq.Queue, jobs, slots int) (float64, error) {
	var done atomic.Int64
	w := q.NewWorker(fsq.WorkerOptions{
		Slots: slots, Drain: true,
		Handler: fsq.HandlerFunc(func(context.Context, *fsq.Run) error { return nil }),
		Events: func(ev fsq.Event) {
			if ev.Kind == fsq.EventDone {
				done.Add(1)
			}
		},
	})
	begun := time.Now()
	err := w.Run(ctx)
	if err == nil && done.Load() != int64(jobs) {
		err = fmt.Errorf("%d of %d jobs are done", done.Load(), jobs)
	}
	return float64(jobs) / time.Since(begun).Seconds(), err
}

func lifeDurable(ctx context.Context, e *env) (floor, queue float64, err error) {
	jobs := 100 * e.scale
	return both(func() (float64, error) { return floorLife(ctx, e, 8, jobs, true) }, func() (float64, error) {
		q, _, err := e.queue()
		if err == nil {
			err = fill(ctx, q, jobs)
		}
		if err != nil {
			return 0, err
		}
		return work(ctx, q, jobs, 8)
	})
}

// drain has a worker process run what waits.
func (e *env) drain(ctx context.Context, jobs, slots int) (float64, error) {
	q, dir, err := e.queue()
	if err == nil {
		err = fill(ctx, q, jobs)
	}
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := run(e.queuectl(ctx, dir, "worker", "start", "--drain", "--count", strconv.Itoa(slots))); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	return float64(jobs) / took.Seconds(), e.allDone(ctx, dir, jobs)
}

func (e *env) allDone(ctx context.Context, dir string, jobs int) error {
	out, err := e.queuectl(ctx, dir, "status", "--json").Output()
	var s struct{ Done int }
	if err = errors.Join(err, json.Unmarshal(out, &s)); err == nil && s.Done != jobs {
		err = fmt.Errorf("%d of %d jobs are done", s.Done, jobs)
	}
	return err
}

func runJobs(ctx context.Context, e *env) (floor, queue float64, err error) {
	jobs := 100 * e.scale
	return both(func() (float64, error) { return floorRun(ctx, e, jobs) }, func() (float64, error) { return e.drain(ctx, jobs, 2) })
}

func runAgainstC(ctx context.Context, e *env) (floor, queue float64, err error) {
	jobs := 100 * e.scale
	floor, err = floorSpawn(e, jobs/2)
	if err != nil {
		return 0, 0, err
	}
	queue, err = e.drain(ctx, jobs, 2)
	return floor, queue, err
}

func manyWorkers(ctx context.Context, e *env) (floor, queue float64, err error) {
	jobs := 100 * e.scale
	return both(func() (float64, error) { return e.drain(ctx, jobs, 8) }, func() (float64, error) {
		q, dir, err := e.queue()
		if err == nil {
			err = fill(ctx, q, jobs)
		}
		if err != nil {
			return 0, err
		}
		var (
			all  sync.WaitGroup
			errs [8]error
		)
		begun := time.Now()
		for i := range errs {
			all.Go(func() {
				errs[i] = run(e.queuectl(ctx, dir, "worker", "start", "--drain", "--count", "1"))
			})
		}
		all.Wait()
		took := time.Since(begun)
		return float64(jobs) / took.Seconds(), errors.Join(errors.Join(errs[:]...), e.allDone(ctx, dir, jobs))
	})
}
