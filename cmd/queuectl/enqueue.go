package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

func newEnqueue(a *app) *command {
	return &command{
		name:  "enqueue",
		args:  "JOB…",
		least: 1,
		most:  anyNumber,
		short: "Add jobs to the queue",
		long: `JOB is a JSON object, or "-" for one on stdin. Its "command" is a string for sh -c
or an array that runs without a shell. All other fields are optional: id, priority
(-999 to 999, higher first), run_at (RFC 3339, local time without a zone, or "+10m"),
timeout_seconds, max_retries, backoff_base, cwd, env, stdin, tags, metadata.

Prints the id of each job. A job whose id is printed survives a power cut. The flags
are for jobs that do not say it themselves.`,
		also: []string{"add", "push", "submit", "put"},
		examples: []example{
			{"A job that runs as soon as a worker is free", `queuectl enqueue '{"command":"echo hello"}'`},
			{"An id of your own, tonight, and before others", `queuectl enqueue '{"id":"backup","command":"./backup","run_at":"2030-01-02T03:00","priority":10}'`},
			{"No shell, five minutes at most, no retry", `queuectl enqueue --timeout 5m --max-retries 0 '{"command":["make","all"]}'`},
			{"From a program", `id=$(make-job | queuectl enqueue -)`},
		},
		exits: []exitStatus{
			{exitUsage, "wrong usage or not a job; nothing was queued"},
			{exitConflict, "the spool has a job with this id"},
		},
		settings: []string{"max-retries", "backoff-base", "timeout"},
		run:      a.enqueue,
	}
}

func (a *app) enqueue(ctx context.Context, args []string) error {
	jobs, err := a.parseJobs(args)
	if err != nil {
		return err
	}
	q, err := a.open()
	if err != nil {
		return err
	}
	if len(jobs) == 1 {
		job, err := q.Enqueue(ctx, jobs[0])
		if err != nil {
			return duplicateHint(err)
		}
		if err := a.printJob(job); err != nil {
			return err
		}
		a.queued(ctx, q, job)
		return nil
	}
	var failures failures
	var done []fsq.Job
	for i, r := range q.EnqueueBatch(ctx, jobs) {
		if r.Err != nil {
			failures.add(a, fmt.Errorf("job %d: %w", i+1, duplicateHint(r.Err)))
			continue
		}
		done = append(done, r.Job)
		if err := a.printJob(r.Job); err != nil {
			return err
		}
	}
	a.queued(ctx, q, done...)
	return failures.err()
}

// parseJobs reads all jobs before any is queued: a mistake in one means that
// nothing was done.
func (a *app) parseJobs(args []string) ([]fsq.Job, error) {
	if !slices.ContainsFunc(args, looksLikeJob) {
		return nil, notJSON(args)
	}
	var failures failures
	var jobs []fsq.Job
	stdin := false
	for i, arg := range args {
		data := []byte(arg)
		if arg == "-" {
			if stdin {
				return nil, usagef("stdin holds one job: give \"-\" once")
			}
			stdin = true
			var err error
			if data, err = a.readStdin(); err != nil {
				return nil, err
			}
		}
		job, err := a.parseJob(data)
		switch {
		case err == nil:
			jobs = append(jobs, job)
		case len(args) == 1:
			return nil, err
		default:
			failures.add(a, fmt.Errorf("job %d: %w", i+1, err))
		}
	}
	if failures.err() != nil {
		a.note("nothing was queued")
	}
	return jobs, failures.err()
}

func (a *app) parseJob(data []byte) (fsq.Job, error) {
	job, err := fsq.ParseJob(data, a.now())
	if err != nil {
		return job, err
	}
	s := a.settings
	if s.personal("max-retries") && job.MaxRetries == nil {
		job.MaxRetries = &s.cfg.MaxRetries
	}
	if s.personal("backoff-base") && job.BackoffBase == nil {
		job.BackoffBase = &s.cfg.BackoffBase
	}
	if s.personal("timeout") && !job.TimeoutSet {
		job.Timeout, job.TimeoutSet = s.cfg.Timeout, true
	}
	if err := job.Validate(); err != nil {
		return job, err
	}
	for _, u := range job.Unknown() {
		near := ""
		if u.Nearest != "" {
			near = fmt.Sprintf("; did you mean %q?", u.Nearest)
		}
		a.warn("unknown field %q kept as it is%s", u.Name, near)
	}
	return job, nil
}

