package spool

import (
	"errors"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestResolveAfterALongOutage: on btrfs a power cut can leave a job in done/ and among
// the claims. That must be found however long the power was off, or it runs again.
func TestResolveAfterALongOutage(t *testing.T) {
	s := newSpool(t)
	if err := s.Put(item(s, "job")); err != nil {
		t.Fatal(err)
	}
	l := mustRegister(t, s)
	c, err := l.Claim(all(t, s)[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	claimed := c.path()
	settled, err := c.Done(Ending{Outcome: "done"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(s.abs(settled.Path), s.abs(claimed)); err != nil {
		t.Fatal(err)
	}
	s.ops.now = func() time.Time { return time.Now().Add(72 * time.Hour) }
	removed, err := s.Resolve()
	if err != nil || len(removed) != 1 || removed[0].Path != claimed {
		t.Fatalf("removed %v, %v", removed, err)
	}
}

// TestSettleInAnOutage: the server executes a settlement, and neither its reply nor the
// look that verifies it comes through. The next try, which has another destination
// because time goes on, must find what the first one did.
func TestSettleInAnOutage(t *testing.T) {
	s := newSpool(t)
	s.network = true
	now := time.Now()
	s.ops.now = func() time.Time { return now }
	down := false
	s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(c call) fault {
		return map[bool]fault{true: {err: syscall.EIO, after: c.op == "rename"}}[down]
	}})
	if err := s.Put(item(s, "job")); err != nil {
		t.Fatal(err)
	}
	l := mustRegister(t, s)
	c, err := l.Claim(all(t, s)[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	s.hours.Store(doneHour(now, 0), true)
	if err := s.mkdirs(doneHour(now, 0)); err != nil {
		t.Fatal(err)
	}
	down = true
	if _, err := c.Done(Ending{Outcome: "done"}); !errors.Is(err, syscall.EIO) {
		t.Fatalf("in the outage: %v", err)
	}
	down, now = false, now.Add(time.Second)
	settled, err := c.Done(Ending{Outcome: "done"})
	if err != nil {
		t.Fatalf("after the outage: %v", err)
	}
	if e := all(t, s); len(e) != 1 || e[0].State != Done || e[0].Path != settled.Path {
		t.Fatalf("it is said to be at %s, and there is %v", settled.Path, e)
	}
}

// TestEmptyRecordIsReplaced: a writer that died before it wrote must not keep what is
// known of the attempt from being written.
func TestEmptyRecordIsReplaced(t *testing.T) {
	s := newSpool(t)
	if err := s.PrepareLogs("job"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.LogPath("job", 1, "json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"first", "second"} {
		err := s.WriteLog("job", 1, "json", []byte(data))
		if wrote := data == "first"; wrote != (err == nil) {
			t.Errorf("%s: %v", data, err)
		}
	}
	if got, err := s.ReadLog("job", 1, "json"); err != nil || string(got) != "first" {
		t.Errorf("the record is %q, %v", got, err)
	}
}

// TestSweepIDsSaysWhatFailed: a binding that cannot be looked at is not passed over in
// silence.
func TestSweepIDsSaysWhatFailed(t *testing.T) {
	s := newSpool(t)
	if err := s.Put(item(s, "job")); err != nil {
		t.Fatal(err)
	}
	s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(c call) fault {
		if c.op == "look" && strings.Contains(c.path, "/"+idsDir+"/") {
			return fault{err: syscall.EIO}
		}
		return fault{}
	}})
	if _, err := s.SweepIDs(); !errors.Is(err, syscall.EIO) {
		t.Errorf("have %v, want %v", err, syscall.EIO)
	}
}
