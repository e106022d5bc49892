package fsq

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// hang is how long a condition may take before a test gives up: a guard against
// hanging, not a measure of speed.
const hang = time.Minute

func testConfig() Config {
	c := DefaultConfig()
	c.BackoffBase, c.BackoffMax, c.BackoffJitter = 0.001, time.Millisecond, 0
	return c
}

func openQueue(t *testing.T, cfg Config) *Queue {
	t.Helper()
	q, err := Open(filepath.Join(t.TempDir(), "spool"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func enqueue(t *testing.T, q *Queue, doc string) Job {
	t.Helper()
	j, err := ParseJob([]byte(doc), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if j, err = q.Enqueue(context.Background(), j); err != nil {
		t.Fatal(err)
	}
	return j
}

// crew is a running worker and what it has told.
type crew struct {
	*Worker
	t      *testing.T
	cancel context.CancelFunc
	ended  chan struct{}
	err    error

	mu     sync.Mutex
	events []Event
	wake   chan struct{}
}

func startWorker(t *testing.T, q *Queue, opt WorkerOptions) *crew {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &crew{t: t, cancel: cancel, ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	opt.Events = func(e Event) {
		c.mu.Lock()
		c.events = append(c.events, e)
		c.mu.Unlock()
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
	c.Worker = q.NewWorker(opt)
	go func() {
		defer close(c.ended)
		c.err = c.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		c.Interrupt()
		<-c.ended
	})
	return c
}

func (c *crew) find(match func(Event) bool) (Event, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.events, match)
	if i < 0 {
		return Event{}, false
	}
	return c.events[i], true
}

// await returns the first event that matches.
func (c *crew) await(what string, match func(Event) bool) Event {
	c.t.Helper()
	timeout := time.After(hang)
	for {
		if e, ok := c.find(match); ok {
			return e
		}
		select {
		case <-c.wake:
		case <-timeout:
			c.mu.Lock()
			defer c.mu.Unlock()
			c.t.Fatalf("no %s; events: %+v", what, c.events)
		}
	}
}

func (c *crew) awaitJob(kind, id string) Event {
	c.t.Helper()
	return c.await(kind+" of "+id, func(e Event) bool { return e.Kind == kind && e.JobID == id })
}

// drain asks the worker to finish and waits for it.
func (c *crew) drain() {
	c.t.Helper()
	c.cancel()
	select {
	case <-c.ended:
	case <-time.After(hang):
		c.t.Fatal("the worker does not end")
	}
	if c.err != nil {
		c.t.Fatalf("the worker ended with: %v", c.err)
	}
}

func get(t *testing.T, q *Queue, id string) JobInfo {
	t.Helper()
	i, err := q.Get(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// sound checks that the spool has no breach.
func sound(t *testing.T, q *Queue) {
	t.Helper()
	r, err := q.Check(context.Background(), CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range r.Breaches {
		t.Errorf("breach: %+v", b)
	}
}

func TestWorkerRunsJobsToTheirEnd(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"good","command":"echo out; echo err >&2; echo $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT $QUEUECTL_MAX_RETRIES"}`)
	enqueue(t, q, `{"id":"bad","command":"echo no >&2; exit 3","max_retries":2}`)
	w := startWorker(t, q, WorkerOptions{Slots: 2})
	w.awaitJob(EventDone, "good")
	dead := w.awaitJob(EventDead, "bad")
	if dead.Outcome != "failed" || dead.Error != "exit status 3" || dead.Attempt != 3 {
		t.Errorf("event of the dead job: %+v", dead)
	}
	w.drain()

	good := get(t, q, "good")
	if good.State != Done || good.Outcome != "done" || len(good.Records) != 1 || *good.Records[0].ExitCode != 0 {
		t.Errorf("good: %+v", good)
	}
	bad := get(t, q, "bad")
	if bad.State != Dead || bad.Outcome != "failed" || len(bad.Records) != 3 || *bad.Records[2].ExitCode != 3 || bad.Records[1].Next != "retry" {
		t.Errorf("bad: %+v", bad)
	}
	for stream, want := range map[Stream]string{Stdout: "out\ngood 1 3\n", Stderr: "err\n"} {
		f, _, err := q.Log("good", 0, stream)
		if err != nil || f == nil {
			t.Fatalf("log: %v, %v", f, err)
		}
		data, err := os.ReadFile(f.Name())
		f.Close()
		if err != nil || string(data) != want {
			t.Errorf("%s: want %q, have %q, %v", stream, want, data, err)
		}
	}
	if f, a, err := q.Log("bad", 2, Stdout); f != nil || err != nil || a.Number != 2 {
		t.Errorf("a stream without output: %v, %+v, %v", f, a, err)
	}
	sound(t, q)
}

func TestPriorityThenDueThenOrder(t *testing.T) {
	q := openQueue(t, testConfig())
	for _, doc := range []string{
		`{"id":"z-first","command":"x","run_at":"2020-01-01T00:00:00Z"}`,
		`{"id":"a-second","command":"x","run_at":"2020-01-01T00:00:00Z"}`,
		`{"id":"early","command":"x","run_at":"2019-01-01T00:00:00Z"}`,
		`{"id":"urgent","command":"x","priority":9}`,
		`{"id":"low","command":"x","priority":-9,"run_at":"2018-01-01T00:00:00Z"}`,
	} {
		enqueue(t, q, doc)
	}
	var order []string
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(_ context.Context, r *Run) error {
		order = append(order, r.ID)
		return nil
	})})
	w.awaitJob(EventDone, "low")
	w.drain()
	want := []string{"urgent", "early", "z-first", "a-second", "low"}
	if !slices.Equal(order, want) {
		t.Errorf("want %v, have %v", want, order)
	}
}

func TestTimeout(t *testing.T) {
	cfg := testConfig()
	cfg.KillGrace = 50 * time.Millisecond
	q := openQueue(t, cfg)
	enqueue(t, q, `{"id":"slow","command":"trap '' TERM; sleep 1000 & sleep 1000; sleep 1000","timeout_seconds":0.05,"max_retries":0}`)
	w := startWorker(t, q, WorkerOptions{})
	dead := w.awaitJob(EventDead, "slow")
	if dead.Outcome != "timeout" || !strings.HasPrefix(dead.Error, "timed out after 50ms") {
		t.Errorf("event: %+v", dead)
	}
	w.drain()
	// A shell that was slow to begin has set no trap yet, and SIGTERM ends it.
	if i := get(t, q, "slow"); i.Outcome != "timeout" || !strings.HasPrefix(i.Records[0].Signal, "SIG") {
		t.Errorf("record: %+v", i.Records)
	}
}

func TestHandlerPanicsAndGoesOn(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"panics","command":"x","max_retries":0}`)
	enqueue(t, q, `{"id":"works","command":"x","priority":-1}`)
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(_ context.Context, r *Run) error {
		if r.ID == "panics" {
			panic("no reason")
		}
		return nil
	})})
	w.awaitJob(EventDone, "works")
	w.drain()
	if i := get(t, q, "panics"); i.State != Dead || i.Error != "panic: no reason" {
		t.Errorf("%+v", i)
	}
}

// TestInterruptCostsNoRetry: an interrupted job goes back and may be tried as often as
// before.
func TestInterruptCostsNoRetry(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"long","command":"x","max_retries":0}`)
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(ctx context.Context, _ *Run) error {
		<-ctx.Done()
		return context.Cause(ctx)
	})})
	w.awaitJob(EventStarted, "long")
	w.cancel()
	w.await("draining", func(e Event) bool { return e.Kind == EventDraining && e.Count == 1 })
	w.Interrupt()
	w.drain()
	if s, err := q.Stats(context.Background()); err != nil || s.FailedAttempts != 0 {
		t.Errorf("%d attempts count as failed, %v", s.FailedAttempts, err)
	}
	i := get(t, q, "long")
	if i.State != Pending || i.Attempts != 1 || i.MaxAttempts != 2 || i.Records[0].Outcome != "interrupted" {
		t.Errorf("%+v", i)
	}
	w = startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(context.Context, *Run) error { return errors.New("no") })})
	w.awaitJob(EventDead, "long")
	w.drain()
	sound(t, q)
}

func TestDrainByRequestFinishesTheJob(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"long","command":"x"}`)
	enqueue(t, q, `{"id":"next","command":"x","priority":-1}`)
	proceed := make(chan struct{})
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(context.Context, *Run) error {
		<-proceed
		return nil
	})})
	w.awaitJob(EventStarted, "long")
	var results []string
	stopped := make(chan error)
	go func() {
		stopped <- q.StopWorkers(context.Background(), StopOptions{}, func(e StopEvent) { results = append(results, e.Result) })
	}()
	w.await("draining", func(e Event) bool { return e.Kind == EventDraining })
	close(proceed)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	<-w.ended
	if w.err != nil || !slices.Equal(results, []string{StopAsked, StopStopped}) {
		t.Errorf("%v, %v", results, w.err)
	}
	if a, b := get(t, q, "long"), get(t, q, "next"); a.State != Done || b.State != Pending {
		t.Errorf("%s, %s", a.State, b.State)
	}
	sound(t, q)
}

