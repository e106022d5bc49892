package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/queuectl/queuectl/fsq"
)

type logsOptions struct {
	selection
	stdout, stderr bool
	attempt        int
	tail           int
	follow         bool
}

func newLogs(a *app) *command {
	var o logsOptions
	c := &command{
		name:  "logs",
		args:  "[ID…]",
		most:  anyNumber,
		short: "Print the output of jobs",
		long: `Prints what the job wrote in its newest attempt, byte for byte: its stdout on stdout,
its stderr on stderr, where a terminal shows it with a mark before each line. What was
cut by output-limit is said on stderr. With -f it waits for the job to start, follows it
through its retries, and ends when the job has ended.

` + selectorHelp,
		also: []string{"log", "output", "cat"},
		examples: []example{
			{"What the job printed", "queuectl logs job-1"},
			{"While it runs, from the last ten lines on", "queuectl logs -f --tail 10 job-1"},
			{"Its errors in the first attempt", "queuectl logs job-1 --stderr --attempt 1"},
			{"The end of the output of all dead jobs", "queuectl logs --state dead --tail 3"},
		},
		exits: []exitStatus{
			{exitOK, "it was printed; with -f, however the job has ended"},
			{exitNotFound, "no such job or attempt, or no spool"},
		},
		queues:  someQueue,
		flags:   newFlagSet(),
		letters: map[string]string{"f": "follow"},
		signals: true,
	}
	o.add(c.flags, false)
	boolFlag(c.flags, &o.follow, "follow", "follow the output until the job has ended")
	boolFlag(c.flags, &o.stdout, "stdout", "only what it wrote to stdout")
	boolFlag(c.flags, &o.stderr, "stderr", "only what it wrote to stderr, on stdout")
	intFlag(c.flags, &o.attempt, "attempt", 0, 0, "the attempt with this number; 0: the newest")
	intFlag(c.flags, &o.tail, "tail", 0, 0, "only so many lines of each stream at the end; 0: all")
	c.run = func(ctx context.Context, ids []string) error { return a.logs(ctx, c, o, ids) }
	return c
}

func (a *app) logs(ctx context.Context, c *command, o logsOptions, ids []string) error {
	if o.stdout && o.stderr {
		o.stdout, o.stderr = false, false
	}
	sel, err := o.selector(ids, a.now)
	if err != nil {
		return err
	}
	if sel.Empty() {
		return &usageError{c.path + " needs ids, or flags that say which jobs", "queuectl list shows the ids"}
	}
	var failures failures
	jobs, err := a.choose(ctx, &o.selection, sel, nil, &failures)
	if err != nil {
		return err
	}
	if o.follow {
		switch {
		case len(jobs) == 0 && failures.err() != nil:
			return failures.err()
		case len(jobs) != 1 || o.attempt > 0 || a.json:
			return usagef("-f follows one job, through all attempts that come, as text")
		}
		return a.followLogs(ctx, jobs[0].q, o, jobs[0].id)
	}
	several := len(jobs) > 1 || len(ids) > 1
	for i, j := range jobs {
		if several && !a.json {
			if i > 0 {
				a.out.printf("\n")
			}
			a.out.printf("==> %s%s <==\n", clean(j.id), a.ofQueue(j.q))
		}
		if err := a.printLogs(j.q, o, j.id); err != nil {
			if !several {
				return err
			}
			failures.add(a, err)
		}
	}
	return failures.err()
}

// logInfo is what logs --json prints of a job.
type logInfo struct {
	Queue     string  `json:"queue"`
	ID        string  `json:"id"`
	Attempt   int     `json:"attempt"`
	Outcome   *string `json:"outcome"`
	Stdout    *string `json:"stdout"` // null: not asked for
	Stderr    *string `json:"stderr"`
	StdoutCut int64   `json:"stdout_cut_bytes"`
	StderrCut int64   `json:"stderr_cut_bytes"`
}

// logStream is one of the two that a job writes to.
type logStream struct {
	fsq.Stream
	name string
	to   io.Writer
	cut  int64
	size int64
}

// wanted are the streams that are asked for, and where they go.
func (a *app) wanted(o logsOptions) []*logStream {
	stdout := &logStream{Stream: fsq.Stdout, name: "stdout", to: a.out}
	stderr := &logStream{Stream: fsq.Stderr, name: "stderr", to: a.marked()}
	switch {
	case o.stdout:
		return []*logStream{stdout}
	case o.stderr:
		stderr.to = a.out
		return []*logStream{stderr}
	}
	return []*logStream{stdout, stderr}
}

func (a *app) printLogs(q *fsq.Queue, o logsOptions, id string) error {
	var at fsq.Attempt
	info := logInfo{Queue: q.Name(), ID: id}
	streams := a.wanted(o)
	for _, s := range streams {
		data, err := a.printStream(q, o, id, s, &at)
		if err != nil {
			return err
		}
		text := string(data)
		if s.Stream == fsq.Stdout {
			info.Stdout = &text
		} else {
			info.Stderr = &text
		}
	}
	if a.json {
		info.Attempt, info.Outcome, info.StdoutCut, info.StderrCut = at.Number, orNull(at.Outcome), at.StdoutCut, at.StderrCut
		return a.out.jsonLine(info)
	}
	a.sayNothing(streams, at, id)
	for _, s := range streams {
		if s.cut > 0 {
			a.warn("%d bytes of %s were cut by output-limit", s.cut, s.name)
		}
	}
	return nil
}

