package fsq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Each action reaches all jobs that are meant and in a state for it, in every queue, once,
// however small the pages are.
func TestBulkActsOnAllThatAreMeant(t *testing.T) {
	t.Parallel()
	at := time.Date(2040, 1, 2, 3, 0, 0, 0, time.UTC)
	for what, c := range map[string]struct {
		act   Act
		where Selector
		want  string // sorted by attempts and id, with what became of each if it is not the usual
		now   map[string]State
	}{
		"retry": {Act{Action: ActionRetry}, Selector{All: true}, "c1 x1 x2", map[string]State{"c1": Pending, "x1": Pending, "x2": Pending, "d1": Done}},
		"retry by error": {
			Act{Action: ActionRetry}, Selector{Error: "disk"}, "x1", map[string]State{"c1": Cancelled, "x1": Pending, "x2": Dead},
		},
		"cancel":           {Act{Action: ActionCancel}, Selector{MinPriority: ptr(-9)}, "made m1 m3 p1 p2 drop:failed s1 s2 r1:asked", map[string]State{"p1": Cancelled, "s1": Cancelled, "x1": Dead}},
		"delete":           {Act{Action: ActionDelete}, Selector{States: []State{Done, Dead}}, "d1 d2 m2 x1 x2", map[string]State{"d1": "", "x1": "", "p1": Pending}},
		"hold":             {Act{Action: ActionHold}, Selector{Tags: []string{"x"}}, "p1", map[string]State{"p1": Held, "p2": Pending}},
		"run now":          {Act{Action: ActionRunNow}, Selector{All: true}, "s1 s2", map[string]State{"s1": Pending, "s2": Pending}},
		"set":              {Act{Action: ActionSet, Change: Change{RunAt: &at, Priority: ptr(9)}}, Selector{MinPriority: ptr(5)}, "m3 p1", map[string]State{"p1": Scheduled, "p2": Pending}},
		"signal":           {Act{Action: ActionSignal, Signal: "HUP"}, Selector{All: true}, "r1", map[string]State{"r1": Processing}},
		"release":          {Act{Action: ActionRelease}, Selector{All: true}, "", nil},
		"of another state": {Act{Action: ActionRetry}, Selector{States: []State{Pending}}, "", nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			qs, _ := stock(t)
			n, exact, err := Meant(t.Context(), qs, c.where, c.act, 0)
			if err != nil || !exact || n != len(strings.Fields(c.want)) {
				t.Errorf("meant: %d, %v, %v", n, exact, err)
			}
			var have []string
			sum, err := Bulk(WithActor(t.Context(), "ann"), qs, c.where, c.act, BulkOptions{Failures: 10, page: 2, Each: func(r ActResult) {
				id := names([]JobInfo{{ID: r.ID}})
				if r.Result == ResultFailed || r.Result == ResultAsked {
					id += ":" + r.Result
				}
				have = append(have, id)
			}})
			failed := strings.Count(c.want, ":failed")
			if got := strings.Join(have, " "); err != nil || got != c.want || sum.Done != len(have)-failed || sum.Failed != failed || len(sum.Results) != failed {
				t.Errorf("have %q, want %q: %+v, %v", got, c.want, sum, err)
			}
			for id, want := range c.now {
				i, err := qs[0].Get(t.Context(), id)
				if i.State != want || (want == "") != errors.Is(err, ErrNotFound) {
					t.Errorf("%s is %q, want %q: %v", id, i.State, want, err)
				}
				if acted := strings.Contains(" "+c.want+" ", " "+id+" "); acted && want != "" && (len(i.Actions) == 0 || i.Actions[len(i.Actions)-1].By != "ann" || i.Actions[len(i.Actions)-1].Action != c.act.Action) {
					t.Errorf("%s: %+v", id, i.Actions)
				}
			}
		})
	}
}

