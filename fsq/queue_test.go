package fsq

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

func TestOpenMakesTheSpoolOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "spool")
	if _, err := OpenExisting(dir, DefaultConfig()); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("open of nothing: %v", err)
	}
	for range 2 {
		if _, err := Open(dir, DefaultConfig()); err != nil {
			t.Fatal(err)
		}
	}
	if in, err := os.Stat(dir); err != nil || in.Mode().Perm() != 0o700 {
		t.Errorf("mode: %v, %v", in.Mode(), err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(foreign, DefaultConfig()); !errors.Is(err, ErrNotSpool) {
		t.Errorf("open of somebody's directory: %v", err)
	}
}

func TestEnqueueRefusesWithoutATrace(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"taken","command":"true"}`)
	long := strings.Repeat("x", int(q.s.MaxJobBytes()))
	for name, j := range map[string]Job{
		"no command":  {},
		"bad id":      {ID: "../x", Command: Command{Shell: "true"}},
		"too large":   {Command: Command{Shell: long}},
		"taken":       {ID: "taken", Command: Command{Shell: "true"}},
		"bad prority": {Priority: 1000, Command: Command{Shell: "true"}},
	} {
		_, err := q.Enqueue(context.Background(), j)
		var field *FieldError
		if !errors.As(err, &field) && !errors.Is(err, ErrDuplicate) {
			t.Errorf("%s: %v", name, err)
		}
	}
	jobs, _, err := q.List(context.Background(), ListOptions{})
	if err != nil || len(jobs) != 1 {
		t.Errorf("%+v, %v", jobs, err)
	}
	sound(t, q)
}

// TestOneIDOneJob: of many that want an id at once, one gets it.
func TestOneIDOneJob(t *testing.T) {
	q := openQueue(t, testConfig())
	const n = 16
	var won, refused int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			_, err := q.Enqueue(context.Background(), Job{ID: "one", Command: Command{Shell: "true"}})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case errors.Is(err, ErrDuplicate):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 || refused != n-1 {
		t.Errorf("%d won, %d were refused", won, refused)
	}
	sound(t, q)
}

func TestBatchReportsEachJob(t *testing.T) {
	q := openQueue(t, testConfig())
	var jobs []Job
	for i := range 40 {
		j := Job{Command: Command{Shell: "true"}}
		switch {
		case i == 3:
			j.Command.Shell = ""
		case i%10 == 5:
			j.ID = "same"
		case i%2 == 0:
			j.ID = fmt.Sprintf("job-%d", i)
		}
		jobs = append(jobs, j)
	}
	var failed []int
	for i, r := range q.EnqueueBatch(context.Background(), jobs) {
		if r.Err != nil {
			failed = append(failed, i)
		} else if r.Job.ID == "" {
			t.Errorf("job %d has no id", i)
		}
	}
	if want := []int{3, 15, 25, 35}; !slices.Equal(failed, want) {
		t.Errorf("want %v to fail, have %v", want, failed)
	}
	if st, err := q.Status(context.Background()); err != nil || st.Pending != 36 {
		t.Errorf("%+v, %v", st, err)
	}
	sound(t, q)
}

func TestListOrderAndLimit(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"later","command":"x","run_at":"+2h"}`)
	enqueue(t, q, `{"id":"soon","command":"x","run_at":"+10m"}`)
	enqueue(t, q, `{"id":"low","command":"echo low","priority":-1}`)
	enqueue(t, q, `{"id":"high","command":"x","priority":1}`)
	if err := os.WriteFile(filepath.Join(q.Dir(), spool.DropPath("dropped.json")), []byte(`{"command":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opt  ListOptions
		want string
		more bool
	}{
		{ListOptions{}, "high low dropped soon later", false},
		{ListOptions{Limit: 2}, "high low", true},
		{ListOptions{States: []State{Scheduled}}, "soon later", false},
		{ListOptions{States: []State{Dead, Done}}, "", false},
	} {
		jobs, more, err := q.List(context.Background(), c.opt)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, j := range jobs {
			ids = append(ids, j.ID)
		}
		if have := strings.Join(ids, " "); have != c.want || more != c.more {
			t.Errorf("%+v: want %q, %v, have %q, %v", c.opt, c.want, c.more, have, more)
		}
	}
	jobs, _, err := q.List(context.Background(), ListOptions{Details: true, States: []State{Pending}})
	if err != nil || jobs[1].Command == nil || jobs[1].Command.Shell != "echo low" || jobs[1].EnqueuedAt == nil {
		t.Errorf("details: %+v, %v", jobs, err)
	}
}

func TestStatsFromNames(t *testing.T) {
	q := openQueue(t, testConfig())
	l, err := q.s.Register(1, "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 100; i++ {
		j := enqueue(t, q, `{"command":"x"}`)
		e, err := q.find(j.ID)
		if err != nil {
			t.Fatal(err)
		}
		c, err := l.Claim(e.Name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Done(spool.Ending{Outcome: "done", Wait: time.Duration(i) * time.Millisecond, Run: time.Duration(i) * time.Second}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := q.Stats(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := Distribution{Count: 100, Avg: 50.5, Min: 1, Max: 100, P50: 50, P95: 95, P99: 99}
	if s.Duration != want || s.Completed != 100 || s.FailedAttempts != 0 || s.Throughput.LastHour != 100 || s.Wait.P99 != 0.099 {
		t.Errorf("%+v", s)
	}
	if err := l.Leave(); err != nil {
		t.Fatal(err)
	}
}

func TestPruneByAgeOnly(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"good","command":"true"}`)
	enqueue(t, q, `{"id":"bad","command":"exit 1","max_retries":0}`)
	w := startWorker(t, q, WorkerOptions{})
	w.awaitJob(EventDone, "good")
	w.awaitJob(EventDead, "bad")
	w.drain()
	ctx := context.Background()
	if _, err := q.Prune(ctx, PruneOptions{}); !errors.Is(err, ErrNoRetention) {
		t.Errorf("nothing to go by: %v", err)
	}
	for _, c := range []struct {
		opt        PruneOptions
		done, dead int
	}{
		{PruneOptions{DoneOlder: ptr(time.Hour), DeadOlder: ptr(time.Hour)}, 0, 0},
		{PruneOptions{DoneOlder: ptr(-time.Hour), DryRun: true}, 1, 0},
		{PruneOptions{DoneOlder: ptr(-time.Hour)}, 1, 0},
		{PruneOptions{DeadOlder: ptr(-time.Hour)}, 0, 1},
	} {
		r, err := q.Prune(ctx, c.opt)
		if err != nil || r.Done != c.done || r.Dead != c.dead {
			t.Errorf("%+v: %+v, %v", c.opt, r, err)
		}
	}
	enqueue(t, q, `{"id":"good","command":"true"}`)
	sound(t, q)
}

