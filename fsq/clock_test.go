package fsq

import (
	"context"
	"errors"
	"testing"
)

// Whatever compares or makes a time has asked the file server for it before: a worker
// above all, which would claim by its own clock until its first heartbeat.
func TestTheServersTimeIsAskedFor(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	away := errors.New("the server is away")
	for name, use := range map[string]func(q *Queue) error{
		"worker":  func(q *Queue) error { return q.Work(ctx, WorkerOptions{Drain: true}) },
		"workers": func(q *Queue) error { _, err := q.Workers(ctx); return err },
		"status":  func(q *Queue) error { _, err := q.Status(ctx); return err },
		"get":     func(q *Queue) error { _, err := q.Get(ctx, "one"); return err },
		"prune":   func(q *Queue) error { _, err := q.Prune(ctx, PruneOptions{}); return err },
	} {
		q := openQueue(t, testConfig())
		enqueue(t, q, `{"id":"one","command":"true"}`)
		lease, err := q.s.Register(1, Version, testConfig().Lease)
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		q.askTime = func() error { asked++; return away }
		err = use(q)
		if asked == 0 {
			t.Errorf("%s: it goes by its own clock", name)
		}
		if fails := errors.Is(err, away); fails != (name == "worker" || name == "prune") {
			t.Errorf("%s, when the server is away: %v", name, err)
		}
		if err := lease.Leave(); err != nil {
			t.Error(err)
		}
	}
}
