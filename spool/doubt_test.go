package spool

import (
	"errors"
	"os"
	"path"
	"runtime"
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

// A count of links that a cache had too small makes no second link.
func TestSweepIDsWithAStaleCount(t *testing.T) {
	t.Parallel()
	for _, network := range []bool{false, true} {
		s := newSpool(t)
		s.network = network
		mustDo(t, s.Put(item(s, "job")))
		looks, look := s.ops.looks, s.ops.look
		s.ops.looks = func(dir string, visit func(string, info) error) error {
			return looks(dir, func(name string, in info) error { in.nlink = 1; return visit(name, in) })
		}
		s.ops.look = func(dir, name string) (info, error) {
			in, err := look(dir, name)
			in.nlink = 1
			return in, err
		}
		freed, err := s.SweepIDs()
		mustDo(t, err)
		s.ops.look = look
		in, err := look(s.abs(pendingDir), path.Base(only(t, s).Path))
		if mustDo(t, err); freed != 0 || in.nlink != 2 || len(files(t, s, tmpDir)) != 0 {
			t.Errorf("network %t: %d freed, %d links, tmp/ %q", network, freed, in.nlink, files(t, s, tmpDir))
		}
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
		if c.op == "looks" && strings.Contains(c.path, "/"+idsDir+"/") {
			return fault{err: syscall.EIO}
		}
		return fault{}
	}})
	if _, err := s.SweepIDs(); !errors.Is(err, syscall.EIO) {
		t.Errorf("have %v, want %v", err, syscall.EIO)
	}
}

// TestPutThatWasSuspended: a writer on a network file system that slept until its file
// in tmp/ may have been swept must not take the loss of it for a lost reply.
func TestPutThatWasSuspended(t *testing.T) {
	t.Parallel()
	for _, asleep := range []time.Duration{time.Second, tmpGrace} {
		s := newSpool(t)
		s.network = true
		clock := driveClock(s)
		s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(c call) fault {
			if c.op == "rename" {
				mustDo(t, os.Remove(s.abs(strings.TrimPrefix(c.path, "spool/"))))
				clock.add(asleep)
			}
			return fault{}
		}})
		it := item(s, "")
		it.Name.ID, it.Reserved = s.NewID(), false
		// After a second, only a worker can have taken it: see publish.
		if err := s.Put(it); errors.Is(err, ErrUncertain) != (asleep >= tmpGrace) {
			t.Errorf("after %s: %v", asleep, err)
		}
	}
}

// TestLockOfASuspendedHolder: nobody waits for ever for a lock whose holder is stopped.
func TestLockOfASuspendedHolder(t *testing.T) {
	t.Parallel()
	for _, network := range []bool{false, true} {
		s := newSpool(t)
		s.network = network
		unlock, err := s.lock()
		mustDo(t, err)
		f, err := realOps().update(s.abs(lockFile), 0)
		mustDo(t, err)
		if err := f.(osFile).lock(network, 0); !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("network %t: have %v, want %v", network, err, syscall.EAGAIN)
		}
		unlock()
		mustDo(t, f.(osFile).lock(network, 0))
		// One on an NFS server and one on a client exclude each other.
		if g, err := realOps().update(s.abs(lockFile), 0); err != nil || runtime.GOOS == "linux" && !errors.Is(g.(osFile).lock(!network, 0), syscall.EAGAIN) {
			t.Errorf("network %t: it does not exclude its opposite (%v)", network, err)
		}
		mustDo(t, f.Close())
	}
}

// TestRequestsOutliveTheReaping: a worker that was suspended, asked to stop and taken for
// dead finds out when it wakes up.
func TestRequestsOutliveTheReaping(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	l := mustRegister(t, s)
	mustDo(t, s.Ask(Drain, l.Worker()))
	_, err := s.Reap(l.Worker(), func(n Name) Fate { return Fate{Name: n} })
	mustDo(t, err, s.SweepRequests())
	if asked, err := s.Asked(Drain, l.Worker()); err != nil || !asked {
		t.Fatalf("asked %t, %v", asked, err)
	}
	if named, _ := breaches(t, s); len(named) != 1 || !strings.HasPrefix(named[0], "stale-request ") {
		t.Errorf("the check says %q", named)
	}
	living := mustRegister(t, s)
	mustDo(t, s.Ask(Interrupt, living.Worker()))
	clock.add(tmpLimit + time.Minute)
	mustDo(t, s.SweepRequests())
	for r, want := range map[Request]string{Drain: "", Interrupt: living.Worker()} {
		if have := strings.Join(files(t, s, ctlDir+"/"+string(r)), " "); have != want {
			t.Errorf("%s: have %q, want %q", r, have, want)
		}
	}
}
