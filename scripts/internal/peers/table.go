package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// work is what is measured of each candidate.
type work int

const (
	putByProcess work = iota
	putByCall
	putMany
	handleOne
	handleEight
	runShell
	startIdle
	claimAmongMany
)

// row is a line of the table. A work whose measurement gives two figures has two rows.
type row struct {
	work  work
	index int // of the figure
	name  string
	less  bool // the least is the best
}

func rows(s size) []row {
	return []row{
		{work: putByProcess, name: "enqueue by one process start each, per s"},
		{work: putByCall, name: "enqueue, library, one caller, per s"},
		{work: putMany, name: "bulk enqueue, per s"},
		{work: handleOne, name: "claim + complete, library, one at a time, per s"},
		{work: handleEight, name: "claim + complete, library, 8 at a time, per s"},
		{work: runShell, name: thousands(s.jobs) + " × `sh -c true`, two at a time, per s"},
		{work: startIdle, name: "enqueue to start when idle, p50 ms", less: true},
		{work: claimAmongMany, name: "claim + complete, 8 at a time, with " + thousands(s.waiting) + " waiting, per s"},
		{work: claimAmongMany, index: 1, name: "a worker's start to its first claim, with as many, ms", less: true},
	}
}

// candidate is a queue that is measured.
type candidate struct {
	name     string
	synced   bool   // what it has acknowledged is on the disk
	setting  string // by which it is, or why it is not
	version  string
	missing  string // why it cannot be measured here; "" if it can
	notes    []string
	measures map[work]measure
}

// measure gives the figures of one piece of work, in a new directory.
type measure func(ctx context.Context, e *env, dir string) ([]float64, error)

// table is what was measured.
type table struct {
	rows       []row
	candidates []candidate
	figures    map[cell][]float64
	errs       map[cell]error
}

type cell struct{ row, candidate string }

func newTable(s size, only *regexp.Regexp, all []candidate) *table {
	t := &table{candidates: all, figures: map[cell][]float64{}, errs: map[cell]error{}}
	for _, r := range rows(s) {
		if only.MatchString(r.name) {
			t.rows = append(t.rows, r)
		}
	}
	return t
}

// round measures everything once. A candidate that fails at a piece of work has no figure
// for it; the others go on. Who comes first changes from round to round.
func (t *table) round(ctx context.Context, e *env, n int, progress io.Writer) error {
	var done []work
	for _, r := range t.rows {
		if slices.Contains(done, r.work) {
			continue
		}
		done = append(done, r.work)
		for i := range t.candidates {
			c := t.candidates[(i+n)%len(t.candidates)]
			m := c.measures[r.work]
			if m == nil || c.missing != "" {
				continue
			}
			fmt.Fprintf(progress, "%s: %s\n", r.name, c.name)
			dir, err := e.fresh()
			if err != nil {
				return err
			}
			values, err := m(ctx, e, dir)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			t.enter(r.work, c.name, values, err)
		}
	}
	return nil
}

func (t *table) enter(w work, candidate string, values []float64, err error) {
	for _, r := range t.rows {
		if r.work != w {
			continue
		}
		at := cell{r.name, candidate}
		if err == nil && r.index >= len(values) {
			err = errors.New("it gave no such figure")
		}
		if err != nil {
			t.errs[at] = fmt.Errorf("%s: %s: %w", r.name, candidate, err)
			continue
		}
		t.figures[at] = append(t.figures[at], values[r.index])
	}
}

func (t *table) failed() error {
	var all []error
	for _, r := range t.rows {
		for _, c := range t.candidates {
			all = append(all, t.errs[cell{r.name, c.name}])
		}
	}
	return errors.Join(all...)
}

// best is the candidate with the best median of a row, of all or of those that sync.
func (t *table) best(r row, syncedOnly bool) string {
	var (
		name string
		top  float64
	)
	for _, c := range t.candidates {
		v := t.figures[cell{r.name, c.name}]
		if len(v) == 0 || syncedOnly && !c.synced {
			continue
		}
		if m := median(v); name == "" || (m > top) != r.less && m != top {
			name, top = c.name, m
		}
	}
	return name
}

func (t *table) print(w io.Writer) {
	var shown []candidate
	for _, c := range t.candidates {
		if c.missing == "" {
			shown = append(shown, c)
		}
	}
	head, rule := "| |", "|---|"
	for _, c := range shown {
		how := "synced"
		if !c.synced {
			how = "not synced"
		}
		head += fmt.Sprintf(" %s (%s) |", c.name, how)
		rule += "---|"
	}
	fmt.Fprintf(w, "\n%s best |\n%s---|\n", head, rule)
	for _, r := range t.rows {
		fmt.Fprintf(w, "| %s |", r.name)
		for _, c := range shown {
			fmt.Fprintf(w, " %s |", t.text(r, c))
		}
		fmt.Fprintf(w, " %s |\n", t.winners(r))
	}
	fmt.Fprintln(w)
	for _, c := range t.candidates {
		if c.missing != "" {
			fmt.Fprintf(w, "%s: not measured: %s\n", c.name, c.missing)
			continue
		}
		fmt.Fprintf(w, "%s: %s; %s\n", c.name, c.version, strings.Join(append([]string{c.setting}, c.notes...), "; "))
	}
}

func (t *table) text(r row, c candidate) string {
	at := cell{r.name, c.name}
	switch v := t.figures[at]; {
	case t.errs[at] != nil:
		return "failed"
	case len(v) == 0:
		return "–"
	case t.best(r, false) == c.name:
		return "**" + figure(median(v)) + "**"
	default:
		return figure(median(v))
	}
}

// winners names the best, and if that does not sync also the best of those that do.
func (t *table) winners(r row) string {
	all, synced := t.best(r, false), t.best(r, true)
	switch {
	case all == "":
		return "–"
	case all == synced || synced == "":
		return all
	}
	return all + "; of the synced " + synced
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func figure(v float64) string {
	switch {
	case v >= 100:
		return thousands(int(v + 0.5))
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// thousands writes n, which is not negative, with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