// Failures are listed up to a bound, and who stops it is told how far it has come.
func TestBulkIsBounded(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	jobs := make([]Job, 40)
	for i := range jobs {
		jobs[i] = Job{Command: shell("true"), Priority: i}
	}
	for _, r := range q.EnqueueBatch(t.Context(), jobs) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	qs := []*Queue{q}
	other := 0
	sum, err := Bulk(t.Context(), qs, Selector{All: true}, Act{Action: ActionHold}, BulkOptions{Failures: 3, page: 40, Each: func(ActResult) {
		if other++; other > 1 {
			return
		}
		// Somebody else cancels all of them meanwhile.
		left, _, err := q.List(t.Context(), ListOptions{States: []State{Pending}})
		if err != nil {
			t.Error(err)
		}
		for _, j := range left {
			if _, err := q.Cancel(t.Context(), j.ID); err != nil && !errors.Is(err, ErrState) {
				t.Error(err)
			}
		}
	}})
	if err != nil || sum.Done+sum.Failed != len(jobs) || sum.Failed < 10 || len(sum.Results) != 3 || !errors.Is(sum.Results[0].Err, ErrState) || *sum.Results[0].Error == "" {
		t.Errorf("%+v, %v", sum, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	told := 0
	sum, err = Bulk(ctx, qs, Selector{States: []State{Cancelled}}, Act{Action: ActionRetry}, BulkOptions{page: 5, Each: func(ActResult) {
		if told++; told == 7 {
			cancel(enough)
		}
	}})
	if !errors.Is(err, enough) || sum.Done+sum.Failed != told || told < 7 || told > 10 {
		t.Errorf("%+v of %d, %v", sum, told, err)
	}
	// Who puts more than can be acted on does not keep it going.
	made := 0
	sum, err = Bulk(t.Context(), qs, Selector{States: []State{Pending, Held}}, Act{Action: ActionDelete}, BulkOptions{page: 1, Each: func(ActResult) {
		if made++; made > 10*len(jobs) {
			t.Fatal("it goes on and on")
		}
		for i := range 2 {
			enqueue(t, q, fmt.Sprintf(`{"id":"zz%d-%d","command":"true"}`, made, i))
		}
	}})
	if err != nil || sum.Failed > 0 || sum.Done != made {
		t.Errorf("%+v of %d, %v", sum, made, err)
	}
	if n, exact, err := Meant(t.Context(), qs, Selector{Contains: "tru"}, Act{Action: ActionDelete}, 3); n > 3 || exact || err != nil {
		t.Errorf("%d, %v, %v", n, exact, err)
	}
	for what, c := range map[string]struct {
		where Selector
		act   Act
	}{
		"nothing chosen":   {Selector{}, Act{Action: ActionHold}},
		"no such action":   {Selector{All: true}, Act{Action: "explode"}},
		"edit":             {Selector{All: true}, Act{Action: ActionEdit}},
		"nothing to set":   {Selector{All: true}, Act{Action: ActionSet}},
		"a wrong priority": {Selector{All: true}, Act{Action: ActionSet, Change: Change{Priority: ptr(5000)}}},
		"a wrong filter":   {Selector{Command: "["}, Act{Action: ActionHold}},
		"no signal":        {Selector{All: true}, Act{Action: ActionSignal}},
	} {
		_, err := Bulk(t.Context(), qs, c.where, c.act, BulkOptions{})
		if !errors.As(err, new(*FieldError)) && !errors.Is(err, ErrSignal) {
			t.Errorf("%s: %v", what, err)
		}
		if r := c.act.Do(t.Context(), q, "nobody"); r.Err == nil || r.Result != ResultFailed {
			t.Errorf("%s: %+v", what, r)
		}
	}
}

// What has moved on since it was listed is left alone, unless it was listed with what it is
// now: who means what waits does not mean what a worker has taken, or somebody holds.
func TestBulkLeavesAloneWhatHasMovedOn(t *testing.T) {
	t.Parallel()
	gone := State("") // not there any more
	for _, c := range []struct {
		listed []State // nil: those that the action is for
		then   string  // what becomes of it before it is acted on
		act    string
		want   error
		said   string // if not that of an action that is over
		left   State
	}{
		{[]State{Pending}, "held", ActionCancel, ErrState, "", Held},
		{[]State{Pending}, "held", ActionDelete, ErrState, "", Held},
		{nil, "held", ActionCancel, nil, "", Cancelled},
		{nil, "held", ActionDelete, nil, "", gone},
		{[]State{Pending}, "claimed", ActionCancel, ErrState, "", Processing},
		{[]State{Pending}, "claimed", ActionDelete, ErrState, "", Processing},
		{nil, "claimed", ActionCancel, nil, ResultAsked, Processing},
		{nil, "claimed", ActionDelete, ErrState, "", Processing},
		{States(), "claimed", ActionDelete, ErrState, "", Processing},
		{nil, "claimed", ActionHold, ErrState, "", Processing},
		{nil, "given back", ActionCancel, nil, "", Cancelled},
		{nil, "done", ActionCancel, ErrState, "", Done},
		{waitingStates, "done", ActionDelete, ErrState, "", Done},
		{nil, "done", ActionDelete, nil, "", gone},
		{nil, "dead, retried", ActionRetry, ErrState, "", Pending},
		{[]State{Dead}, "dead, retried", ActionDelete, ErrState, "", Pending},
		{[]State{Dead}, "dead, retried, claimed", ActionDelete, ErrState, "", Processing},
		{[]State{Dead}, "dead, gone", ActionDelete, ErrNotFound, "", gone},
		{nil, "gone", ActionCancel, ErrNotFound, "", gone},
	} {
		t.Run(fmt.Sprintf("%s of %v, %s", c.act, c.listed, c.then), func(t *testing.T) {
			t.Parallel()
			q := openQueue(t, testConfig())
			enqueue(t, q, `{"id":"a","command":"true"}`)
			b := newBench(t, q)
			if c.listed == nil {
				c.listed = Act{Action: c.act}.States()
			}
			var listed []JobInfo
			list := func() {
				var err error
				if listed, _, err = q.List(t.Context(), ListOptions{States: c.listed}); err != nil || len(listed) != 1 {
					t.Fatal(listed, err)
				}
			}
			steps := strings.Split(c.then, ", ")
			if dead := steps[0] == "dead"; !dead {
				list()
			}
			var claimed *spool.Claim
			var err error
			for _, step := range steps {
				switch step {
				case "held":
					err = q.Hold(t.Context(), "a")
				case "claimed":
					claimed = b.claim("a")
				case "given back":
					_, err = b.claim("a").Release(time.Now())
				case "done":
					b.end("a", spool.Ending{Outcome: string(OutcomeDone)}, Attempt{})
				case "dead":
					b.end("a", spool.Ending{Outcome: string(OutcomeFailed)}, Attempt{})
					list()
				case "retried":
					err = q.RetryDead(t.Context(), "a")
				case "gone":
					err = q.Delete(t.Context(), "a")
				default:
					t.Fatal(step)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			judge := func(r ActResult) {
				if !errors.Is(r.Err, c.want) || (r.Result == ResultFailed) != (c.want != nil) || c.said != "" && r.Result != c.said {
					t.Errorf("%+v, want %v", r, c.want)
				}
			}
			told := 0
			Act{Action: c.act}.DoAll(t.Context(), []Chosen{{q, &listed[0]}}, func(r ActResult) {
				told++
				judge(r)
			})
			if told != 1 {
				t.Errorf("told %d times", told)
			}
			if c.want != nil || c.said != "" { // it is as it was
				judge(Act{Action: c.act}.DoTo(t.Context(), q, &listed[0]))
			}
			if i, err := q.Get(t.Context(), "a"); i.State != c.left || (c.left == gone) != errors.Is(err, ErrNotFound) {
				t.Errorf("%+v, %v, want %s", i, err, c.left)
			}
			// Nothing is asked for behind the back of who was told that nothing was done.
			asked, err := q.s.Demands()
			if err != nil || (len(asked) > 0) != (c.said == ResultAsked) {
				t.Errorf("asked: %+v, %v", asked, err)
			}
			if claimed != nil {
				if _, err := claimed.Done(spool.Ending{Outcome: string(OutcomeDone)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Dead jobs that die again while others are retried are not retried once more, wherever
// their further attempts place them among those that are still to come.
func TestBulkRetriesOnceWhatDiesAgain(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(context.Context, *Run) error { return errors.New("no") })})
	const jobs = 12
	died := map[string]int{} // after so many attempts
	for i := range jobs {
		id := fmt.Sprintf("j%02d", i)
		enqueue(t, q, fmt.Sprintf(`{"id":%q,"command":"x","max_retries":%d}`, id, i%4))
		died[id] = w.awaitJob(EventDead, id).Attempt
	}
	told := map[string]int{}
	sum, err := Bulk(t.Context(), []*Queue{q}, Selector{States: []State{Dead}}, Act{Action: ActionRetry}, BulkOptions{page: 3, Each: func(r ActResult) {
		if r.Err != nil || told[r.ID] > 0 {
			t.Errorf("the %d. time: %+v", told[r.ID]+1, r)
		}
		told[r.ID]++
		w.await("second death of "+r.ID, func(e Event) bool {
			return e.Kind == EventDead && e.JobID == r.ID && e.Attempt > died[r.ID]
		})
	}})
	if err != nil || sum.Done != jobs || sum.Failed != 0 || len(told) != jobs {
		t.Errorf("%+v of %d, %v", sum, len(told), err)
	}
	w.drain()
	for id := range told {
		if i := get(t, q, id); i.State != Dead || len(i.Actions) != 1 {
			t.Errorf("%s is %s, %+v", id, i.State, i.Actions)
		}
	}
	sound(t, q)
}
