package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/queuectl/queuectl/cmd/queuectl/bench"
	"github.com/queuectl/queuectl/fsq"
)

type benchOptions struct {
	dir, only, benchstat string
	quick                bool
}

func newBench(a *app) *command {
	var o benchOptions
	c := &command{
		name:  "bench",
		short: "Measure what the queue gets out of this disk",
		long: `Measures what the spool's file system and this kernel can do, by the bare system
calls, and beside it what the queue makes of them. Only the ratio of the two tells
something about the queue; the floor alone tells how fast the disk is. It takes some
minutes, with --quick less than one, and says how long. Nothing else should run
meanwhile, no worker either: the figures would be those of both.

A goal is of the ratio, or of the figure itself where there is no floor. A ratio that
misses its goal on an idle machine, and does so again, is a fault of the queue for this
file system: please report it with the whole output. A ratio that is met beside a low
floor says that the disk is the limit: a faster one helps, or many jobs in one call of
enqueue, which share what they wait for. Figures of a machine that does other things
mean nothing.

It works in a new directory, .queuectl-bench-*, on the spool's file system: the one that
the spool lies in, else the spool itself, where no worker looks at it; without a spool
the nearest directory above that is there; or in --dir. It removes that directory, also
after Ctrl-C. What is left by a kill does no harm and may be removed. The spool and its
jobs are neither read nor changed. Durability is that of enqueue and worker.`,
		also: []string{"benchmark", "perf", "speed"},
		examples: []example{
			{"What this disk can do, and what the queue gets out of it", "queuectl bench"},
			{"In less than a minute", "queuectl bench --quick"},
			{"Another disk, before there is a spool on it", "queuectl bench --dir /mnt/xfs"},
			{"Only what begins with enqueue", "queuectl bench --only '^enqueue'"},
			{"What misses its goal", "queuectl bench --json | jq '.lines[] | select(.met | not)'"},
		},
		exits: []exitStatus{
			{exitOK, "it has measured, whether the goals are met or not"},
		},
		flags:        newFlagSet(),
		queues:       sharedOut, // whatever QUEUECTL_QUEUE says: all queues lie on one file system
		ignoreConfig: true,
		signals:      true,

		run: func(ctx context.Context, _ []string) error { return a.bench(ctx, o) },
	}
	stringFlag(c.flags, &o.dir, "dir", "DIR", "measure on the file system of this directory, in a new one below it")
	boolFlag(c.flags, &o.quick, "quick", "one short round instead of three: rough figures within a minute")
	stringFlag(c.flags, &o.only, "only", "PATTERN", "measure only the lines whose name this regular expression matches")
	stringFlag(c.flags, &o.benchstat, "benchstat", "FILE", "write the figures of each round to FILE, as benchstat reads them")
	return c
}

// stamped does what a job of the benchmark has to do, if this process is one: nothing is
// to come before it that the others do not need either.
func stamped(args []string) (status int, ok bool) {
	if len(args) != 2 || args[0] != bench.StampWord {
		return 0, false
	}
	if bench.Stamp(args[1]) != nil {
		return exitFailed, true
	}
	return exitOK, true
}

func (a *app) bench(ctx context.Context, given benchOptions) error {
	o, err := a.benchPlan(given)
	if err != nil {
		return err
	}
	for _, dir := range bench.Leftovers(o.Dir) {
		a.note("a run that was killed has left %s; remove it", dir)
	}
	if load := bench.Load(); load != nil && *load > float64(runtime.NumCPU())/2 {
		a.warn("the machine is busy (load average %.1f): the figures will say little", *load)
	}
	a.note("this takes about %s, in a new directory in %s; nothing else should run meanwhile", span(max(bench.Estimate(o).Round(10*time.Second), 10*time.Second)), o.Dir)
	clear := a.benchProgress(&o)
	r, err := bench.Run(ctx, o)
	clear()
	if err != nil {
		return benchError(err, o)
	}
	if given.benchstat != "" {
		if err := bench.WriteBenchstat(given.benchstat, r.Lines); err != nil {
			return err
		}
	}
	if a.json {
		return a.out.json(r)
	}
	a.printBench(r)
	return nil
}