// maxStdin bounds what is read before fsq judges the size of a job.
const maxStdin = 64 << 20

func (a *app) readStdin() ([]byte, error) {
	if a.inTerm {
		a.note("reading a job from the terminal; Ctrl-D ends it")
	}
	data, err := io.ReadAll(io.LimitReader(a.in, maxStdin))
	if err != nil {
		return nil, fmt.Errorf("reading stdin: %w", err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, usagef("stdin is empty, a job was expected")
	}
	return data, nil
}

func looksLikeJob(arg string) bool {
	arg = strings.TrimSpace(arg)
	return arg == "-" || strings.HasPrefix(arg, "{") || strings.HasPrefix(arg, "[")
}

// notJSON answers who typed a command, or a file's name, instead of a job.
func notJSON(args []string) error {
	typed := strings.Join(args, " ")
	e := &usageError{problem: fmt.Sprintf("%q is not a job: a job is a JSON object", typed)}
	if !exists(args[0]) || len(args) > 1 {
		var doc bytes.Buffer
		enc := json.NewEncoder(&doc)
		enc.SetEscapeHTML(false)
		if enc.Encode(map[string]string{"command": typed}) == nil {
			e.hint = "queuectl enqueue " + shellQuote(strings.TrimSpace(doc.String()))
		}
		return e
	}
	e.hint = "queuectl enqueue - < " + shellQuote(args[0])
	return e
}

// shellQuote makes one word of s for a shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func duplicateHint(err error) error {
	if dup := (*fsq.DuplicateError)(nil); errors.As(err, &dup) {
		return &hinted{err, fmt.Sprintf("queuectl show %s shows it; leave the id out to get a new one", shellQuote(dup.ID))}
	}
	return err
}

func (a *app) printJob(job fsq.Job) error {
	if a.json {
		return a.out.jsonLine(a.describe(job))
	}
	// The id is data, not prose: what reads it needs it as it is, and ids have no
	// control characters. Only a terminal gets it escaped.
	id := job.ID
	if a.out.terminal() {
		id = clean(id)
	}
	a.out.printf("%s\n", id)
	return nil
}

// describe is a job that was just queued, in the form that all commands print.
func (a *app) describe(job fsq.Job) fsq.JobInfo {
	due, retries := job.EnqueuedAt, a.settings.cfg.MaxRetries
	info := fsq.JobInfo{
		ID: job.ID, State: fsq.Pending, Priority: job.Priority, Command: &job.Command,
		EnqueuedAt: &job.EnqueuedAt, Tags: job.Tags, Job: &job,
	}
	if job.MaxRetries != nil {
		retries = *job.MaxRetries
	}
	if !job.RunAt.IsZero() {
		due = job.RunAt.UTC()
	}
	if due.After(a.now()) {
		info.State = fsq.Scheduled
	}
	info.DueAt, info.MaxAttempts = &due, retries+1
	return info
}

// queued tells a person what happens next.
func (a *app) queued(ctx context.Context, q *fsq.Queue, jobs ...fsq.Job) {
	if !a.err.terminal() || len(jobs) == 0 {
		return
	}
	now := a.now()
	switch job := jobs[0]; {
	case len(jobs) > 1:
		a.note("%s are queued", plural(len(jobs), "job"))
	case job.RunAt.After(now):
		a.note("%s is queued and runs at %s", job.ID, both(job.RunAt, now))
	case job.RunAt.IsZero() || now.Sub(job.RunAt) < minute:
		a.note("%s is queued and runs as soon as a worker is free", job.ID)
	default:
		a.note("%s is queued; its time was %s, so it runs as soon as a worker is free", job.ID, both(job.RunAt, now))
	}
	if ws, err := q.Workers(ctx); err == nil && alive(ws) == 0 {
		a.hint("no worker is running; queuectl worker start runs the jobs")
	}
}
