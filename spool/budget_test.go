package spool

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"
)

// The price of each transition in system calls, once the directories that it needs are
// there. A figure here is a promise about speed that no noisy machine can blur: one call
// more has to be argued for.
func TestSystemCallsOfEachTransition(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	var calls []string
	counting := false
	s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(c call) fault {
		if counting {
			calls = append(calls, c.op)
		}
		return fault{}
	}})
	l := mustRegister(t, s)
	generated := func() Item {
		it := item(s, s.NewID())
		it.Reserved = false
		return it
	}
	put := func(it Item) func() error { return func() error { return s.Put(it) } }
	batch := func(n int) func() error {
		var items []Item
		for range n {
			items = append(items, generated())
		}
		return func() error {
			for _, err := range s.PutBatch(items) {
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	waiting := func() Name {
		it := generated()
		mustDo(t, s.Put(it))
		return it.Name
	}
	claimed := func() *Claim {
		c, err := l.Claim(waiting())
		mustDo(t, err)
		return c
	}
	settle := func(end func(*Claim) (Settled, error)) func() error {
		c := claimed()
		return func() error {
			settled, err := end(c)
			if err != nil {
				return err
			}
			return s.SyncSettled(settled)
		}
	}
	done := func(c *Claim) (Settled, error) { return c.Done(Ending{Outcome: "done"}) }
	// The directories of this hour and of the id.
	mustDo(t, put(item(s, "job-1"))(), settle(done)())
	held, first := claimed(), waiting()
	neighbour := "job-2" // an id whose binding goes into the directory that job-1's has made
	for i := 3; path.Dir(s.idPath(neighbour)) != path.Dir(s.idPath("job-1")); i++ {
		neighbour = fmt.Sprintf("job-%d", i)
	}
	for _, c := range []struct {
		what string
		op   func() error
		want string
	}{
		{"put", put(generated()), "create write fsync close rename syncdir"},
		{"put under a chosen id", put(item(s, neighbour)), "create write stamp fsync close link rename syncdir syncdir"},
		{"put 3", batch(3), strings.Repeat("create write fsync close ", 3) + "rename rename rename syncdir"},
		{"put 100", batch(100), strings.Repeat("create write close ", 100) + "syncfs " + strings.Repeat("rename ", 100) + "syncdir"},
		{"claim", func() error { _, err := l.Claim(first); return err }, "rename"},
		{"read", func() error { _, err := held.Read(); return err }, "open fstat read read fstat close"},
		{"done", settle(done), "rename syncdir syncdir"},
		{"dead", settle(func(c *Claim) (Settled, error) { return c.Bury(Ending{Outcome: "failed"}) }), "rename syncdir syncdir"},
		{"retry", settle(func(c *Claim) (Settled, error) { return c.Retry(s.Now().Add(time.Second)) }), "rename syncdir syncdir"},
		{"beat", l.Beat, "touch look look"},
	} {
		calls, counting = nil, true
		err := c.op()
		counting = false
		mustDo(t, err)
		if got := strings.Join(calls, " "); got != strings.TrimSpace(c.want) {
			t.Errorf("%s: %s; want %s", c.what, got, c.want)
		}
	}
}
