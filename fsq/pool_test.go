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

	"pgregory.net/rapid"

	"github.com/queuectl/queuectl/spool"
)

// table is a pool without workers, and what its queues hold.
type table struct {
	*rapid.T
	pool    *Pool
	seats   []*seat
	jobs    []int
	running []int // the seat of each job that runs
	started []int // by seat
}

func newTable(t *rapid.T, shares []Share, slots int) *table {
	x := &table{T: t, pool: NewPool(shares, WorkerOptions{Slots: slots})}
	x.seats = slices.Clone(x.pool.seats)
	x.jobs, x.started = make([]int, len(shares)), make([]int, len(shares))
	return x
}

// fill is what an incarnation's fill does.
func (x *table) fill(i int) {
	for {
		if x.jobs[i] == 0 {
			x.seats[i].rest()
			return
		}
		if !x.seats[i].ask() {
			return
		}
		x.jobs[i]--
		if rapid.IntRange(0, 3).Draw(x.T, "taken by another worker") == 0 {
			x.seats[i].giveBack()
			continue
		}
		x.seats[i].start(true)
		x.running = append(x.running, i)
		x.started[i]++
		if len(x.running) > x.pool.slots {
			x.Fatalf("%d jobs run in %d slots", len(x.running), x.pool.slots)
		}
		for j, s := range x.seats {
			if s.rank < x.seats[i].rank && x.jobs[j] > 0 {
				x.Fatalf("queue %d got a slot, queue %d goes before it and has %d jobs", i, j, x.jobs[j])
			}
		}
	}
}

func (x *table) end(k int) {
	i := x.running[k]
	x.running = slices.Delete(x.running, k, k+1)
	x.seats[i].done()
	x.fill(i)
}

// settle lets every queue do what it was woken for, and then no slot may be free that a
// queue could use.
func (x *table) settle() {
	for woken := true; woken; {
		woken = false
		for _, i := range rapid.Permutation(indices(len(x.seats))).Draw(x.T, "order") {
			select {
			case <-x.seats[i].wake:
				woken = true
				x.fill(i)
			default:
			}
		}
	}
	if len(x.running) < x.pool.slots {
		for i, n := range x.jobs {
			if n > 0 {
				x.Fatalf("%d of %d slots are used, and queue %d waits with %d jobs", len(x.running), x.pool.slots, i, n)
			}
		}
	}
}

func indices(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// Whatever the queues hold, and whatever others take from them: never more jobs than
// slots, none of a later rank before one of an earlier, and no slot idle for which there
// is a job.
func TestPoolGivesEverySlot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var shares []Share
		for range rapid.IntRange(1, 4).Draw(t, "queues") {
			shares = append(shares, Share{Rank: rapid.IntRange(0, 2).Draw(t, "rank"), Weight: rapid.IntRange(0, 4).Draw(t, "weight")})
		}
		x := newTable(t, shares, rapid.IntRange(1, 4).Draw(t, "slots"))
		for i := range x.seats {
			x.jobs[i] = rapid.IntRange(0, 3).Draw(t, "jobs at first")
		}
		for i := range x.seats {
			x.fill(i)
		}
		x.settle()
		t.Repeat(map[string]func(*rapid.T){
			"jobs come": func(t *rapid.T) {
				i := rapid.IntRange(0, len(x.seats)-1).Draw(t, "queue")
				x.jobs[i] += rapid.IntRange(1, 3).Draw(t, "jobs")
				x.fill(i)
				x.settle()
			},
			"a job ends": func(t *rapid.T) {
				if len(x.running) == 0 {
					t.Skip("nothing runs")
				}
				x.end(rapid.IntRange(0, len(x.running)-1).Draw(t, "job"))
				x.settle()
			},
		})
	})
}

// Queues that always have jobs get starts by their weights, none more than one job ahead
// of any other.
func TestPoolWeights(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var shares []Share
		for range rapid.IntRange(2, 4).Draw(t, "queues") {
			shares = append(shares, Share{Weight: rapid.IntRange(1, 9).Draw(t, "weight")})
		}
		x := newTable(t, shares, rapid.IntRange(1, 4).Draw(t, "slots"))
		for i := range x.seats {
			x.jobs[i] = 1000
		}
		for i := range x.seats {
			x.fill(i)
		}
		x.settle()
		for range rapid.IntRange(0, 60).Draw(t, "ends") {
			x.end(rapid.IntRange(0, len(x.running)-1).Draw(t, "job"))
			x.settle()
			for i, s := range x.seats {
				for j, o := range x.seats {
					ahead := float64(x.started[i])/float64(s.weight) - float64(x.started[j])/float64(o.weight)
					if ahead > 1/float64(s.weight)+1e-9 {
						t.Fatalf("queue %d of weight %d had %d starts, queue %d of weight %d had %d", i, s.weight, x.started[i], j, o.weight, x.started[j])
					}
				}
			}
		}
	})
}

