package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

func newEnqueue(a *app) *command {
	var o enqueueFlags
	c := &command{
		name:  "enqueue",
		args:  "[-- CMD ARG… | -c TEXT | JOB…]",
		most:  anyNumber,
		short: "Add jobs to the queue",
		long: `What stands behind "--" is run as it is, without a shell; -c TEXT is run by sh -c. Both
run in the present directory, with the present umask and a few variables of the present
environment (--export).

JOB is a JSON object, or "-" for a stream of them on stdin. Its "command" is a string for
sh -c or an array that runs without a shell. All other fields are optional: id, priority
(-999 to 999, higher first), run_at (RFC 3339, local time without a zone, or "+10m"),
timeout_seconds, max_retries, backoff_base, cwd, umask, env, stdin, tags, metadata,
snooze_codes, snooze_max, fatal_codes. A flag beats what a document says; --env and --tag
add to it, and the flags that have an environment variable (--timeout, --max-retries and
so on) are for those that do not say it themselves.

--lines makes a job of each line of stdin that is not empty, from a command behind "--"
(replacements are exact), or from a shell text (each is quoted: do not quote it again). A
command without a replacement gets the line as its last argument; without any command the
line is one. A line that begins with "-" looks like an option to what is run: write
./{} or -- {}.

Prints the id of each job in the order of the input. A job whose id is printed survives a
power cut. What is wrong with a document or a line is said with its number, and the others
go on.`,
		also: []string{"add", "push", "submit", "put"},
		examples: []example{
			{"Run a command here as soon as a worker is free", `queuectl enqueue -- make all`},
			{"A shell text, tonight, and before others", `queuectl enqueue --run-at 2030-01-02T03:00 --priority 9 -c 'tar c . | gzip > /backup/home.tgz'`},
			{"A job for each file, whatever it is called", `find . -name '*.log' -print0 | queuectl enqueue --lines -0 -- gzip -9 {}`},
			{"A hundred jobs, four at a time; each has its number in QUEUECTL_ARRAY_INDEX", `queuectl enqueue --array 0-99%4 -c './render "$QUEUECTL_ARRAY_INDEX"'`},
			{"Jobs as JSON, one after the other", `id=$(make-jobs | queuectl enqueue -)`},
		},
		exits: []exitStatus{
			{exitFailed, "it failed, or did for some of several"},
			{exitUsage, "wrong usage or not a job; nothing was queued"},
			{exitConflict, "the spool has a job with this id"},
		},
		settings: []string{"max-retries", "backoff-base", "timeout", "snooze-codes", "snooze-max", "fatal-codes"},
		flags:    newFlagSet(),
		letters:  map[string]string{"c": "command", "f": "file", "0": "null"},
		undashed: undashed,
		run:      func(ctx context.Context, args []string) error { return a.enqueue(ctx, args, &o) },
	}
	o.define(c.flags)
	return c
}

// source is where the jobs of an enqueue come from: one of the first three, or any number
// of the others.
type source struct {
	argv  []string // a command behind "--"
	text  string   // a shell text
	lines bool     // one of them, or neither, for each line of stdin

	documents []string
	streams   []string // files of documents; "-" is stdin
}

// sourceOf judges what was typed.
func (a *app) sourceOf(args []string, o *enqueueFlags) (source, error) {
	s := source{text: o.command, lines: o.lines, streams: o.files}
	if a.line.dashed >= 0 {
		s.argv, args = args[a.line.dashed:], args[:a.line.dashed]
		if len(s.argv) == 0 {
			return s, &usageError{`nothing stands behind "--"`, "queuectl enqueue -- CMD ARG… runs a command"}
		}
	}
	switch {
	case s.argv != nil && s.text != "":
		return s, usagef(`either -c or a command behind "--", not both`)
	case s.lines:
		err := a.lineSource(&s, args, o)
		return s, err
	case o.null:
		return s, usagef("--null belongs to --lines")
	case s.argv == nil && s.text == "":
		err := s.takeDocuments(args, o, a.line)
		return s, err
	case len(s.streams) > 0:
		return s, usagef("either a command or -f, not both")
	case len(args) > 0 && looksLikeJob(args[0]):
		return s, usagef("either a command or JSON documents, not both")
	case len(args) > 0:
		return s, a.line.withoutDashes()
	}
	return s, nil
}

// lineSource is sourceOf for --lines.
func (a *app) lineSource(s *source, args []string, o *enqueueFlags) error {
	switch {
	case len(s.streams) > 0:
		return usagef("--lines makes jobs of lines, -f reads JSON documents: give one of them")
	case o.array != nil, o.id != "", o.stdin:
		return usagef("--lines does not go with --array, --id or --stdin")
	case len(args) > 1:
		return &usageError{
			problem: fmt.Sprintf("--lines takes one shell text, not %d words", len(args)),
			hint:    `quote it, or write "--" before the command`,
		}
	case len(args) == 1 && (s.argv != nil || s.text != ""):
		return usagef("--lines takes one command, not %q and another", args[0])
	case len(args) == 1:
		s.text = args[0]
	}
	return nil
}

