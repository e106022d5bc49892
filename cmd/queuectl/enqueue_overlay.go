package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/queuectl/queuectl/fsq"
)

// overlay is what the command line says about a job, beside what it runs.
type overlay struct {
	a     *app
	flags *enqueueFlags

	runAt    time.Time
	cwd      string
	umask    string
	exported map[string]string // for variables that the job does not set itself
	stdin    string
	metadata json.RawMessage
}

// overlay reads the flags and, for what is no document, the surroundings.
func (a *app) overlay(o *enqueueFlags, documents bool) (*overlay, error) {
	over := &overlay{a: a, flags: o, umask: o.umask}
	for _, step := range []func() error{over.time, over.input, func() error { return over.capture(documents) }} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if o.metadata != "" {
		if over.metadata = json.RawMessage(o.metadata); !json.Valid(over.metadata) {
			return nil, usagef("--metadata: must be JSON, not %q; a text is %s", o.metadata, `'"text"'`)
		}
	}
	return over, nil
}

func (v *overlay) time() (err error) {
	o := v.flags
	switch {
	case o.runAt != "" && o.delay != nil:
		return usagef("--run-at and --delay say the same: give one of them")
	case o.delay != nil:
		v.runAt = v.a.now().Add(*o.delay)
	case o.runAt != "":
		if v.runAt, err = fsq.ParseTime(o.runAt, v.a.now()); err != nil {
			return usagef("--run-at: %v", err)
		}
	}
	return nil
}

// maxStdin bounds what is read before fsq judges the size of a job.
const maxStdin = 64 << 20

// input reads the job's standard input: it is part of the job, for a worker anywhere.
func (v *overlay) input() error {
	o := v.flags
	in, from := v.a.in, "stdin"
	switch {
	case o.stdin && o.stdinFile != "":
		return usagef("--stdin and --stdin-file say the same: give one of them")
	case o.stdinFile != "":
		f, err := os.Open(o.stdinFile)
		if err != nil {
			return usagef("--stdin-file: %v", err)
		}
		defer f.Close()
		in, from = f, o.stdinFile
	case !o.stdin:
		return nil
	case v.a.inTerm:
		v.a.note("reading the job's standard input from the terminal; Ctrl-D ends it")
	}
	data, err := io.ReadAll(io.LimitReader(in, maxStdin))
	if err != nil {
		return fmt.Errorf("reading %s: %w", from, err)
	}
	if !utf8.Valid(data) {
		return &usageError{
			problem: from + " is not UTF-8, and a job's document must be",
			hint:    "leave it in a file and let the job read that: queuectl enqueue -c 'CMD < FILE'",
		}
	}
	v.stdin = string(data)
	return nil
}

// capture takes from the surroundings what a command would have if it ran here and now.
// A document says for itself what it needs: of it only what is asked for is taken.
func (v *overlay) capture(documents bool) (err error) {
	o := v.flags
	switch {
	case o.cwd != "":
		if v.cwd, err = filepath.Abs(o.cwd); err != nil {
			return fmt.Errorf("finding the working directory: %w", err)
		}
	case !documents:
		if v.cwd, err = here(); err != nil {
			return err
		}
	}
	if o.umask == "" && !documents {
		v.umask = fmt.Sprintf("%04o", v.a.umask)
	}
	if documents && o.export == nil {
		return nil
	}
	var missed []string
	v.exported, missed = o.export.pick(os.Environ())
	for _, m := range missed {
		v.a.warn("--export: %s", m)
	}
	return nil
}

// parse makes a job of a document. unknown are warnings about its fields.
func (v *overlay) parse(doc []byte, now time.Time) (job fsq.Job, unknown []string, err error) {
	if job, err = fsq.ParseJob(doc, now); err != nil {
		return job, nil, err
	}
	for _, u := range job.Unknown() {
		near := ""
		if u.Nearest != "" {
			near = fmt.Sprintf("; did you mean %q?", u.Nearest)
		}
		unknown = append(unknown, fmt.Sprintf("unknown field %q kept as it is%s", u.Name, near))
	}
	err = v.apply(&job)
	return job, unknown, err
}

// apply lays the flags over a job and judges the result.
func (v *overlay) apply(j *fsq.Job) error {
	o := v.flags
	for _, given := range []struct {
		flag bool
		set  func()
	}{
		{o.id != "", func() { j.ID = o.id }},
		{o.priority != nil, func() { j.Priority = *o.priority }},
		{!v.runAt.IsZero(), func() { j.RunAt = v.runAt }},
		{v.cwd != "", func() { j.Cwd = v.cwd }},
		{v.umask != "", func() { j.Umask = v.umask }},
		{o.stdin || o.stdinFile != "", func() { j.Stdin = v.stdin }},
		{len(o.tags) > 0, func() { j.Tags = append(slices.Clone(j.Tags), o.tags...) }},
		{v.metadata != nil, func() { j.Metadata = v.metadata }},
	} {
		if given.flag {
			given.set()
		}
	}
	if len(v.exported)+len(o.env) > 0 {
		env := maps.Clone(v.exported)
		if env == nil {
			env = make(map[string]string)
		}
		maps.Copy(env, j.Env)
		maps.Copy(env, o.env)
		j.Env = env
	}
	s := v.a.settings
	if s.personal("max-retries") && j.MaxRetries == nil {
		j.MaxRetries = &s.cfg.MaxRetries
	}
	if s.personal("backoff-base") && j.BackoffBase == nil {
		j.BackoffBase = &s.cfg.BackoffBase
	}
	if s.personal("timeout") && !j.TimeoutSet {
		j.Timeout, j.TimeoutSet = s.cfg.Timeout, true
	}
	if s.personal("snooze-codes") && j.SnoozeCodes == nil {
		j.SnoozeCodes = &s.cfg.SnoozeCodes
	}
	if s.personal("snooze-max") && j.SnoozeMax == nil {
		j.SnoozeMax = &s.cfg.SnoozeMax
	}
	if s.personal("fatal-codes") && j.FatalCodes == nil {
		j.FatalCodes = &s.cfg.FatalCodes
	}
	return j.Validate()
}
