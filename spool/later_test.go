package spool

import (
	"errors"
	"os"
	"path"
	"slices"
	"sync"
	"testing"
	"time"
)

func putAt(t *testing.T, s *Spool, id string, due time.Time) Item {
	t.Helper()
	it := item(s, id)
	it.Name.Due = Truncate(due)
	mustDo(t, s.Put(it))
	return it
}

func TestFarJobsWaitByTheHour(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	// A quarter past, so that all is within the hours that are meant.
	clock.add(clock.now().Truncate(time.Hour).Add(75 * time.Minute).Sub(clock.now()))
	now := clock.now()
	for id, in := range map[string]time.Duration{
		"past": -time.Hour, "now": 0, "soon": LaterAfter, "later": LaterAfter + time.Millisecond, "far": 5 * time.Hour, "next-year": 366 * 24 * time.Hour,
	} {
		putAt(t, s, id, now.Add(in))
	}
	where := map[string]string{}
	for _, e := range all(t, s) {
		where[e.Name.ID] = path.Dir(e.Path)
		if e.State != Pending {
			t.Errorf("%s is %s", e.Path, e.State)
		}
	}
	hour := func(in time.Duration) string { return laterDir + "/" + laterHour(now.Add(in)) }
	for id, want := range map[string]string{
		"past": pendingDir, "now": pendingDir, "soon": pendingDir,
		"later": hour(time.Hour), "far": hour(5 * time.Hour), "next-year": hour(366 * 24 * time.Hour),
	} {
		if where[id] != want {
			t.Errorf("%s is in %s, want %s", id, where[id], want)
		}
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
	waiting := func() (ids []string) {
		mustDo(t, s.Waiting(func(n Name) { ids = append(ids, n.ID) }, func(string) {}))
		slices.Sort(ids)
		return ids
	}
	// Who sleeps until the time that Promote tells misses nothing: each job is in
	// pending/ before it is due.
	for _, id := range []string{"later", "far", "next-year"} {
		next, err := s.Promote()
		if err != nil || next.IsZero() || slices.Contains(waiting(), id) {
			t.Fatalf("before %s: %s, %v, %q", id, next, err, waiting())
		}
		if again, err := s.Promote(); err != nil || !again.Equal(next) {
			t.Errorf("again: %s, %v", again, err)
		}
		clock.add(next.Sub(clock.now()))
		if _, err := s.Promote(); err != nil || !slices.Contains(waiting(), id) {
			t.Fatalf("at %s: %v, %q", next, err, waiting())
		}
		for _, e := range all(t, s) {
			if e.Name.ID == id && e.Due.Before(clock.now()) {
				t.Errorf("%s was due at %s, it is %s", id, e.Due, clock.now())
			}
		}
	}
	next, err := s.Promote()
	if err != nil || !next.IsZero() || len(waiting()) != 6 {
		t.Errorf("at the end %s, %v, %q", next, err, waiting())
	}
	if left, err := os.ReadDir(s.abs(laterDir)); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A worker that was away for days finds all hours that have passed.
func TestPromoteAfterAPause(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	for i := range 10 {
		putAt(t, s, s.NewID(), clock.now().Add(time.Duration(2+7*i)*time.Hour))
	}
	clock.add(100 * time.Hour)
	var wg sync.WaitGroup
	for range 4 { // all at once
		o := reopen(t, s)
		o.ops.now = clock.now
		wg.Go(func() {
			if next, err := o.Promote(); err != nil || !next.IsZero() {
				t.Errorf("%s, %v", next, err)
			}
		})
	}
	wg.Wait()
	for _, e := range all(t, s) {
		if path.Dir(e.Path) != pendingDir {
			t.Errorf("%s", e.Path)
		}
	}
	if n := len(all(t, s)); n != 10 {
		t.Errorf("%d jobs", n)
	}
}

func TestPromoteLeavesAloneWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	it := putAt(t, s, "job-1", clock.now().Add(3*time.Hour))
	hour := laterDir + "/" + laterHour(it.Name.Due)
	drop(t, s, "x.json", aJob)
	writeFile(t, s.abs(hour+"/x.json"), "not that one")
	writeFile(t, s.abs(laterDir+"/x.json"), "x")
	mustDo(t, os.Mkdir(s.abs(laterDir+"/soon"), 0o700), os.Mkdir(s.abs(hour+"/dir"), 0o700))
	clock.add(3 * time.Hour)
	if next, err := s.Promote(); err != nil || !next.IsZero() {
		t.Errorf("%s, %v", next, err)
	}
	if e := only(t, s); path.Dir(e.Path) != pendingDir {
		t.Errorf("%s", e.Path)
	}
	if got := readString(t, s.abs(DropPath("x.json"))); got != aJob {
		t.Errorf("the drop is now %q", got)
	}
	if got := readString(t, s.abs(hour+"/x.json")); got != "not that one" {
		t.Errorf("have %q", got)
	}
	fail := errors.New("refused")
	putAt(t, s, "job-2", clock.now().Add(3*time.Hour))
	clock.add(3 * time.Hour)
	s.ops.rename = func(string, string) error { return fail }
	if _, err := s.Promote(); !errors.Is(err, fail) {
		t.Errorf("%v", err)
	}
}

func TestRetryFarAhead(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	c := mustClaim(t, s, l, "job-1")
	settled, err := c.Retry(s.Now().Add(30 * time.Hour))
	if err != nil || path.Dir(path.Dir(settled.Path)) != laterDir {
		t.Errorf("%+v, %v", settled, err)
	}
	mustDo(t, s.SyncSettled(settled))
	if _, err := l.Claim(settled.Name); !errors.Is(err, ErrLost) {
		t.Errorf("a claim before its time: %v", err)
	}
}
