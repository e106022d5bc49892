package fsq

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// TestCancelHitsNoSuccessor: a cancelled job yields its id, and whoever still waits for
// its end must not cancel the job that has taken it.
func TestCancelHitsNoSuccessor(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	ctx := context.Background()
	enqueue(t, q, `{"id":"j","command":"sleep 1000"}`)
	w := startWorker(t, q, WorkerOptions{})
	w.awaitJob(EventStarted, "j")
	c, err := q.Cancel(ctx, "j")
	if err != nil {
		t.Fatal(err)
	}
	w.awaitJob(EventCancelled, "j")
	w.drain()
	enqueue(t, q, `{"id":"j","command":"true"}`)
	if end, err := q.AwaitCancelled(ctx, c); err != nil || end.State != Cancelled {
		t.Errorf("%+v, %v", end, err)
	}
	if i := get(t, q, "j"); i.State != Pending {
		t.Errorf("the successor is %s", i.State)
	}
}

// TestCancelIsNotForgotten: a demand that comes while the attempt ends otherwise holds
// for the job: it is not tried again.
func TestCancelIsNotForgotten(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"j","command":"x","max_retries":5}`)
	runs := 0
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(ctx context.Context, r *Run) error {
		runs++
		if _, err := q.Cancel(context.Background(), r.ID); err != nil {
			t.Error(err)
		}
		<-ctx.Done() // the worker has heard of it
		return errors.New("failed by itself")
	})})
	w.awaitJob(EventCancelled, "j")
	w.drain()
	if i := get(t, q, "j"); i.State != Cancelled || runs != 1 {
		t.Errorf("%s after %d runs", i.State, runs)
	}
	if left, err := q.s.Demands(); err != nil || len(left) > 0 {
		t.Errorf("left: %+v, %v", left, err)
	}
}

// TestCancelOfWhatWasGivenBack: a job that its worker gave back instead of ending it is
// cancelled by who waits for that.
func TestCancelOfWhatWasGivenBack(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"j","command":"x"}`)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if end, err := q.AwaitCancelled(ctx, Cancellation{ID: "j"}); err != nil || end.State != Cancelled {
		t.Errorf("%+v, %v", end, err)
	}
}

// TestFollowerSeesASuccessor: a job that has taken the id of one with more attempts is news.
func TestFollowerSeesASuccessor(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	f := q.emptyFollower()
	f.see(nil, spool.Entry{State: spool.Dead, Path: "dead/gone", Name: spool.Name{ID: "j", Attempt: 4, Outcome: "cancelled"}})
	late := spool.Entry{State: spool.Processing, Path: "processing/gone/too", Name: spool.Name{ID: "j", Attempt: 1}}
	if all := f.see(nil, late); len(all) != 0 {
		t.Errorf("what is not there any more is news: %+v", all)
	}
	enqueue(t, q, `{"id":"j","command":"x"}`)
	next, err := q.find("j")
	if err != nil {
		t.Fatal(err)
	}
	if all := f.see(nil, next); len(all) != 1 || all[0].event != EventEnqueued {
		t.Errorf("%+v", all)
	}
}

// TestFollowTellsNothingOld: what had ended before somebody follows is no news.
func TestFollowTellsNothingOld(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(context.Context, *Run) error { return nil })})
	enqueue(t, q, `{"id":"old","command":"x"}`)
	w.awaitJob(EventDone, "old")
	ctx, stop := context.WithCancel(context.Background())
	f := &followed{wake: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	go func() { ended <- q.Follow(ctx, f.visit) }()
	for i := 0; ; i++ {
		enqueue(t, q, `{"command":"x"}`)
		f.mu.Lock()
		n := len(f.told)
		f.mu.Unlock()
		if n > 5 {
			break
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, s := range f.told {
		if s == "done old" {
			t.Errorf("told %q", f.told)
		}
	}
}