func TestSettingsArePersistent(t *testing.T) {
	q := openQueue(t, testConfig())
	if err := q.Set("max-retries", "7"); err != nil {
		t.Fatal(err)
	}
	if err := q.Set("backoff-max", "90s"); err != nil {
		t.Fatal(err)
	}
	if err := q.Set("max-retries", "many"); err == nil {
		t.Error("a bad value was taken")
	}
	if err := q.Unset("backoff-max"); err != nil {
		t.Fatal(err)
	}
	have, err := q.Settings()
	if err != nil || len(have) != 1 || have["max-retries"] != "7" {
		t.Errorf("%v, %v", have, err)
	}
	sound(t, q)
}

func TestParseState(t *testing.T) {
	for in, want := range map[string]string{
		"pending": "[pending]", "completed": "[done]", "failed": "[dead retrying]", "Running": "[processing]", "done,dead": "[done dead]",
	} {
		states, err := ParseState(in)
		if err != nil || fmt.Sprint(states) != want {
			t.Errorf("%s: want %s, have %v, %v", in, want, states, err)
		}
	}
	var unknown *UnknownStateError
	if _, err := ParseState("complted"); !errors.As(err, &unknown) || unknown.Nearest != "completed" {
		t.Errorf("%v", err)
	}
}

func TestPollInterval(t *testing.T) {
	for _, c := range []struct {
		setting time.Duration
		told    bool
		idle    time.Duration
		scan    time.Duration
		want    time.Duration
	}{
		{0, true, 0, 0, time.Minute},
		{0, false, 0, 0, 500 * time.Millisecond},
		{0, false, 2 * time.Second, 0, 2 * time.Second},
		{0, false, time.Hour, 0, 5 * time.Second},
		{0, false, time.Hour, time.Second, 20 * time.Second},
		{0, false, time.Hour, 45 * time.Second, time.Minute}, // the file server was away
		{3 * time.Second, true, time.Hour, time.Minute, 3 * time.Second},
	} {
		if have := pollInterval(c.setting, c.told, c.idle, c.scan); have != c.want {
			t.Errorf("%+v: have %s", c, have)
		}
	}
}
