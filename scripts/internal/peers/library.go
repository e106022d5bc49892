package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// library is a queue that a program in Go can use.
type library interface {
	// put is a process that puts one job in.
	put(body string) *exec.Cmd
	enqueue(ctx context.Context, body string) error
	// bulk puts n jobs in, as fast as the library can.
	bulk(ctx context.Context, body string, n int) error
	// work has jobs handled, so many at a time, until the load is done, or ctx.
	work(ctx context.Context, slots int, l *load) error
	close() error
}

// load counts the jobs that a worker handles.
type load struct {
	jobs   int // after which it ends; 0: when its context does
	handle func(body string) error

	mu                sync.Mutex
	taken, ended      int
	firstJob, lastEnd time.Time
}

// take reports whether one more job is to be claimed.
func (l *load) take() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.jobs > 0 && l.taken == l.jobs {
		return false
	}
	l.taken++
	return true
}

// run handles a claimed job.
func (l *load) run(body string) error {
	l.mu.Lock()
	if l.firstJob.IsZero() {
		l.firstJob = time.Now()
	}
	l.mu.Unlock()
	return l.handle(body)
}

// completed counts a job whose end is as durable as it will be. It reports whether it was
// the last one.
func (l *load) completed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended++
	if l.ended <= l.jobs || l.jobs == 0 {
		l.lastEnd = time.Now()
	}
	return l.ended == l.jobs
}

// each has loop claim and complete one job after the other, in each of the slots.
func (l *load) each(slots int, loop func() error) error {
	var (
		all  sync.WaitGroup
		errs = make([]error, slots)
	)
	for i := range errs {
		all.Go(func() { errs[i] = loop() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// nothing is the body of a job that no process is started for.
const nothing = "true"

// libraryMeasures are the measures of a queue that a program in Go can use.
func libraryMeasures(open func(ctx context.Context, e *env, dir string) (library, error)) map[work]measure {
	of := func(f func(ctx context.Context, e *env, q library) ([]float64, error)) measure {
		return func(ctx context.Context, e *env, dir string) (v []float64, err error) {
			q, err := open(ctx, e, dir)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, q.close()) }()
			return f(ctx, e, q)
		}
	}
	handling := func(slots int, handle func(string) error) measure {
		return of(func(ctx context.Context, e *env, q library) ([]float64, error) {
			return handled(ctx, q, e.jobs, slots, handle)
		})
	}
	noop := func(string) error { return nil }
	return map[work]measure{
		putByProcess: of(func(ctx context.Context, e *env, q library) ([]float64, error) {
			return rate(ctx, e.window, func() error { return q.put(nothing).Run() })
		}),
		putByCall: of(func(ctx context.Context, e *env, q library) ([]float64, error) {
			return rate(ctx, e.window, func() error { return q.enqueue(ctx, nothing) })
		}),
		putMany: of(func(ctx context.Context, e *env, q library) ([]float64, error) {
			n := 10 * e.jobs
			begun := time.Now()
			err := q.bulk(ctx, nothing, n)
			return []float64{float64(n) / time.Since(begun).Seconds()}, err
		}),
		handleOne:   handling(1, noop),
		handleEight: handling(8, noop),
		runShell:    handling(2, func(string) error { return exec.Command("/bin/sh", "-c", "true").Run() }),
		startIdle:   of(startsOf),
		claimAmongMany: of(func(ctx context.Context, e *env, q library) ([]float64, error) {
			return claims(ctx, q, e.waiting)
		}),
	}
}

// rate calls f again and again and returns the calls per second.
func rate(ctx context.Context, window time.Duration, f func() error) ([]float64, error) {
	begun := time.Now()
	for n := 0; ; n++ {
		took := time.Since(begun)
		if took >= window {
			return []float64{float64(n) / took.Seconds()}, nil
		}
		if err := errors.Join(ctx.Err(), f()); err != nil {
			return nil, err
		}
	}
}

// handled is the rate at which jobs that wait are handled.
func handled(ctx context.Context, q library, jobs, slots int, handle func(string) error) ([]float64, error) {
	if err := q.bulk(ctx, nothing, jobs); err != nil {
		return nil, err
	}
	l := &load{jobs: jobs, handle: handle}
	begun := time.Now()
	if err := q.work(ctx, slots, l); err != nil {
		return nil, err
	}
	return []float64{float64(jobs) / l.lastEnd.Sub(begun).Seconds()}, l.whole()
}

// claims is the rate at which 1,000 of many jobs are handled, from the first on, and the
// milliseconds that the worker needs to find the first.
func claims(ctx context.Context, q library, waiting int) ([]float64, error) {
	if err := q.bulk(ctx, nothing, waiting); err != nil {
		return nil, err
	}
	l := &load{jobs: 1000, handle: func(string) error { return nil }}
	begun := time.Now()
	if err := q.work(ctx, 8, l); err != nil {
		return nil, err
	}
	return []float64{1000 / l.lastEnd.Sub(l.firstJob).Seconds(), millis(l.firstJob.Sub(begun))}, l.whole()
}

func (l *load) whole() error {
	if l.ended < l.jobs {
		return fmt.Errorf("%d of %d jobs are done", l.ended, l.jobs)
	}
	return nil
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }

// startsOf is how long it takes in an idle queue from the call that enqueues to the first
// thing that the job does, the median in milliseconds.
func startsOf(ctx context.Context, e *env, q library) (v []float64, err error) {
	working, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() {
		failed <- q.work(working, 1, &load{handle: func(body string) error {
			return exec.Command("/bin/sh", "-c", body).Run()
		}})
	}()
	defer func() {
		stop()
		err = errors.Join(err, <-failed)
	}()
	return starts(ctx, e, func(command string) error { return q.enqueue(ctx, command) })
}

// starts puts shell commands in that write to a pipe.
func starts(ctx context.Context, e *env, put func(command string) error) ([]float64, error) {
	path := filepath.Join(e.run, "started")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("mkfifo %s: %w", path, err)
	}
	// Open for writing too, so that it has no end.
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer pipe.Close()
	heard := bufio.NewReader(pipe)
	var all []float64
	// The first one warms up.
	for i := range e.starts + 1 {
		// Spread over a second, the longest interval at which a peer polls.
		if err := sleep(ctx, time.Duration(i*377%1000)*time.Millisecond); err != nil {
			return nil, err
		}
		if err := pipe.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return nil, err
		}
		begun := time.Now()
		if err := put("echo >" + path); err != nil {
			return nil, err
		}
		if _, err := heard.ReadString('\n'); err != nil {
			return nil, fmt.Errorf("wait for the job to start: %w", err)
		}
		if i > 0 {
			all = append(all, millis(time.Since(begun)))
		}
	}
	return []float64{median(all)}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// have is the reason for which a program is not to be had, or "".
func have(program, pkg string) string {
	if _, err := exec.LookPath(program); err != nil {
		return "there is no " + program + " here (Debian: apt-get install " + pkg + ")"
	}
	return ""
}

// packageVersion is for programs that do not tell.
func packageVersion(name string) string {
	out, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", name).Output()
	if err != nil {
		return name + " of unknown version"
	}
	return name + " " + strings.TrimSpace(string(out))
}
