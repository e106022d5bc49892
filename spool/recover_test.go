package spool

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"testing"
	"time"
)

// plant puts one job under several names, as links of one file: what btrfs can show
// after a power cut.
func plant(t *testing.T, s *Spool, rels ...string) {
	t.Helper()
	writeFile(t, s.abs(tmpDir+"/seed"), aJob)
	for _, rel := range rels {
		mustDo(t, os.MkdirAll(s.abs(path.Dir(rel)), 0o700), os.Link(s.abs(tmpDir+"/seed"), s.abs(rel)))
	}
	mustDo(t, os.Remove(s.abs(tmpDir+"/seed")))
}

// Of two names of one job the one that is further on stays, whichever two they are.
func TestTwoNamesOfOneJob(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	now := Truncate(s.Now())
	worker := workDir + "/" + s.host.newWID()
	base := Name{Due: now, Allowed: 3, ID: "job-1"}
	name := func(change func(*Name)) string {
		n := base
		change(&n)
		return s.file(n)
	}
	claimed := name(func(n *Name) { n.Attempt = 1 })
	done := doneHour(now, 0) + "/" + name(func(n *Name) { n.Attempt, n.Outcome = 1, "done" })
	dead := deadDir + "/" + name(func(n *Name) { n.Attempt, n.Outcome = 1, "failed" })
	for what, c := range map[string]struct{ old, new string }{
		"claim":                {pendingDir + "/" + name(func(*Name) {}), worker + "/" + claimed},
		"done":                 {worker + "/" + claimed, done},
		"dead":                 {worker + "/" + claimed, dead},
		"claim and done":       {pendingDir + "/" + name(func(*Name) {}), done},
		"claim and dead":       {pendingDir + "/" + name(func(*Name) {}), dead},
		"retry":                {pendingDir + "/" + claimed, worker + "/" + claimed}, // the claim counts: it is reaped
		"claim of a retry":     {pendingDir + "/" + claimed, worker + "/" + name(func(n *Name) { n.Attempt = 2 })},
		"interrupted":          {pendingDir + "/" + claimed, pendingDir + "/" + name(func(n *Name) { n.Attempt, n.Allowed = 1, 4 })},
		"revived":              {pendingDir + "/" + name(func(n *Name) { n.Attempt, n.Allowed = 1, 4 }), dead},
		"promoted":             {laterDir + "/20361123T08/" + name(func(n *Name) { n.Due = now.Add(-time.Second) }), pendingDir + "/" + name(func(n *Name) { n.Attempt = 1 })},
		"done in another hour": {worker + "/" + claimed, doneDir + "/20361123/08/" + path.Base(done)},
	} {
		s := newSpool(t)
		plant(t, s, c.old, c.new)
		if named, _ := breaches(t, s); !slices.ContainsFunc(named, func(n string) bool { return n == "duplicate-id "+c.old || n == "duplicate-id "+c.new }) {
			t.Errorf("%s: check names %q", what, named)
		}
		removed, err := s.Resolve()
		if err != nil || len(removed) != 1 || removed[0].Path != c.old {
			t.Errorf("%s: removed %v, %v", what, paths(removed), err)
		}
		if e := all(t, s); len(e) != 1 || e[0].Path != c.new || readString(t, s.abs(c.new)) != aJob {
			t.Errorf("%s: left are %v", what, paths(e))
		}
		if again, err := s.Resolve(); err != nil || len(again) > 0 {
			t.Errorf("%s: a second time %v, %v", what, paths(again), err)
		}
	}
}

func TestManyNamesOfOneJob(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	n := Name{Due: Truncate(s.Now()), Allowed: 3, ID: "job-1"}
	var rels []string
	for attempt := range 4 {
		n.Attempt = attempt
		rels = append(rels, pendingDir+"/"+s.file(n), deadDir+"/"+s.file(n))
	}
	plant(t, s, rels...)
	if removed, err := s.Resolve(); err != nil || len(removed) != 7 {
		t.Errorf("removed %v, %v", paths(removed), err)
	}
	if e := only(t, s); e.State != Dead || e.Attempt != 3 {
		t.Errorf("left is %s", e.Path)
	}
}

// Different files are two jobs: a person must decide.
func TestTwoJobsOfOneIDAreLeftAlone(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	n := Name{Due: Truncate(s.Now()), Allowed: 3, ID: "job-1"}
	plant(t, s, pendingDir+"/"+s.file(n))
	n.Attempt = 1
	plant(t, s, deadDir+"/"+s.file(n))
	before := tree(t, s)
	if removed, err := s.Resolve(); err != nil || len(removed) > 0 {
		t.Errorf("removed %v, %v", paths(removed), err)
	}
	if after := tree(t, s); !slices.Equal(before, after) {
		t.Errorf("before %q, after %q", before, after)
	}
}

// A job that moves while it is looked for is no duplicate.
func TestResolveBesideAWorker(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	o := reopen(t, s)
	it := item(s, "job-1")
	mustDo(t, s.Put(it))
	names := o.ops.names
	o.ops.names = func(dir string, visit func(string) error) error {
		err := names(dir, visit)
		if dir == s.abs(pendingDir) { // it has been seen there
			if _, err := l.Claim(it.Name); err != nil {
				t.Error(err)
			}
		}
		return err
	}
	if removed, err := o.Resolve(); err != nil || len(removed) > 0 {
		t.Errorf("removed %v, %v", paths(removed), err)
	}
	if e := only(t, s); e.State != Processing {
		t.Errorf("%s", e.Path)
	}
}

