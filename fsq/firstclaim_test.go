package fsq

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// A first claim is made durable behind the job's back, a further one before it runs; and
// what makes a claim durable tells nobody of anything.
func TestFirstClaimsGoWithTheNextCommit(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	lease, err := q.s.Register(1, Version, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Close() })
	told := 0
	failing := HandlerFunc(func(context.Context, *Run) error { return errors.New("not yet") })
	in := newIncarnation(q.NewWorker(WorkerOptions{Handler: failing}), lease)
	enqueue(t, q, `{"id":"one","command":"true","max_retries":3}`)
	for attempt, want := range []int{1, 0} {
		e, err := q.find("one")
		if err != nil {
			t.Fatal(err)
		}
		if !in.claim(e.Name) {
			t.Fatalf("attempt %d is not claimed", attempt+1)
		}
		in.awaitFreed(t)
		claims := 0
		for _, c := range in.commits.pending.take() {
			if c.claim {
				claims++
			} else if c.settled.State != spool.Pending {
				t.Errorf("attempt %d ended as %s", attempt+1, c.settled.State)
			}
		}
		if claims != want {
			t.Errorf("attempt %d: %d claims are to be synced, want %d", attempt+1, claims, want)
		}
	}
	in.w.opt.Events = func(Event) { told++ }
	in.commits.addClaim()
	in.commits.flush()
	if told != 0 {
		t.Errorf("a claim that is synced told of %d events", told)
	}
}
