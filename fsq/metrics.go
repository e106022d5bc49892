package fsq

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"time"
)

// MetricsContentType is what WriteMetrics writes.
const MetricsContentType = "text/plain; version=0.0.4; charset=utf-8"

// Metrics are the figures of a spool for a monitoring system.
type Metrics struct {
	Queues  []QueueMetrics
	Disk    *Disk         // nil: nobody knows
	Scan    time.Duration // what it took to count the jobs
	Version string        // of the program
}

// QueueMetrics are those of a queue: its state now, and what was ever counted.
type QueueMetrics struct {
	Status Status
	totals tally
}

// Metrics adds to a status what was ever counted in the history, which it brings up to date
// if this process may write it: what was told once is kept, or the counters could go down
// when a job is deleted.
func (q *Queue) Metrics(ctx context.Context, st Status) (QueueMetrics, error) {
	m := QueueMetrics{Status: st}
	if q.calibrate() == nil {
		if r, err := q.roll(ctx, nil, q.s.Now()); err == nil {
			m.totals = r.totals()
			return m, nil
		}
	}
	r, err := q.rollupNow(ctx, q.now())
	m.totals = r.totals()
	return m, err
}

// secondsLE are the bounds of the histograms: some of those of the history, so that
// nothing is estimated.
var secondsLE = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000}

// WriteMetrics writes them in Prometheus' text format.
func WriteMetrics(w io.Writer, m Metrics) error {
	e := newExposition(w)
	gauge := func(name, help string, each func(name string, s Status)) {
		e.family(name, "gauge", help)
		for _, q := range m.Queues {
			each(name, q.Status)
		}
	}
	gauge("queuectl_jobs", "Jobs that the spool holds, by queue and state.", func(name string, s Status) {
		for _, c := range []struct {
			state State
			n     int
		}{
			{Pending, s.Pending}, {Scheduled, s.Scheduled}, {Retrying, s.Retrying}, {Held, s.Held},
			{Processing, s.Processing}, {Done, s.Done}, {Dead, s.Dead}, {Cancelled, s.Cancelled},
		} {
			e.sample(name, float64(c.n), "queue", s.Queue, "state", string(c.state))
		}
	})
	gauge("queuectl_rejected_files", "Dropped files that never became jobs.", func(name string, s Status) { e.sample(name, float64(s.Rejected), "queue", s.Queue) })
	gauge("queuectl_dropped_files", "Dropped files that no worker has taken yet.", func(name string, s Status) { e.sample(name, float64(s.Dropped), "queue", s.Queue) })
	gauge("queuectl_oldest_due_age_seconds", "For how long the oldest job that is due has been waiting to start; 0 if none is due.", func(name string, s Status) {
		age := 0.0
		if s.OldestDueSeconds != nil {
			age = max(*s.OldestDueSeconds, 0)
		}
		e.sample(name, age, "queue", s.Queue)
	})
	gauge("queuectl_queue_limit", "How many of its jobs may run at the same time, where that is limited; 0: no job is started, because the limit cannot be read.", func(name string, s Status) {
		if s.Limit != nil {
			e.sample(name, float64(*s.Limit), "queue", s.Queue)
		}
	})
	gauge("queuectl_queue_paused", "1 while no jobs are taken, else 0.", func(name string, s Status) {
		paused := 0.0
		if s.Paused != nil {
			paused = 1
		}
		e.sample(name, paused, "queue", s.Queue)
	})
	e.workers(m)
	e.totals(m)
	if d := m.Disk; d != nil {
		e.disk(*d)
	}
	e.family("queuectl_scan_duration_seconds", "gauge", "How long it took to count the jobs.")
	e.sample("queuectl_scan_duration_seconds", m.Scan.Seconds())
	e.family("queuectl_build_info", "gauge", "1, with the version of the program that tells this.")
	e.sample("queuectl_build_info", 1, "version", m.Version, "goversion", runtime.Version())
	if err := e.flush(); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

func (e *exposition) workers(m Metrics) {
	states := []string{WorkerAlive, WorkerStopping, WorkerSilent, WorkerLost}
	e.family("queuectl_workers", "gauge", "Registered workers, by queue and state.")
	for _, q := range m.Queues {
		n := map[string]int{}
		for _, w := range q.Status.Workers {
			n[w.State]++
		}
		for _, state := range states {
			e.sample("queuectl_workers", float64(n[state]), "queue", q.Status.Queue, "state", state)
		}
	}
	for _, f := range []struct {
		name, help string
		of         func(WorkerInfo) int
	}{
		{"queuectl_worker_slots", "How many jobs the living workers take at a time.", func(w WorkerInfo) int { return w.Slots }},
		{"queuectl_worker_slots_busy", "How many jobs the living workers hold.", func(w WorkerInfo) int { return w.Busy }},
	} {
		e.family(f.name, "gauge", f.help)
		for _, q := range m.Queues {
			n := 0
			for _, w := range q.Status.Workers {
				if w.State == WorkerAlive || w.State == WorkerStopping {
					n += f.of(w)
				}
			}
			e.sample(f.name, float64(n), "queue", q.Status.Queue)
		}
	}
}

func (e *exposition) totals(m Metrics) {
	e.family("queuectl_jobs_processed_total", "counter", "Jobs that came to an end, by how.")
	for _, q := range m.Queues {
		for _, c := range []struct {
			outcome State
			n       int64
		}{{Done, q.totals.Done}, {Dead, q.totals.Dead}, {Cancelled, q.totals.Cancelled}} {
			e.sample("queuectl_jobs_processed_total", float64(c.n), "queue", q.Status.Queue, "outcome", string(c.outcome))
		}
	}
	e.family("queuectl_attempts_failed_total", "counter", "Attempts that failed or timed out, also of jobs that were tried again.")
	for _, q := range m.Queues {
		e.sample("queuectl_attempts_failed_total", float64(q.totals.Failed), "queue", q.Status.Queue)
	}
	for _, h := range []struct {
		name, help string
		of         func(tally) histogram
	}{
		{"queuectl_job_wait_seconds", "From when a job was due to the start of its last attempt, of jobs that are done or dead.", func(t tally) histogram { return t.Wait }},
		{"queuectl_job_run_seconds", "Length of the last attempt of jobs that are done or dead.", func(t tally) histogram { return t.Run }},
	} {
		e.family(h.name, "histogram", h.help)
		for _, q := range m.Queues {
			e.histogram(h.name, h.of(q.totals), secondsLE, "queue", q.Status.Queue)
		}
	}
}

func (e *exposition) disk(d Disk) {
	for _, f := range []struct {
		name, help string
		n          int64
		known      bool
	}{
		{"queuectl_spool_size_bytes", "Size of the file system of the spool.", d.Bytes, d.Bytes > 0},
		{"queuectl_spool_free_bytes", "What is free of it for this user.", d.FreeBytes, d.Bytes > 0},
		{"queuectl_spool_inodes", "Inodes of the file system of the spool, where their number is limited.", d.Inodes, d.Inodes > 0},
		{"queuectl_spool_free_inodes", "Those that are free.", d.FreeInodes, d.Inodes > 0},
	} {
		if f.known {
			e.family(f.name, "gauge", f.help)
			e.sample(f.name, float64(f.n))
		}
	}
}
