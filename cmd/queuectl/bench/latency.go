package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// Stamp writes down the time of this process's first instructions, in nanoseconds of a
// clock that all processes share, to a new file.
func Stamp(path string) error {
	now := sharedClock()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.FormatInt(int64(now), 10))
	return errors.Join(err, f.Close())
}

func readStamp(path string) (time.Duration, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	return time.Duration(n), err
}

// latencies are those of single starts, in milliseconds.
type latencies struct{ floor, queue []float64 }

// latencyMedian is from the call that enqueues to the first instruction of the job, in an
// idle queue.
func latencyMedian(ctx context.Context, e *env) (floor, queue float64, err error) {
	l, err := latenciesOf(ctx, e)
	return median(l.floor), median(l.queue), err
}

func latencyTail(ctx context.Context, e *env) (floor, queue float64, err error) {
	l, err := latenciesOf(ctx, e)
	return 0, quantile(l.queue, 0.99), err
}

func latenciesOf(ctx context.Context, e *env) (latencies, error) {
	return shared(e, "latencies", true, func() (latencies, error) { return measureLatencies(ctx, e) })
}

func measureLatencies(ctx context.Context, e *env) (l latencies, err error) {
	stamper := e.o.Stamper
	if stamper == "" {
		stamper = e.o.Queuectl
	}
	q, dir, err := e.queue()
	if err != nil {
		return l, err
	}
	marks := filepath.Dir(dir)
	n := 10 * e.scale
	l.floor, err = stamped(n, marks, func(path string) error {
		return exec.CommandContext(ctx, stamper, StampWord, path).Run()
	})
	if err != nil {
		return l, err
	}
	ended := make(chan string, 1)
	ready := make(chan struct{}, 1)
	quit, stop := context.WithCancel(ctx)
	w := q.NewWorker(fsq.WorkerOptions{Slots: 1, Events: func(ev fsq.Event) {
		switch ev.Kind {
		case fsq.EventReady:
			ready <- struct{}{}
		case fsq.EventDone, fsq.EventDead, fsq.EventRetry:
			ended <- ev.Error
		}
	}})
	failed := make(chan error, 1)
	go func() { failed <- w.Run(quit) }()
	defer func() {
		stop()
		err = errors.Join(err, <-failed)
	}()
	select {
	case <-ready:
	case err := <-failed:
		failed <- nil
		return l, err
	}
	l.queue, err = stamped(n, marks, func(path string) error {
		if _, err := q.Enqueue(ctx, fsq.Job{Command: fsq.Command{Args: []string{stamper, StampWord, path}}}); err != nil {
			return err
		}
		select {
		case why := <-ended:
			if why != "" {
				return fmt.Errorf("the job failed: %s", why)
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return l, err
}

// stamped are the times from the calls of run to the stamps that they lead to, in
// milliseconds.
func stamped(n int, dir string, run func(path string) error) (all []float64, err error) {
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("stamp%d", i))
		begun := sharedClock()
		if err := run(path); err != nil {
			return nil, err
		}
		at, err := readStamp(path)
		if err != nil {
			return nil, err
		}
		all = append(all, milliseconds(at-begun))
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return all, nil
}