// takeDocuments sorts arguments that are documents.
func (s *source) takeDocuments(args []string, o *enqueueFlags, l line) error {
	if len(args) == 0 && len(s.streams) == 0 {
		return &usageError{
			problem: `queuectl enqueue needs a command behind "--", -c TEXT, -f FILE or a JSON document`,
			hint:    "queuectl enqueue -- make all",
		}
	}
	if len(args) > 0 && !looksLikeJob(args[0]) {
		return notJSON(args, l)
	}
	var streams []string
	for _, arg := range args {
		if arg == "-" {
			streams = append(streams, arg)
		} else {
			s.documents = append(s.documents, arg)
		}
	}
	s.streams = append(streams, s.streams...)
	stdin := 0
	for _, f := range s.streams {
		if f == "-" {
			stdin++
		}
	}
	switch {
	case stdin > 1:
		return usagef("stdin can be read only once")
	case stdin > 0 && o.stdin:
		return usagef("stdin cannot hold both the documents and the standard input of a job")
	case o.array != nil && len(s.documents)+len(s.streams) != 1:
		return usagef("--array takes one job")
	case o.id != "" && len(s.documents)+len(s.streams) != 1:
		return usagef("--id takes one job")
	}
	return nil
}

func (a *app) enqueue(ctx context.Context, args []string, o *enqueueFlags) error {
	s, err := a.sourceOf(args, o)
	if err != nil {
		return err
	}
	over, err := a.overlay(o, len(s.documents)+len(s.streams) > 0)
	if err != nil {
		return err
	}
	if s.lines {
		return a.enqueueLines(ctx, s, over)
	}
	if o.array != nil {
		return a.enqueueArray(ctx, s, over)
	}
	jobs, err := a.fixedJobs(s, over)
	if err != nil {
		return err
	}
	var streams []stream
	for _, name := range s.streams {
		in, err := a.openStream(name)
		if err != nil {
			return err
		}
		defer in.Close()
		streams = append(streams, in)
	}
	q, err := a.open()
	if err != nil {
		return err
	}
	if len(streams) > 0 {
		return a.enqueueStreams(ctx, q, jobs, streams, over)
	}
	return a.enqueueJobs(ctx, q, jobs, over)
}

// enqueueJobs queues what was given on the command line.
func (a *app) enqueueJobs(ctx context.Context, q *fsq.Queue, jobs []fsq.Job, over *overlay) error {
	var failures failures
	var done []fsq.Enqueued
	for i, r := range q.EnqueueWith(ctx, jobs, fsq.EnqueueOptions{Hold: over.flags.hold}) {
		switch {
		case r.Err != nil && len(jobs) == 1:
			return a.duplicateHint(r.Err)
		case r.Err != nil:
			failures.add(a, fmt.Errorf("job %d: %w", i+1, a.duplicateHint(r.Err)))
			continue
		}
		done = append(done, r)
		if err := a.printJob(a.out, r); err != nil {
			return err
		}
	}
	if len(done) > 0 {
		a.queued(ctx, q, done[0], len(done))
	}
	return failures.err()
}

