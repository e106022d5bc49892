package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// idle is the CPU time that a worker costs that has nothing to do.
func idle(ctx context.Context, e *env) (floor, queue float64, err error) {
	_, dir, err := e.queue()
	if err != nil {
		return 0, 0, err
	}
	// It ends by itself if this process is killed.
	c := e.queuectl(ctx, dir, "worker", "start", "--json", "--count", "64", "--max-time", "1m")
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("worker start: %w", err)
	}
	defer func() {
		if stopErr := c.Process.Signal(os.Interrupt); !errors.Is(stopErr, os.ErrProcessDone) {
			err = errors.Join(err, stopErr)
		}
		_ = c.Wait() // it ends as a signal has it
	}()
	buf := make([]byte, 4096)
	for seen := ""; !strings.Contains(seen, `"ready"`); {
		n, err := out.Read(buf)
		if err != nil {
			return 0, 0, fmt.Errorf("worker start: %w", err)
		}
		seen += string(buf[:n])
	}
	// Its first sweep and scan are over soon.
	if err := pause(ctx, 2*e.window); err != nil {
		return 0, 0, err
	}
	before, err := cpuOf(c.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	const seconds = 10 // several of its regular looks
	if err := pause(ctx, seconds*time.Second); err != nil {
		return 0, 0, err
	}
	after, err := cpuOf(c.Process.Pid)
	return 0, milliseconds(after-before) / seconds, err
}

// pause waits; a cancelled ctx ends it with its error.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
