package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestEachEndOfAClaim(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		end   func(*Claim, time.Time) (Settled, error)
		state State
		dir   string
		want  func(n Name, now time.Time) Name // of the claim's
	}{
		"Done": {func(c *Claim, _ time.Time) (Settled, error) {
			return c.Done(Ending{Outcome: "done", Wait: 1500 * time.Microsecond, Run: -time.Second})
		}, Done, "done/20261123/08", func(n Name, now time.Time) Name {
			n.Due, n.Outcome, n.Wait = now, "done", time.Millisecond
			return n
		}},
		"Bury": {func(c *Claim, _ time.Time) (Settled, error) {
			return c.Bury(Ending{Outcome: "timeout", Wait: time.Second, Run: 1 << 62})
		}, Dead, "dead", func(n Name, now time.Time) Name {
			n.Due, n.Outcome, n.Wait, n.Run = now, "timeout", time.Second, maxMillis*time.Millisecond
			return n
		}},
		"Retry": {func(c *Claim, now time.Time) (Settled, error) {
			return c.Retry(now.Add(1234567 * time.Microsecond))
		}, Pending, "pending", func(n Name, now time.Time) Name {
			n.Due = now.Add(1234 * time.Millisecond)
			return n
		}},
		"Release": {func(c *Claim, now time.Time) (Settled, error) { return c.Release(now) }, Pending, "pending", func(n Name, now time.Time) Name {
			n.Due = now
			n.Allowed++
			n.Given++
			return n
		}},
		"Lose": {func(c *Claim, now time.Time) (Settled, error) { return c.Lose(now) }, Pending, "pending", func(n Name, now time.Time) Name {
			n.Due = now
			n.Allowed++
			n.Lost++
			return n
		}},
		"Bury what was lost": {func(c *Claim, _ time.Time) (Settled, error) {
			return c.Bury(Ending{Outcome: "lost", Lost: 1})
		}, Dead, "dead", func(n Name, now time.Time) Name {
			n.Due, n.Outcome, n.Lost = now, "lost", 1
			return n
		}},
		"Snooze": {func(c *Claim, now time.Time) (Settled, error) { return c.Snooze(now) }, Pending, "pending", func(n Name, now time.Time) Name {
			n.Due = now
			n.Allowed++
			n.Snoozed++
			return n
		}},
		"Reject": {func(c *Claim, _ time.Time) (Settled, error) { return c.Reject("no job") }, "", "rejected", nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			clock := driveClock(s)
			clock.add(aDue.Sub(clock.now()))
			l := mustRegister(t, s)
			claim := mustClaim(t, s, l, "Job 1")
			if n := claim.Name(); n.Attempt != 1 || n.Allowed != 3 {
				t.Fatalf("%+v", n)
			}
			settled, err := c.end(claim, clock.now())
			mustDo(t, err, s.SyncSettled(settled))
			if settled.State != c.state || path.Dir(settled.Path) != c.dir || readString(t, s.abs(settled.Path)) != `{"command":"true"}` {
				t.Errorf("%+v", settled)
			}
			if c.want != nil {
				want := c.want(claim.Name(), aDue)
				if e := only(t, s); e.Name != want || settled.Name != want || e.Path != settled.Path || e.State != c.state {
					t.Errorf("want %+v, have %+v and %+v", want, settled, e)
				}
			} else if r, err := s.Rejects(); err != nil || len(r) != 1 || r[0].Reason != "no job" || len(all(t, s)) > 0 {
				t.Errorf("%+v, %v", r, err)
			}
			before := tree(t, s)
			for _, again := range []func() (Settled, error){
				func() (Settled, error) { return claim.Done(Ending{Outcome: "done"}) },
				func() (Settled, error) { return claim.Retry(clock.now()) },
				func() (Settled, error) { return claim.Reject("again") },
			} {
				if _, err := again(); err == nil {
					t.Error("it is settled twice")
				}
			}
			if after := tree(t, s); !slices.Equal(before, after) {
				t.Errorf("before %q, after %q", before, after)
			}
		})
	}
}

