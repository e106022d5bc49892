// Package bench measures what the queue makes of a file system and a kernel: beside each
// figure stands the floor, the same work done by the bare system calls, measured in the
// same run. The rounds go through all lines one after the other, so that a slow spell of
// the machine falls on floor and queue alike; the medians are compared. Only the ratios
// mean something: the seconds are this machine's, at this moment.
package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"github.com/queuectl/queuectl/fsq"
	"github.com/queuectl/queuectl/spool"
)

// Options say what is measured, and with what.
type Options struct {
	// Dir is an existing directory on the file system to measure. A new one is made in it,
	// which is removed at the end.
	Dir string
	// Queuectl is the program whose processes are measured. With StampWord and a path as
	// its arguments it must call Stamp first of all.
	Queuectl string
	// Stamper is a program that does the same with StampWord, and little else; Queuectl if
	// it is empty.
	Stamper string
	// Hello is a program that makes one file durable in the directory behind its flag -dir,
	// Spawn one that starts what stands behind a number as often as that says. Lines that
	// need one that is not given are left out.
	Hello, Spawn string

	Quick  bool           // one short round, with fewer jobs
	Rounds int            // of which the medians are taken; 0: 3, or 1 with Quick
	Only   *regexp.Regexp // measure the lines whose name it matches; nil: all

	// Progress is told of each line before it is measured; nil: nobody is. It is called by
	// one goroutine at a time.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	Step, Steps int // from 1; 0 at the end, when the files are removed
	Round       int // from 1
	Line        string
	Left        time.Duration // as far as can be told
}

// StampWord is what makes a program write down when it ran; see Options.
const StampWord = "__stamp"

// Results are what was measured.
type Results struct {
	Directory string  `json:"directory"` // on whose file system was measured
	Quick     bool    `json:"quick"`     // one short round: the figures are rough
	Rounds    int     `json:"rounds"`    // of which the medians are taken
	Scale     float64 `json:"scale"`     // 1, or the share of the jobs that were measured with on a slow file system
	Seconds   float64 `json:"seconds"`   // that it took
	Machine   Machine `json:"machine"`
	Lines     []Line  `json:"lines"`
}

// enough is how long all rounds may take: with what is removed after them it is to be over
// within ten minutes: that took two, of 800,000 files on a busy machine.
const enough = 7 * time.Minute

// another reports whether there is time for one more round after so many that took so long.
func another(rounds int, took time.Duration) bool {
	return rounds == 0 || took+took/time.Duration(rounds) <= enough
}

// rounds is the number that o asks for.
func (o Options) rounds() int {
	switch {
	case o.Rounds > 0:
		return o.Rounds
	case o.Quick:
		return 1
	}
	return 3
}

// scale is a hundredth of the jobs of a common line, on a file system that is not slow.
func (o Options) scale() int {
	if o.Quick {
		return 5
	}
	return 20
}

// chosen are the lines that o asks for.
func (o Options) chosen() []*line {
	var some []*line
	for _, l := range allLines(o) {
		if o.Only == nil || o.Only.MatchString(l.name) {
			some = append(some, l)
		}
	}
	return some
}

// ErrNoLine says that Options.Only matches no line.
var ErrNoLine = errors.New("no line has such a name")

// Names are those of the lines that o asks for, in their order.
func Names(o Options) []string {
	var names []string
	for _, l := range o.chosen() {
		names = append(names, l.name)
	}
	return names
}

// Estimate is about how long Run will take on an idle machine with a common disk.
func Estimate(o Options) time.Duration {
	var sum time.Duration
	once := 2 * time.Second
	for _, l := range o.chosen() {
		sum += l.takes(o.Quick)
		switch {
		case l.many && o.Quick:
			once = 4 * time.Second
		case l.many:
			once = 10 * time.Second
		}
	}
	return time.Duration(o.rounds())*sum + once
}

// Run measures. It makes its files in a new directory in o.Dir, and removes them also
// when it fails or ctx is cancelled; the error is ctx's cause then. A machine that does
// other things meanwhile spoils the figures, two runs at a time each other's.
func Run(ctx context.Context, o Options) (r Results, err error) {
	lines := o.chosen()
	if len(lines) == 0 {
		return r, ErrNoLine
	}
	if err := roomFor(o, lines); err != nil {
		return r, err
	}
	p, err := makePlace(o.Dir)
	if err != nil {
		return r, err
	}
	defer func() {
		if o.Progress != nil {
			o.Progress(Progress{Line: "its files are being removed"})
		}
		if removeErr := p.remove(); removeErr != nil {
			err = errors.Join(err, removeErr)
		}
	}()
	if err := trusted(p.dir); err != nil {
		return r, err
	}
	e := &env{dir: p.dir, o: o, window: time.Second, scale: o.scale(), once: map[string]any{}}
	if o.Quick {
		e.window = 400 * time.Millisecond
	}
	r = Results{Directory: o.Dir, Quick: o.Quick, Machine: machine(p.dir)}
	begun := time.Now()
	if err := e.adapt(); err != nil {
		return r, err
	}
	r.Scale = float64(e.scale) / float64(o.scale())
	for r.Rounds < o.rounds() && another(r.Rounds, time.Since(begun)) {
		e.round = r.Rounds
		if err := e.measure(ctx, lines); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx) // and not that a child was interrupted, too
			}
			return r, err
		}
		r.Rounds++
	}
	r.Seconds = time.Since(begun).Seconds()
	for _, l := range lines {
		r.Lines = append(r.Lines, l.result())
	}
	return r, nil
}

// measure goes through the lines once.
func (e *env) measure(ctx context.Context, lines []*line) error {
	steps := len(lines) * e.o.rounds()
	for i, l := range lines {
		if e.o.Progress != nil {
			left := time.Duration(0)
			for j, m := range lines {
				rounds := e.o.rounds() - e.round
				if j < i {
					rounds--
				}
				left += time.Duration(rounds) * m.takes(e.o.Quick)
			}
			e.o.Progress(Progress{Step: e.round*len(lines) + i + 1, Steps: steps, Round: e.round + 1, Line: l.name, Left: left})
		}
		if err := l.measure(ctx, e); err != nil {
			return fmt.Errorf("measure %s: %w", l.name, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// trusted refuses a place in which no worker would start: others could run commands as
// this user there. The error is a *fsq.StrangersError then.
func trusted(dir string) error {
	dir = filepath.Join(dir, "spool")
	if _, err := fsq.Open(dir, fsq.DefaultConfig()); err != nil {
		return err
	}
	s, err := spool.Open(dir)
	if err != nil {
		return err
	}
	return s.Strangers()
}
