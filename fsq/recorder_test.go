package fsq

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// A worker writes what is new: not again what another has just written, always what only it
// knows, and later what it could not write now.
func TestRecorder(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"waits","command":"true"}`)
	r := newRecorder(q.NewWorker(WorkerOptions{}))
	path := filepath.Join(q.Dir(), spool.HistoryPath())
	written := func() (looks, failed int64) {
		for _, b := range storedRollup(t, q).Buckets {
			looks, failed = looks+b.Looks, failed+b.Failed
			if b.Pending != b.Looks {
				t.Errorf("%d looks have seen %d jobs wait, want one each", b.Looks, b.Pending)
			}
		}
		return looks, failed
	}
	step := func(what string, failed, look bool, wantLooks, wantFailed int64) {
		t.Helper()
		r.ended(q.s.Now(), failed)
		r.write(t.Context(), look)
		if looks, failed := written(); looks != wantLooks || failed != wantFailed {
			t.Errorf("%s: %d looks and %d failed attempts are written, want %d and %d", what, looks, failed, wantLooks, wantFailed)
		}
	}
	step("the first time", false, true, 1, 0)
	step("another has just written it", false, true, 1, 0)
	step("a failed attempt", true, true, 2, 1)
	step("at its end, with nothing that only it knows", false, false, 2, 1)
	step("at its end", true, false, 2, 2)
	history, err := os.ReadFile(path)
	if err := errors.Join(err, os.WriteFile(path, []byte(`{"format":2}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	<-r.any
	r.ended(q.s.Now(), true)
	<-r.any
	r.write(t.Context(), true)
	select {
	case <-r.any:
	default:
		t.Error("what could not be written is not tried again")
	}
	if err := os.WriteFile(path, history, 0o600); err != nil {
		t.Fatal(err)
	}
	step("what could not be written before", false, false, 2, 3)
	u := unwritten{}
	for i := range maxUnwritten + 10 {
		u.at(time.Unix(int64(60*i), 0)).Failed = 1
	}
	if u.bound(); len(u) != maxUnwritten || u[0] != nil || u[60*(maxUnwritten+9)] == nil {
		t.Errorf("%d minutes are kept, want the last %d", len(u), maxUnwritten)
	}
}
