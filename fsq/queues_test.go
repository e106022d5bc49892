package fsq

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	mail := named(t, q, "mail", testConfig())
	enqueue(t, q, `{"id":"both","command":"x"}`)
	enqueue(t, mail, `{"id":"both","command":"x"}`)
	enqueue(t, mail, `{"id":"letter","command":"x"}`)
	where, err := Locate(context.Background(), []*Queue{q, mail}, []string{"both", "letter", "nobody"})
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "nobody") || strings.Contains(err.Error(), "letter") {
		t.Errorf("have %v, want ErrNotFound of nobody", err)
	}
	if len(where["both"]) != 2 || len(where["letter"]) != 1 || where["letter"][0] != mail || len(where) != 2 {
		t.Errorf("have %v", where)
	}
}

func TestWaitAll(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	mail := named(t, q, "mail", testConfig())
	for _, of := range []*Queue{q, mail} {
		enqueue(t, of, `{"id":"a","command":"x"}`)
		enqueue(t, of, `{"id":"later","command":"x","run_at":"+1h"}`)
	}
	// Nobody works: the wait of each queue has begun when it tells how far it is.
	ctx, stop := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	ended := map[string]State{}
	var last WaitProgress
	asked := false
	err := WaitAll(ctx, []Awaited{{q, []string{"a", "later"}}, {mail, []string{"a", "nobody"}}}, WaitOptions{
		Ended:   func(w Waited) { ended[w.Queue+"/"+w.ID] = w.State },
		Unknown: func(err error) { ended[err.Error()] = "" },
		Progress: func(p WaitProgress) {
			if last = p; p.Total == 3 && !asked {
				asked = true
				for _, of := range []*Queue{q, mail} {
					if _, err := of.Cancel(context.Background(), "a"); err != nil {
						t.Error(err)
					}
				}
			}
			if p.Ended == 2 {
				stop(enough)
			}
		},
	})
	if !errors.Is(err, enough) || !errors.Is(err, ErrNotFound) {
		t.Errorf("have %v, want that it was stopped, and that nobody was not found", err)
	}
	if want := (WaitProgress{Total: 3, Ended: 2, Failed: 2}); last != want {
		t.Errorf("have %+v, want %+v", last, want)
	}
	if _, unknown := ended[notFound("nobody").Error()]; !unknown || ended["default/a"] != Cancelled || ended["mail/a"] != Cancelled || len(ended) != 3 {
		t.Errorf("have %v", ended)
	}
}

// TestFollowAllLeavesAQueue: an error of one queue is the end of all where the queues are
// named, and of none but that one where all are meant that there are.
func TestFollowAllLeavesAQueue(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.PollInterval = 10 * time.Millisecond
	q := openQueue(t, cfg)
	mail := named(t, q, "mail", cfg)
	none := func(func(string) bool) ([]*Queue, error) { return nil, nil }
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	f := &followed{wake: make(chan struct{}, 1)}
	strict, all := make(chan error, 1), make(chan error, 1)
	go func() { all <- FollowAll(ctx, []*Queue{q, mail}, none, f.visit) }()
	g := &followed{wake: make(chan struct{}, 1)}
	go func() { strict <- FollowAll(ctx, []*Queue{q, mail}, nil, g.visit) }()
	for _, x := range []*followed{f, g} {
		for begun := false; !begun; {
			enqueue(t, q, `{"command":"x","run_at":"+1h"}`)
			x.mu.Lock()
			begun = len(x.told) > 0
			x.mu.Unlock()
		}
	}
	if err := RemoveQueue(q.Root(), "mail", true); err != nil {
		t.Fatal(err)
	}
	if err := <-strict; err == nil {
		t.Error("the queue is gone, and nobody was told")
	}
	enqueue(t, q, `{"id":"on","command":"x","run_at":"+1h"}`)
	f.await(t, "enqueued on")
	stop()
	if err := <-all; err != nil {
		t.Error(err)
	}
}

func TestSumViews(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	view := func(queue string, n int, change func(*LiveView)) LiveView {
		v := LiveView{Queue: queue, Counts: map[State]int{Pending: n}, Ended: make([]int, LiveSeconds), Failed: make([]int, LiveSeconds)}
		v.Ended[7] = n
		v.Failures = []Failure{{Transition: Transition{Queue: queue, Time: at.Add(time.Duration(n))}}}
		change(&v)
		return v
	}
	sum := SumViews([]LiveView{
		view("a", 1, func(v *LiveView) { v.Oldest, v.Paused = at.Add(1), &Pause{} }),
		view("b", 2, func(v *LiveView) { v.Next, v.Err = at, errors.New("stale") }),
		view("c", 3, func(v *LiveView) { v.Oldest = at }),
	})
	if sum.Counts[Pending] != 6 || sum.Ended[7] != 6 || !sum.Oldest.Equal(at) || !sum.Next.Equal(at) || sum.Err == nil {
		t.Errorf("have %+v", sum)
	}
	if len(sum.PausedQueues) != 1 || sum.PausedQueues[0] != "a" || len(sum.Failures) != 3 || sum.Failures[0].Queue != "c" {
		t.Errorf("have paused %v, failures %v", sum.PausedQueues, sum.Failures)
	}
}