// A claim that is somebody else's by now: nothing is changed.
func TestSettleOfALostClaim(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(*Claim) (Settled, error){
		"Done":    func(c *Claim) (Settled, error) { return c.Done(Ending{Outcome: "done"}) },
		"Bury":    func(c *Claim) (Settled, error) { return c.Bury(Ending{Outcome: "failed"}) },
		"Retry":   func(c *Claim) (Settled, error) { return c.Retry(aDue) },
		"later":   func(c *Claim) (Settled, error) { return c.Retry(time.Now().Add(24 * time.Hour)) },
		"Release": func(c *Claim) (Settled, error) { return c.Release(aDue) },
		"Lose":    func(c *Claim) (Settled, error) { return c.Lose(aDue) },
		"Reject":  func(c *Claim) (Settled, error) { return c.Reject("no job") },
	} {
		s := newSpool(t)
		l := mustRegister(t, s)
		c := mustClaim(t, s, l, "job-1")
		if _, err := s.Reap(l.Worker(), func(n Name) Fate { return Fate{Name: n} }); err != nil {
			t.Fatal(err)
		}
		l2 := mustRegister(t, s)
		if _, err := l2.Claim(only(t, s).Name); err != nil {
			t.Fatal(err)
		}
		if _, err := end(c); !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v", what, err)
		}
		if e := only(t, s); e.Worker != l2.Worker() {
			t.Errorf("%s: the job is %s", what, e.Path)
		}
		if b, _ := breaches(t, s); len(b) > 0 {
			t.Errorf("%s: %q", what, b)
		}
	}
}

// After any other error the claim stands and can be settled again.
func TestSettleAgainAfterAnError(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	c := mustClaim(t, s, l, "job-1")
	rename := s.ops.rename
	s.ops.rename = func(old, new string) error {
		return &os.LinkError{Op: "rename", Old: old, New: new, Err: syscall.ENOSPC}
	}
	for _, end := range []func() (Settled, error){
		func() (Settled, error) { return c.Done(Ending{Outcome: "done"}) },
		func() (Settled, error) { return c.Retry(aDue) },
		func() (Settled, error) { return c.Reject("no job") },
	} {
		if _, err := end(); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrLost) {
			t.Errorf("%v", err)
		}
	}
	s.ops.rename = rename
	if left := files(t, s, rejectedDir); len(left) > 0 {
		t.Errorf("left in rejected: %q", left)
	}
	if _, err := c.Done(Ending{Outcome: "done"}); err != nil {
		t.Error(err)
	}
}

