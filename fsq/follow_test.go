package fsq

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

func TestNews(t *testing.T) {
	t.Parallel()
	at := func(st spool.State, n spool.Name) spool.Entry {
		n.ID = "j"
		return spool.Entry{State: st, Name: n}
	}
	pending := at(spool.Pending, spool.Name{Allowed: 4})
	running := at(spool.Processing, spool.Name{Attempt: 1, Allowed: 4})
	dead := at(spool.Dead, spool.Name{Attempt: 4, Allowed: 4, Outcome: "failed"})
	back := func(change func(*spool.Name)) spool.Entry {
		n := spool.Name{Attempt: 1, Allowed: 5}
		change(&n)
		return at(spool.Pending, n)
	}
	never := spool.Entry{}
	for what, c := range map[string]struct {
		old, e spool.Entry
		want   string
	}{
		"new":                     {never, pending, EventEnqueued},
		"new and held":            {never, at(spool.Pending, spool.Name{Held: true}), EventHeld},
		"the same":                {pending, pending, ""},
		"held":                    {pending, at(spool.Pending, spool.Name{Allowed: 4, Held: true}), EventHeld},
		"released":                {at(spool.Pending, spool.Name{Allowed: 4, Held: true}), pending, EventReleased},
		"another priority":        {pending, at(spool.Pending, spool.Name{Allowed: 4, Priority: 1}), EventChanged},
		"claimed":                 {pending, running, EventStarted},
		"claimed, unseen before":  {never, running, EventStarted},
		"seen too late":           {running, pending, ""},
		"failed":                  {running, back(func(n *spool.Name) { n.Allowed = 4 }), EventRetry},
		"failed, unseen before":   {never, back(func(*spool.Name) {}), EventRetry},
		"failed, its run unseen":  {pending, back(func(*spool.Name) {}), EventRetry},
		"lost":                    {running, back(func(n *spool.Name) { n.Lost = 1 }), EventLost},
		"given back":              {running, back(func(n *spool.Name) { n.Given = 1 }), EventRequeued},
		"snoozed":                 {running, back(func(n *spool.Name) { n.Snoozed = 1 }), EventSnoozed},
		"dead":                    {running, dead, EventDead},
		"cancelled":               {pending, at(spool.Dead, spool.Name{Outcome: "cancelled"}), EventCancelled},
		"retried":                 {dead, at(spool.Pending, spool.Name{Attempt: 4, Allowed: 8}), EventRevived},
		"another of the same id":  {dead, pending, EventEnqueued},
		"cancelled before it ran": {at(spool.Dead, spool.Name{Outcome: "cancelled"}), pending, EventRevived},
	} {
		if have := news(traceOf(c.old), c.old.State != "", c.e); have != c.want {
			t.Errorf("%s: have %q, want %q", what, have, c.want)
		}
	}
}

// followed collects what Follow tells.
type followed struct {
	mu   sync.Mutex
	told []string
	wake chan struct{}
}

func (f *followed) visit(tr Transition) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = append(f.told, tr.Event+" "+tr.JobID)
	select {
	case f.wake <- struct{}{}:
	default:
	}
	return nil
}

func (f *followed) await(t *testing.T, want string) {
	t.Helper()
	guard := time.After(hang)
	for {
		f.mu.Lock()
		there := slices.Contains(f.told, want)
		told := strings.Join(f.told, ", ")
		f.mu.Unlock()
		if there {
			return
		}
		select {
		case <-f.wake:
		case <-guard:
			t.Fatalf("no %q in %s", want, told)
		}
	}
}

// each runs a test where events tell of changes, and where a follower has to look.
func each(t *testing.T, test func(t *testing.T, q *Queue)) {
	t.Helper()
	for what, poll := range map[string]time.Duration{"told": 0, "looking": 10 * time.Millisecond} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig()
			cfg.PollInterval = poll
			test(t, openQueue(t, cfg))
		})
	}
}

func TestFollowTellsEachEndOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, q *Queue) {
		w := startWorker(t, q, WorkerOptions{Slots: 2, Handler: HandlerFunc(func(_ context.Context, r *Run) error {
			if strings.HasPrefix(r.ID, "bad") {
				return errors.New("no")
			}
			return nil
		})})
		// Its directory is there, so that what it claims is told and not found by a scan.
		w.await("registration", func(e Event) bool { return e.Kind == EventReady })
		enqueue(t, q, `{"id":"first","command":"x"}`)
		w.awaitJob(EventDone, "first")
		f := &followed{wake: make(chan struct{}, 1)}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- q.Follow(ctx, f.visit) }()
		// When it tells of one, it has begun.
		id := 0
		for begun := false; !begun; id++ {
			enqueue(t, q, `{"command":"x","run_at":"+1h"}`)
			f.mu.Lock()
			begun = len(f.told) > 0
			f.mu.Unlock()
		}
		enqueue(t, q, `{"id":"good","command":"x"}`)
		enqueue(t, q, `{"id":"bad","command":"x","max_retries":1}`)
		f.await(t, "done good")
		f.await(t, "dead bad")
		if err := q.RetryDead(context.Background(), "bad"); err != nil {
			t.Fatal(err)
		}
		w.drain()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		count := map[string]int{}
		for _, s := range f.told {
			count[s]++
		}
		for _, want := range []string{"enqueued good", "enqueued bad", "done good"} {
			if q.cfg.PollInterval > 0 && strings.HasPrefix(want, "enqueued") {
				continue // it may have run between two looks
			}
			if count[want] != 1 {
				t.Errorf("%d times %q in %v", count[want], want, f.told)
			}
		}
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, q *Queue) {
		release := make(chan struct{})
		startWorker(t, q, WorkerOptions{Slots: 4, Handler: HandlerFunc(func(ctx context.Context, r *Run) error {
			switch r.ID {
			case "bad":
				return errors.New("no")
			case "slow":
				select {
				case <-release:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			return nil
		})})
		for _, doc := range []string{
			`{"id":"before","command":"x"}`, `{"id":"bad","command":"x","max_retries":0}`, `{"id":"slow","command":"x"}`,
			`{"id":"later","command":"x","run_at":"+1h"}`,
		} {
			enqueue(t, q, doc)
		}
		ctx := context.Background()
		if err := q.Wait(ctx, []string{"before"}, WaitOptions{}); err != nil {
			t.Fatal(err)
		}
		states := map[string]State{}
		var last WaitProgress
		opt := WaitOptions{
			Ended:    func(w Waited) { states[w.ID] = w.State },
			Progress: func(p WaitProgress) { last = p; once(release, p.Ended == 2) },
		}
		err := q.Wait(ctx, []string{"before", "bad", "slow", "nobody", "slow"}, opt)
		if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "nobody") {
			t.Errorf("have %v, want ErrNotFound of nobody", err)
		}
		want := map[string]State{"before": Done, "bad": Dead, "slow": Done}
		if !maps.Equal(states, want) {
			t.Errorf("have %v, want %v", states, want)
		}
		if last != (WaitProgress{Total: 3, Ended: 3, Failed: 1}) {
			t.Errorf("%+v", last)
		}
		limited, cancel := context.WithCancel(ctx)
		cancel()
		if err := q.Wait(limited, []string{"later"}, WaitOptions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("have %v, want context.Canceled", err)
		}
		// A job that is cancelled while it is waited for.
		ended := make(chan Waited, 1)
		go func() {
			_, err := q.Cancel(ctx, "later")
			if err != nil {
				t.Error(err)
			}
		}()
		if err := q.Wait(ctx, []string{"later"}, WaitOptions{Ended: func(w Waited) { ended <- w }}); err != nil {
			t.Fatal(err)
		}
		if w := <-ended; w.State != Cancelled || w.Succeeded() {
			t.Errorf("%+v", w)
		}
	})
}

// once closes c when the condition holds for the first time.
func once(c chan struct{}, when bool) {
	if !when {
		return
	}
	select {
	case <-c:
	default:
		close(c)
	}
}

