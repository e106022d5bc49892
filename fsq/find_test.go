package fsq

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// TestLikelyNames: what a job's document and its records tell leads to its file, through
// all that workers do with it.
func TestLikelyNames(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.SnoozeMax = 5
	q := openQueue(t, cfg)
	check := func(id string) {
		t.Helper()
		found, err := q.s.Find(id)
		if err != nil || len(found) != 1 {
			t.Fatalf("%+v, %v", found, err)
		}
		n := found[0].Name
		if found[0].State == spool.Processing {
			n.Attempt-- // as it was before its claim
		}
		if names, _ := q.likely(id); !slices.Contains(names, n) {
			t.Errorf("job %s is named %+v, likely were %+v", id, n, names)
		}
		if e, err := q.find(id); err != nil || e != found[0] {
			t.Errorf("%+v, %v", e, err)
		}
	}
	enqueue(t, q, `{"id":"scheduled","command":"x","run_at":"+3h","priority":-7,"max_retries":1}`)
	check("scheduled")
	enqueue(t, q, `{"id":"j","command":"x","priority":3,"max_retries":2,"backoff_base":0.001}`)
	check("j")
	entered, proceed := make(chan struct{}), make(chan error)
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(ctx context.Context, _ *Run) error {
		entered <- struct{}{}
		select {
		case err := <-proceed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})})
	for _, way := range []error{errors.New("fails"), Snooze(time.Millisecond), errors.New("fails again"), nil} {
		<-entered
		check("j")
		proceed <- way
	}
	w.awaitJob(EventDone, "j")
	if _, filed := q.likely("j"); filed.IsZero() {
		t.Error("it is not told when a job was filed")
	}
	if e, err := q.find("j"); err != nil || e.State != "done" {
		t.Errorf("%+v, %v", e, err)
	}
	w.drain()
	sound(t, q)
}
