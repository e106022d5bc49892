package main

import (
	"context"
	"fmt"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

func newStats(a *app) *command {
	var (
		back   *time.Duration
		format string
	)
	c := &command{
		name:  "stats",
		short: "Show how many jobs ended, how fast, and how long they waited",
		long: `Counts what the spool still holds: what prune has removed is not in it. --history tells
of a time up to 31 days instead, from what the spool keeps of the past by minutes, ten
minutes and hours; pruning leaves that. How much waits is known of the times when
something ended or somebody watched.

--format prometheus prints the figures for node_exporter's textfile collector, of all
queues unless --queue names some. Its counters are those of the history: they do not go
down when jobs are pruned or tried again.`,
		examples: []example{
			{"Durations, waits and throughput", "queuectl stats"},
			{"All queues together, and each of them", "queuectl stats --queue '*'"},
			{"The 95th percentile of the waits in seconds", "queuectl stats --json | jq .wait.p95_seconds"},
			{"The last day, as small graphs", "queuectl stats --history 1d"},
			{"For Prometheus", "queuectl stats --format prometheus"},
		},
		queues: someQueue,
		flags:  newFlagSet(),
		run: func(ctx context.Context, _ []string) error {
			switch {
			case back != nil && format != "text":
				return usagef("--history and --format exclude each other")
			case back != nil:
				return a.statsHistory(ctx, *back)
			case format != "text":
				return a.statsMetrics(ctx)
			}
			return a.stats(ctx)
		},
	}
	durationFlag(c.flags, &back, "history", "show the time up to now instead, such as 1h, 1d, 7d or 30d")
	choiceFlag(c.flags, &format, "format", "text", []string{"text", "prometheus"}, "print figures for Prometheus instead")
	return c
}

func (a *app) stats(ctx context.Context) error {
	qs, err := a.queuesOrNone()
	if err != nil {
		return err
	}
	d := statsDoc{Queues: []fsq.Stats{}}
	if d.Stats, err = fsq.StatsOf(ctx, qs...); err != nil {
		return err
	}
	if !a.manyQueues() {
		d.Queue = a.queueName()
	} else {
		for _, q := range qs {
			s, err := q.Stats(ctx)
			if err != nil {
				return err
			}
			d.Queues = append(d.Queues, s)
		}
	}
	if a.json {
		return a.out.json(d)
	}
	s := d.Stats
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
	if len(d.Queues) > 0 {
		a.out.printf("\n")
	}
	statsTable(d.Queues).write(a.out)
	return nil
}

// statsDoc is what stats prints with --json: the figures of all selected queues, and
// those of each if there are several.
type statsDoc struct {
	fsq.Stats
	Queues []fsq.Stats `json:"queues"`
}

func statsTable(all []fsq.Stats) *table {
	t := &table{head: []string{"QUEUE", ">COMPLETED", ">DEAD", ">FAILED", ">LAST HOUR", ">RAN P50", ">RAN P95", ">WAITED P95", ""}}
	for _, s := range all {
		took := func(d fsq.Distribution, v float64) cell {
			if d.Count == 0 {
				return cell{text: "-"}
			}
			return cell{text: span(seconds(v))}
		}
		t.add(cell{clean(s.Queue), bold}, cell{text: fmt.Sprint(s.Completed)}, cell{text: fmt.Sprint(s.Dead)},
			cell{text: fmt.Sprint(s.FailedAttempts)}, cell{text: fmt.Sprint(s.Throughput.LastHour)},
			took(s.Duration, s.Duration.P50), took(s.Duration, s.Duration.P95), took(s.Wait, s.Wait.P95), cell{})
	}
	return t
}
