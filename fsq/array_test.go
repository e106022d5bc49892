package fsq

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestParseArray(t *testing.T) {
	for s, want := range map[string]ArraySpec{
		"0-3":         {Indices: []int{0, 1, 2, 3}, Step: 1},
		"0-9:4%2":     {Indices: []int{0, 4, 8}, Step: 4, Limit: 2},
		"7":           {Indices: []int{7}, Step: 1},
		"7,1-3,2%1":   {Indices: []int{1, 2, 3, 7}, Step: 1, Limit: 1},
		"5-5":         {Indices: []int{5}, Step: 1},
		"2147483647":  {Indices: []int{2147483647}, Step: 1},
		"0-4:2,1-4:2": {Indices: []int{0, 1, 2, 3, 4}, Step: 1},
	} {
		if got, err := ParseArray(s); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "x", "-1", "3-1", "1-", "1:2", "0-9:0", "0-9%0", "0-9%", "%4", "1,,2", "+1", " 1", "2147483648", "0-99%-1", "1-2-3"} {
		if got, err := ParseArray(s); err == nil || !strings.HasPrefix(err.Error(), "must be ") {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"0-1000000", "0-2147483647", "0-999999,1000000"} {
		if _, err := ParseArray(s); err == nil || !strings.Contains(err.Error(), "at most 1000000 elements") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestElementOfADocument(t *testing.T) {
	const doc = `{"command":"true","array":{"id":"a","index":3,"count":9,"min":1,"max":9,"step":1,"limit":2}}`
	j, err := ParseJob([]byte(doc), testNow)
	if err != nil || !reflect.DeepEqual(j.Array, &Element{"a", 3, 9, 1, 9, 1, 2}) {
		t.Fatalf("%+v, %v", j.Array, err)
	}
	if stored, err := j.MarshalJSON(); err != nil || string(stored) != doc {
		t.Errorf("%s, %v", stored, err)
	}
	for doc, want := range map[string][2]string{
		`{"command":"true","array":3}`:                               {"array", "must be an object"},
		`{"command":"true","array":{"id":"a","size":3}}`:             {"array.size", "is not known: an array is an object of id"},
		`{"command":"true","array":{"index":3}}`:                     {"array.id", "must be an id"},
		`{"command":"true","array":{"id":"a/b","index":3}}`:          {"array.id", "must be an id"},
		`{"command":"true","array":{"id":"a","index":-1}}`:           {"array.index", "must be a whole number from 0"},
		`{"command":"true","id":"b","array":{"id":"a","index":3}}`:   {"id", `must be "a-3", as its array says`},
		`{"command":"true","id":"a-4","array":{"id":"a","index":3}}`: {"id", `must be "a-3"`},
	} {
		_, err := ParseJob([]byte(doc), testNow)
		wantFieldError(t, err, want[0], want[1])
	}
}

func enqueueArray(t *testing.T, q *Queue, j Job, spec string, opt EnqueueOptions) (all []Enqueued) {
	t.Helper()
	s, err := ParseArray(spec)
	if err == nil {
		err = q.EnqueueArray(t.Context(), j, s, opt, func(r []Enqueued) error { all = append(all, r...); return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Two workers on one spool, with more slots than the array has turns: it never has more
// elements under way than its limit, and it comes to its end.
func TestArrayKeepsItsLimit(t *testing.T) {
	q := openQueue(t, testConfig())
	const n, limit = 40, 3
	for _, r := range enqueueArray(t, q, Job{ID: "render", Command: shell("true")}, fmt.Sprintf("0-%d%%%d", n-1, limit), EnqueueOptions{}) {
		if want := map[bool]string{true: HeldByArray}[r.Job.Array.Index >= limit]; r.Err != nil || r.HeldBy != want {
			t.Errorf("%+v", r)
		}
	}
	var mu sync.Mutex
	running, most := 0, 0
	var order []int
	full := make(chan struct{}) // as many as may have begun: one that ended sooner would pass its turn on
	handler := HandlerFunc(func(_ context.Context, r *Run) error {
		mu.Lock()
		running++
		most = max(most, running)
		order = append(order, r.Job.Array.Index)
		if len(order) == limit {
			close(full)
		}
		mu.Unlock()
		<-full
		defer func() {
			mu.Lock()
			running--
			mu.Unlock()
		}()
		if r.Job.Array.Index%5 == 1 && r.Attempt == 1 {
			return fmt.Errorf("the first try of %s fails", r.ID)
		}
		return nil
	})
	for range 2 {
		startWorker(t, q, WorkerOptions{Slots: 8, Handler: handler})
	}
	waitUntil(t, "all elements are done", func() bool {
		jobs, _, err := q.List(t.Context(), ListOptions{States: []State{Done}})
		return err == nil && len(jobs) == n
	})
	mu.Lock()
	defer mu.Unlock()
	if most > limit {
		t.Errorf("%d were under way at a time, %d is the limit", most, limit)
	}
	first := slices.Compact(slices.Sorted(slices.Values(order[:limit])))
	if !slices.Equal(first, []int{0, 1, 2}) {
		t.Errorf("the first were %v", order[:limit])
	}
}

// An element that goes away without a worker's doing gives its turn to another, and one
// that is tried once more waits again.
func TestTurnsComeBack(t *testing.T) {
	q := openQueue(t, testConfig())
	all := enqueueArray(t, q, Job{ID: "a", Command: shell("true"), MaxRetries: ptr(0)}, "0-3%1", EnqueueOptions{})
	if len(all) != 4 {
		t.Fatalf("%+v", all)
	}
	e, err := q.find("a-0")
	if err == nil {
		err = q.s.Remove(e)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(_ context.Context, r *Run) error {
		if r.ID == "a-1" && r.Attempt == 1 {
			return fmt.Errorf("it fails")
		}
		return nil
	})})
	for _, id := range []string{"a-1", "a-2", "a-3"} {
		waitUntil(t, id+" has ended", func() bool {
			_, ok := c.find(func(e Event) bool { return e.JobID == id && (e.Kind == EventDone || e.Kind == EventDead) })
			return ok
		})
	}
	if err := q.RetryDead(t.Context(), "a-1"); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, "a-1 is done", func() bool { i, err := q.Get(t.Context(), "a-1"); return err == nil && i.State == Done })
}

// A dropped element gets its turn from a worker.
func TestDroppedElement(t *testing.T) {
	q := openQueue(t, testConfig())
	j, err := ParseJob([]byte(`{"command":"true","array":{"id":"a","index":7,"count":9,"limit":1}}`), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if r := q.EnqueueBatch(t.Context(), []Job{j})[0]; r.Err != nil || r.Job.ID != "a-7" || r.HeldBy != HeldByArray {
		t.Fatalf("%+v", r)
	}
	i, err := q.Get(t.Context(), "a-7")
	if err != nil || i.State != Held || i.HeldBy != HeldByArray {
		t.Errorf("%+v, %v", i, err)
	}
	startWorker(t, q, WorkerOptions{})
	waitUntil(t, "it is done", func() bool { i, err := q.Get(t.Context(), "a-7"); return err == nil && i.State == Done })
}

func TestHeldJobsWait(t *testing.T) {
	q := openQueue(t, testConfig())
	r := q.EnqueueWith(t.Context(), []Job{{ID: "held", Command: shell("true")}}, EnqueueOptions{Hold: true})[0]
	if r.Err != nil || r.HeldBy != HeldByUser {
		t.Fatalf("%+v", r)
	}
	all := enqueueArray(t, q, Job{ID: "a", Command: shell("true")}, "0-3%2", EnqueueOptions{Hold: true})
	for _, r := range all {
		if r.Err != nil || r.HeldBy != HeldByUser {
			t.Errorf("%+v", r)
		}
	}
	c := startWorker(t, q, WorkerOptions{})
	enqueue(t, q, `{"id":"free","command":"true"}`)
	waitUntil(t, "the free one is done", func() bool { i, err := q.Get(t.Context(), "free"); return err == nil && i.State == Done })
	if _, ran := c.find(func(e Event) bool { return e.Kind == EventStarted && e.JobID != "free" }); ran {
		t.Error("a held job has run")
	}
	if given, waiting, err := q.shareTurns(); len(given) != 0 || waiting || err != nil {
		t.Errorf("%v, %v, %v", given, waiting, err)
	}
}

func TestElementSeesItsArray(t *testing.T) {
	t.Setenv("QUEUECTL_ARRAY_INDEX", "99") // of a job in which the worker was started
	r := newRun(t, shell(`echo "$QUEUECTL_ARRAY_ID $QUEUECTL_ARRAY_INDEX $QUEUECTL_ARRAY_COUNT $QUEUECTL_ARRAY_MIN $QUEUECTL_ARRAY_MAX $QUEUECTL_ARRAY_STEP"`))
	r.Job.Array = &Element{"a", 4, 3, 2, 6, 2, 1}
	if err := handle(t, r); err != nil || stdout(t, r) != "a 4 3 2 6 2\n" {
		t.Errorf("%q, %v", stdout(t, r), err)
	}
	r = newRun(t, shell(`echo "${QUEUECTL_ARRAY_INDEX-none}"`))
	if err := handle(t, r); err != nil || stdout(t, r) != "none\n" {
		t.Errorf("%q, %v", stdout(t, r), err)
	}
}
