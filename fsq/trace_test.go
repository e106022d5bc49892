package fsq

import (
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// TestTraceTellsTheState: what is kept of a job tells its state as its name does.
func TestTraceTellsTheState(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_000).UTC()
	for _, st := range []spool.State{spool.Pending, spool.Processing, spool.Dead} {
		for _, n := range []spool.Name{
			{}, {Attempt: 1}, {Held: true}, {Queued: true}, {Turn: true}, {Attempt: 1, Held: true},
			{Outcome: string(OutcomeCancelled)}, {Outcome: "failed", Attempt: 3},
		} {
			for _, after := range []time.Duration{-time.Hour, 0, time.Millisecond} {
				n.Due = now.Add(after)
				e := spool.Entry{State: st, Name: n}
				kept := traceOf(e)
				if have, want := kept.stateAt(now.UnixMilli()), stateOf(e, now); have != want {
					t.Errorf("%s %+v: have %s, want %s", st, n, have, want)
				}
			}
		}
	}
}

// TestStateCountHolds: a count is taken anew when a job becomes due, and when one moves.
func TestStateCountHolds(t *testing.T) {
	t.Parallel()
	f := openQueue(t, testConfig()).emptyFollower()
	now := time.UnixMilli(1_700_000_000_000).UTC()
	later := now.Add(time.Minute)
	f.see(nil, spool.Entry{State: spool.Pending, Path: "pending/a", Name: spool.Name{ID: "a", Due: later}})
	check := func(at time.Time, pending, scheduled, running int) {
		t.Helper()
		c, runs := f.now(at)
		if c.counts[Pending] != pending || c.counts[Scheduled] != scheduled || c.counts[Processing] != running || len(runs) != running {
			t.Errorf("at %v: %v, %d run", at, c.counts, len(runs))
		}
	}
	check(now, 0, 1, 0)
	check(later, 1, 0, 0)
	check(now, 0, 1, 0)
	f.see(nil, spool.Entry{State: spool.Processing, Worker: "w", Path: "processing/w/a", Name: spool.Name{ID: "a", Due: later, Attempt: 1}})
	check(now, 0, 0, 1)
	f.round++
	f.forget()
	check(now, 0, 0, 0)
}

// TestEndsAreOfTheLastSeconds: each end is counted in its second, until it is too old.
func TestEndsAreOfTheLastSeconds(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_700_000_000_050)
	for _, c := range []struct {
		ago  time.Duration
		want int // where it is counted; -1: nowhere
	}{
		{0, LiveSeconds - 1}, {900 * time.Millisecond, LiveSeconds - 1}, {time.Second, LiveSeconds - 2},
		{(LiveSeconds - 1) * time.Second, 0}, {LiveSeconds * time.Second, -1}, {-time.Second, -1},
	} {
		var x ends
		x.add(now.Add(-c.ago), false)
		x.add(now.Add(-c.ago), true)
		x.add(now.Add(-c.ago-LiveSeconds*time.Second), true) // it has the same place, and has been too old for long
		done, failed := make([]int, LiveSeconds), make([]int, LiveSeconds)
		x.count(now, done, failed)
		for i := range done {
			n := 0
			if i == c.want {
				n = 1
			}
			if done[i] != n || failed[i] != n {
				t.Errorf("%v ago: second %d has %d done, %d failed", c.ago, i, done[i], failed[i])
			}
		}
	}
}