func TestRecoverOnceABoot(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.network = false
	s.host.BootID = "boot-1"
	n := Name{Due: Truncate(s.Now()), Allowed: 3, ID: "job-1"}
	double := func() {
		n.ID += "x"
		plant(t, s, pendingDir+"/"+s.file(n), deadDir+"/"+s.file(n))
	}
	want := func(removed int) {
		t.Helper()
		if got, err := s.Recover(); err != nil || len(got) != removed {
			t.Errorf("removed %v, %v; want %d", paths(got), err, removed)
		}
	}
	double()
	want(1)
	double()
	want(0)
	s.host.BootID = "boot-2"
	want(1)
	if marks := files(t, s, bootedDir); !slices.Equal(marks, []string{"boot-2"}) {
		t.Errorf("marks %q", marks)
	}
	double()
	s.network, s.host.BootID = true, "boot-3"
	want(0)
	s.network, s.host.BootID = false, ""
	want(0)
	// One that fails leaves no mark.
	s.host.BootID = "boot-4"
	unlink := s.ops.unlink
	fail := errors.New("refused")
	s.ops.unlink = func(string) error { return fail }
	if _, err := s.Recover(); !errors.Is(err, fail) {
		t.Errorf("%v", err)
	}
	s.ops.unlink = unlink
	want(1)
}

// done/ is searched only as far back as a power cut can reach: from the newest result
// on, however long the power was off since.
func TestOldResultsAreNotSearched(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{0, 1000 * time.Hour} {
		s := newSpool(t)
		cut := Truncate(s.Now().Add(-off))
		plantDone := func(id string, at time.Time) (double string) {
			done := Name{Due: at, Attempt: 1, Allowed: 3, Outcome: "done", ID: id}
			double = pendingDir + "/" + s.file(Name{Due: at, Allowed: 3, ID: id})
			plant(t, s, doneHour(at, 0)+"/"+s.file(done), double)
			return double
		}
		newest := plantDone("newest", cut)
		recent := plantDone("recent", cut.Add(-recentHours*time.Hour))
		plantDone("old", cut.Add(-recentHours*time.Hour-time.Hour))
		// A clock that was ahead must not hide the others.
		plant(t, s, doneHour(s.Now().Add(50*time.Hour), 0)+"/"+s.file(Name{Due: Truncate(s.Now().Add(50 * time.Hour)), Attempt: 1, Allowed: 1, Outcome: "done", ID: "ahead"}))
		removed, err := s.Resolve()
		mustDo(t, err)
		got, want := paths(removed), []string{newest, recent}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("the power was off for %s: removed %q, want %q", off, got, want)
		}
	}
}

// A power cut can leave the name in tmp/ beside the one in a state: the job was
// published, and must not be published again.
func TestAPublishedJobIsNotRolledForward(t *testing.T) {
	t.Parallel()
	for _, st := range []State{Pending, Processing, Done, Dead} {
		t.Run(string(st), func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			l := mustRegister(t, s)
			it := item(s, "job-1")
			mustDo(t, s.Put(it))
			tmp := tmpDir + "/host.1.aaaaaaaaaaaaa-1!" + s.file(it.Name)
			mustDo(t, os.Link(s.abs(only(t, s).Path), s.abs(tmp)))
			if st != Pending {
				c, err := l.Claim(it.Name)
				mustDo(t, err)
				switch st {
				case Done:
					_, err = c.Done(Ending{Outcome: "done"})
				case Dead:
					_, err = c.Bury(Ending{Outcome: "failed"})
				}
				mustDo(t, err)
			}
			driveClock(s).add(2 * tmpLimit)
			forward, err := s.Sweep(0)
			if err != nil || len(forward) > 0 {
				t.Errorf("it is rolled forward to %v, %v", paths(forward), err)
			}
			if e := only(t, s); e.State != st {
				t.Errorf("it is %s", e.Path)
			}
			if left := files(t, s, tmpDir); len(left) > 0 {
				t.Errorf("left in tmp: %q", left)
			}
		})
	}
}

// The same before the sweep: the job ends and is removed, and the id with it.
func TestResolveClearsTmp(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	it := item(s, "job-1")
	mustDo(t, s.Put(it))
	for i := range 2 {
		mustDo(t, os.Link(s.abs(only(t, s).Path), s.abs(fmt.Sprintf("%s/host.1.aaaaaaaaaaaaa-%d!%s", tmpDir, i, s.file(it.Name)))))
	}
	if removed, err := s.Resolve(); err != nil || len(removed) != 2 {
		t.Errorf("removed %v, %v", paths(removed), err)
	}
	e := only(t, s)
	if e.State != Pending || len(files(t, s, tmpDir)) > 0 {
		t.Errorf("left: %q", tree(t, s))
	}
	mustDo(t, s.Remove(e))
	mustPut(t, s, "job-1")
}
