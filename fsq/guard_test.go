package fsq

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func newGuard(t *testing.T) *guard {
	t.Helper()
	g, err := startGuard()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.close)
	return g
}

// sleeper starts a process group that does nothing.
func sleeper(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-reaped
	})
	return cmd.Process.Pid
}

func wantKilled(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		waitUntil(t, "the end of a guarded process", func() bool { return !running(pid) })
	}
}

func TestGuardKillsWhatIsLeft(t *testing.T) {
	g := newGuard(t)
	a, b, c, d := sleeper(t), sleeper(t), sleeper(t), sleeper(t)
	for _, pgid := range []int{a, b, c, d} {
		g.add(pgid)
	}
	g.remove(b)
	g.remove(b)      // of no effect
	g.remove(999999) // likewise
	g.remove(d)
	g.add(d)
	g.close()
	wantKilled(t, a, c, d)
	if !running(b) {
		t.Error("the one that was removed is dead")
	}
	g.add(b) // of no effect, like everything on a closed guard
	g.close()
}

func TestGuardIsReplaced(t *testing.T) {
	g := newGuard(t)
	a, b, c := sleeper(t), sleeper(t), sleeper(t)
	g.add(a)
	g.add(c)
	first := g.proc.Pid
	if err := g.proc.Kill(); err != nil {
		t.Fatal(err)
	}
	<-g.exited
	g.remove(c)
	g.add(b)
	if g.proc.Pid == first {
		t.Error("it was not replaced")
	}
	g.close()
	wantKilled(t, a, b)
	if !running(c) {
		t.Error("the one that was removed is dead")
	}
}

func TestGuardWithStoppedShellDoesNotBlock(t *testing.T) {
	g := newGuard(t)
	a := sleeper(t)
	g.add(a)
	if err := g.proc.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b := sleeper(t)
	g.add(b)
	g.remove(a)
	g.close()
	wantKilled(t, b)
	if !running(a) {
		t.Error("the one that was removed is dead")
	}
}

func TestGuardIsSafeForConcurrentUse(t *testing.T) {
	g := newGuard(t)
	keep := sleeper(t)
	g.add(keep)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := range 100 {
				pgid := 1<<30 + i*1000 + n // there are none
				g.add(pgid)
				if n%10 == 0 {
					g.mu.Lock()
					if g.proc != nil {
						_ = g.proc.Kill()
					}
					g.mu.Unlock()
				}
				g.remove(pgid)
			}
		}()
	}
	wg.Wait()
	if len(g.lines) != 1 || len(g.free) > 8 {
		t.Errorf("%d groups and %d blank lines are left of 8 at a time", len(g.lines), len(g.free))
	}
	// The last one may be dying.
	if g.proc != nil {
		_ = g.proc.Kill()
		<-g.exited
	}
	g.add(keep)
	g.close()
	wantKilled(t, keep)
	(*guard)(nil).add(1)
	(*guard)(nil).remove(1)
	(*guard)(nil).close()
}

func init() {
	// A worker with one job that does not end.
	worker := func(g *guard) {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			panic(err)
		}
		r := &Run{
			Job: Job{Cwd: os.Getenv("DIR"), Command: shell(`
				sh -c 'echo $$ >grandchild; exec sleep 1000' &
				echo $$ >leader; wait`)},
			Stdout: null, Stderr: null, lock: null, guard: g,
		}
		// Between the start and the guard's knowledge lies a gap.
		r.started = func(int) {
			if err := os.WriteFile(filepath.Join(r.Job.Cwd, "guarded"), nil, 0o600); err != nil {
				panic(err)
			}
		}
		panic(CommandHandler{}.Handle(context.Background(), r))
	}
	reexec["unguarded worker"] = func() { worker(nil) }
	reexec["guarded worker"] = func() {
		g, err := startGuard()
		if err != nil {
			panic(err)
		}
		worker(g)
	}
}

// startVictim runs one of the workers above as another process.
func startVictim(t *testing.T, key string) (kill func(), leader, grandchild int) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), reexecEnv+"="+key, "DIR="+dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	leader = readPid(t, filepath.Join(dir, "leader"))
	grandchild = readPid(t, filepath.Join(dir, "grandchild"))
	waitUntil(t, "the worker knows", func() bool { return exists(filepath.Join(dir, "guarded")) })
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("worker: %s", stderr.String())
		}
		_ = syscall.Kill(-leader, syscall.SIGKILL)
	})
	return kill, leader, grandchild
}

func TestKilledWorkerTakesTheWholeTreeAlong(t *testing.T) {
	kill, leader, grandchild := startVictim(t, "guarded worker")
	kill()
	wantKilled(t, leader, grandchild)
}
