package fsq

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestWhichProblemsAreTold(t *testing.T) {
	t.Parallel()
	var c complaints
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	count := func(n int, text func(i int) string, cause string) (told, last int) {
		for i := range n {
			yes, end := c.tell(text(i), cause, now)
			if yes {
				told++
			}
			if end {
				last++
			}
		}
		return told, last
	}
	same := func(int) string { return "scan pending: no space left" }
	each := func(i int) string { return fmt.Sprintf("adopt %d: no space left", i) }
	for minute := range 3 {
		if told, _ := count(100, same, "no space left"); told != 1 {
			t.Errorf("minute %d: the same is told %d times", minute, told)
		}
		if told, last := count(10_000, each, "no space left"); told != maxAlike-1 || last != 1 {
			t.Errorf("minute %d: of many that are alike %d are told, want %d; %d times that no more are", minute, told, maxAlike-1, last)
		}
		if told, last := count(1, func(int) string { return "scan done: permission denied" }, "permission denied"); told != 1 || last != 0 {
			t.Errorf("minute %d: of another cause %d are told", minute, told)
		}
		now = now.Add(problemPause)
	}
	for i := range 10 * maxProblems {
		c.tell(fmt.Sprint(i), fmt.Sprint(i), now)
	}
	if len(c.texts) > maxProblems || len(c.causes) > maxProblems {
		t.Errorf("%d texts and %d causes are remembered", len(c.texts), len(c.causes))
	}
}

// The name under which a worker tries to register is another each time: told is it once.
func TestWorkerThatCannotRegister(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Lease = time.Second
	q := openQueue(t, cfg)
	var rounds atomic.Int64
	w := startWorker(t, q, WorkerOptions{Alive: func() { rounds.Add(1) }})
	w.await("registration", func(e Event) bool { return e.Kind == EventReady })
	lost := w.ID()
	clear := obstruct(t, filepath.Join(q.Dir(), "workers"))
	registering := func() (n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.events {
			if e.Kind == EventProblem && strings.HasPrefix(e.Error, "register a worker") {
				n++
			}
		}
		return n
	}
	waitUntil(t, "it tries to register again", func() bool { return registering() > 0 })
	tries := rounds.Load()
	waitUntil(t, "it tries twice more", func() bool { return rounds.Load() >= tries+2 })
	if n := registering(); n != 1 {
		t.Errorf("told is %d times that it cannot", n)
	}
	clear()
	waitUntil(t, "it is registered under a new name", func() bool { return w.ID() != lost })
	enqueue(t, q, `{"id":"one","command":"true"}`)
	w.awaitJob(EventDone, "one")
}

// Output that cannot be cut is tried ten times a second, and told of once.
func TestOutputThatCannotBeCut(t *testing.T) {
	t.Parallel()
	s, _, _ := settlement(t)
	var log bytes.Buffer
	s.in.w.log = slog.New(slog.NewTextHandler(&log, nil))
	for range 3 {
		s.enforce(uncuttable{})
	}
	if n := strings.Count(log.String(), "limit the output"); n != 1 {
		t.Errorf("told %d times:\n%s", n, log.String())
	}
}

type uncuttable struct{}

func (uncuttable) enforce() error { return syscall.EROFS }
