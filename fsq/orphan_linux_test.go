package fsq

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// orphan starts a command with the environment of an attempt, in the process
// group pgid or, if that is 0, its own.
func orphan(t *testing.T, pgid int, worker, id string, attempt int, argv ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), envWorker+"="+worker, envJobID+"="+id, envAttempt+"="+strconv.Itoa(attempt))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: pgid}
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
	return cmd
}

func TestOrphansAreKilledAndOthersSpared(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	w := "worker-" + filepath.Base(dir) + strconv.Itoa(os.Getpid())
	start := func(pgid int, worker, id string, attempt int) int {
		return orphan(t, pgid, worker, id, attempt, "sleep", "1000").Process.Pid
	}
	tree := orphan(t, 0, w, "tree", 2, "sh", "-c", `
		sh -c 'trap "" TERM; echo $$ >"$0"; while :; do sleep 0.01; done' "$1" &
		setsid sh -c 'echo $$ >"$0"; exec sleep 1000' "$2" &
		wait`, "sh", file("grandchild"), file("daemon")).Process.Pid
	grandchild, daemon := readPid(t, file("grandchild")), readPid(t, file("daemon"))
	mixed := start(0, w, "mixed", 1)
	stranger := start(mixed, "another", "mixed", 1)

	spared := []int{
		stranger,
		start(0, w, "tree", 1),  // the attempt before
		start(0, w, "tree", 22), //
		start(0, w, "ended", 2), // a daemon of a job that has ended
		start(0, w+"x", "tree", 2),
		start(0, "x"+w, "tree", 2),
		sleeper(t),
	}
	if err := killOrphans(w, map[string]int{"tree": 2, "mixed": 1, "absent": 7}); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []int{tree, grandchild, daemon, mixed} {
		if running(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	for i, pid := range spared {
		if !running(pid) {
			t.Errorf("number %d is dead", i)
		}
	}
}

// forker replaces itself by a child of another number again and again, as long as
// there is a directory for its log: a test that fails must leave nothing running.
const forker = `sleep 0.02; echo x 2>/dev/null >>"$1" || exit; sh -c "$0" "$0" "$1" & exit`

func TestOrphansThatForkAreKilled(t *testing.T) {
	w := "forker-" + strconv.Itoa(os.Getpid())
	log := filepath.Join(t.TempDir(), "log")
	orphan(t, 0, w, "job", 1, "sh", "-c", forker, forker, log)
	waitUntil(t, "it forks", func() bool {
		fi, err := os.Stat(log)
		return err == nil && fi.Size() > 2
	})
	if err := killOrphans(w, map[string]int{"job": 1}); err != nil {
		t.Fatal(err)
	}
	if left, err := killRound(w, map[string]int{"job": 1}); len(left) > 0 || err != nil {
		t.Errorf("left: %v, %v", left, err)
	}
}

func init() {
	// A worker that runs inside the very job that it sweeps.
	reexec["sweep own job"] = func() {
		attempt, err := strconv.Atoi(os.Getenv(envAttempt))
		if err == nil {
			err = killOrphans(os.Getenv(envWorker), map[string]int{os.Getenv(envJobID): attempt})
		}
		if err != nil {
			panic(err)
		}
	}
}

func TestOrphanSweepSparesItselfAndItsGroup(t *testing.T) {
	w := "own-" + strconv.Itoa(os.Getpid())
	cmd := exec.Command("sh", "-c", `"$0" && echo survived`, os.Args[0])
	cmd.Env = append(os.Environ(), reexecEnv+"=sweep own job", envWorker+"="+w, envJobID+"=job", envAttempt+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "survived\n") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestNoOrphansWithoutAttempts(t *testing.T) {
	pid := orphan(t, 0, "w", "job", 1, "sleep", "1000").Process.Pid
	if err := killOrphans("w", nil); err != nil || !running(pid) {
		t.Errorf("running %v, %v", running(pid), err)
	}
}
