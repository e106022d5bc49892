package main

import (
	"context"

	"github.com/queuectl/queuectl/fsq"
)

func newStats(a *app) *command {
	return &command{
		name:  "stats",
		short: "Show how many jobs ended, how fast, and how long they waited",
		long:  `Counts what the spool still holds: what prune has removed is not in it.`,
		examples: []example{
			{"Durations, waits and throughput", "queuectl stats"},
			{"The 95th percentile of the waits in seconds", "queuectl stats --json | jq .wait.p95_seconds"},
		},
		run: func(ctx context.Context, _ []string) error { return a.stats(ctx) },
	}
}

func (a *app) stats(ctx context.Context) error {
	q, err := a.orEmpty()
	if err != nil {
		return err
	}
	var s fsq.Stats
	if q != nil {
		if s, err = q.Stats(ctx); err != nil {
			return err
		}
	}
	if a.json {
		return a.out.json(s)
	}
	var f facts
	f.add("completed", "%d", s.Completed)
	f.add("dead", "%d", s.Dead)
	f.add("failed attempts", "%d", s.FailedAttempts)
	f.add("lost attempts", "%d", s.LostAttempts)
	f.add("snoozed attempts", "%d", s.SnoozedAttempts)
	t := s.Throughput
	f.add("completed in", "%d in the last minute, %d in the last hour, %d in the last day", t.LastMinute, t.LastHour, t.LastDay)
	f.write(a.out, "")
	tab := &table{head: []string{"", ">AVG", ">MIN", ">P50", ">P95", ">P99", ">MAX", ""}}
	for _, row := range []struct {
		name string
		d    fsq.Distribution
	}{{"duration", s.Duration}, {"wait", s.Wait}} {
		if row.d.Count == 0 {
			continue
		}
		cells := []cell{{row.name, dim}}
		for _, v := range []float64{row.d.Avg, row.d.Min, row.d.P50, row.d.P95, row.d.P99, row.d.Max} {
			cells = append(cells, cell{text: span(seconds(v))})
		}
		tab.add(append(cells, cell{})...)
	}
	if len(tab.rows) > 0 {
		a.out.printf("\n")
	}
	tab.write(a.out)
	return nil
}
