package spool

import (
	"os"
	"testing"
	"time"
)

// timesCanBeSet takes what Chtimes sets for the time that nobody can set.
func timesCanBeSet(s *Spool) {
	look := s.ops.look
	s.ops.look = func(dir, name string) (info, error) {
		in, err := look(dir, name)
		in.ctime = in.mtime
		return in, err
	}
}

// TestVacant: what was empty is not looked into again before its time changes, and what
// has changed a moment ago, or is on a network, always is.
func TestVacant(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	timesCanBeSet(s)
	var v vacant
	finds, nothing := 0, true
	look := func() int {
		t.Helper()
		finds = 0
		mustDo(t, v.look(s, func() (bool, error) { finds++; return nothing, nil }, editingDir, workersDir))
		return finds
	}
	age := func(dir string, d time.Duration) {
		at := time.Now().Add(-d)
		mustDo(t, os.Chtimes(s.abs(dir), at, at))
	}
	age(editingDir, time.Hour)
	age(workersDir, 0)
	for range 2 {
		if look() != 1 {
			t.Error("no look into a directory that has just changed")
		}
	}
	age(workersDir, 2*vacantAfter)
	nothing = false
	for range 2 {
		if look() != 1 {
			t.Error("no look into what was not empty")
		}
	}
	nothing = true
	if look() != 1 || look() != 0 {
		t.Error("a second look into what is known to be empty")
	}
	age(workersDir, time.Hour) // a clock that is set back makes earlier times
	if look() != 1 || look() != 0 {
		t.Error("no look into what bears another time")
	}
	s.network = true
	if look() != 1 {
		t.Error("the time of a directory on a network is trusted")
	}
}

// TestCensusSeesNewcomers: an observer that is alone notices who comes, and that they die.
func TestCensusSeesNewcomers(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	timesCanBeSet(s)
	l := mustRegister(t, s)
	c := l.NewCensus()
	old := time.Now().Add(-time.Hour)
	for i := range 3 {
		if alone := c.Alone(); alone != (i > 0) {
			t.Errorf("before look %d: alone is %v", i+1, alone)
		}
		for _, dir := range []string{workDir, workersDir, editingDir} {
			mustDo(t, os.Chtimes(s.abs(dir), old, old))
		}
		if _, err := s.RecoverEdits(0); err != nil {
			t.Fatal(err)
		}
		if v, err := c.Look(time.Second, time.Minute); err != nil || len(v) != 0 {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	other := mustRegister(t, s)
	for range 2 {
		if v, err := c.Look(time.Second, time.Minute); err != nil || len(v) != 1 || v[0].Worker != other.Worker() {
			t.Errorf("%+v, %v", v, err)
		}
		if c.Alone() {
			t.Error("it is not alone")
		}
	}
}
