package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// line is one row of the table: what the queue does, and the floor that it is measured
// against.
type line struct {
	name  string
	unit  string
	floor string // what the floor does; "": there is none, the goal is a figure
	want  float64
	most  bool // at most want, not at least: less is better
	of    func(ctx context.Context, e *env) (floor, queue float64, err error)

	// What it takes of an idle machine with a common disk, for each round, whole and quick.
	seconds, quick float64
	many           bool // it needs the queue in which many jobs wait, which is filled once
	bulk           bool // it needs a stream of jobs, one in each round
	files          int  // that a round leaves besides until the end, for each scale

	floors, queues []float64
	skipped        string
}

// Line is what was measured of one kind of work.
type Line struct {
	Name    string    `json:"name"`
	Unit    string    `json:"unit"`
	FloorIs string    `json:"floor_is"` // the work that the queue is compared with; "" where the goal is a figure, not a ratio
	Floor   float64   `json:"floor"`    // the median of the rounds; 0 where there is none
	Queue   float64   `json:"queue"`    // the median of the rounds
	Ratio   float64   `json:"ratio"`    // queue to floor: the median of the rounds' own ratios; 0 where there is no floor
	Goal    float64   `json:"goal"`     // of the ratio, or of the queue's figure where there is no floor
	AtMost  bool      `json:"at_most"`  // the goal is an upper limit, else a lower one
	Met     bool      `json:"met"`
	Skipped string    `json:"skipped"` // why it could not be measured here; else ""
	Floors  []float64 `json:"floors"`  // of each round
	Queues  []float64 `json:"queues"`  // of each round
}

// skip says why a line cannot be measured here.
type skip string

func (s skip) Error() string { return string(s) }

func (l *line) takes(quick bool) time.Duration {
	if quick {
		return time.Duration(l.quick * float64(time.Second))
	}
	return time.Duration(l.seconds * float64(time.Second))
}

func (l *line) measure(ctx context.Context, e *env) error {
	if l.skipped != "" {
		return nil
	}
	floor, queue, err := l.of(ctx, e)
	if reason := skip(""); errors.As(err, &reason) {
		l.skipped = string(reason)
		return nil
	}
	if err != nil {
		return err
	}
	l.floors, l.queues = append(l.floors, floor), append(l.queues, queue)
	return nil
}

// median is 0 of nothing.
func median(v []float64) float64 { return quantile(v, 0.5) }

// quantile is the smallest value that is not exceeded by a share of p of all.
func quantile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(int(p*float64(len(s))), len(s)-1)]
}

// result sums the rounds up.
func (l *line) result() Line {
	r := Line{
		Name: l.name, Unit: l.unit, FloorIs: l.floor, Goal: l.want, AtMost: l.most, Skipped: l.skipped,
		Floors: append([]float64{}, l.floors...), Queues: append([]float64{}, l.queues...),
	}
	if l.skipped != "" {
		return r
	}
	r.Queue = median(l.queues)
	judged := r.Queue
	if l.floor == "" {
		r.Floors = []float64{}
	} else {
		r.Floor = median(l.floors)
		// Floor and queue of one round had the same machine.
		var ratios []float64
		for i := range l.floors {
			ratios = append(ratios, l.queues[i]/l.floors[i])
		}
		r.Ratio = median(ratios)
		judged = r.Ratio
	}
	r.Met = judged >= l.want
	if l.most {
		r.Met = judged <= l.want
	}
	return r
}

// Figure is a figure as it is shown: with three digits or so.
func Figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 1:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// WriteBenchstat writes each round's figures to a file in the form of go test -bench,
// which benchstat(1) reads. The file is replaced if it is there.
func WriteBenchstat(path string, lines []Line) error {
	var b strings.Builder
	for _, l := range lines {
		name := strings.NewReplacer(" ", "-", ",", "").Replace(l.Name)
		unit := strings.ReplaceAll(l.Unit, " ", "-")
		for i, queue := range l.Queues {
			if i < len(l.Floors) {
				fmt.Fprintf(&b, "Benchmark%s/floor 1 %g %s\n", name, l.Floors[i], unit)
			}
			fmt.Fprintf(&b, "Benchmark%s/queuectl 1 %g %s\n", name, queue, unit)
		}
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("write figures for benchstat: %w", err)
	}
	return nil
}
