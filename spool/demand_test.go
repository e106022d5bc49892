package spool

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDemandsAreAboutOneJob: what was asked of an earlier job of an id, or of an earlier
// attempt, is not obeyed later.
func TestDemandsAreAboutOneJob(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	early := func(d Demand) Demand { d.At = d.At.Add(-time.Hour); return d }
	c := mustClaim(t, s, l, "job 1")
	mustDo(t, s.Demand(Demand{ID: c.Name().ID}), s.Demand(Demand{ID: c.Name().ID, Signal: "USR1"}), s.Demand(Demand{ID: "other"}))
	demands, err := s.Demands()
	mustDo(t, err)
	if len(demands) != 3 {
		t.Fatalf("%+v", demands)
	}
	for _, d := range demands {
		if want := d.ID != "other"; c.Means(d) != want || c.Means(early(d)) {
			t.Errorf("%+v: %t, and an hour earlier %t", d, c.Means(d), c.Means(early(d)))
		}
	}
	// A file with a time in the future would otherwise be beyond anybody's reach.
	future := time.Now().Add(time.Hour)
	mustDo(t, os.Chtimes(s.abs(c.path()), future, future))
	if !c.Means(Demand{ID: c.Name().ID, At: time.Now()}) {
		t.Error("a job from the future cannot be cancelled")
	}
	for _, d := range demands {
		mustDo(t, s.WithdrawDemand(d), s.WithdrawDemand(d))
	}
	if left, err := s.Demands(); err != nil || len(left) > 0 {
		t.Errorf("left: %+v, %v", left, err)
	}
}

func TestDemandRefuses(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	for _, d := range []Demand{{ID: ""}, {ID: "../x"}, {ID: "a", Signal: "../x"}, {ID: "a", Signal: "usr1"}, {ID: "a", Signal: "USR1.b"}} {
		if s.Demand(d) == nil {
			t.Errorf("%+v is accepted", d)
		}
	}
}

// TestSweepDemands: what nobody will obey any more goes after a day, and only that.
func TestSweepDemands(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	mustPut(t, s, "waits")
	mustDo(t, s.Demand(Demand{ID: "waits"}), s.Demand(Demand{ID: "gone"}), s.SweepDemands())
	if all, err := s.Demands(); err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	if named, _ := breaches(t, s); len(named) != 1 || named[0] != "stale-request ctl/cancel/gone" {
		t.Errorf("the check says %q", named)
	}
	clock.add(tmpLimit + time.Minute)
	mustDo(t, s.SweepDemands())
	if all, err := s.Demands(); err != nil || len(all) != 1 || all[0].ID != "waits" {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestPause: a file that touch made is a pause, one that is over is none.
func TestPause(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	paused := func() *Pause {
		t.Helper()
		p, err := s.Paused()
		mustDo(t, err)
		return p
	}
	if was, err := s.Resume(); was || err != nil || paused() != nil {
		t.Fatalf("%t, %v", was, err)
	}
	for _, text := range []string{"", "not JSON", `{"reason":"x","unknown":1}`} {
		writeFile(t, s.abs(pausedFile), text)
		if p := paused(); p == nil || p.At.IsZero() {
			t.Errorf("%q: %+v", text, p)
		}
	}
	mustDo(t, s.Pause(Pause{Reason: "move", By: "ann", Until: s.Now().Add(time.Minute)}))
	if p := paused(); p == nil || p.Reason != "move" || p.By != "ann" || !p.At.Equal(Truncate(s.Now())) {
		t.Errorf("%+v", p)
	}
	clock.add(time.Minute)
	if p := paused(); p != nil {
		t.Errorf("it is over: %+v", p)
	}
	mustDo(t, os.Chtimes(s.abs(pausedFile), clock.now(), clock.now()))
	if p := paused(); p == nil || p.Reason != "" || !p.Until.IsZero() {
		t.Errorf("touched when it was over: %+v", p)
	}
	mustDo(t, s.Pause(Pause{}))
	if named, _ := breaches(t, s); len(named) > 0 {
		t.Errorf("the check says %q", named)
	}
	if was, err := s.Resume(); !was || err != nil || paused() != nil {
		t.Errorf("%t, %v", was, err)
	}
}

// TestDemandThatIsMetAtOnce: a worker may do what is asked, and take the demand away, before
// whoever asks has written the time.
func TestDemandThatIsMetAtOnce(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	d := Demand{ID: "job", Signal: "HUP"}
	touch := s.ops.touch
	s.ops.touch = func(p string) error {
		if filepath.Base(p) != ctlDir {
			mustDo(t, s.WithdrawDemand(d))
		}
		return touch(p)
	}
	mustDo(t, s.Demand(d))
	if all, err := s.Demands(); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}
