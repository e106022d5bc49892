package spool

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRegistrationIsAsFormatSays(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l, err := s.Register(4, "v1.2", 90*time.Second)
	mustDo(t, err)
	defer l.Close()
	var h Holder
	mustDo(t, json.Unmarshal([]byte(readString(t, s.abs(WorkerPath(l.Worker())))), &h))
	if h.Worker != l.Worker() || h.PID != os.Getpid() || h.Host != s.host.Name || h.BootID != s.host.BootID || h.PIDNS != s.host.PIDNS ||
		h.Slots != 4 || h.Version != "v1.2" || h.LeaseMS != 90000 || h.UID != os.Getuid() || h.ProcStart != s.processes.startOf(os.Getpid()) || h.StartedAt.IsZero() {
		t.Errorf("%+v", h)
	}
	if host, pid, ok := parseWID(l.Worker()); !ok || host != s.host.Name || pid != os.Getpid() || WorkerHost(l.Worker()) != host {
		t.Errorf("%s is of host %q and pid %d", l.Worker(), host, pid)
	}
	workers, err := s.Workers()
	mustDo(t, err)
	if len(workers) != 1 || !workers[0].StartedAt.Equal(h.StartedAt) || workers[0].Slots != 4 || workers[0].Heartbeat.IsZero() {
		t.Errorf("%+v", workers)
	}
	alive, err := s.Alive(l.Worker())
	if err != nil || !alive {
		t.Errorf("alive: %t, %v", alive, err)
	}
	if !slices.Contains(tree(t, s), claimsDir(l.Worker())+"/") {
		t.Errorf("it has nowhere to claim: %q", tree(t, s))
	}
	mustDo(t, s.Ask(Drain, l.Worker()), s.Ask(Drain, l.Worker()), s.Ask(Interrupt, l.Worker()))
	if asked, err := s.Asked(Drain, l.Worker()); err != nil || !asked {
		t.Errorf("asked: %t, %v", asked, err)
	}
	mustDo(t, l.Leave())
	if left := append(files(t, s, workersDir), files(t, s, ctlDir+"/drain")...); len(left) > 0 {
		t.Errorf("it leaves %q", left)
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
	for _, wid := range []string{"", "..", "x", "../x", "host.1.short"} {
		if err := s.Ask(Drain, wid); err == nil {
			t.Errorf("Ask(%q) is done", wid)
		}
		if _, err := s.Reap(wid, nil); err == nil {
			t.Errorf("Reap(%q) is done", wid)
		}
	}
}

// Nobody sees a living worker unlocked, and one that fails leaves nothing.
func TestRegistersLocked(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	observer := reopen(t, s).NewCensus()
	rename := s.ops.rename
	s.ops.rename = func(old, new string) error {
		if v, err := observer.Look(time.Second, time.Hour); err != nil || len(v) != 0 {
			t.Errorf("before it is there: %+v, %v", v, err)
		}
		err := rename(old, new)
		if v, err := observer.Look(time.Second, time.Hour); err != nil || len(v) != 1 || v[0].Dead {
			t.Errorf("as soon as it is there: %+v, %v", v, err)
		}
		return err
	}
	mustRegister(t, s)
	for _, op := range []string{"rename", "mkdir", "syncDir"} {
		s := newSpool(t)
		fail := errors.New("refused")
		switch op {
		case "rename":
			s.ops.rename = func(string, string) error { return fail }
		case "mkdir":
			s.ops.mkdir = func(string, fs.FileMode) error { return fail }
		case "syncDir":
			s.ops.syncDir = func(string) error { return fail }
		}
		if _, err := s.Register(1, "test", time.Minute); !errors.Is(err, fail) {
			t.Errorf("%s fails: %v", op, err)
		}
		if left := files(t, s, workersDir); len(left) > 0 {
			t.Errorf("%s fails and leaves %q", op, left)
		}
	}
}

// What a worker keeps open or locked on a network file system is a state that the client
// must give back after a restart of the server, and clients hang in that.
func TestKeepsNothingOpenOnANetwork(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.network = true
	open := map[string]int{}
	s.ops = hooked(s.ops, s.dir, hook{done: func(c call, err error) {
		switch {
		case err != nil:
		case c.op == "create" || c.op == "open" || c.op == "update":
			open[c.path]++
		case c.op == "close":
			open[c.path]--
		case c.op == "lock" || c.op == "trylock":
			t.Errorf("%s is locked", c.path)
		}
	}})
	l := mustRegister(t, s)
	mustDo(t, l.Beat(), l.Beat())
	for p, n := range open {
		if n != 0 {
			t.Errorf("%s is open %d times", p, n)
		}
	}
	if len(open) == 0 || l.Lock() != nil {
		t.Errorf("%d files were opened, the lock's is %v", len(open), l.Lock())
	}
	_, err := reopen(t, s).Reap(l.Worker(), nil)
	mustDo(t, err)
	if err := l.Beat(); !errors.Is(err, ErrLost) || !l.Lost() {
		t.Errorf("Beat: %v, lost %t", err, l.Lost())
	}
	mustDo(t, l.Leave())
}

func TestBeatMovesTheHeartbeat(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	beat := func() time.Time {
		mustDo(t, l.Beat())
		w, err := s.Workers()
		mustDo(t, err)
		return w[0].Heartbeat
	}
	first := beat()
	// The kernel's stamps are as coarse as its timer.
	eventually(t, "the heartbeat moves on", func() bool { return beat().After(first) })
	mustDo(t, l.file.stamp(first.Add(-time.Hour)))
	if got := beat(); got.Before(first) {
		t.Errorf("the heartbeat is %s after one at %s", got, first)
	}
}

func TestLosesItsRegistration(t *testing.T) {
	t.Parallel()
	for what, lose := range map[string]func(*Spool, *Lease) error{
		"reaped":               func(s *Spool, l *Lease) error { _, err := s.Reap(l.Worker(), nil); return err },
		"its entry is removed": func(s *Spool, l *Lease) error { return os.Remove(s.abs(WorkerPath(l.Worker()))) },
		"its entry is replaced": func(s *Spool, l *Lease) error {
			p := s.abs(WorkerPath(l.Worker()))
			return errors.Join(os.WriteFile(p+".new", []byte("{}"), 0o600), os.Rename(p+".new", p))
		},
		"its directory is removed": func(s *Spool, l *Lease) error { return os.Remove(s.abs(claimsDir(l.Worker()))) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			mustPut(t, s, "job-1")
			l := mustRegister(t, s)
			mustDo(t, l.Beat(), lose(s, l))
			if what == "reaped" || strings.Contains(what, "directory") {
				if _, err := l.Claim(only(t, s).Name); !errors.Is(err, ErrLost) || !l.Lost() {
					t.Errorf("Claim: %v, lost %t", err, l.Lost())
				}
			}
			for range 2 {
				if err := l.Beat(); !errors.Is(err, ErrLost) || !l.Lost() {
					t.Errorf("Beat: %v, lost %t", err, l.Lost())
				}
			}
			if e := only(t, s); e.State != Pending {
				t.Errorf("the job is %+v", e)
			}
			mustDo(t, l.Leave())
		})
	}
}