func TestDropIsAdoptedAndBadOnesSetAside(t *testing.T) {
	q := openQueue(t, testConfig())
	drop := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(q.Dir(), spool.DropPath(name)), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	drop("before.json", `{"command":"true"}`)
	w := startWorker(t, q, WorkerOptions{})
	w.awaitJob(EventDone, "before")
	drop("nightly.json", `{"command":"true","priority":3}`)
	w.awaitJob(EventDone, "nightly")
	drop("named.json", `{"id":"backup","command":"true"}`)
	w.awaitJob(EventDone, "backup")
	drop("bad.json", `{"comand":"true"}`)
	bad := w.await("rejection", func(e Event) bool { return e.Kind == EventRejected })
	if !strings.Contains(bad.Error, "command") {
		t.Errorf("reason: %s", bad.Error)
	}
	_, rejected, err := q.DeadLetters(context.Background(), 0)
	if err != nil || len(rejected) != 1 {
		t.Fatalf("%v, %v", rejected, err)
	}
	// Mended and tried again.
	file := filepath.Join(q.Dir(), rejected[0].File)
	if err := os.WriteFile(file, []byte(`{"command":"true"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := q.RetryDead(context.Background(), rejected[0].Name); err != nil {
		t.Fatal(err)
	}
	w.awaitJob(EventDone, "bad")
	w.drain()
	sound(t, q)
}

func TestMovedDeadLetterRunsOnceMore(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"j","command":"exit 1","max_retries":0}`)
	w := startWorker(t, q, WorkerOptions{})
	w.awaitJob(EventDead, "j")
	from := filepath.Join(q.Dir(), get(t, q, "j").File)
	if err := os.Rename(from, filepath.Join(q.Dir(), spool.DropPath(filepath.Base(from)))); err != nil {
		t.Fatal(err)
	}
	w.await("second death", func(e Event) bool { return e.Kind == EventDead && e.Attempt == 2 })
	w.drain()
	sound(t, q)
}

func TestDeadLetterRetryGivesAFreshBudget(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"j","command":"exit 1","max_retries":1,"priority":7}`)
	w := startWorker(t, q, WorkerOptions{})
	w.awaitJob(EventDead, "j")
	if err := q.RetryDead(context.Background(), "j"); err != nil {
		t.Fatal(err)
	}
	w.await("second death", func(e Event) bool { return e.Kind == EventDead && e.Attempt == 4 })
	w.drain()
	i := get(t, q, "j")
	if len(i.Records) != 4 || i.Priority != 7 || i.MaxAttempts != 4 {
		t.Errorf("%+v", i)
	}
	if err := q.RetryDead(context.Background(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("retry of an unknown job: %v", err)
	}
	if err := q.RemoveDead(context.Background(), "j"); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Get(context.Background(), "j"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a removed job: %v", err)
	}
	sound(t, q)
}

// TestReapedWorkerStopsAndGoesOnAnew: a worker that finds its lease gone stops its
// jobs, has its results refused, and registers again.
func TestReapedWorkerStopsAndGoesOnAnew(t *testing.T) {
	cfg := testConfig()
	cfg.Lease = time.Second
	q := openQueue(t, cfg)
	enqueue(t, q, `{"id":"j","command":"x"}`)
	causes := make(chan error, 2)
	first := make(chan struct{}, 1)
	first <- struct{}{}
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(ctx context.Context, _ *Run) error {
		select {
		case <-first:
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return context.Cause(ctx)
		default:
			return nil
		}
	})})
	w.awaitJob(EventStarted, "j")
	before := w.ID()
	// As a reaper does that rightly or wrongly takes it for dead.
	moved, err := q.s.Reap(before, func(n spool.Name) spool.Fate { n.Allowed++; n.Lost++; return spool.Fate{Name: n} })
	if err != nil || len(moved) != 1 {
		t.Fatalf("%v, %v", moved, err)
	}
	if cause := <-causes; !errors.Is(cause, ErrLost) {
		t.Errorf("the job was stopped because: %v", cause)
	}
	w.awaitJob(EventLost, "j")
	done := w.awaitJob(EventDone, "j")
	if done.Attempt != 2 || w.ID() == before {
		t.Errorf("%+v by %s, before %s", done, w.ID(), before)
	}
	w.drain()
	sound(t, q)
}

func TestStrangersJobIsSetAside(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a file that belongs to another user")
	}
	q := openQueue(t, testConfig())
	j := enqueue(t, q, `{"id":"theirs","command":"touch /never"}`)
	if err := os.Chown(filepath.Join(q.Dir(), get(t, q, j.ID).File), 12345, 12345); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, q, WorkerOptions{})
	e := w.awaitJob(EventRejected, "theirs")
	if !strings.Contains(e.Error, "user 12345") {
		t.Error(e.Error)
	}
	w.drain()
	if st, err := q.Status(context.Background()); err != nil || st.Rejected != 1 {
		t.Errorf("%+v, %v", st, err)
	}
}
