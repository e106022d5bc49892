package spool

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// settledAt makes a settled job with all that belongs to it.
func settledAt(t *testing.T, s *Spool, st State, id string, at time.Time) string {
	t.Helper()
	n := Name{Due: Truncate(at), Attempt: 2, Allowed: 3, Outcome: "done", ID: id}
	p := doneHour(n.Due, 0) + "/" + s.file(n)
	if st == Dead {
		p = deadDir + "/" + s.file(n)
	}
	plant(t, s, p, s.idPath(id))
	for attempt := 1; attempt <= 2; attempt++ {
		for _, kind := range logKinds {
			mustDo(t, s.WriteLog(id, attempt, kind, []byte("x")))
		}
	}
	return p
}

func TestPruneByAge(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	limit := time.Date(2026, 11, 23, 8, 30, 0, 0, time.UTC)
	keep := map[string]bool{}
	for i, at := range []time.Duration{-100 * time.Hour, -time.Hour, -30*time.Minute - 1, -time.Millisecond, 0, time.Millisecond, time.Hour, 100 * time.Hour} {
		for _, st := range []State{Done, Dead} {
			p := settledAt(t, s, st, fmt.Sprintf("%s-%d", st, i), limit.Add(at))
			keep[p] = at >= 0
		}
	}
	mustPut(t, s, "waiting")
	l := mustRegister(t, s)
	mustClaim(t, s, l, "running")
	notes := doneHour(limit.Add(-100*time.Hour), 0) + "/notes.txt"
	writeFile(t, s.abs(notes), "mine")
	before := tree(t, s)
	count := func(done, dead time.Time, dry bool, each func(Entry) bool) Pruned {
		t.Helper()
		p, err := s.Prune(done, dead, dry, each)
		mustDo(t, err)
		return p
	}
	if p := count(time.Time{}, time.Time{}, false, nil); p.Done != 0 || p.Dead != 0 {
		t.Errorf("without a limit: %+v", p)
	}
	if p := count(limit, limit, true, nil); p.Done != 4 || p.Dead != 4 {
		t.Errorf("a dry run: %+v", p)
	}
	if p := count(limit, limit, false, func(Entry) bool { return false }); p.Done != 0 || p.Dead != 0 {
		t.Errorf("all are spared: %+v", p)
	}
	after := tree(t, s)
	if !slices.Equal(before, after) {
		t.Errorf("it changed %q to %q", before, after)
	}
	if p := count(limit, time.Time{}, false, nil); p.Done != 4 || p.Dead != 0 {
		t.Errorf("done alone: %+v", p)
	}
	seen := 0
	if p := count(limit, limit, false, func(e Entry) bool { seen++; return e.State == Dead }); p.Done != 0 || p.Dead != 4 || seen != 4 {
		t.Errorf("then the dead: %+v, %d seen", p, seen)
	}
	for p, want := range keep {
		if _, err := os.Stat(s.abs(p)); (err == nil) != want {
			t.Errorf("%s: want it kept %t, have %v", p, want, err)
		}
	}
	left := tree(t, s)
	if !slices.Contains(left, notes) || slices.Contains(left, doneHour(limit.Add(-time.Hour), 0)+"/") {
		t.Errorf("left: %q", left)
	}
	for _, rel := range left {
		if (strings.HasPrefix(rel, idsDir) || strings.HasPrefix(rel, logsDir)) && (strings.Contains(rel, "done-0") || strings.Contains(rel, "dead-3")) {
			t.Errorf("left: %s", rel)
		}
	}
	if b, _ := breaches(t, s); !slices.Equal(b, []string{"unknown-file " + notes}) {
		t.Errorf("breaches: %q", b)
	}
	// Ids of what was removed are free again, those of what was kept are not.
	mustPut(t, s, "done-0", "dead-3")
	if p := count(limit.Add(1000*time.Hour), limit.Add(1000*time.Hour), false, nil); p.Done != 4 || p.Dead != 4 {
		t.Errorf("all the rest: %+v", p)
	}
	if e := all(t, s); len(e) != 4 {
		t.Errorf("left: %q", paths(e))
	}
}

func TestPruneRemovesEmptyDirectories(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	at := time.Date(2026, 11, 23, 8, 30, 0, 0, time.UTC)
	settledAt(t, s, Done, "a", at)
	mustDo(t, os.MkdirAll(s.abs(doneHour(at, 3)), 0o700), os.MkdirAll(s.abs(doneDir+"/20261122/07"), 0o700), os.MkdirAll(s.abs(doneDir+"/notes"), 0o700))
	writeFile(t, s.abs(doneDir+"/x"), "x")
	_, err := s.Prune(at.Add(time.Hour), time.Time{}, false, nil)
	mustDo(t, err)
	left, err := os.ReadDir(s.abs(doneDir))
	mustDo(t, err)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if slices.Contains(names, "20261123") || slices.Contains(names, "20261122") || !slices.Contains(names, "x") {
		t.Errorf("left: %q", names)
	}
	// A settle finds its directory again.
	l := mustRegister(t, s)
	c := mustClaim(t, s, l, "job-1")
	_, err = c.Done(Ending{Outcome: "done"})
	mustDo(t, err)
}