// benchPlan is what is asked for.
func (a *app) benchPlan(given benchOptions) (bench.Options, error) {
	o := bench.Options{Dir: given.dir, Quick: given.quick}
	var err error
	if given.only != "" {
		if o.Only, err = regexp.Compile(given.only); err != nil {
			return o, usagef("--only: %v", err)
		}
	}
	if names := bench.Names(o); len(names) == 0 {
		return o, &usageError{
			problem: fmt.Sprintf("--only: no line matches %q", given.only),
			hint:    "the lines are: " + strings.Join(bench.Names(bench.Options{}), "; "),
		}
	}
	if o.Queuectl, err = os.Executable(); err != nil {
		return o, fmt.Errorf("finding this program: %w", err)
	}
	if o.Dir == "" {
		o.Dir, err = bench.Beside(a.spool)
	} else if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		err = fmt.Errorf("finding --dir: %w", err)
	}
	return o, err
}

// benchProgress shows on a terminal what is being measured; clear takes that away.
func (a *app) benchProgress(o *bench.Options) (clear func()) {
	if !a.err.terminal() || os.Getenv("TERM") == "dumb" {
		return func() {}
	}
	o.Progress = func(p bench.Progress) {
		text := p.Line
		if p.Step > 0 {
			text = fmt.Sprintf("%d of %d: %s", p.Step, p.Steps, text)
		}
		if p.Left > 0 {
			text += fmt.Sprintf(", %s left", span(p.Left.Round(time.Second)))
		}
		a.err.printf("\r%s\x1b[K", shorten(text, max(a.err.width-1, 1)))
	}
	return func() { a.err.printf("\r\x1b[K") }
}

// benchError adds what can be done.
func benchError(err error, o bench.Options) error {
	var (
		room      *bench.RoomError
		strangers *fsq.StrangersError
	)
	switch {
	case errors.As(err, &room):
		return &hinted{err, "--quick takes less, --only PATTERN measures some lines, --dir DIR another file system"}
	case errors.As(err, &strangers):
		return &hinted{err, "no worker starts below " + clean(o.Dir) + "; --dir DIR names a directory on the same file system that only you can write"}
	}
	return err
}

var journalWords = map[string]string{"yes": ", with a journal", "none": ", without a journal", "copy-on-write": ", copy-on-write", "": ""}

func (a *app) printBench(r bench.Results) {
	m := r.Machine
	load := ""
	if m.Load != nil {
		load = fmt.Sprintf(", load average %.2f", *m.Load)
	}
	kind := m.FileSystem
	if kind == "" {
		kind = "unknown"
	}
	var f facts
	f.add("machine", "%s, %s%s", clean(m.System), plural(m.CPUs, "CPU"), load)
	f.add("kernel", "%s", clean(m.Kernel))
	f.add("file system", "%s%s", clean(kind), journalWords[m.Journal])
	if len(m.MountOptions) > 0 {
		f.add("mount", "%s", strings.ReplaceAll(wrap(clean(strings.Join(m.MountOptions, ", ")), helpWidth-13), "\n", "\n"+strings.Repeat(" ", 13)))
	}
	f.add("measured", "%s in %s, %s", clean(r.Directory), plural(r.Rounds, "round"), span(time.Duration(r.Seconds*float64(time.Second)).Round(time.Second)))
	if r.Scale < 1 {
		f.add("jobs", "%.0f%% of the usual number, since this file system is slow", 100*r.Scale)
	}
	f.write(a.out, "")
	a.out.printf("\n")

	t := &table{head: []string{"WHAT", ">FLOOR", ">QUEUE", "UNIT", ">RATIO", ">GOAL", ""}}
	met, judged := 0, 0
	for _, l := range r.Lines {
		if l.Skipped != "" {
			continue
		}
		judged++
		verdict := cell{"missed", yellow}
		if l.Met {
			met++
			verdict = cell{"met", green}
		}
		floor, ratio := "-", "-"
		if l.FloorIs != "" {
			floor, ratio = bench.Figure(l.Floor), fmt.Sprintf("%.2f", l.Ratio)
		}
		goal := "≥"
		if l.AtMost {
			goal = "≤"
		}
		t.add(cell{l.Name, plain}, cell{floor, plain}, cell{bench.Figure(l.Queue), plain}, cell{l.Unit, plain}, cell{ratio, bold}, cell{fmt.Sprintf("%s%g", goal, l.Goal), plain}, verdict)
	}
	t.write(a.out)
	for _, l := range r.Lines {
		if l.Skipped != "" {
			a.out.printf("skipped: %s: %s\n", l.Name, l.Skipped)
		}
	}
	a.out.printf("%d of %s met\n", met, plural(judged, "goal"))
}
