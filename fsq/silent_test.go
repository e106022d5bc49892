package fsq

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A worker that is suspended, or whose disk takes no writes, is not dead as long as its
// process is there.
func TestSilentWorkerIsNotLost(t *testing.T) {
	q := openQueue(t, DefaultConfig())
	l, err := q.s.Register(1, "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	entries, err := filepath.Glob(filepath.Join(q.Root(), "workers", l.Worker()+"*"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%q, %v", entries, err)
	}
	for since, want := range map[time.Duration]string{time.Minute: WorkerAlive, 5 * time.Minute: WorkerSilent} {
		then := time.Now().Add(-since)
		if err := os.Chtimes(entries[0], then, then); err != nil {
			t.Fatal(err)
		}
		ws, err := q.Workers(context.Background())
		if err != nil || len(ws) != 1 || ws[0].State != want || (ws[0].Error == "") != (want == WorkerAlive) {
			t.Errorf("%v without a heartbeat: want %s, have %+v, %v", since, want, ws, err)
		}
	}
}
