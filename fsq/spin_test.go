package fsq

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// What is due and has no slot gives the loop nothing to do. Heartbeats tell how long
// the worker has lived meanwhile: a loop that spins goes round a thousand times a
// second, with as many looks at the spool.
func TestLoopRestsWhileAllSlotsAreBusy(t *testing.T) {
	t.Parallel()
	loopRests(t, false)
}

func TestLoopRestsWhilePaused(t *testing.T) {
	t.Parallel()
	loopRests(t, true)
}

func loopRests(t *testing.T, paused bool) {
	t.Helper()
	cfg := testConfig()
	cfg.Lease = time.Second // beats 12 times
	q := openQueue(t, cfg)
	var rounds atomic.Int64
	free := make(chan struct{})
	w := startWorker(t, q, WorkerOptions{
		Handler: HandlerFunc(func(_ context.Context, r *Run) error {
			if r.ID == "first" {
				<-free
			}
			return nil
		}),
		Alive: func() { rounds.Add(1) },
	})
	enqueue(t, q, `{"id":"first","command":"x"}`)
	w.awaitJob(EventStarted, "first")
	enqueue(t, q, `{"id":"second","command":"x","run_at":"+1s"}`)
	if paused {
		if err := q.Pause(Pause{}); err != nil {
			t.Fatal(err)
		}
		w.await("pause", func(e Event) bool { return e.Kind == EventPaused })
	}
	second := get(t, q, "second")
	beat := func() (at time.Time) {
		st, err := os.Stat(filepath.Join(q.Dir(), spool.WorkerPath(w.ID())))
		if err != nil {
			t.Fatal(err)
		}
		return st.ModTime()
	}
	waitUntil(t, "the second job is due", func() bool { return beat().After(*second.DueAt) })
	const beats = 12
	before := rounds.Load()
	for n, last := 0, beat(); n < beats; n++ {
		waitUntil(t, "the worker's heart beats", func() bool { return beat().After(last) })
		last = beat()
	}
	// Some for the time that the job became due, for the poll, and for a busy machine.
	if n := rounds.Load() - before; n > beats {
		t.Errorf("the loop went round %d times in %d heartbeats", n, beats)
	}
	close(free)
	if paused {
		if _, err := q.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	w.awaitJob(EventDone, "second")
}

// How long the loop sleeps, by what keeps jobs that are due from being claimed.
func TestWhatEndsTheLoopsSleep(t *testing.T) {
	t.Parallel()
	in, _ := strayed(t, HandlerFunc(func(context.Context, *Run) error { return nil }))
	in.q.cfg.PollInterval = time.Hour
	in.scanned = time.Now()
	now := in.q.s.Now()
	const long = 30 * time.Minute
	in.ready.Reset()
	in.ready.Add(spool.Name{ID: "two", Due: now.Add(time.Minute), Allowed: 1}, now)
	if wake := in.nextWake(); wake > time.Minute {
		t.Errorf("a job that becomes due is slept over: %s", wake)
	}
	in.filled = now.Add(2 * time.Minute)
	if wake := in.nextWake(); wake < long {
		t.Errorf("for a job that was due and had no slot it wakes after %s", wake)
	}
	in.retryAt = time.Now().Add(time.Minute)
	if wake := in.nextWake(); wake > time.Minute {
		t.Errorf("the end of the pause after a refusal is slept over: %s", wake)
	}
	in.retryAt = time.Now().Add(-time.Minute)
	if wake := in.nextWake(); wake != time.Millisecond {
		t.Errorf("a pause that ended before the loop slept is slept over: %s", wake)
	}
	in.draining = true
	if wake := in.nextWake(); wake < long {
		t.Errorf("for a pause that is over a worker that drains wakes after %s", wake)
	}
	in.draining = false
	in.setSuspect(true)
	in.fill()
	if !in.retryAt.IsZero() {
		t.Error("a pause that is over is not forgotten: the loop would wake for it for ever")
	}
	select {
	case <-in.w.seat.wake:
	default:
	}
	in.setSuspect(false)
	select {
	case <-in.w.seat.wake:
	default:
		t.Error("nobody wakes the loop when its lease is not in doubt any more")
	}
}
