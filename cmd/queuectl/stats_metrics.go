package main

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// statsMetrics prints what the dashboard tells Prometheus. Without --queue that is about
// all queues.
func (a *app) statsMetrics(ctx context.Context) error {
	if a.json {
		return usagef("--format prometheus and --json exclude each other")
	}
	begun := time.Now()
	qs, err := a.queuesOrNone()
	if err != nil {
		return err
	}
	all, err := a.statuses(ctx, qs)
	if err != nil {
		return err
	}
	m := fsq.Metrics{Scan: time.Since(begun), Version: fsq.Version}
	for _, st := range all {
		q, err := a.existingQueue(st.Queue)
		if missing := (*noQueue)(nil); errors.As(err, &missing) {
			continue // removed just now
		}
		if err != nil {
			return err
		}
		qm, err := q.Metrics(ctx, st)
		if err != nil {
			return err
		}
		m.Queues = append(m.Queues, qm)
	}
	if d, err := fsq.DiskOf(a.spool); err == nil {
		m.Disk = &d
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fsq.WriteMetrics(a.out, m)
}
