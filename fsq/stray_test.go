package fsq

import (
	"context"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// strayed is an incarnation with a job that it has claimed, and not started yet when
// the audit saw the claim for the second time: an fsync came between.
func strayed(t *testing.T, h Handler) (*incarnation, *spool.Claim) {
	t.Helper()
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"one","command":"true"}`)
	lease, err := q.s.Register(1, Version, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lease.Close() })
	in := newIncarnation(q.NewWorker(WorkerOptions{Handler: h}), lease)
	in.scan()
	n, ok := in.ready.Next(q.s.Now())
	if !ok {
		t.Fatal("the job does not wait")
	}
	c, err := lease.Claim(n)
	if err != nil {
		t.Fatal(err)
	}
	in.audit()
	in.audit()
	return in, c
}

func (in *incarnation) awaitFreed(t *testing.T) {
	t.Helper()
	select {
	case <-in.freed.C:
		in.takeFreed()
	case <-time.After(hang):
		t.Fatal("the job does not end")
	}
}

func TestStrayThatRunsIsNotRunAgain(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	runs := 0
	in, c := strayed(t, HandlerFunc(func(context.Context, *Run) error {
		runs++
		close(begun)
		<-end
		return nil
	}))
	in.start(c, false)
	<-begun
	in.takeStrays()
	if in.busy != 1 {
		t.Errorf("%d slots are busy with one job", in.busy)
	}
	close(end)
	in.awaitFreed(t)
	if runs != 1 {
		t.Errorf("the job ran %d times", runs)
	}
}

func TestStrayThatIsDoneIsNotRunAgain(t *testing.T) {
	in, c := strayed(t, HandlerFunc(func(context.Context, *Run) error { return nil }))
	in.start(c, false)
	in.awaitFreed(t)
	in.takeStrays()
	if in.busy != 0 {
		t.Errorf("%d slots are busy, and all is done", in.busy)
	}
}

// What the audit is for: a claim whose reply was lost.
func TestStrayIsRun(t *testing.T) {
	in, c := strayed(t, HandlerFunc(func(context.Context, *Run) error { return nil }))
	c.Abandon() // the caller never heard of it
	in.takeStrays()
	if in.busy != 1 {
		t.Fatalf("%d slots are busy, want 1", in.busy)
	}
	in.awaitFreed(t)
	if i := get(t, in.q, "one"); i.State != Done || i.Attempts != 1 {
		t.Errorf("the job is %s after %d attempts", i.State, i.Attempts)
	}
}
