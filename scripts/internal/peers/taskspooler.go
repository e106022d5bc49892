package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

func taskSpooler() candidate {
	c := candidate{
		name: "task-spooler", setting: "its queue is in the memory of its server", missing: have("tsp", "task-spooler"),
		notes: []string{"what is enqueued runs at once, so that enqueuing and running are one figure"},
		measures: map[work]measure{
			putByProcess: spooling(1, func(ctx context.Context, e *env, s taskSpool) ([]float64, error) {
				return rate(ctx, e.window, func() error { return s.command(ctx, "true").Run() })
			}),
			runShell: spooling(2, func(ctx context.Context, e *env, s taskSpool) ([]float64, error) {
				var ids [2]string
				return twice(e.jobs, func(lane int, last bool) error {
					if last {
						return s.command(ctx, "-w", ids[lane]).Run()
					}
					out, err := s.command(ctx, "sh", "-c", "true").Output()
					ids[lane] = strings.TrimSpace(string(out))
					return err
				})
			}),
			startIdle: spooling(1, func(ctx context.Context, e *env, s taskSpool) ([]float64, error) {
				return starts(ctx, e, func(command string) error { return s.command(ctx, "sh", "-c", command).Run() })
			}),
		},
	}
	if c.missing == "" {
		out, _ := exec.Command("tsp", "-V").Output()
		c.version, _, _ = strings.Cut(strings.TrimSpace(string(out)), " - ")
	}
	return c
}

type taskSpool struct{ env []string }

func (s taskSpool) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "tsp", args...)
	c.Env = s.env
	return c
}

// spooling measures with a server of its own, that runs so many jobs at a time.
func spooling(slots int, f func(ctx context.Context, e *env, s taskSpool) ([]float64, error)) measure {
	return func(ctx context.Context, e *env, dir string) (v []float64, err error) {
		s := taskSpool{env: append(os.Environ(), "TS_SOCKET="+e.socket(), "TMPDIR="+dir)}
		if err := s.command(ctx, "-S", fmt.Sprint(slots)).Run(); err != nil {
			return nil, fmt.Errorf("start task-spooler: %w", err)
		}
		defer func() {
			// Jobs whose end nobody has waited for end with it. This is to be done even if ctx
			// is cancelled.
			quit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			err = errors.Join(err, s.command(quit, "-K").Run())
		}()
		if v, err = f(ctx, e, s); err == nil {
			err = s.command(ctx, "-w").Run()
		}
		return v, err
	}
}
