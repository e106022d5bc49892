package spool

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// gone is the name of a writer of this host whose process is gone.
func gone(s *Spool) string {
	return strings.Replace(s.host.newWID(), "."+pid()+".", ".1073741824.", 1)
}

func TestSweepByAgeAndWriter(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"host", "web-1"} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			s.host.Name = host
			name := s.file(Name{Due: aDue, Allowed: 1, ID: "x"})
			elsewhere := Host{Name: "elsewhere-2"}.newWID()
			for what, c := range map[string]struct {
				rel   string
				after time.Duration
			}{
				"a dead writer's job":         {tmpDir + "/" + gone(s) + "-1!" + name, tmpGrace},
				"a dead writer's settings":    {tmpDir + "/" + gone(s) + "!" + configFile, tmpGrace},
				"a dead writer's probe":       {tmpDir + "/" + gone(s) + "!case", tmpGrace},
				"a dead worker's entry":       {workersDir + "/." + gone(s), tmpGrace},
				"a living writer's job":       {tmpDir + "/" + s.host.newWID() + "-1!" + name, tmpLimit},
				"a living writer's settings":  {tmpDir + "/" + s.host.newWID() + "!" + configFile, tmpLimit},
				"a living worker's entry":     {workersDir + "/." + s.host.newWID(), tmpLimit},
				"another host's job":          {tmpDir + "/" + elsewhere + "-1!" + name, tmpLimit},
				"another host's settings":     {tmpDir + "/" + elsewhere + "!" + configFile, tmpLimit},
				"another host's worker entry": {workersDir + "/." + elsewhere, tmpLimit},
				"a stranger's":                {tmpDir + "/notes.txt", tmpGrace},
			} {
				writeFile(t, s.abs(c.rel), "x")
				clock := driveClock(s)
				clock.add(c.after - time.Minute)
				if forward, err := s.Sweep(0); err != nil || len(forward) > 0 {
					t.Fatal(forward, err)
				}
				if _, err := os.Stat(s.abs(c.rel)); err != nil {
					t.Errorf("%s is removed too early: %v", what, err)
				}
				clock.add(2 * time.Minute)
				if forward, err := s.Sweep(0); err != nil || len(forward) > 0 {
					t.Fatal(forward, err)
				}
				if _, err := os.Stat(s.abs(c.rel)); err == nil {
					t.Errorf("%s is left", what)
				}
			}
		})
	}
}

// What a dead writer had written whole and bound was a step from its user: it runs.
func TestSweepRollsForward(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	cut := errors.New("killed here")
	rename, unlink := s.ops.rename, s.ops.unlink
	s.ops.rename = func(string, string) error { return cut }
	s.ops.unlink = func(string) error { return cut }
	near, far := item(s, "near"), item(s, "far")
	far.Name.Due = far.Name.Due.Add(100 * time.Hour)
	unbound := item(s, s.NewID())
	unbound.Reserved = false
	for _, it := range []Item{near, far, unbound} {
		if err := s.Put(it); !errors.Is(err, cut) {
			t.Fatal(err)
		}
	}
	s.ops.rename, s.ops.unlink = rename, unlink
	if err := s.Put(near); !errors.Is(err, ErrDuplicate) {
		t.Errorf("its id is free meanwhile: %v", err)
	}
	clock := driveClock(s)
	clock.add(tmpLimit + time.Hour)
	forward, err := s.Sweep(0)
	mustDo(t, err)
	got := paths(forward)
	slices.Sort(got)
	want := []string{s.pendingPath(near.Name, s.Now()), s.pendingPath(far.Name, s.Now())}
	slices.Sort(want)
	if !slices.Equal(got, want) || !slices.Equal(paths(all(t, s)), []string{pendingDir + "/" + s.file(near.Name), laterDir + "/" + laterHour(far.Name.Due) + "/" + s.file(far.Name)}) {
		t.Errorf("want %q, have %q of %q", want, got, tree(t, s))
	}
	if left := files(t, s, tmpDir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
}

func TestSweepIDs(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	for i := range 20 {
		mustPut(t, s, fmt.Sprintf("Job %d", i))
	}
	for i, e := range all(t, s) {
		if i%2 == 0 {
			mustDo(t, os.Remove(s.abs(e.Path)))
		}
	}
	if freed, err := s.SweepIDs(); err != nil || freed != 10 {
		t.Errorf("%d freed, %v", freed, err)
	}
	if freed, err := s.SweepIDs(); err != nil || freed != 0 {
		t.Errorf("again %d freed, %v", freed, err)
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
}
