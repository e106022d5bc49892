package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

//go:embed dirq.py
var dirqProgram string

// pythons are where Debian's modules are found first, and then whatever is in the PATH.
var pythons = []string{"/usr/bin/python3", "python3"}

func dirqDirectory() candidate {
	c := candidate{name: "dirq", setting: "it never syncs", notes: []string{
		"Python's QueueSimple, one element at a time: it has no call for more",
		"`sh -c true` by two processes",
		"an idle worker polls every 100 ms: it has no call to wait",
	}}
	var python string
	for _, p := range pythons {
		out, err := exec.Command(p, "-c", "import dirq; print(dirq.__version__)").Output()
		if err == nil {
			python, c.version = p, "python3-dirq "+strings.TrimSpace(string(out))
			break
		}
	}
	if python == "" {
		c.missing = "there is no dirq for Python here (Debian: apt-get install python3-dirq)"
		return c
	}
	figures := func(args func(e *env) []any) measure {
		return func(ctx context.Context, e *env, dir string) (v []float64, err error) {
			out, err := dirq(ctx, python, dir, args(e)...).Output()
			if err != nil {
				return nil, said(err)
			}
			return v, json.Unmarshal(out, &v)
		}
	}
	c.measures = map[work]measure{
		putByProcess: func(ctx context.Context, e *env, dir string) ([]float64, error) {
			return rate(ctx, e.window, func() error { return said(dirq(ctx, python, dir, "put", nothing).Run()) })
		},
		putByCall: figures(func(e *env) []any { return []any{"add", e.window.Seconds()} }),
		putMany:   figures(func(e *env) []any { return []any{"fill", 10 * e.jobs} }),
		handleOne: figures(func(e *env) []any { return []any{"handle", e.jobs} }),
		runShell:  figures(func(e *env) []any { return []any{"run", e.jobs} }),
		startIdle: func(ctx context.Context, e *env, dir string) ([]float64, error) {
			return dirqStarts(ctx, e, dir, python)
		},
		claimAmongMany: figures(func(e *env) []any { return []any{"claims", e.waiting} }),
	}
	c.notes = append(c.notes, "claims among many one at a time")
	return c
}

func dirq(ctx context.Context, python, dir string, args ...any) *exec.Cmd {
	words := []string{"-c", dirqProgram, dir}
	for _, a := range args {
		words = append(words, fmt.Sprint(a))
	}
	return exec.CommandContext(ctx, python, words...)
}

// said adds what a program wrote before it failed.
func said(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return err
}

// dirqStarts has one Python process poll, and another one enqueue on demand.
func dirqStarts(ctx context.Context, e *env, dir, python string) (v []float64, err error) {
	quit, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	worker := dirq(quit, python, dir, "serve", 0.1)
	adder := dirq(quit, python, dir, "feed")
	worker.Stderr, adder.Stderr = os.Stderr, os.Stderr
	lines, err := adder.StdinPipe()
	if err != nil {
		return nil, err
	}
	for _, c := range []*exec.Cmd{worker, adder} {
		out, err := c.StdoutPipe()
		if err == nil {
			err = c.Start()
		}
		if err != nil {
			return nil, err
		}
		all.Go(func() { _ = c.Wait() })
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			return nil, fmt.Errorf("wait for Python: %w", err)
		}
	}
	return starts(ctx, e, func(command string) error {
		_, err := io.WriteString(lines, command+"\n")
		return err
	})
}
