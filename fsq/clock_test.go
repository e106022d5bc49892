package fsq

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
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

// A view begins by the server's time, too: by a clock that is ahead nothing that ends would
// be news to it.
func TestLiveBeginsByTheServersTime(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	var asked time.Time
	q.askTime = func() error {
		if asked.IsZero() {
			asked = q.s.Now()
		}
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	live, err := q.Live(ctx, nil)
	stop()
	if err != nil {
		t.Fatal(err)
	}
	live.Wait()
	if asked.IsZero() || live.f.floor.Before(asked) {
		t.Errorf("what ended after %v is news, by a clock that was asked %v", live.f.floor, asked)
	}
}

// A delay in a dropped file is meant from when it is adopted, by the spool's clock and not
// by that of the host that adopts it.
func TestADelayIsMeantFromTheSpoolsTime(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	now := time.Now().Add(5 * time.Hour).Truncate(time.Millisecond)
	for doc, want := range map[string]time.Time{
		`{"command":"true","run_at":"+10m"}`: now.Add(10 * time.Minute),
		`{"command":"true"}`:                 now,
	} {
		drop := spool.Drop{Base: "one.json", Data: []byte(doc), UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Mode: 0o600}
		got := q.adoptionAt(drop, now)
		if got.Reject != "" || !got.Name.Due.Equal(want) {
			t.Errorf("%s: due %s, want %s %s", doc, got.Name.Due, want, got.Reject)
		}
	}
}
