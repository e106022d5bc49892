package fsq

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Everything that somebody does to a job is kept with who did it; what changes nothing, or
// is refused, is not.
func TestActionsAreKept(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"j","command":"true","priority":1}`)
	b := newBench(t, q)
	ann := WithActor(t.Context(), "ann")
	at := time.Date(2040, 1, 2, 3, 0, 0, 0, time.UTC)
	edit := func(ctx context.Context) error {
		d, err := q.Draft(ctx, "j")
		if err != nil {
			return err
		}
		j := d.Job
		j.Command, j.Env, j.Timeout, j.TimeoutSet = shell("exit 1"), map[string]string{"SECRET": "x"}, time.Minute, true
		return q.Edit(ctx, d, j)
	}
	change := func(c Change) func(context.Context) error {
		return func(ctx context.Context) error { return q.Reschedule(ctx, "j", c) }
	}
	of := func(do func(context.Context, string) error) func(context.Context) error {
		return func(ctx context.Context) error { return do(ctx, "j") }
	}
	cancel := func(ctx context.Context) error { _, err := q.Cancel(ctx, "j"); return err }
	claim := func(context.Context) error { b.claim("j"); return nil }
	for _, step := range []struct {
		do   func(context.Context) error
		want string // what is new in Actions; "": nothing
	}{
		{of(q.Hold), "hold by ann"},
		{of(q.Hold), ""},
		{of(q.Release), "release by ann"},
		{of(q.RunNow), ""},
		{change(Change{Priority: ptr(5), RunAt: &at}), "set by ann: priority 5, was 1; run_at 2040-01-02T03:00:00Z, was "},
		{change(Change{Priority: ptr(5)}), ""},
		{change(Change{Priority: ptr(2)}), "set by ann: priority 2, was 5"},
		{of(q.RunNow), "run-now by ann"},
		{edit, "edit by ann: command, env, timeout_seconds"},
		{of(q.RetryDead), ""},
		{cancel, "cancel by ann"},
		{cancel, ""},
		{of(q.RetryDead), "retry by ann"},
		{claim, ""},
		{of(q.Hold), ""},
		{func(ctx context.Context) error { return q.Signal(ctx, "j", "HUP") }, "signal by ann: HUP"},
		{func(ctx context.Context) error { return q.Signal(ctx, "j", "nonsense") }, ""},
		{func(context.Context) error { return q.Signal(t.Context(), "j", "USR1") }, "signal by " + Self() + ": USR1"},
		{cancel, "cancel by ann: while it ran"},
	} {
		before, err := q.Get(t.Context(), "j")
		if err != nil {
			t.Fatal(err)
		}
		_ = step.do(ann) // some are refused
		after, err := q.Get(t.Context(), "j")
		if err != nil {
			t.Fatal(err)
		}
		have := ""
		for _, a := range after.Actions[len(before.Actions):] {
			have += fmt.Sprintf("%s by %s: %s", a.Action, a.By, a.Detail)
			if time.Since(a.At).Abs() > hang || a.At.Location() != time.UTC {
				t.Errorf("%s at %s", a.Action, a.At)
			}
		}
		if have = strings.TrimSuffix(have, ": "); have != step.want && (!strings.HasSuffix(step.want, "was ") || !strings.HasPrefix(have, step.want)) {
			t.Errorf("have %q, want %q", have, step.want)
		}
	}
	sound(t, q)
}

// What cannot be kept is not; what was asked for is done all the same.
func TestActionThatCannotBeKept(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"j","command":"true"}`)
	logs := filepath.Join(q.Dir(), "logs")
	if err := os.Remove(logs); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(logs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := q.Hold(t.Context(), "j"); err != nil {
		t.Error(err)
	}
	if i, err := q.Get(t.Context(), "j"); err != nil || i.State != Held || len(i.Actions) > 0 {
		t.Errorf("%+v, %v", i, err)
	}
}

// A job shows what was done to it, not to another one that had its id before; and of a
// great many the newest.
func TestActionsOfAnotherJobAndTooMany(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	act := func(by string, from, to int) {
		for n := from; n <= to; n++ {
			q.acted(WithActor(t.Context(), by), "j", ActionHold, fmt.Sprint(n))
		}
	}
	want := func(what, by string, from, to, cut int) {
		t.Helper()
		i := get(t, q, "j")
		if len(i.Actions) != to-from+1 || i.ActionsCut != cut {
			t.Fatalf("%s: %d actions, and %d cut: %+v", what, len(i.Actions), i.ActionsCut, i.Actions)
		}
		for n, a := range i.Actions {
			if a.By != by || a.Detail != fmt.Sprint(from+n) {
				t.Errorf("%s: %+v, want %d by %s", what, a, from+n, by)
			}
		}
	}
	enqueue(t, q, `{"id":"j","command":"true"}`)
	act("ann", 1, 2)
	want("few", "ann", 1, 2, 0)
	if err := q.Delete(t.Context(), "j"); err != nil {
		t.Fatal(err)
	}
	act("ann", 3, 50) // who was at it when somebody else removed the job
	nextMillisecond()
	enqueue(t, q, `{"id":"j","command":"true"}`)
	want("of another", "", 1, 0, 0)
	act("bob", 1, 80)
	want("beside those of another", "bob", 1, 80, 0)
	act("bob", 81, 120)
	want("too many", "bob", 21, 120, 68)
	data, err := json.Marshal(get(t, q, "j"))
	if err != nil || !strings.Contains(string(data), `"actions_cut":68`) {
		t.Errorf("%s, %v", data, err)
	}
}
