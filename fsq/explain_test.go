package fsq

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

func explain(t *testing.T, q *Queue, id string) Explanation {
	t.Helper()
	x, err := q.Explain(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestExplainWaiting: what keeps a job that waits, before there is a worker and while
// the only one is busy.
func TestExplainWaiting(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"first","command":"x","priority":2}`)
	enqueue(t, q, `{"id":"urgent","command":"x","priority":1}`)
	enqueue(t, q, `{"id":"earlier","command":"x","run_at":"2020-01-01T00:00:00Z"}`)
	enqueue(t, q, `{"id":"due","command":"x","timeout_seconds":60}`)
	enqueue(t, q, `{"id":"later","command":"x","run_at":"+1h"}`)
	if err := os.WriteFile(filepath.Join(q.Dir(), spool.DropPath("dropped.json")), []byte(`{"command":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if x := explain(t, q, "due"); x.Reason != ReasonNoWorker || x.Ahead != 3 || x.AheadHigher != 2 || *x.TimeoutSeconds != 60 {
		t.Errorf("due: %+v", x)
	}
	if x := explain(t, q, "later"); x.Reason != ReasonScheduled || x.Ahead != 0 {
		t.Errorf("later: %+v", x)
	}
	if x := explain(t, q, "dropped"); x.Reason != ReasonDropped || x.Error == "" || x.Workers != 0 {
		t.Errorf("dropped: %+v", x)
	}
	if err := q.Pause(Pause{Reason: "no disk"}); err != nil {
		t.Fatal(err)
	}
	if x := explain(t, q, "due"); x.Reason != ReasonPaused || x.Paused.Reason != "no disk" || x.Ahead != 3 {
		t.Errorf("paused: %+v", x)
	}
	if _, err := q.Resume(); err != nil {
		t.Fatal(err)
	}

	proceed := make(chan struct{})
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(context.Context, *Run) error {
		<-proceed
		return nil
	})})
	w.awaitJob(EventStarted, "first")
	if x := explain(t, q, "first"); x.Reason != ReasonRunning || x.Host == "" || x.Worker != w.ID() || x.StartedAt == nil {
		t.Errorf("running: %+v", x)
	}
	if x := explain(t, q, "due"); x.Reason != ReasonAllBusy || x.Workers != 1 || x.Slots != 1 || x.Busy != 1 || x.Ahead != 2 || x.AheadHigher != 1 {
		t.Errorf("busy: %+v", x)
	}
	close(proceed)
	w.awaitJob(EventDone, "due")
	w.drain()
	if x := explain(t, q, "due"); x.Reason != ReasonDone {
		t.Errorf("done: %+v", x)
	}
	if _, err := q.Explain(context.Background(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown id: %v", err)
	}
}

// TestExplainAttempts: how the last attempt brought a job where it is.
func TestExplainAttempts(t *testing.T) {
	cfg := testConfig()
	cfg.BackoffBase, cfg.BackoffMax = 3600, time.Hour
	q := openQueue(t, cfg)
	enqueue(t, q, `{"id":"retries","command":"printf 'a\\nno space\\033[31m\\n\\n' >&2; exit 3"}`)
	enqueue(t, q, `{"id":"snoozes","command":"exit 75"}`)
	enqueue(t, q, `{"id":"fatal","command":"exit 100"}`)
	enqueue(t, q, `{"id":"exhausted","command":"exit 1","max_retries":0}`)
	enqueue(t, q, `{"id":"cancelled","command":"true","run_at":"+1h"}`)
	enqueue(t, q, `{"id":"buried","command":"true","run_at":"+1h"}`)
	if _, err := q.Cancel(context.Background(), "cancelled"); err != nil {
		t.Fatal(err)
	}
	buried := get(t, q, "buried")
	if err := os.Rename(filepath.Join(q.Dir(), buried.File), filepath.Join(q.Dir(), "dead", filepath.Base(buried.File))); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, q, WorkerOptions{})
	w.awaitJob(EventRetry, "retries")
	w.awaitJob(EventSnoozed, "snoozes")
	w.awaitJob(EventDead, "fatal")
	w.awaitJob(EventDead, "exhausted")
	w.drain()
	for id, want := range map[string]Reason{
		"retries": ReasonRetry, "snoozes": ReasonSnoozed, "fatal": ReasonFatal, "exhausted": ReasonExhausted,
		"cancelled": ReasonCancelled, "buried": ReasonBuried,
	} {
		if x := explain(t, q, id); x.Reason != want {
			t.Errorf("%s: %s, want %s: %+v", id, x.Reason, want, x)
		}
	}
	if x := explain(t, q, "retries"); x.LastLine != "no space [31m" || x.Error != "exit status 3" || x.DueAt == nil {
		t.Errorf("retries: %+v", x)
	}
	if x := explain(t, q, "snoozes"); x.Snoozed != 1 || x.SnoozeMax != 100 {
		t.Errorf("snoozes: %+v", x)
	}
}
