package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type spooled struct {
	q   *fsq.Queue
	dir string
	bin string
}

func queuectl() candidate {
	measures := libraryMeasures(openSpool)
	// Commands are what it is made for: its own worker runs them.
	measures[runShell] = func(ctx context.Context, e *env, dir string) ([]float64, error) {
		q, err := openSpool(ctx, e, dir)
		if err != nil {
			return nil, err
		}
		return q.(*spooled).drain(ctx, e.jobs)
	}
	return candidate{name: "queuectl", synced: true, setting: "always synced", version: fsq.Version, measures: measures,
		notes: []string{"`sh -c true` by `queuectl worker start`, its start and its end included"}}
}

func openSpool(_ context.Context, e *env, dir string) (library, error) {
	s := &spooled{dir: filepath.Join(dir, "spool"), bin: filepath.Join(e.bin, "queuectl")}
	q, err := fsq.Open(s.dir, fsq.DefaultConfig())
	s.q = q
	return s, err
}

func (s *spooled) close() error { return nil }

func (s *spooled) command(args ...string) *exec.Cmd {
	c := exec.Command(s.bin, append([]string{"--spool", s.dir}, args...)...)
	c.Dir = "/"
	return c
}

func (s *spooled) put(body string) *exec.Cmd { return s.command("enqueue", "--", body) }

func (s *spooled) enqueue(ctx context.Context, body string) error {
	_, err := s.q.Enqueue(ctx, fsq.Job{Command: fsq.Command{Shell: body}})
	return err
}

func (s *spooled) bulk(ctx context.Context, body string, n int) error {
	for n > 0 {
		some := make([]fsq.Job, min(n, 1000))
		for i := range some {
			some[i].Command.Shell = body
		}
		for _, r := range s.q.EnqueueBatch(ctx, some) {
			if r.Err != nil {
				return r.Err
			}
		}
		n -= len(some)
	}
	return nil
}

func (s *spooled) work(ctx context.Context, slots int, l *load) error {
	return s.q.NewWorker(fsq.WorkerOptions{
		Slots: slots, MaxJobs: l.jobs,
		Handler: fsq.HandlerFunc(func(_ context.Context, r *fsq.Run) error { return l.run(r.Job.Command.Shell) }),
		Events: func(ev fsq.Event) {
			// It is told of when it is durable.
			if ev.Kind == fsq.EventDone {
				l.completed()
			}
		},
	}).Run(ctx)
}

// drain has a worker process run what waits.
func (s *spooled) drain(ctx context.Context, jobs int) ([]float64, error) {
	if err := s.bulk(ctx, nothing, jobs); err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := s.command("worker", "start", "--drain", "--count", "2").Run(); err != nil {
		return nil, fmt.Errorf("worker start: %w", err)
	}
	took := time.Since(begun)
	out, err := s.command("status", "--json").Output()
	var status struct{ Done int }
	if err = errors.Join(err, json.Unmarshal(out, &status)); err == nil && status.Done != jobs {
		err = fmt.Errorf("%d of %d jobs are done", status.Done, jobs)
	}
	return []float64{float64(jobs) / took.Seconds()}, err
}
