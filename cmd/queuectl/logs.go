package main

import (
	"context"
	"fmt"
	"io"

	"github.com/queuectl/queuectl/fsq"
)

type logsOptions struct {
	stderr  bool
	attempt int
}

func newLogs(a *app) *command {
	var o logsOptions
	c := &command{
		name:  "logs",
		args:  "ID",
		least: 1,
		most:  1,
		short: "Print the output of a job",
		long: `Prints what the job wrote to stdout, byte for byte, in its newest attempt that has
begun; what was cut by output-limit is said on stderr.`,
		also: []string{"log", "output", "cat"},
		examples: []example{
			{"What the job printed", "queuectl logs job-1"},
			{"Its errors in the first attempt", "queuectl logs job-1 --stderr --attempt 1"},
		},
		exits: []exitStatus{{exitNotFound, "no such job or attempt, or no spool"}},
		flags: newFlagSet(),
		run: func(ctx context.Context, args []string) error {
			return a.logs(ctx, o, args[0])
		},
	}
	boolFlag(c.flags, &o.stderr, "stderr", "print stderr instead of stdout")
	intFlag(c.flags, &o.attempt, "attempt", 0, 0, "the attempt with this number; 0: the newest")
	return c
}

type logInfo struct {
	ID       string  `json:"id"`
	Attempt  int     `json:"attempt"`
	Stream   string  `json:"stream"`
	Content  string  `json:"content"`
	CutBytes int64   `json:"cut_bytes"`
	Outcome  *string `json:"outcome"`
}

func (a *app) logs(_ context.Context, o logsOptions, id string) error {
	q, err := a.existing()
	if err != nil {
		return err
	}
	stream, name, other := fsq.Stdout, "stdout", "--stderr"
	if o.stderr {
		stream, name, other = fsq.Stderr, "stderr", "stdout, without --stderr"
	}
	f, at, err := q.Log(id, o.attempt, stream)
	if err != nil {
		return err
	}
	cut, elsewhere := at.StdoutCut, at.StderrBytes
	if o.stderr {
		cut, elsewhere = at.StderrCut, at.StdoutBytes
	}
	var src io.Reader
	empty := true
	if f != nil {
		defer f.Close()
		src = f
		info, err := f.Stat()
		if err != nil {
			return err
		}
		empty = info.Size() == 0
	}
	switch {
	case at.Number == 0:
		a.note("%s has not run yet", id)
	case empty && elsewhere > 0:
		a.note("attempt %d wrote nothing to %s; there is output on %s", at.Number, name, other)
	case empty && at.Outcome == fsq.OutcomeRunning:
		a.note("attempt %d runs and has written nothing to %s yet", at.Number, name)
	case empty:
		a.note("attempt %d wrote nothing to %s", at.Number, name)
	}
	if a.json {
		return a.logsJSON(src, logInfo{ID: id, Attempt: at.Number, Stream: name, CutBytes: cut, Outcome: orNull(at.Outcome)})
	}
	if src != nil {
		if _, err := io.Copy(a.out, src); err != nil {
			return fmt.Errorf("printing %s of attempt %d: %w", name, at.Number, err)
		}
	}
	if cut > 0 {
		a.warn("%d bytes of %s were cut by output-limit", cut, name)
	}
	return nil
}

func (a *app) logsJSON(src io.Reader, info logInfo) error {
	if src != nil {
		data, err := io.ReadAll(src)
		if err != nil {
			return fmt.Errorf("reading %s of attempt %d: %w", info.Stream, info.Attempt, err)
		}
		info.Content = string(data)
	}
	return a.out.json(info)
}

// orNull is nil for an empty text: JSON says null for what is not known.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