// Trouble of the file system is not the loss of the lease.
func TestTroubleIsNoLoss(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	look := s.ops.look
	s.ops.look = func(string, string) (info, error) { return info{}, errors.New("the server is away") }
	if err := l.Beat(); err == nil || errors.Is(err, ErrLost) || l.Lost() {
		t.Errorf("Beat: %v, lost %t", err, l.Lost())
	}
	s.ops.look = look
	mustDo(t, l.Beat())
}

func TestALostJobIsNoLostLease(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	if _, err := l.Claim(Name{Due: aDue, Allowed: 1, ID: "gone"}); !errors.Is(err, ErrLost) || l.Lost() {
		t.Errorf("Claim: %v, lost %t", err, l.Lost())
	}
	mustDo(t, l.Beat())
}

func TestClaimsOfALostReplyAreFound(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	c := mustClaim(t, s, l, "job-1")
	names, err := l.Claims()
	if err != nil || len(names) != 1 || names[0] != c.Name() {
		t.Fatalf("%v, %v", names, err)
	}
	if others, err := s.ClaimsOf(l.Worker()); err != nil || !slices.Equal(others, names) {
		t.Errorf("%v, %v", others, err)
	}
	r, _ := l.Resume(names[0])
	if held, err := r.Held(); err != nil || !held {
		t.Errorf("held: %t, %v", held, err)
	}
	if err := l.Leave(); err == nil {
		t.Error("it leaves although it has a claim")
	}
	l2 := mustRegister(t, s)
	if _, ok := l.Resume(names[0]); ok {
		t.Error("one claim is resumed twice")
	}
	theirs, _ := l2.Resume(names[0])
	if _, err := theirs.Done(Ending{Outcome: "done"}); !errors.Is(err, ErrLost) {
		t.Errorf("another worker settles it: %v", err)
	}
	if _, err := r.Done(Ending{Outcome: "done"}); err != nil {
		t.Error(err)
	}
	if held, err := r.Held(); err != nil || held {
		t.Errorf("held after it is settled: %t, %v", held, err)
	}
}

