package fsq

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestGuardSurvivesSignals(t *testing.T) {
	signals := []syscall.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM}
	g := newGuard(t)
	a := sleeper(t)
	g.add(a)
	pid := g.proc.Pid
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("process group %d, %v", group, err)
	}
	waitUntil(t, "it ignores signals", func() bool { return ignores(t, pid, signals...) })
	probe := sleeper(t)
	g.add(probe)
	for _, s := range signals {
		if err := g.proc.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	g.remove(probe)
	if g.proc.Pid != pid {
		t.Error("it was replaced")
	}
	g.close()
	wantKilled(t, a)
	if !running(probe) {
		t.Error("the one that was removed is dead")
	}
}

// ignores says whether a process ignores all the signals.
func ignores(t *testing.T, pid int, signals ...syscall.Signal) bool {
	t.Helper()
	status, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "SigIgn:\t")
	mask, err := strconv.ParseUint(rest[:16], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range signals {
		if mask&(1<<(s-1)) == 0 {
			return false
		}
	}
	return true
}

func TestGuardHoldsNothing(t *testing.T) {
	lock, err := os.Create(filepath.Join(t.TempDir(), "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	g := newGuard(t)
	proc := func(name string) string { return procPath(g.proc.Pid, name) }
	// Its start is reported within execve(2), a moment before it has its new arguments.
	for end := time.Now().Add(hang); ; {
		if line, err := os.ReadFile(proc("cmdline")); len(line) > 0 || err != nil || time.Now().After(end) {
			break
		}
	}
	// It may have descriptors that this process has inherited itself.
	fds, err := os.ReadDir(proc("fd"))
	if err != nil {
		t.Fatal(err)
	}
	open := make(map[string]int)
	for _, fd := range fds {
		to, _ := os.Readlink(proc("fd/" + fd.Name()))
		open[to]++
	}
	if pipe, _ := os.Readlink(proc("fd/0")); open[pipe] != 1 || open[lock.Name()] != 0 {
		t.Errorf("descriptors %v", open)
	}
	if dir, err := os.Readlink(proc("cwd")); dir != "/" {
		t.Errorf("directory %s, %v", dir, err)
	}
	if env, err := os.ReadFile(proc("environ")); len(env) != 0 || err != nil {
		t.Errorf("environment %q, %v", env, err)
	}
	if line, err := os.ReadFile(proc("cmdline")); strings.Contains(string(line), "queuectl") || len(line) == 0 {
		t.Errorf("command line %q, %v: pkill -f would find it", line, err)
	}
}

func TestKilledWorkerTakesItsJobAlongUnguarded(t *testing.T) {
	kill, leader, _ := startVictim(t, "unguarded worker")
	kill()
	wantKilled(t, leader)
}
