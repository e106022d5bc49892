package fsq

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// turnstile counts who is inside at the same time.
type turnstile struct {
	mu     sync.Mutex
	inside int
	most   int
	full   chan struct{} // closed when so many as `want` are inside
	want   int
}

func newTurnstile(want int) *turnstile { return &turnstile{full: make(chan struct{}), want: want} }

// pass lets nobody out before as many as are wanted are inside at once: that they can be
// is a part of the promise.
func (s *turnstile) pass(ctx context.Context, _ *Run) error {
	s.mu.Lock()
	s.inside++
	s.most = max(s.most, s.inside)
	if s.inside == s.want && s.most == s.want {
		select {
		case <-s.full:
		default:
			close(s.full)
		}
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inside--
		s.mu.Unlock()
	}()
	select {
	case <-s.full:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Over all workers no more jobs of a queue run than its limit, and as many as it.
func TestLimitOverAllWorkers(t *testing.T) {
	q := openQueue(t, testConfig())
	const jobs, limit, workers = 30, 3, 3
	for i := range jobs {
		enqueue(t, q, fmt.Sprintf(`{"id":"job-%d","command":"x"}`, i))
	}
	if err := q.SetLimit(limit); err != nil {
		t.Fatal(err)
	}
	gate := newTurnstile(limit)
	var crews []*crew
	for range workers {
		other, err := Open(q.Dir(), testConfig())
		if err != nil {
			t.Fatal(err)
		}
		crews = append(crews, startWorker(t, other, WorkerOptions{Slots: 4, Drain: true, Handler: HandlerFunc(gate.pass)}))
	}
	for _, c := range crews {
		<-c.ended // a drain ends when nothing is due: also what waits for the limit is
		if c.err != nil {
			t.Error(c.err)
		}
	}
	if st, err := q.Status(t.Context()); err != nil || st.Done != jobs || gate.most != limit || *st.Limit != limit {
		t.Errorf("%d ran at the same time, the limit is %d; %+v, %v", gate.most, limit, st, err)
	}
	sound(t, q)
}

// A limit is changed while workers work, and a job that waits for it says so.
func TestLimitIsChangedAtWork(t *testing.T) {
	q := openQueue(t, testConfig())
	for _, id := range []string{"a", "b", "c"} {
		enqueue(t, q, `{"id":"`+id+`","command":"x"}`)
	}
	if err := q.SetLimit(1); err != nil {
		t.Fatal(err)
	}
	proceed := make(chan struct{})
	w := startWorker(t, q, WorkerOptions{Slots: 4, Handler: HandlerFunc(func(context.Context, *Run) error {
		<-proceed
		return nil
	})})
	w.awaitJob(EventStarted, "a")
	if x := explain(t, q, "b"); x.Reason != ReasonLimit || *x.Limit != 1 || x.Running != 1 {
		t.Errorf("b: %+v", x)
	}
	if err := q.SetLimit(2); err != nil {
		t.Fatal(err)
	}
	w.awaitJob(EventStarted, "b")
	if x := explain(t, q, "c"); x.Reason != ReasonLimit || *x.Limit != 2 || x.Running != 2 {
		t.Errorf("c: %+v", x)
	}
	if err := q.SetLimit(0); err != nil {
		t.Fatal(err)
	}
	w.awaitJob(EventStarted, "c")
	close(proceed)
	w.awaitJob(EventDone, "c")
	w.drain()
}

// A limit that cannot be read stops the queue, tells so, and lets a drain end.
func TestLimitThatCannotBeRead(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"a","command":"x"}`)
	file := filepath.Join(q.Dir(), "ctl", "limit")
	if err := os.WriteFile(file, []byte("three\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Limit(); !errors.Is(err, ErrBadLimit) {
		t.Error(err)
	}
	handler := HandlerFunc(func(context.Context, *Run) error { return nil })
	drained := startWorker(t, q, WorkerOptions{Drain: true, Handler: handler})
	<-drained.ended
	if e, ok := drained.find(func(e Event) bool { return e.Kind == EventStarted }); ok {
		t.Errorf("a job was started: %+v", e)
	}
	w := startWorker(t, q, WorkerOptions{Handler: handler})
	w.await("word of the limit", func(e Event) bool { return e.Kind == EventProblem })
	if x := explain(t, q, "a"); x.Reason != ReasonLimit || *x.Limit != 0 {
		t.Errorf("%+v", x)
	}
	if err := q.SetLimit(0); err != nil {
		t.Fatal(err)
	}
	w.awaitJob(EventDone, "a")
	w.drain()
}