// ext4 says that there is no space when a directory has some millions of names.
func TestAFullHourGetsASecondDirectory(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	full := 0
	rename := s.ops.rename
	s.ops.rename = func(old, new string) error {
		hour := path.Base(path.Dir(new))
		if _, nth, more := strings.Cut(hour, "."); strings.HasPrefix(new, s.abs(doneDir)) && (!more && full > 0 || more && nth <= fmt.Sprint(full-1)) {
			return &os.LinkError{Op: "rename", Old: old, New: new, Err: syscall.ENOSPC}
		}
		return rename(old, new)
	}
	for full = range 11 {
		id := fmt.Sprintf("job-%d", full)
		c := mustClaim(t, s, l, id)
		settled, err := c.Done(Ending{Outcome: "done"})
		if full == 10 {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("all are full: %+v, %v", settled, err)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		want := doneHour(settled.Name.Due, full)
		if path.Dir(settled.Path) != want {
			t.Errorf("with %d full it is in %s, want %s", full, settled.Path, want)
		}
		day, hour := path.Split(strings.TrimPrefix(want, doneDir+"/"))
		if at, err := parseDoneHour(path.Clean(day), hour); err != nil || !at.Equal(settled.Name.Due.Truncate(time.Hour)) {
			t.Errorf("%s is read as %s, %v", want, at, err)
		}
	}
	found := 0
	mustDo(t, s.Each(func(Entry) error { found++; return nil }, Done))
	if found != 10 {
		t.Errorf("%d are found", found)
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
}

// Prune removes directories as they empty, at whatever moment of a settle.
func TestSettleWhileDirectoriesGo(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{false, true} {
		for at := 1; at <= 12; at++ {
			s := newSpool(t)
			l := mustRegister(t, s)
			if known {
				c := mustClaim(t, s, l, "earlier")
				settled, err := c.Done(Ending{Outcome: "done"})
				mustDo(t, err, s.Remove(Entry{Name: settled.Name, State: Done, Path: settled.Path}))
			}
			c := mustClaim(t, s, l, "job-1")
			other := reopen(t, s)
			calls := 0
			prune := func(string) {
				if calls++; calls <= at {
					if _, err := other.Prune(time.Now().Add(24*time.Hour), time.Time{}, false, nil); err != nil {
						t.Error(err)
					}
				}
			}
			before(s, "mkdir", prune)
			before(s, "rename", prune)
			settled, err := c.Done(Ending{Outcome: "done"})
			if err != nil {
				t.Fatalf("known %t, a prune at each of the first %d calls: %v", known, at, err)
			}
			if e := only(t, s); e.Path != settled.Path || e.State != Done {
				t.Errorf("it is %s", e.Path)
			}
		}
	}
}

func TestSyncSettledTargetsFirst(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	var all []Settled
	for i := range 3 {
		c := mustClaim(t, s, l, fmt.Sprintf("job-%d", i))
		settled, err := c.Done(Ending{Outcome: "done"})
		mustDo(t, err)
		all = append(all, settled)
	}
	c := mustClaim(t, s, l, "dead")
	settled, err := c.Bury(Ending{Outcome: "failed"})
	mustDo(t, err)
	all = append(all, settled)
	var synced []string
	syncDir := s.ops.syncDir
	s.ops.syncDir = func(dir string) error {
		synced = append(synced, strings.TrimPrefix(dir, s.dir+"/"))
		return syncDir(dir)
	}
	mustDo(t, s.SyncSettled(all...))
	hour := path.Dir(all[0].Path)
	if want := []string{hour, deadDir, claimsDir(l.Worker())}; path.Dir(all[2].Path) == hour && !slices.Equal(synced, want) {
		t.Errorf("synced %q, want %q", synced, want)
	}
	mustDo(t, l.Leave(), s.SyncSettled(all...), s.SyncSettled())
	fail := errors.New("refused")
	s.ops.syncDir = func(string) error { return fail }
	if err := s.SyncSettled(all...); !errors.Is(err, fail) {
		t.Errorf("%v", err)
	}
	s.ops.syncDir = func(string) error { return fs.ErrNotExist }
	if err := s.SyncSettled(all...); err != nil {
		t.Errorf("directories that are gone: %v", err)
	}
}

func TestReviveAndRemove(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	c := mustClaim(t, s, l, "job-1")
	mustDo(t, s.WriteLog("job-1", 1, "json", []byte("{}")), s.WriteLog("job-1", 1, "out", nil), s.WriteLog("job-1", 1, "err", nil))
	if err := s.WriteLog("job-1", 1, "json", []byte("again")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a record is written twice: %v", err)
	}
	if err := s.Remove(Entry{Name: c.Name(), State: Processing, Path: c.path()}); err == nil {
		t.Error("a claim is removed")
	}
	_, err := c.Bury(Ending{Outcome: "failed", Run: time.Second})
	mustDo(t, err)
	dead := only(t, s)
	revived, err := s.Revive(dead, 4)
	mustDo(t, err)
	if n := only(t, s).Name; n != revived.Name || n.Attempt != 1 || n.Allowed != 5 || n.Lost != 0 || n.Outcome != "" || n.Run != 0 || n.Wait != 0 {
		t.Errorf("%+v", n)
	}
	if _, err := s.Revive(dead, 4); !errors.Is(err, ErrLost) {
		t.Errorf("twice: %v", err)
	}
	if err := s.Remove(dead); !errors.Is(err, ErrLost) {
		t.Errorf("what is not there any more: %v", err)
	}
	if data, err := s.ReadLog("job-1", 1, "json"); err != nil || string(data) != "{}" {
		t.Errorf("its record: %q, %v", data, err)
	}
	mustDo(t, s.Remove(only(t, s)))
	for _, dir := range []string{idsDir, logsDir} {
		if left := files(t, s, dir+"/"+bucket("job-1")); len(left) > 0 {
			t.Errorf("left in %s: %q", dir, left)
		}
	}
	top := Entry{Name: Name{Due: aDue, Attempt: MaxAttempt, Allowed: MaxAttempt, ID: "x"}, State: Dead}
	top.Path = deadDir + "/" + s.file(top.Name)
	writeFile(t, s.abs(top.Path), aJob)
	if e, err := s.Revive(top, 100); err != nil || e.Allowed != MaxAttempt || len(all(t, s)) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
}