// TestRemoveBesideASuccessor: as soon as a job is gone, its id is another's. What that
// job has written by then is not removed with the records of the one before, at whatever
// call of the removal it comes; nor by a repair.
func TestRemoveBesideASuccessor(t *testing.T) {
	t.Parallel()
	for what, remove := range map[string]func(s *Spool, e Entry) error{
		"Remove": func(s *Spool, e Entry) error { return s.Remove(e) },
		"Prune": func(s *Spool, _ Entry) error {
			_, err := s.Prune(time.Time{}, s.Now().Add(time.Hour), false, nil)
			return err
		},
		"rm and a repair": func(s *Spool, e Entry) error {
			mustDo(t, os.Remove(s.abs(e.Path)), os.Remove(s.abs(s.idPath(e.Name.ID))))
			_, found := breaches(t, s)
			for _, b := range found {
				if strings.HasPrefix(b.Code, "stale-") {
					mustDo(t, b.Repair())
				}
			}
			return nil
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			ran := false
			for at, more := 1, true; more; at++ {
				s := newSpool(t)
				l := mustRegister(t, s)
				c := mustClaim(t, s, l, "x")
				mustDo(t, s.WriteLog("x", 1, "json", []byte("old")))
				_, err := c.Bury(Ending{Outcome: "failed"})
				mustDo(t, err)
				e := only(t, s)
				other := reopen(t, s)
				ol := mustRegister(t, other)
				calls, came := 0, false
				s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(made call) fault {
					calls++
					if calls < at || came || made.op == "close" {
						return fault{}
					}
					it := item(other, "x")
					if held, err := other.ops.look(other.abs(path.Dir(other.idPath("x"))), "x.json"); err == nil && made.op != "lock" && held.nlink > 1 {
						return fault{} // the id is not free yet
					}
					if s.locked(t) {
						return fault{} // it would wait
					}
					mustDo(t, other.Put(it))
					came, ran = true, true
					c, err := ol.Claim(it.Name)
					mustDo(t, err)
					_ = other.WriteLog("x", 1, "json", []byte("new")) // after rm, the old one may lie there
					mustDo(t, other.WriteLog("x", 1, "out", []byte("precious")))
					_, err = c.Done(Ending{Outcome: "done"})
					mustDo(t, err)
					return fault{}
				}})
				mustDo(t, remove(s, e))
				more = calls >= at
				if !came {
					continue
				}
				if got := only(t, other); got.State != Done {
					t.Fatalf("call %d: have %v", at, got)
				}
				if data, err := other.ReadLog("x", 1, "out"); err != nil || string(data) != "precious" {
					t.Errorf("call %d: the new job's output is %q, %v", at, data, err)
				}
				if data, err := other.ReadLog("x", 1, "json"); what != "rm and a repair" && (err != nil || string(data) != "new") {
					t.Errorf("call %d: the new job's record is %q, %v", at, data, err)
				}
				if err := other.Put(item(other, "x")); !errors.Is(err, ErrDuplicate) {
					t.Errorf("call %d: its id is free: %v", at, err)
				}
			}
			if !ran {
				t.Error("the successor never came")
			}
		})
	}
}

// locked reports whether somebody holds the spool's lock.
func (s *Spool) locked(t *testing.T) bool {
	t.Helper()
	f, err := realOps().update(s.abs(lockFile), 0)
	mustDo(t, err)
	defer f.Close()
	free, err := f.tryLock()
	mustDo(t, err)
	return !free
}

// TestRemoveOfAJobWithAMillionAttempts: a name that a person made up costs a listing,
// not three million calls.
func TestRemoveOfAJobWithAMillionAttempts(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	n := Name{Due: aDue, Attempt: MaxAttempt, Allowed: MaxAttempt, Outcome: "failed", ID: "x"}
	plant(t, s, deadDir+"/"+s.file(n), s.idPath("x"))
	mustDo(t, s.WriteLog("x", 1, "out", nil), s.WriteLog("x", MaxAttempt, "json", nil))
	calls := 0
	s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(call) fault { calls++; return fault{} }})
	mustDo(t, s.Remove(only(t, s)))
	if calls > 30 {
		t.Errorf("%d calls", calls)
	}
	if named, _ := breaches(t, s); len(named) > 0 {
		t.Errorf("breaches: %q", named)
	}
}

// TestRemoveOfAJobThatIsNotBound: its records go with it all the same.
func TestRemoveOfAJobThatIsNotBound(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	for _, id := range []string{"x", s.NewID()} {
		n := Name{Due: aDue, Attempt: 1, Allowed: 1, Outcome: "failed", ID: id}
		writeFile(t, s.abs(deadDir+"/"+s.file(n)), aJob)
		mustDo(t, s.WriteLog(id, 1, "out", nil), s.Remove(only(t, s)))
		if named, _ := breaches(t, s); len(named) > 0 {
			t.Errorf("%s: breaches: %q", id, named)
		}
	}
}