// TestTail: the output of all attempts, in order and whole, from before the job's start
// to its end.
func TestTail(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, q *Queue) {
		enqueue(t, q, `{"id":"j","command":"echo out $QUEUECTL_ATTEMPT; echo err >&2; test $QUEUECTL_ATTEMPT = 3"}`)
		var stdout, stderr strings.Builder
		var outcomes []string
		type end struct {
			Waited
			err error
		}
		ended := make(chan end, 1)
		go func() {
			w, err := q.Tail(context.Background(), "j", TailOptions{Stdout: &stdout, Stderr: &stderr, Attempt: func(a Attempt) {
				if a.Outcome != OutcomeRunning {
					outcomes = append(outcomes, a.Outcome)
				}
			}})
			ended <- end{w, err}
		}()
		startWorker(t, q, WorkerOptions{})
		e := <-ended
		if e.err != nil || e.State != Done || e.Attempts != 3 {
			t.Errorf("%+v", e)
		}
		// It may begin after the first attempts, but passes none over from then on.
		if all := []string{"out 1\nout 2\nout 3\n", "out 2\nout 3\n", "out 3\n"}; !slices.Contains(all, stdout.String()) {
			t.Errorf("stdout %q", stdout.String())
		}
		if n := strings.Count(stderr.String(), "err\n"); n == 0 || n > 3 || len(outcomes) == 0 || outcomes[len(outcomes)-1] != "done" {
			t.Errorf("stderr %q, outcomes %q", stderr.String(), outcomes)
		}
		// All has ended by now.
		for earlier, want := range map[bool]string{false: "out 3\n", true: "out 1\nout 2\nout 3\n"} {
			stdout.Reset()
			if _, err := q.Tail(context.Background(), "j", TailOptions{Stdout: &stdout, Earlier: earlier}); err != nil || stdout.String() != want {
				t.Errorf("earlier attempts %v: stdout %q, %v; want %q", earlier, stdout.String(), err, want)
			}
		}
		if _, err := q.Tail(context.Background(), "nobody", TailOptions{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("have %v, want ErrNotFound", err)
		}
	})
}

func TestCancelAndSignal(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, q *Queue) {
		ctx := context.Background()
		enqueue(t, q, `{"id":"waits","command":"x","run_at":"+1h"}`)
		mark := filepath.Join(t.TempDir(), "runs")
		enqueue(t, q, `{"id":"runs","command":"touch '`+mark+`'; sleep 1000 & sleep 1000"}`)
		if c, err := q.Cancel(ctx, "waits"); err != nil || c.State != Cancelled {
			t.Errorf("%+v, %v", c, err)
		}
		if _, err := q.Cancel(ctx, "waits"); !errors.Is(err, ErrState) {
			t.Errorf("have %v, want ErrState", err)
		}
		if err := q.Signal(ctx, "runs", "USR1"); !errors.Is(err, ErrState) {
			t.Errorf("have %v, want ErrState", err)
		}
		if err := q.Signal(ctx, "runs", "NONE"); !errors.Is(err, ErrSignal) {
			t.Errorf("have %v, want ErrSignal", err)
		}
		w := startWorker(t, q, WorkerOptions{})
		w.awaitJob(EventStarted, "runs")
		// Before that, there is no process that a signal could end.
		waitUntil(t, "the command runs", func() bool { return exists(mark) })
		c, err := q.Cancel(ctx, "runs")
		if err != nil || c.State != Processing || c.By != w.ID() {
			t.Errorf("%+v, %v", c, err)
		}
		if end, err := q.AwaitCancelled(ctx, c); err != nil || end.State != Cancelled {
			t.Errorf("%+v, %v", end, err)
		}
		if i := get(t, q, "runs"); i.Records[0].Outcome != "cancelled" || i.Records[0].Signal != "SIGTERM" {
			t.Errorf("%+v", i.Records)
		}
		if err := q.Delete(ctx, "runs"); err != nil {
			t.Error(err)
		}
		enqueue(t, q, `{"id":"waits","command":"exit 0"}`)
		w.awaitJob(EventDone, "waits")
		w.drain()
		sound(t, q)
	})
}

func TestPausedWorkerTakesNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, q *Queue) {
		if err := q.Pause(Pause{Reason: "why"}); err != nil {
			t.Fatal(err)
		}
		enqueue(t, q, `{"id":"j","command":"x"}`)
		w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(context.Context, *Run) error { return nil })})
		e := w.await("pause", func(e Event) bool { return e.Kind == EventPaused })
		if e.Error != "why" {
			t.Errorf("%+v", e)
		}
		if was, err := q.Resume(); !was || err != nil {
			t.Fatal(was, err)
		}
		w.awaitJob(EventDone, "j")
		order := []string{}
		for _, e := range w.events {
			order = append(order, e.Kind)
		}
		if slices.Index(order, EventResumed) > slices.Index(order, EventStarted) {
			t.Errorf("a job was taken during the pause: %q", order)
		}
		w.drain()
	})
}

