package main

import (
	"context"
	"fmt"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// historyDoc is what stats --history prints with --json: all selected queues taken
// together, and each of them if there are several.
type historyDoc struct {
	fsq.History
	Queues []fsq.History `json:"queues"`
}

func (a *app) statsHistory(ctx context.Context, back time.Duration) error {
	if back <= 0 || back > fsq.MaxHistory {
		return usagef("--history must be more than nothing and at most %s", span(fsq.MaxHistory))
	}
	qs, err := a.queuesOrNone()
	if err != nil {
		return err
	}
	step := time.Duration(0)
	if !a.json {
		step = columnStep(back)
	}
	d := historyDoc{Queues: []fsq.History{}}
	if d.History, err = fsq.HistoryOf(ctx, back, step, qs...); err != nil {
		return err
	}
	if !a.manyQueues() {
		d.Queue = a.queueName()
	} else {
		for _, q := range qs {
			h, err := q.History(ctx, back, step)
			if err != nil {
				return err
			}
			d.Queues = append(d.Queues, h)
		}
	}
	if a.json {
		return a.out.json(d)
	}
	a.out.printf("each column is %s, the last one is now; a blank: nothing is known\n\n", span(time.Duration(d.StepSeconds)*time.Second))
	historyTable(d.History).write(a.out)
	for _, h := range d.Queues {
		a.out.printf("\n%s\n", a.out.paint(bold, clean(h.Queue)))
		historyTable(h).write(a.out)
	}
	return nil
}

// columnStep is a step of which no more than 48 fit into a span, so that a row and its
// figures fit a terminal of 80 columns.
func columnStep(back time.Duration) time.Duration {
	const columns = 48
	steps := []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 12 * time.Hour}
	for _, s := range steps {
		if back <= columns*s {
			return s
		}
	}
	return 24 * time.Hour
}

func historyTable(h fsq.History) *table {
	t := &table{head: []string{"", "", ">TOTAL", ">MOST"}}
	ended := func(name string, of func(fsq.Ended) int) {
		r := row{name: name, count: func(n float64) string { return fmt.Sprint(int(n)) }, adds: true}
		for _, p := range h.Points {
			r.known(p.Ended != nil, func() float64 { return float64(of(*p.Ended)) })
		}
		r.addTo(t)
	}
	depth := func(name string, of func(fsq.Depth) float64) {
		r := row{name: name, count: func(n float64) string { return fmt.Sprint(int(n + 0.5)) }}
		for _, p := range h.Points {
			r.known(p.Depth != nil, func() float64 { return of(*p.Depth) })
		}
		r.addTo(t)
	}
	spread := func(name string, of func(fsq.HistoryPoint) *fsq.Spread) {
		r := row{name: name, count: func(n float64) string { return span(seconds(n)) }}
		for _, p := range h.Points {
			s := of(p)
			r.known(s != nil, func() float64 { return s.P95 })
		}
		r.addTo(t)
	}
	ended("done", func(e fsq.Ended) int { return e.Done })
	ended("failed attempts", func(e fsq.Ended) int { return e.FailedAttempts })
	ended("dead", func(e fsq.Ended) int { return e.Dead })
	depth("due", func(d fsq.Depth) float64 { return d.Pending })
	depth("running", func(d fsq.Depth) float64 { return d.Processing })
	spread("ran, p95", func(p fsq.HistoryPoint) *fsq.Spread { return p.Run })
	spread("waited, p95", func(p fsq.HistoryPoint) *fsq.Spread { return p.Wait })
	return t
}

// row is one line of a history: a figure over time.
type row struct {
	name   string
	count  func(float64) string
	adds   bool // a total of it means something
	values []float64
	gaps   []bool
}

func (r *row) known(known bool, value func() float64) {
	v := 0.0
	if known {
		v = value()
	}
	r.values, r.gaps = append(r.values, v), append(r.gaps, !known)
}

func (r *row) addTo(t *table) {
	total, most, any := 0.0, 0.0, false
	for i, v := range r.values {
		total, most, any = total+v, max(most, v), any || !r.gaps[i]
	}
	scaled := make([]int, len(r.values))
	for i, v := range r.values {
		if v > 0 {
			scaled[i] = max(int(v/most*1000), 1)
		}
	}
	bars := []rune(sparkline(scaled))
	for i, gap := range r.gaps {
		if gap {
			bars[i] = ' '
		}
	}
	cells := []cell{{text: r.name}, {text: string(bars), style: green}, {text: "-"}, {text: "-"}}
	if any && r.adds {
		cells[2].text = r.count(total)
	}
	if any {
		cells[3].text = r.count(most)
	}
	t.add(cells...)
}