// printStream prints a stream, or returns its content for --json.
func (a *app) printStream(q *fsq.Queue, o logsOptions, id string, s *logStream, at *fsq.Attempt) ([]byte, error) {
	f, found, err := q.Log(id, o.attempt, s.Stream)
	if err != nil {
		return nil, err
	}
	*at = found
	s.cut = found.StdoutCut
	if s.Stream == fsq.Stderr {
		s.cut = found.StderrCut
	}
	if f == nil {
		return nil, nil
	}
	defer f.Close()
	if o.tail > 0 {
		if err := fsq.SeekLines(f, o.tail); err != nil {
			return nil, fmt.Errorf("reading %s of attempt %d: %w", s.name, found.Number, err)
		}
	}
	if a.json {
		data, err := io.ReadAll(f)
		if err != nil {
			return nil, fmt.Errorf("reading %s of attempt %d: %w", s.name, found.Number, err)
		}
		return data, nil
	}
	if s.size, err = io.Copy(s.to, f); err != nil {
		return nil, fmt.Errorf("printing %s of attempt %d: %w", s.name, found.Number, err)
	}
	return nil, flush(s.to)
}

// sayNothing tells a person why nothing is printed.
func (a *app) sayNothing(streams []*logStream, at fsq.Attempt, id string) {
	name := "anything"
	for _, s := range streams {
		if s.size > 0 {
			return
		}
	}
	other := int64(0)
	if len(streams) == 1 {
		name = "anything to " + streams[0].name
		other = at.StdoutBytes + at.StderrBytes
	}
	switch {
	case at.Number == 0:
		a.note("%s has not run yet", id)
	case at.Outcome == fsq.OutcomeRunning && other == 0:
		a.note("attempt %d runs and has not written %s yet", at.Number, name)
	case other > 0:
		a.note("attempt %d has not written %s; there is output on the other stream", at.Number, name)
	default:
		a.note("attempt %d has not written %s", at.Number, name)
	}
}

// followLogs prints the output of a job as it comes.
func (a *app) followLogs(ctx context.Context, q *fsq.Queue, o logsOptions, id string) error {
	opt := fsq.TailOptions{TailLines: o.tail, Attempt: a.attemptView(), Cut: func(fsq.Stream) {
		a.warn("output was cut by output-limit")
	}}
	streams := a.wanted(o)
	for _, s := range streams {
		if s.Stream == fsq.Stdout {
			opt.Stdout = s.to
		} else {
			opt.Stderr = s.to
		}
	}
	_, err := q.Tail(ctx, id, opt)
	for _, s := range streams {
		err = errors.Join(err, flush(s.to))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// attemptView says between the outputs of attempts what became of each: the output alone
// would read as that of one run.
func (a *app) attemptView() func(fsq.Attempt) {
	return func(at fsq.Attempt) {
		switch {
		case at.Outcome == fsq.OutcomeRunning && at.Number > 1:
			a.note("attempt %d begins", at.Number)
		case at.Next == "snooze" && at.NextDue != nil:
			a.note("attempt %d asked to be tried again %s", at.Number, relative(*at.NextDue, a.now()))
		case at.Next == "retry" && at.NextDue != nil:
			a.note("attempt %d %s; the next one comes %s", at.Number, attemptEnd(at), relative(*at.NextDue, a.now()))
		case at.Next == "requeue":
			a.note("attempt %d %s; the job is back in the queue", at.Number, attemptEnd(at))
		case at.Next == "dead":
			a.note("attempt %d %s; no other follows", at.Number, attemptEnd(at))
		}
	}
}

func attemptEnd(at fsq.Attempt) string {
	switch {
	case at.Error != "":
		return "ended: " + at.Error
	case at.Outcome != "":
		return "ended: " + at.Outcome
	}
	return "ended"
}

// marked is where the stderr of a job goes: to stderr, and on a terminal, where it would
// be taken for its stdout, with a mark before each line.
func (a *app) marked() io.Writer {
	if !a.out.terminal() || !a.err.terminal() {
		return a.err
	}
	return &marker{to: a.err, mark: []byte(a.err.paint(red, "stderr|") + " ")}
}

// marker puts a mark before each line.
type marker struct {
	to    *output
	mark  []byte
	inner bool // within a line
}

func (m *marker) Write(p []byte) (int, error) {
	var b bytes.Buffer
	for line := range bytes.Lines(p) {
		if !m.inner {
			b.Write(m.mark)
		}
		b.Write(line)
		m.inner = line[len(line)-1] != '\n'
	}
	if _, err := m.to.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush ends a line that was marked and not finished: what comes next is no part of it.
func flush(w io.Writer) error {
	if m, ok := w.(*marker); ok && m.inner {
		m.inner = false
		_, err := m.to.Write([]byte("\n"))
		return err
	}
	return nil
}

// orNull is nil for an empty text: JSON says null for what is not known.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