func TestClaimOfWhatIsMovedInByHand(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	c := mustClaim(t, s, l, "job-1")
	dead, err := c.Bury(Ending{Outcome: "failed", Run: time.Second})
	mustDo(t, err)
	base := filepath.Base(dead.Path)
	mustDo(t, os.Rename(s.abs(dead.Path), s.abs(DropPath(base))))
	e := only(t, s)
	c, err = l.Claim(e.Name)
	mustDo(t, err)
	if n := c.Name(); n.Attempt != 2 || n.Allowed != 3 || n.Outcome != "" || n.Run != 0 {
		t.Errorf("%+v", n)
	}
	for range 3 {
		dead, err = c.Bury(Ending{Outcome: "failed"})
		mustDo(t, err, os.Rename(s.abs(dead.Path), s.abs(DropPath(filepath.Base(dead.Path)))))
		c, err = l.Claim(only(t, s).Name)
		mustDo(t, err)
	}
	if n := c.Name(); n.Attempt != 5 || n.Allowed != 5 {
		t.Errorf("one more attempt, always: %+v", n)
	}
	if _, err := l.Claim(Name{Due: aDue, Attempt: MaxAttempt, Allowed: MaxAttempt, ID: "x"}); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("the last attempt that a name can say: %v", err)
	}
}

// What is read under a claim is judged by its descriptor.
func TestContentOfAClaim(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	c := mustClaim(t, s, l, "job-1")
	content, err := c.Read()
	if err != nil || string(content.Data) != `{"command":"true"}` || content.UID != uint32(os.Geteuid()) || !s.Trusted(content.UID, content.GID, false) {
		t.Fatalf("%+v, %v", content, err)
	}
	if s.Trusted(12345, content.GID, true) {
		t.Error("a stranger is trusted in a spool without a group")
	}
	f, err := os.OpenFile(s.abs(c.path()), os.O_WRONLY|os.O_APPEND, 0)
	mustDo(t, err)
	defer f.Close()
	if content, err = c.Read(); err != nil || !content.Unfinished {
		t.Errorf("while it is written: %+v, %v", content, err)
	}
	mustDo(t, f.Truncate(DefaultMaxJobBytes+1), f.Close())
	if _, err = c.Read(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	mustDo(t, os.Remove(s.abs(c.path())), os.Symlink("/etc/passwd", s.abs(c.path())))
	if content, err = c.Read(); !IsLink(err) {
		t.Errorf("a link: %+v, %v", content, err)
	}
	mustDo(t, os.Remove(s.abs(c.path())), os.Mkdir(s.abs(c.path()), 0o700))
	if _, err = c.Read(); !errors.Is(err, ErrNotRegular) {
		t.Errorf("a directory: %v", err)
	}
	mustDo(t, os.Remove(s.abs(c.path())))
	if _, err = c.Read(); !errors.Is(err, ErrLost) {
		t.Errorf("it is gone: %v", err)
	}
}
