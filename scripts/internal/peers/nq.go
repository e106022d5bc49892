package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

func nqDirectory() candidate {
	return candidate{
		name: "nq", setting: "it never syncs", version: packageVersion("nq"), missing: have("nq", "nq"),
		notes: []string{"it has no worker: what is enqueued runs at once, so that enqueuing and running are one figure; two at a time by two queues"},
		measures: map[work]measure{
			putByProcess: func(ctx context.Context, e *env, dir string) ([]float64, error) {
				v, err := rate(ctx, e.window, func() error { return nq(ctx, dir, "true").Run() })
				return v, errors.Join(err, nq(ctx, dir, "-w").Run())
			},
			runShell: func(ctx context.Context, e *env, dir string) ([]float64, error) {
				return twice(e.jobs, func(lane int, last bool) error {
					own := filepath.Join(dir, []string{"a", "b"}[lane])
					if last {
						return nq(ctx, own, "-w").Run()
					}
					return nq(ctx, own, "sh", "-c", "true").Run()
				})
			},
			startIdle: func(ctx context.Context, e *env, dir string) ([]float64, error) {
				v, err := starts(ctx, e, func(command string) error { return nq(ctx, dir, "sh", "-c", command).Run() })
				return v, errors.Join(err, nq(ctx, dir, "-w").Run())
			},
		},
	}
}

func nq(ctx context.Context, dir string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "nq", args...)
	c.Env = append(os.Environ(), "NQDIR="+dir)
	return c
}

// twice puts jobs in from two sides at once, half of them each, has each wait for the last
// of its own, and returns the rate.
func twice(jobs int, put func(lane int, last bool) error) ([]float64, error) {
	var (
		all  sync.WaitGroup
		errs [2]error
	)
	begun := time.Now()
	for lane := range errs {
		all.Go(func() {
			for range jobs / 2 {
				if errs[lane] = put(lane, false); errs[lane] != nil {
					return
				}
			}
			errs[lane] = put(lane, true)
		})
	}
	all.Wait()
	return []float64{float64(jobs) / time.Since(begun).Seconds()}, errors.Join(errs[:]...)
}
