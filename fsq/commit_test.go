package fsq

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// After a failed fsync nothing is told as durable, and nobody trusts a second one.
func TestSettlementThatCannotBeSynced(t *testing.T) {
	t.Parallel()
	s, e, _ := settlement(t)
	in := s.in
	var events []Event
	in.w.opt.Events = func(e Event) { events = append(events, e) }
	s.settle(e)
	days, err := filepath.Glob(filepath.Join(ended(in.q), "*"))
	if err != nil || len(days) != 1 || len(events) != 0 {
		t.Fatalf("days %v, %v; told before the sync: %+v", days, err, events)
	}
	// A link to itself cannot be opened, and so not synced.
	if err := errors.Join(os.Rename(days[0], days[0]+".kept"), os.Symlink(days[0], days[0])); err != nil {
		t.Fatal(err)
	}
	in.commits.flush()
	if err := errors.Join(os.Remove(days[0]), os.Rename(days[0]+".kept", days[0])); err != nil {
		t.Fatal(err)
	}
	in.commits.flush()
	if len(events) != 2 || events[0].Kind != EventProblem || events[1].Kind != EventDone || !events[1].Uncertain || events[1].err == nil {
		t.Errorf("told: %+v", events)
	}
}

func TestCommitDelay(t *testing.T) {
	t.Parallel()
	for since, want := range map[time.Duration]time.Duration{
		0:                commitMany,
		2*commitMany - 1: commitMany,
		2 * commitMany:   commitAlone,
		time.Hour:        commitAlone,
	} {
		if have := commitDelay(since); have != want {
			t.Errorf("%v after the last: %v, want %v", since, have, want)
		}
	}
}
