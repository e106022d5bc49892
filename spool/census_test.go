package spool

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// stranger opens the spool as a host would that can ask neither locks nor pids.
func stranger(t *testing.T, s *Spool) (*Spool, *handClock) {
	t.Helper()
	o := reopen(t, s)
	o.network = true
	o.host.Name, o.host.BootID, o.host.PIDNS = "elsewhere", "another boot", "another namespace"
	return o, driveClock(o)
}

func lookAt(t *testing.T, c *Census, poll, lease time.Duration) Verdict {
	t.Helper()
	v, err := c.Look(poll, lease)
	if err != nil || len(v) != 1 {
		t.Fatalf("want one worker, have %+v, %v", v, err)
	}
	return v[0]
}

func TestKilledWorkerIsFoundAtOnce(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustPut(t, s, "job-1", "job-2")
	a := start(t, "hold "+s.Dir())
	wid := a.line(t)
	c := s.NewCensus()
	if v := lookAt(t, c, time.Second, time.Hour); v.Dead || v.Worker != wid {
		t.Fatalf("while it lives: %+v", v)
	}
	mustDo(t, a.cmd.Process.Kill())
	eventually(t, "it is found dead", func() bool { return lookAt(t, c, time.Second, time.Hour).Dead })
	a.kill(t)
	if v := lookAt(t, c, time.Second, time.Hour); !v.Dead || v.Reason != "its process is gone" {
		t.Errorf("%+v", v)
	}
	moved, err := s.Reap(wid, func(n Name) Fate { n.Allowed++; n.Lost++; return Fate{Name: n} })
	if err != nil || len(moved) != 2 {
		t.Errorf("reap: %v, %v", moved, err)
	}
	if left, err := c.Look(time.Second, time.Hour); err != nil || len(left) > 0 {
		t.Errorf("after the reap: %+v, %v", left, err)
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
}

// A child that inherits the lock keeps it until it is gone too. Who can see the
// worker's pid knows that the worker is dead, who cannot waits for the child.
func TestLockIsInheritedByAChild(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	if s.Network() {
		t.Skip("locks say nothing on this file system")
	}
	a := start(t, "hold-with-child "+s.Dir())
	a.line(t)
	a.kill(t)
	if v := lookAt(t, s.NewCensus(), time.Second, time.Hour); s.host.BootID != "" && (!v.Dead || v.Reason != "its process is gone") {
		t.Errorf("who sees its pid: %+v", v)
	}
	other := reopen(t, s)
	other.host.PIDNS = "another namespace"
	c := other.NewCensus()
	for range 3 {
		if v := lookAt(t, c, time.Second, time.Hour); v.Dead {
			t.Fatalf("while its child has the lock: %+v", v)
		}
	}
	a.release()
	eventually(t, "its lock is free", func() bool {
		v := lookAt(t, c, time.Second, time.Hour)
		return v.Dead && v.Reason == "its lock is free"
	})
}

func TestAPidThatIsUsedAgain(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	if s.host.BootID == "" {
		t.Skip("this system does not tell when a process began")
	}
	r, err := s.readWorker(l.Worker(), Registered{})
	mustDo(t, err)
	r.ProcStart = "12345"
	if dead, reason := s.judge(r); !dead || reason != "its process is gone" {
		t.Errorf("%t %s", dead, reason)
	}
	r.BootID = "an earlier boot"
	if dead, reason := s.judge(r); dead {
		t.Errorf("of another boot its pid says nothing, and its lock is held: %s", reason)
	}
}

// The file server can have workers of its own, on the disk that its clients mount. That a
// client's lock is free here says nothing.
func TestLockOfAnotherHost(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	if s.host.BootID == "" {
		t.Skip("this system does not tell one boot from another")
	}
	l := mustRegister(t, s)
	r, err := s.readWorker(l.Worker(), Registered{})
	mustDo(t, err, l.Close())
	r.BootID = "another boot"
	if dead, reason := s.judge(r); !dead || reason != "its lock is free" {
		t.Errorf("of an earlier boot of this host: dead %t (%s)", dead, reason)
	}
	r.Host = "another-host"
	if dead, reason := s.judge(r); dead {
		t.Errorf("of another host: %s", reason)
	}
}

// A worker beats often enough for the lease that it has registered with, which may be
// longer than the observer's.
func TestALongerLeaseIsHonoured(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l, err := s.Register(1, "test", time.Minute)
	mustDo(t, err)
	t.Cleanup(func() { l.Close() })
	o, clock := stranger(t, s)
	c := o.NewCensus()
	for range 59 {
		if v := lookAt(t, c, time.Second, 2*time.Second); v.Dead {
			t.Fatalf("dead: %s", v.Reason)
		}
		clock.add(time.Second)
	}
	lookAt(t, c, time.Second, 2*time.Second)
	clock.add(time.Second)
	if v := lookAt(t, c, time.Second, 2*time.Second); !v.Dead {
		t.Error("without a heartbeat for a minute it lives")
	}
}

func TestStillForALease(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	const poll, lease = time.Second, 10 * time.Second
	l, err := s.Register(1, "test", lease)
	mustDo(t, err)
	t.Cleanup(func() { l.Close() })
	o, clock := stranger(t, s)
	c := o.NewCensus()
	look := func(want bool) {
		t.Helper()
		if v := lookAt(t, c, poll, lease); v.Dead != want || want && v.Reason != "no heartbeat for 10s" {
			t.Fatalf("dead %t (%s), want %t", v.Dead, v.Reason, want)
		}
	}
	beats := 0
	beat := func() {
		t.Helper()
		beats++
		// Any other stamp will do: it is compared with no clock.
		mustDo(t, l.file.stamp(time.Unix(int64(1000000000-beats), 0)))
	}
	look(false)
	for range 50 { // as long as it beats
		for range 9 {
			clock.add(poll)
			look(false)
		}
		beat()
		clock.add(poll)
		look(false)
	}
	for range 9 {
		clock.add(poll)
		look(false)
	}
	clock.add(poll)
	look(true)
	beat() // late, but it lives
	look(false)
	for range 9 {
		clock.add(poll)
		look(false)
	}
	clock.add(poll)
	look(true)
}

// On a network file system whoever opens an entry may get a delegation of it, and its worker
// then cannot beat until that is called back.
func TestHeartbeatsAreSeenWithoutOpening(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	o, _ := stranger(t, s)
	opened, asked := 0, 0
	o.ops = hooked(o.ops, o.dir, hook{before: func(c call) fault {
		switch {
		case c.op == "open" && strings.HasPrefix(c.path, workersDir+"/"):
			opened++
		case c.op == "refresh":
			asked++
		}
		return fault{}
	}})
	c := o.NewCensus()
	first := lookAt(t, c, time.Second, time.Minute)
	then := time.Unix(1000000000, 0)
	mustDo(t, os.Chtimes(s.abs(workerPath(l.Worker())), then, then))
	v := lookAt(t, c, time.Second, time.Minute)
	if !v.Heartbeat.Equal(then) || v.BootID != first.BootID || v.LeaseMS != first.LeaseMS || v.Worker != l.Worker() {
		t.Errorf("first %+v, then %+v", first, v)
	}
	v.Heartbeat = v.Heartbeat.Add(time.Second)
	if stirred, err := o.Stirred(v); err != nil || !stirred {
		t.Errorf("stirred %t, %v", stirred, err)
	}
	if opened != 1 || asked != 2 {
		t.Errorf("it was opened %d times, and asked for %d times", opened, asked)
	}
}

// A worker does not look at itself, nor at its claims.
func TestCensusOfAWorker(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l, other := mustRegister(t, s), mustRegister(t, s)
	for range 2 {
		v, err := l.NewCensus().Look(time.Second, time.Minute)
		if err != nil || len(v) != 1 || v[0].Worker != other.Worker() {
			t.Fatalf("%+v, %v", v, err)
		}
		mustDo(t, s.strike(l.Worker())) // it has a directory for claims and no entry now
	}
}

// What was only suspended can wake up before its jobs are taken.
func TestStirred(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	o, clock := stranger(t, s)
	c := o.NewCensus()
	lookAt(t, c, time.Second, time.Minute)
	clock.add(time.Hour)
	v := lookAt(t, c, time.Hour, time.Minute)
	want := func(v Verdict, want bool) {
		t.Helper()
		if got, err := o.Stirred(v); err != nil || got != want {
			t.Errorf("%t, %v", got, err)
		}
	}
	if !v.Dead {
		t.Fatal("it is not taken for dead")
	}
	want(v, false)
	mustDo(t, l.file.stamp(time.Unix(1000000000, 0)))
	want(v, true)
	gone := v
	gone.Gone = true // its process is: whatever touched the file
	want(gone, false)
	mustDo(t, o.strike(l.Worker()))
	want(v, false)
}

// Time in which the observer did not look, or could not, ages nobody.
func TestOnlyOwnLooksCount(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustRegister(t, s)
	o, clock := stranger(t, s)
	const poll, lease = time.Second, time.Minute
	c := o.NewCensus()
	aged := func(what string, want time.Duration) {
		t.Helper()
		for wid, g := range c.seen {
			if g.still != want {
				t.Fatalf("%s: %s has been still for %s, want %s", what, wid, g.still, want)
			}
		}
	}
	lookAt(t, c, poll, lease)
	clock.add(10 * time.Hour)
	lookAt(t, c, poll, lease)
	aged("a suspended observer", 2*poll)
	names := o.ops.names
	for range 1000 {
		clock.add(poll)
		o.ops.names = func(string, func(string) error) error { return errors.New("the server is away") }
		if _, err := c.Look(poll, lease); err == nil {
			t.Fatal("it sees without the server")
		}
	}
	o.ops.names = names
	lookAt(t, c, poll, lease)
	aged("the server was away", 4*poll)
	clock.add(-5 * time.Hour)
	lookAt(t, c, poll, lease)
	aged("the clock was set back", 4*poll)
	clock.add(5 * time.Hour)
	lookAt(t, c, poll, lease)
	aged("the clock was set forward", 6*poll)
	for lookAt(t, c, poll, lease).Dead {
		t.Fatal("dead too early")
	}
	for i := 0; !lookAt(t, c, poll, lease).Dead; i++ {
		clock.add(poll)
		if i > 60 {
			t.Fatal("it is never found dead")
		}
	}
	if len(o.NewCensus().seen) != 0 {
		t.Error("a new observer knows of old looks")
	}
}

// One that is gone is forgotten: another incarnation begins anew.
// A silent worker is looked at again just when it can be found dead.
func TestALookComesWhenALeaseIsOver(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	const poll, lease = 10 * time.Second, 35 * time.Second
	l, err := s.Register(1, "test", lease)
	mustDo(t, err)
	t.Cleanup(func() { l.Close() })
	o, clock := stranger(t, s)
	c := o.NewCensus()
	waited := time.Duration(0)
	for looks := 1; ; looks++ {
		if v := lookAt(t, c, poll, lease); v.Dead {
			if waited != lease || looks != 5 {
				t.Errorf("it is found dead after %v and %d looks", waited, looks)
			}
			return
		}
		pause := c.Soon(poll)
		if looks == 1 && pause != poll {
			t.Errorf("who has only just been seen is looked at after %v", pause)
		}
		if waited += pause; waited > lease {
			t.Fatalf("it is not found dead after %v", waited)
		}
		clock.add(pause)
	}
}

func TestCensusForgets(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	o, _ := stranger(t, s)
	c := o.NewCensus()
	lookAt(t, c, time.Second, time.Minute)
	mustDo(t, l.Leave())
	if v, err := c.Look(time.Second, time.Minute); err != nil || len(v) > 0 || len(c.seen) > 0 {
		t.Errorf("%+v, %v, %v", v, err, c.seen)
	}
}

func TestClaimsWithoutAnEntry(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	mustClaim(t, s, l, "job-1")
	mustDo(t, os.Remove(s.abs(WorkerPath(l.Worker()))))
	o, _ := stranger(t, s)
	v := lookAt(t, o.NewCensus(), time.Second, time.Minute)
	if !v.Dead || v.Worker != l.Worker() || v.Host != s.host.Name || v.PID != os.Getpid() || v.Reason != "not registered" {
		t.Errorf("%+v", v)
	}
	if _, err := o.Reap(v.Worker, func(n Name) Fate { return Fate{Name: n} }); err != nil {
		t.Error(err)
	}
	if e := only(t, s); e.State != Pending {
		t.Errorf("%+v", e)
	}
}

// An entry that cannot be read is somebody's all the same, perhaps of a later version.
func TestEntryOfALaterVersion(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	_, err := l.file.os().WriteAt([]byte(`!`), 0)
	mustDo(t, err)
	v := lookAt(t, s.NewCensus(), time.Second, time.Minute)
	if v.Dead || v.Worker != l.Worker() || v.PID != os.Getpid() || v.Host != s.host.Name || v.Slots != 0 {
		t.Errorf("%+v", v)
	}
	writeFile(t, s.abs(workersDir+"/notes.json"), "{}")
	writeFile(t, s.abs(workersDir+"/readme"), "hello")
	if w, err := s.Workers(); err != nil || len(w) != 1 {
		t.Errorf("%+v, %v", w, err)
	}
}

// What is found dead is reaped by one of many, and the claims come back once.
func TestManyReapers(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	const jobs, reapers = 40, 4
	for range jobs {
		mustPut(t, s, s.NewID())
	}
	l := mustRegister(t, s)
	for _, e := range all(t, s) {
		if _, err := l.Claim(e.Name); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, s.abs(claimsDir(l.Worker())+"/notes.txt"), "not a claim")
	mustDo(t, l.Close())
	type result struct {
		moved []Entry
		err   error
	}
	results := make(chan result)
	for range reapers {
		o := reopen(t, s)
		go func() {
			moved, err := o.Reap(l.Worker(), func(n Name) Fate {
				n.Allowed++
				n.Lost++
				return Fate{Name: n, Dead: strings.HasSuffix(n.ID, "0")}
			})
			results <- result{moved, err}
		}()
	}
	moved := map[string]bool{}
	for range reapers {
		r := <-results
		if r.err != nil {
			t.Error(r.err)
		}
		for _, e := range r.moved {
			if moved[e.Name.ID] {
				t.Errorf("two moved %s", e.Name.ID)
			}
			moved[e.Name.ID] = true
		}
	}
	if len(moved) != jobs {
		t.Errorf("%d of %d came back", len(moved), jobs)
	}
	if e := all(t, s); len(e) != jobs {
		t.Errorf("there are %d", len(e))
	}
	rejects, err := s.Rejects()
	if err != nil || len(rejects) != 1 || rejects[0].Name() != "notes.txt" || !strings.Contains(rejects[0].Reason, "dead worker") {
		t.Errorf("%+v, %v", rejects, err)
	}
	if left := files(t, s, workersDir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// A look that hangs has seen what is old when its answer comes: that it took so long says
// nothing about the heartbeat.
func TestALookThatHangsAgesNobody(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustRegister(t, s)
	o, clock := stranger(t, s)
	const poll, lease = time.Second, time.Minute
	c := o.NewCensus()
	open, refresh, hang := o.ops.open, o.ops.refresh, time.Duration(0)
	o.ops.open = func(p string) (file, error) {
		f, err := open(p)
		clock.add(hang) // what it tells is read before that
		return f, err
	}
	o.ops.refresh = func(p string) (info, error) {
		in, err := refresh(p)
		clock.add(hang)
		return in, err
	}
	want := func(still time.Duration) {
		t.Helper()
		for _, g := range c.seen {
			if g.still != still {
				t.Fatalf("still for %s, want %s", g.still, still)
			}
		}
	}
	hang = 10 * time.Second
	lookAt(t, c, poll, lease)
	want(0)
	lookAt(t, c, poll, lease) // begun at once after the first
	want(0)
	hang = 0
	clock.add(poll)
	lookAt(t, c, poll, lease)
	want(2 * poll) // the time of the second one counts now, as far as a look counts
}