// fixedJobs makes all jobs that the command line spells, before any is queued: a mistake
// in one means that nothing was done.
func (a *app) fixedJobs(s source, over *overlay) ([]fsq.Job, error) {
	if s.argv != nil || s.text != "" {
		job := fsq.Job{Command: fsq.Command{Shell: s.text, Args: s.argv}}
		err := over.apply(&job)
		return []fsq.Job{job}, err
	}
	var failures failures
	var jobs []fsq.Job
	for i, doc := range s.documents {
		job, unknown, err := over.parse([]byte(doc), a.now())
		for _, u := range unknown {
			a.warn("%s", u)
		}
		switch {
		case err == nil:
			jobs = append(jobs, job)
		case len(s.documents)+len(s.streams) == 1:
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

func looksLikeJob(arg string) bool {
	arg = strings.TrimSpace(arg)
	return arg == "-" || strings.HasPrefix(arg, "{") || strings.HasPrefix(arg, "[")
}

// notJSON answers who typed a command, or a file's name, instead of a job.
func notJSON(args []string, l line) error {
	if len(args) == 1 && exists(args[0]) {
		return &usageError{
			problem: fmt.Sprintf("%q is not a job: a job is a JSON object, or a command behind \"--\"", args[0]),
			hint:    "queuectl enqueue -f " + asWord(args[0]) + " reads the job from that file; queuectl enqueue -- " + asWord(args[0]) + " runs it",
		}
	}
	// All flags are queuectl's own, wherever they stand.
	flags, rest := []string{}, args
	for _, w := range l.typed {
		if len(rest) > 0 && w == rest[0] {
			rest = rest[1:]
		} else {
			flags = append(flags, w)
		}
	}
	return missingDashes(args, flags)
}

// undashed answers who typed a command with flags of its own, such as ls -l.
func undashed(l line, unknown string) error {
	if len(l.args) == 0 || looksLikeJob(l.args[0]) || l.dashed >= 0 {
		return nil
	}
	for _, w := range l.typed[:max(slices.Index(l.typed, l.args[0]), 0)] {
		if f, _, ok := splitFlag(w); ok && f.name == unknown {
			return nil // it stands before the command: a slip in a flag of queuectl's
		}
	}
	return l.withoutDashes()
}

// withoutDashes takes the flags that stand before the first argument for queuectl's, and
// those behind it for the command's.
func (l line) withoutDashes() error {
	at := max(slices.Index(l.typed, l.args[0]), 0)
	return missingDashes(l.typed[at:], l.typed[:at])
}

// missingDashes is for a command line that stands where a job is expected. flags are what
// stood before it.
func missingDashes(typed, flags []string) error {
	text := strings.Join(typed, " ")
	say := "queuectl enqueue "
	for _, f := range flags {
		say += asWord(f) + " "
	}
	e := &usageError{problem: fmt.Sprintf("%q is not a job: a command stands behind \"--\"", text)}
	if len(typed) == 1 && strings.ContainsAny(text, " \t\n|&;<>()$`*?") {
		e.problem = fmt.Sprintf("%q is not a job: a shell text is the value of -c", text)
		e.hint = say + "-c " + shellQuote(text)
		return e
	}
	words := make([]string, len(typed))
	for i, w := range typed {
		words[i] = asWord(w)
	}
	e.hint = say + "-- " + strings.Join(words, " ")
	return e
}

// shellQuote makes one word of s for a shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// asWord is shellQuote for who reads it: without quotes where none are needed.
func asWord(s string) string { return fsq.Command{Args: []string{s}}.String() }

func (a *app) duplicateHint(err error) error {
	if dup := (*fsq.DuplicateError)(nil); errors.As(err, &dup) {
		return &hinted{err, fmt.Sprintf("%s show %s shows it; leave the id out to get a new one", a.ctl(), shellQuote(dup.ID))}
	}
	return err
}

func (a *app) printJob(out *output, r fsq.Enqueued) error {
	if a.json {
		return out.jsonLine(a.describe(r))
	}
	a.printID(out, r.Job.ID)
	return nil
}

// printID prints an id as it is: it is data, not prose, what reads it needs it so, and ids
// have no control characters. Only a terminal gets it escaped.
func (a *app) printID(out *output, id string) {
	if a.out.terminal() {
		id = clean(id)
	}
	out.printf("%s\n", id)
}

// describe is a job that was just queued, in the form that all commands print.
func (a *app) describe(r fsq.Enqueued) fsq.JobInfo {
	job := r.Job
	due, retries := job.EnqueuedAt, a.settings.cfg.MaxRetries
	info := fsq.JobInfo{
		ID: job.ID, State: fsq.Pending, Priority: job.Priority, Command: &job.Command,
		Queue: a.queueName(), EnqueuedAt: &job.EnqueuedAt, Tags: job.Tags, HeldBy: r.HeldBy, Job: &job,
	}
	if job.MaxRetries != nil {
		retries = *job.MaxRetries
	}
	if !job.RunAt.IsZero() {
		due = job.RunAt.UTC()
	}
	switch {
	case r.HeldBy != "":
		info.State = fsq.Held
	case due.After(a.now()):
		info.State = fsq.Scheduled
	}
	info.DueAt, info.MaxAttempts = &due, retries+1
	return info
}

// queued tells a person what happens next, from the first of n jobs.
func (a *app) queued(ctx context.Context, q *fsq.Queue, first fsq.Enqueued, n int) {
	if !a.err.terminal() || n == 0 {
		return
	}
	now := a.now()
	switch job := first.Job; {
	case n > 1 && first.HeldBy == fsq.HeldByUser:
		a.note("%s are queued and held until somebody releases them", plural(n, "job"))
	case n > 1 && job.Array != nil && job.Array.Limit > 0:
		a.note("%s are queued as array %s, at most %d at a time", plural(n, "job"), job.Array.ID, job.Array.Limit)
	case n > 1:
		a.note("%s are queued", plural(n, "job"))
	case first.HeldBy == fsq.HeldByUser:
		a.note("%s is queued and held until somebody releases it", job.ID)
	case job.RunAt.After(now):
		a.note("%s is queued and runs at %s", job.ID, both(job.RunAt, now))
	case job.RunAt.IsZero() || now.Sub(job.RunAt) < minute:
		a.note("%s is queued and runs as soon as a worker is free", job.ID)
	default:
		a.note("%s is queued; its time was %s, so it runs as soon as a worker is free", job.ID, both(job.RunAt, now))
	}
	if ws, err := q.Workers(ctx); err == nil && alive(ws) == 0 {
		a.hint("no worker is running; %s worker start runs the jobs", a.ctl())
	}
}
