package main

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// enqueueFlags are the flags of enqueue, as they were given.
type enqueueFlags struct {
	command   string
	files     []string
	lines     bool
	null      bool
	array     *fsq.ArraySpec
	id        string
	priority  *int
	runAt     string
	delay     *time.Duration
	cwd       string
	env       map[string]string
	export    *export
	umask     string
	tags      []string
	stdin     bool
	stdinFile string
	metadata  string
	hold      bool
}

// listFlag takes a value each time that it is given.
func listFlag(fs *flag.FlagSet, add func(string) error, name, arg, usage string) {
	fs.Var(&value{arg: arg, set: func(s string) error {
		if s == "" {
			return errors.New("must not be empty")
		}
		return add(s)
	}}, name, usage)
}

func (o *enqueueFlags) define(fs *flag.FlagSet) {
	listFlag(fs, func(s string) error {
		if o.command != "" {
			return errors.New("is given twice; one shell text can have several lines")
		}
		o.command = s
		return nil
	}, "command", "TEXT", "run this by sh -c")
	listFlag(fs, func(s string) error { o.files = append(o.files, s); return nil },
		"file", "FILE", "read JSON documents from this file; - is stdin; repeatable")
	boolFlag(fs, &o.lines, "lines", "one job for each line of stdin: {} in the command is the line, {.} without its extension, {/} its basename, {//} its directory, {/.} basename without extension, {#} its number")
	boolFlag(fs, &o.null, "null", "with --lines: lines end in NUL, as find -print0 writes them")
	fs.Var(&value{arg: "LIST", set: func(s string) error {
		spec, err := fsq.ParseArray(s)
		o.array = &spec
		return err
	}}, "array", "one job for each index, such as 0-99, 0-99:10 or 1,3,7; %4 behind it: at most 4 at a time")
	o.defineJob(fs)
	boolFlag(fs, &o.hold, "hold", "keep the job from running until somebody releases it")
}

// defineJob are the flags about a job, whatever it runs.
func (o *enqueueFlags) defineJob(fs *flag.FlagSet) {
	stringFlag(fs, &o.id, "id", "ID", "the job's id (with --array: the array's); made if missing")
	fs.Var(&value{arg: "N", set: func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < fsq.MinPriority || n > fsq.MaxPriority {
			return fmt.Errorf("must be a whole number from %d to %d, not %q", fsq.MinPriority, fsq.MaxPriority, s)
		}
		o.priority = &n
		return nil
	}}, "priority", "among due jobs the higher first, -999 to 999")
	stringFlag(fs, &o.runAt, "run-at", "TIME", "not before: 2030-01-02T03:00, with a zone or in local time, or +10m")
	durationFlag(fs, &o.delay, "delay", "not before this time has passed, such as 10m")
	stringFlag(fs, &o.cwd, "cwd", "DIR", "working directory (default the present one, but not for JSON)")
	listFlag(fs, func(s string) error {
		name, v, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return fmt.Errorf("must be NAME=VALUE, not %q; --export hands on variables of yours", s)
		}
		if o.env == nil {
			o.env = make(map[string]string)
		}
		o.env[name] = v
		return nil
	}, "env", "NAME=VALUE", "set an environment variable; repeatable")
	fs.Var(&value{arg: "ALL|NONE|NAMES", set: func(s string) (err error) {
		o.export, err = parseExport(s)
		return err
	}}, "export", "hand on all of the environment, nothing, or these variables, with commas between (default PATH, HOME, LANG, LC_* and the like, but not for JSON)")
	stringFlag(fs, &o.umask, "umask", "MASK", "umask, such as 027 (default the present one, but not for JSON)")
	listFlag(fs, func(s string) error { o.tags = append(o.tags, s); return nil },
		"tag", "TAG", "a word to find the job by; repeatable")
	boolFlag(fs, &o.stdin, "stdin", "what is piped in becomes the job's standard input")
	stringFlag(fs, &o.stdinFile, "stdin-file", "FILE", "what is in this file now becomes the job's standard input")
	stringFlag(fs, &o.metadata, "metadata", "JSON", "anything, kept with the job")
}
