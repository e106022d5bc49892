package fsq

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
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