// A queue that had nothing for long gets its share from then on, not what it missed.
func TestPoolForgetsWhatAQueueDidNotWant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x := newTable(t, []Share{{Weight: 1}, {Weight: 1}}, 1)
		x.jobs[0] = 1000
		x.fill(1)
		x.fill(0)
		x.settle()
		for range rapid.IntRange(2, 20).Draw(t, "starts of the first alone") {
			x.end(0)
			x.settle()
		}
		x.jobs[1] = 1000
		x.fill(1)
		before := slices.Clone(x.started)
		for range 10 {
			x.end(0)
			x.settle()
		}
		first, second := x.started[0]-before[0], x.started[1]-before[1]
		if first < 4 || second < 4 {
			t.Fatalf("of ten starts the first got %d, the second %d", first, second)
		}
	})
}

func TestAliveWhenAllLoopsAre(t *testing.T) {
	t.Parallel()
	told := 0
	p := NewPool([]Share{{}, {}}, WorkerOptions{Alive: func() { told++ }})
	p.seats[0].round()
	p.seats[0].round()
	if told != 0 {
		t.Errorf("told %d times, and the second loop has not come round", told)
	}
	p.seats[1].round()
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

// named opens a queue of the same spool.
func named(t *testing.T, q *Queue, name string, cfg Config) *Queue {
	t.Helper()
	n, err := OpenQueue(q.Root(), name, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ran collects the events of a pool that works until it ends by itself.
func ran(t *testing.T, shares []Share, opt WorkerOptions) (events []Event) {
	t.Helper()
	var mu sync.Mutex
	opt.Events = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), hang, errors.New("the test hangs"))
	defer cancel()
	err := NewPool(shares, opt).Run(ctx)
	mu.Lock()
	defer mu.Unlock()
	if err != nil || ctx.Err() != nil {
		t.Fatalf("%v, %v; events: %+v", err, context.Cause(ctx), events)
	}
	return events
}

// of lists the jobs that events of a kind are about, as QUEUE/ID.
func of(events []Event, kind string) (jobs []string) {
	for _, e := range events {
		if e.Kind == kind {
			jobs = append(jobs, e.Queue+"/"+e.JobID)
		}
	}
	return jobs
}

func quick(context.Context, *Run) error { return nil }

func fillQueue(t *testing.T, q *Queue, n int) {
	t.Helper()
	for i := range n {
		enqueue(t, q, fmt.Sprintf(`{"id":"%d","command":"true"}`, i))
	}
}

func TestQueuesInStrictOrder(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	mail := named(t, q, "mail", testConfig())
	fillQueue(t, q, 3)
	fillQueue(t, mail, 3)
	events := ran(t, []Share{{Queue: q, Rank: 1}, {Queue: mail, Rank: 0}}, WorkerOptions{Drain: true, Handler: HandlerFunc(quick)})
	want := []string{"mail/0", "mail/1", "mail/2", "default/0", "default/1", "default/2"}
	if got := of(events, EventStarted); !slices.Equal(got, want) {
		t.Errorf("started %q, want %q", got, want)
	}
}

func TestQueuesByWeight(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	mail := named(t, q, "mail", testConfig())
	fillQueue(t, q, 6)
	fillQueue(t, mail, 3)
	events := ran(t, []Share{{Queue: q, Weight: 2}, {Queue: mail, Weight: 1}}, WorkerOptions{Drain: true, Handler: HandlerFunc(quick)})
	got := of(events, EventStarted)
	if len(got) != 9 {
		t.Fatalf("started %q", got)
	}
	for i, n := 0, 0; i < len(got); i++ {
		if strings.HasPrefix(got[i], "mail/") {
			n++
		}
		if ahead := float64(n) - float64(i+1)/3; ahead > 1 || ahead < -1 {
			t.Errorf("of the first %d starts mail had %d: %q", i+1, n, got)
		}
	}
}

func TestJobSeesItsQueue(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	mail := named(t, q, "mail", testConfig())
	enqueue(t, mail, `{"id":"one","command":"echo $QUEUECTL_SPOOL $QUEUECTL_QUEUE"}`)
	ran(t, []Share{{Queue: mail}}, WorkerOptions{Drain: true})
	f, _, err := mail.Log("one", 0, Stdout)
	if err != nil || f == nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := make([]byte, 4096)
	n, _ := f.Read(out)
	if want := q.Dir() + " mail\n"; string(out[:n]) != want {
		t.Errorf("it saw %q, want %q", out[:n], want)
	}
}

func TestStopInOneQueueStopsAll(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	mail := named(t, q, "mail", testConfig())
	ready := make(chan Event, 10)
	p := NewPool([]Share{{Queue: q}, {Queue: mail}}, WorkerOptions{Events: func(e Event) {
		if e.Kind == EventReady {
			ready <- e
		}
	}})
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background()) }()
	<-ready
	<-ready
	if err := mail.StopWorkers(context.Background(), StopOptions{}, func(StopEvent) {}); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, x := range []*Queue{q, mail} {
		if ws, err := x.Workers(context.Background()); err != nil || len(ws) > 0 {
			t.Errorf("queue %s has workers %v, %v", x.Name(), ws, err)
		}
	}
}

