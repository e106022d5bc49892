package fsq

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// A job for whose output there is no room has not begun: a worker that drains gives it
// back, and does not wait for the room that its record would need.
func TestDrainGivesBackWhatCouldNotBegin(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"one","command":"true"}`)
	clear := obstruct(t, records(q))
	w := startWorker(t, q, WorkerOptions{})
	w.await("problem", func(e Event) bool { return e.Kind == EventProblem })
	if i := get(t, q, "one"); i.State != Processing {
		t.Errorf("it is %s", i.State)
	}
	w.drain()
	if i := get(t, q, "one"); i.State != Pending || i.Lost != 0 || i.MaxAttempts-i.Attempts != 4 {
		t.Errorf("given back it is %s, %d attempts of %d, %d lost", i.State, i.Attempts, i.MaxAttempts, i.Lost)
	}
	if _, began := w.find(func(e Event) bool { return e.Kind == EventStarted }); began {
		t.Error("it was begun")
	}
	clear()
	w = startWorker(t, q, WorkerOptions{})
	w.awaitJob(EventDone, "one")
	w.drain()
	sound(t, q)
}

// A disk that gives nothing for longer than a file is waited for takes nothing either.
// When it works again its jobs are run, and not set aside as unreadable.
func TestJobIsRunWhenItCanBeReadAgain(t *testing.T) {
	t.Parallel()
	ran := make(chan struct{})
	in, c := strayed(t, HandlerFunc(func(context.Context, *Run) error { close(ran); return nil }))
	in.readPatience = 0
	told := make(chan struct{}, 10)
	in.w.opt.Events = func(e Event) {
		if e.Kind == EventProblem {
			told <- struct{}{}
		}
	}
	clear := obstruct(t, filepath.Join(in.q.Dir(), "processing", in.lease.Worker()))
	in.start(c, false)
	for _, news := range []chan struct{}{told, ran} {
		select {
		case <-news: // it could be neither read nor set aside; then it could
		case <-time.After(hang):
			t.Fatalf("no news; it is %s", get(t, in.q, "one").State)
		}
		if news == told {
			clear()
		}
	}
	in.awaitFreed(t)
	if i := get(t, in.q, "one"); i.State != Done || i.Attempts != 1 {
		t.Errorf("it is %s after %d attempts", i.State, i.Attempts)
	}
}