func TestSelectorMatches(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	ctx := context.Background()
	for _, doc := range []string{
		`{"id":"a","command":"./render /a/b.png","tags":["x","y"]}`, `{"id":"b","command":["make","all"],"tags":["x"],"run_at":"+1h"}`,
		`{"id":"c","command":"exit 3","max_retries":0}`,
	} {
		enqueue(t, q, doc)
	}
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(_ context.Context, r *Run) error {
		if r.ID == "c" {
			return errors.New("No route to host")
		}
		return nil
	})})
	w.awaitJob(EventDead, "c")
	w.awaitJob(EventDone, "a")
	w.drain()
	hour, none := time.Hour, time.Duration(0)
	for what, c := range map[string]struct {
		sel    Selector
		states []State
		want   string
	}{
		"nothing":         {Selector{}, nil, ""},
		"all":             {Selector{All: true}, nil, "a b c"},
		"all of a kind":   {Selector{All: true}, []State{Dead, Scheduled}, "b c"},
		"ids":             {Selector{IDs: []string{"a", "c"}}, []State{Dead}, "a c"},
		"a state":         {Selector{States: []State{Done}}, []State{Dead}, "a"},
		"a tag":           {Selector{Tags: []string{"x"}}, nil, "a b"},
		"two tags":        {Selector{Tags: []string{"x", "y"}}, nil, "a"},
		"a command":       {Selector{Command: "./render *.png"}, nil, "a"},
		"an argv":         {Selector{Command: "make ?ll"}, nil, "b"},
		"an error":        {Selector{Error: "no route"}, nil, "c"},
		"older than now":  {Selector{Older: &none}, nil, "a b c"},
		"older":           {Selector{Older: &hour}, nil, ""},
		"newer":           {Selector{Newer: &hour}, nil, "a b c"},
		"newer than now":  {Selector{Newer: &none}, nil, ""},
		"both conditions": {Selector{Tags: []string{"x"}, States: []State{Scheduled}}, nil, "b"},
	} {
		jobs, err := q.Select(ctx, c.sel, c.states)
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		var ids []string
		for _, j := range jobs {
			ids = append(ids, j.ID)
		}
		slices.Sort(ids)
		if have := strings.Join(ids, " "); have != c.want {
			t.Errorf("%s: have %q, want %q", what, have, c.want)
		}
	}
	if _, err := q.Select(ctx, Selector{IDs: []string{"a", "nobody"}}, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("have %v, want ErrNotFound", err)
	}
	var field *FieldError
	if _, err := q.Select(ctx, Selector{Command: "[a"}, nil); !errors.As(err, &field) {
		t.Errorf("have %v, want a FieldError", err)
	}
}

func TestLiveKeepsUp(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, q *Queue) {
		enqueue(t, q, `{"id":"far","command":"x","run_at":"+1h"}`)
		ctx, stop := context.WithCancel(context.Background())
		changed := make(chan struct{}, 1)
		live, err := q.Live(ctx, func() {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		until := func(what string, enough func(LiveView) bool) {
			t.Helper()
			guard := time.After(hang)
			for !enough(live.View()) {
				select {
				case <-changed:
				case <-guard:
					t.Fatalf("never %s: %+v", what, live.View())
				}
			}
		}
		release := make(chan struct{})
		startWorker(t, q, WorkerOptions{Slots: 2, Handler: HandlerFunc(func(_ context.Context, r *Run) error {
			if r.ID == "bad" {
				return errors.New("no")
			}
			<-release
			return nil
		})})
		enqueue(t, q, `{"id":"slow","command":"echo slow","timeout_seconds":60}`)
		enqueue(t, q, `{"id":"bad","command":"x","max_retries":0}`)
		until("running", func(v LiveView) bool {
			return len(v.Running) == 1 && v.Running[0].ID == "slow" && v.Running[0].Job.Timeout == time.Minute && v.Counts[Scheduled] == 1
		})
		until("failed", func(v LiveView) bool {
			return v.Counts[Dead] == 1 && len(v.Failures) > 0 && v.Failures[0].JobID == "bad" && v.Failures[0].Error == "no"
		})
		close(release)
		until("done", func(v LiveView) bool {
			sum := 0
			for _, n := range v.Ended {
				sum += n
			}
			return v.Counts[Done] == 1 && v.Counts[Processing] == 0 && sum == 1
		})
		// Nothing tells of a job that is removed: it is counted anew, and by whoever comes next.
		if err := q.Delete(ctx, "slow"); err != nil {
			t.Fatal(err)
		}
		if live.recount(ctx, true); live.View().Counts[Done] != 0 {
			t.Errorf("a removed job counts still: %v", live.View().Counts)
		}
		next, err := q.LiveWith(ctx, live.counted, nil)
		if err != nil || next.View().Counts[Done] != 0 || next.View().Counts[Dead] != 1 {
			t.Errorf("%v %v", next.View().Counts, err)
		}
		stop()
		next.Wait()
		live.Wait()
	})
}