func TestStopAll(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	mail := named(t, q, "mail", testConfig())
	a, b := startWorker(t, q, WorkerOptions{}), startWorker(t, mail, WorkerOptions{})
	a.await("readiness", func(e Event) bool { return e.Kind == EventReady })
	b.await("readiness", func(e Event) bool { return e.Kind == EventReady })
	var stopped []string
	report := func(e StopEvent) {
		if e.Result == StopStopped {
			stopped = append(stopped, e.Worker.ID)
		}
	}
	err := StopAll(context.Background(), []*Queue{q, mail}, StopOptions{IDs: []string{b.ID(), "nobody"}}, report)
	if !errors.Is(err, ErrNotFound) || !slices.Equal(stopped, []string{b.ID()}) {
		t.Errorf("stopped %q, %v", stopped, err)
	}
	if err := StopAll(context.Background(), []*Queue{q, mail}, StopOptions{}, report); err != nil || !slices.Contains(stopped, a.ID()) {
		t.Errorf("stopped %q, %v", stopped, err)
	}
}

// A queue that is made while the pool works gets its seat, also if the first look at it
// comes too early.
func TestQueueThatIsMadeLater(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	done := make(chan Event, 10)
	p := NewPool([]Share{{Queue: q}}, WorkerOptions{
		Handler: HandlerFunc(quick),
		Events: func(e Event) {
			if e.Kind == EventDone {
				done <- e
			}
		},
		Later: func(known func(string) bool) (all []Share, err error) {
			names, err := QueueNames(q.Root())
			for _, name := range names {
				if !known(name) {
					n, err := OpenExistingQueue(q.Root(), name, testConfig())
					if err != nil {
						return nil, err
					}
					all = append(all, Share{Queue: n})
				}
			}
			return all, err
		},
	})
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background()) }()
	enqueue(t, named(t, q, "mail", testConfig()), `{"id":"one","command":"true"}`)
	select {
	case e := <-done:
		if e.Queue != "mail" || e.JobID != "one" {
			t.Errorf("done: %+v", e)
		}
	case <-time.After(hang):
		t.Error("the new queue is not found")
	}
	p.Interrupt()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func states(t *testing.T, q *Queue) map[State]int {
	t.Helper()
	jobs, _, err := q.List(context.Background(), ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := map[State]int{}
	for _, j := range jobs {
		n[j.State]++
	}
	return n
}

func TestDrainOfAnEmptyQueueEnds(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	ran(t, []Share{{Queue: q}}, WorkerOptions{Drain: true})
}

// A drain runs what is due, and nothing else keeps it: no job for later, none that failed
// and waits, none that another worker runs, no file that somebody is still writing.
func TestDrain(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.BackoffBase, cfg.BackoffMax = 3600, time.Hour
	q := openQueue(t, cfg)
	enqueue(t, q, `{"id":"theirs","command":"true"}`)
	other, err := q.s.Register(1, Version, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := other.Claim(waiting(t, q)[0]); err != nil {
		t.Fatal(err)
	}
	fillQueue(t, q, 3)
	enqueue(t, q, `{"id":"later","command":"true","run_at":"+1h"}`)
	enqueue(t, q, `{"id":"fails","command":"false"}`)
	drop(t, q, "dropped.json", `{"command":"true"}`)
	writing, err := os.Create(filepath.Join(q.Dir(), spool.DropPath("writing.json")))
	if err != nil {
		t.Fatal(err)
	}
	defer writing.Close()
	if _, err := writing.WriteString(`{"command":`); err != nil {
		t.Fatal(err)
	}
	events := ran(t, []Share{{Queue: q}}, WorkerOptions{Drain: true, Slots: 2})
	if got := of(events, EventDone); len(got) != 4 || !slices.Contains(got, "default/dropped") {
		t.Errorf("done: %q", got)
	}
	have := states(t, q)
	if have[Done] != 4 || have[Scheduled] != 1 || have[Retrying] != 1 || have[Processing] != 1 {
		t.Errorf("the queue has %v", have)
	}
}

func drop(t *testing.T, q *Queue, base, doc string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(q.Dir(), spool.DropPath(base)), []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
}

func waiting(t *testing.T, q *Queue) (names []spool.Name) {
	t.Helper()
	if err := q.s.Waiting(func(n spool.Name) { names = append(names, n) }, func(string) {}); err != nil {
		t.Fatal(err)
	}
	return names
}

// The jobs of a dead worker are due again, so they come first into the account.
func TestDrainGivesDeadWorkersJobsBack(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"one","command":"true"}`)
	dead, err := q.s.Register(1, Version, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Claim(waiting(t, q)[0]); err != nil {
		t.Fatal(err)
	}
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	events := ran(t, []Share{{Queue: q}}, WorkerOptions{Drain: true, Handler: HandlerFunc(quick)})
	if got := of(events, EventDone); !slices.Equal(got, []string{"default/one"}) {
		t.Errorf("done: %q; %v", got, events)
	}
}

// What a running job enqueues, in any of the queues, is due before the drain is over.
func TestDrainWaitsForWhatItsJobsEnqueue(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	mail := named(t, q, "mail", testConfig())
	enqueue(t, q, `{"id":"parent","command":"true"}`)
	events := ran(t, []Share{{Queue: mail}, {Queue: q, Rank: 1}}, WorkerOptions{Drain: true, Handler: HandlerFunc(func(ctx context.Context, r *Run) error {
		if r.ID != "parent" {
			return nil
		}
		j, err := ParseJob([]byte(`{"id":"child","command":"true"}`), time.Now())
		if err == nil {
			_, err = mail.Enqueue(ctx, j)
		}
		return err
	})})
	// Each queue tells of an end when it is durable there, so the order is that of the starts.
	got := of(events, EventDone)
	slices.Sort(got)
	if !slices.Equal(got, []string{"default/parent", "mail/child"}) {
		t.Errorf("done: %q", got)
	}
	if got := of(events, EventStarted); !slices.Equal(got, []string{"default/parent", "mail/child"}) {
		t.Errorf("started: %q", got)
	}
}

// A job that comes while a drain decides is run, or left for the next one.
func TestDrainRacesWithAnEnqueue(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	run := 0
	for i := range 20 {
		j, err := ParseJob([]byte(fmt.Sprintf(`{"id":"%d","command":"true"}`, i)), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		put := make(chan error, 1)
		go func() {
			_, err := q.Enqueue(context.Background(), j)
			put <- err
		}()
		events := ran(t, []Share{{Queue: q}}, WorkerOptions{Drain: true, Handler: HandlerFunc(quick)})
		if err := <-put; err != nil {
			t.Fatal(err)
		}
		run += len(of(events, EventDone))
		have := states(t, q)
		if have[Done] != run || have[Done]+have[Pending] != i+1 || len(have) > 2 {
			t.Fatalf("after %d jobs, of which %d were run, the queue has %v", i+1, run, have)
		}
	}
}

func TestMaxJobs(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 3} {
		q := openQueue(t, testConfig())
		fillQueue(t, q, 5)
		events := ran(t, []Share{{Queue: q}}, WorkerOptions{MaxJobs: most, Slots: 4, Handler: HandlerFunc(quick)})
		if got := of(events, EventDone); len(got) != most {
			t.Errorf("of at most %d jobs %q are done", most, got)
		}
		if have := states(t, q); have[Done] != most || have[Pending] != 5-most {
			t.Errorf("the queue has %v", have)
		}
	}
}

func TestMaxTime(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	fillQueue(t, q, 2)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	draining, once := make(chan struct{}), sync.Once{}
	p := NewPool([]Share{{Queue: q}}, WorkerOptions{
		// As if the time had come while the first job runs.
		Handler: HandlerFunc(func(context.Context, *Run) error { <-draining; return nil }),
		Events: func(e Event) {
			if e.Kind == EventDraining {
				once.Do(func() { close(draining) })
			}
		},
	})
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	waitUntil(t, "a job runs", func() bool { _, idle := p.idleAt(); return !idle })
	p.close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if have := states(t, q); have[Done] != 1 || have[Pending] != 1 {
		t.Errorf("the queue has %v", have)
	}
	ran(t, []Share{{Queue: q}}, WorkerOptions{MaxTime: 1, Handler: HandlerFunc(quick)})
}
