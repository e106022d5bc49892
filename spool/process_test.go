package spool

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// kernel is a process table that a test makes up.
func kernel(kill error, start string, dead, known bool) processes {
	return processes{
		kill: func(int) error { return kill },
		stat: func(int) (string, bool, bool) { return start, dead, known },
	}
}

// Only what was seen proves that a process is dead.
func TestWhatProvesADeath(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		have  processes
		start string
		want  presence
	}{
		"it lives":                           {kernel(nil, "7", false, true), "7", living},
		"another user's lives":               {kernel(unix.EPERM, "7", false, true), "7", living},
		"no such process":                    {kernel(unix.ESRCH, "", false, false), "7", vanished},
		"no such process, start unknown":     {kernel(unix.ESRCH, "", false, false), "", vanished},
		"its number is used again":           {kernel(nil, "8", false, true), "7", vanished},
		"a zombie":                           {kernel(nil, "7", true, true), "7", vanished},
		"/proc hides it (hidepid=2)":         {kernel(unix.EPERM, "", false, false), "7", unseen},
		"no descriptor left to read it with": {kernel(nil, "", false, false), "7", unseen},
		"its start was never known":          {kernel(nil, "7", false, true), "", unseen},
		"kill is forbidden altogether":       {kernel(unix.ENOSYS, "", false, false), "7", unseen},
	} {
		if got := test.have.look(4711, test.start); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	if got := kernel(unix.ESRCH, "", false, false).look(-1, "7"); got != unseen {
		t.Errorf("of no process at all: %d", got)
	}
}

// A living worker that cannot be seen keeps its jobs as long as its lock is held.
func TestUnseenIsNotDead(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	r := foreign(t, s, l)
	for name, p := range map[string]processes{
		"hidden by hidepid": kernel(unix.EPERM, "", false, false),
		"EMFILE":            kernel(nil, "", false, false),
	} {
		s.processes = p
		if dead, reason := s.judge(r); dead {
			t.Errorf("%s: %s", name, reason)
		}
		if !s.running(r.Worker) {
			t.Errorf("%s: its unfinished files are swept", name)
		}
	}
	if s.Network() {
		t.Skip("locks say nothing on this file system")
	}
	mustDo(t, l.file.Close())
	if dead, reason := s.judge(r); !dead || reason != "its lock is free" {
		t.Errorf("without its lock: %t %s", dead, reason)
	}
}

// A job has the lock's descriptor and can let go of it: flock -u 20.
func TestLockThatAJobLetsGoOf(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	if s.Network() {
		t.Skip("locks say nothing on this file system")
	}
	l := mustRegister(t, s)
	mustDo(t, unix.Flock(int(l.Lock().Fd()), unix.LOCK_UN))
	own := foreign(t, s, l)
	own.PID = os.Getpid()
	r := foreign(t, s, l)
	s.processes = kernel(nil, r.ProcStart, false, true)
	if dead, reason := s.judge(r); dead {
		t.Errorf("another process's: %s", reason)
	}
	if dead, reason := s.judge(own); !dead || reason != "its lock is free" {
		t.Errorf("a registration that this process has given up: %t %s", dead, reason)
	}
	ownLeases.Store(l.Worker(), l)
	if dead, reason := s.judge(own); dead {
		t.Errorf("this process's own: %s", reason)
	}
}

// foreign is the entry of a lease as if another process of this kernel had it, whatever
// this system tells of kernels.
func foreign(t *testing.T, s *Spool, l *Lease) Registered {
	t.Helper()
	s.host.BootID, s.host.PIDNS = "this boot", "this namespace"
	r, err := s.readWorker(l.Worker(), Registered{})
	mustDo(t, err)
	ownLeases.Delete(l.Worker())
	r.BootID, r.PIDNS, r.ProcStart, r.PID = s.host.BootID, s.host.PIDNS, "7", os.Getpid()+1
	return r
}
