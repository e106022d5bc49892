package fsq

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
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

// A queue with a limit of one is in order, also of jobs that are due at the same moment, and
// whatever slots look for room in vain meanwhile.
func TestLimitKeepsTheOrder(t *testing.T) {
	q := openQueue(t, testConfig())
	var want []string
	for i := range 8 {
		id := fmt.Sprintf("job-%d", i)
		want = append(want, id)
		enqueue(t, q, `{"id":"`+id+`","command":"x","run_at":"2020-01-01T00:00:00Z"}`)
	}
	if err := q.SetLimit(1); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	w := startWorker(t, q, WorkerOptions{Slots: 4, Drain: true, Handler: HandlerFunc(func(_ context.Context, r *Run) error {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, r.ID)
		return nil
	})})
	<-w.ended
	if !slices.Equal(got, want) {
		t.Errorf("the order was %v", got)
	}
}

// A lock that is never free is told of, and one that others only have often is not.
func TestJam(t *testing.T) {
	crowd, now := fmt.Errorf("%w: %w", spool.ErrCrowd, spool.ErrFull), time.Unix(1e9, 0)
	long := now.Add(-jamPatience)
	for _, c := range []struct {
		since time.Time
		err   error
		want  time.Time
		tell  bool
	}{
		{time.Time{}, spool.ErrFull, time.Time{}, false},
		{time.Time{}, crowd, now, false},
		{long.Add(1), crowd, long.Add(1), false},
		{long, crowd, long, true},
		{long, spool.ErrFull, time.Time{}, false},
	} {
		if at, tell := jammedSince(c.since, c.err, now); !at.Equal(c.want) || tell != c.tell {
			t.Errorf("since %s, %v: %s, %v", c.since, c.err, at, tell)
		}
	}
}
