package fsq

import (
	"context"
	"errors"
	"testing"
)

func TestLeaseClaimsWhatItIsAskedFor(t *testing.T) {
	q := openQueue(t, testConfig())
	for _, doc := range []string{
		`{"id":"a","command":"x","priority":2}`, `{"id":"b","command":"x","priority":1,"max_retries":1}`, `{"id":"c","command":"x"}`,
	} {
		enqueue(t, q, doc)
	}
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	l := q.Lease(nil)
	claim := func(id string, attempt int) *Claim {
		t.Helper()
		c, err := l.Claim(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if c.ID != id || c.Attempt != attempt {
			t.Fatalf("want %s attempt %d, have %s attempt %d", id, attempt, c.ID, c.Attempt)
		}
		return c
	}
	a := claim("a", 1)
	if st, err := q.Status(ctx); err != nil || st.Processing != 1 || st.Pending != 2 {
		t.Errorf("more was claimed than asked for: %+v, %v", st, err)
	}
	if err := a.Done(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Fail(ctx, errors.New("too late")); !errors.Is(err, ErrState) {
		t.Errorf("a second settlement: %v", err)
	}
	if i := get(t, q, "a"); i.State != Done {
		t.Errorf("done, and yet %s", i.State)
	}
	b := claim("b", 1)
	if err := b.Fail(ctx, errors.New("no luck")); err != nil {
		t.Fatal(err)
	}
	if i := get(t, q, "b"); i.Error != "no luck" || i.Attempts != 1 {
		t.Errorf("%+v", i)
	}
	b = claimID(ctx, t, l, "b")
	if err := b.Fail(ctx, errors.New("no luck")); err != nil {
		t.Fatal(err)
	}
	if i := get(t, q, "b"); i.State != Dead {
		t.Errorf("%+v", i)
	}
	c := claimID(ctx, t, l, "c")
	if err := c.Release(ctx); err != nil {
		t.Fatal(err)
	}
	c = claimID(ctx, t, l, "c")
	if c.Attempt < 2 {
		t.Errorf("%+v", c.Run)
	}
	// Nobody asks any more: what is left over is given back at the end.
	gone, cancelGone := context.WithCancel(ctx)
	cancelGone()
	if _, err := l.Claim(gone); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Done(ctx); !errors.Is(err, ErrLost) {
		t.Errorf("a settlement after the end: %v", err)
	}
	if _, err := l.Claim(ctx); !errors.Is(err, ErrClosed) {
		t.Errorf("a claim after the end: %v", err)
	}
	if i := get(t, q, "c"); i.State != Pending {
		t.Errorf("%+v", i)
	}
	sound(t, q)
}

// claimID claims until it gets the job; others are given back.
func claimID(ctx context.Context, t *testing.T, l *Lease, id string) *Claim {
	t.Helper()
	for {
		c, err := l.Claim(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if c.ID == id {
			return c
		}
		if err := c.Release(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
