package fsq

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
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

// A worker can wake up between the look that took it for dead and the reaping. What it has
// started since then is left alone.
func TestReapSparesAWorkerThatHasWokenUp(t *testing.T) {
	t.Parallel()
	for name, awake := range map[string]bool{"silent": false, "awake": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, c := strayed(t, nil)
			worker := in.lease.Worker()
			pid := orphan(t, 0, worker, "one", 1, "sleep", "1000").Process.Pid
			all, err := in.q.s.Workers()
			if err != nil || len(all) != 1 {
				t.Fatalf("%v, %v", all, err)
			}
			v := spool.Verdict{Registered: all[0], Dead: true, Reason: "no heartbeat"}
			if awake {
				v.Heartbeat = v.Heartbeat.Add(-time.Minute)
			}
			moved, err := in.q.reap(v)
			if err != nil || len(moved) > 0 == awake {
				t.Errorf("given back: %v, %v", moved, err)
			}
			if held, err := c.Held(); err != nil || held != awake {
				t.Errorf("its claim is its own: %t, %v", held, err)
			}
			if running(pid) != awake {
				t.Errorf("its job runs: %t", !awake)
			}
		})
	}
}

// A job that another host's worker took from a suspended one here does not run beside what
// that one has left.
func TestPredecessorIsKilled(t *testing.T) {
	for outcome, want := range map[Outcome]bool{OutcomeLost: true, OutcomeFailed: false} {
		q := openQueue(t, DefaultConfig())
		if _, err := q.Enqueue(t.Context(), Job{ID: "job", Command: Command{Args: []string{"true"}}}); err != nil {
			t.Fatal(err)
		}
		suspended, err := q.s.Register(1, "test", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = suspended.Close() })
		var waiting []spool.Name
		if err := q.s.Waiting(func(n spool.Name) { waiting = append(waiting, n) }, func(string) {}); err != nil || len(waiting) != 1 {
			t.Fatal(waiting, err)
		}
		c, err := suspended.Claim(waiting[0])
		if err != nil {
			t.Fatal(err)
		}
		left := orphan(t, 0, suspended.Worker(), "job", 1, "sleep", "1000").Process.Pid
		if err := q.writeRecord(Attempt{JobID: "job", Number: 1, Worker: suspended.Worker(), Outcome: string(outcome)}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Lose(q.s.Now()); err != nil {
			t.Fatal(err)
		}
		killed := false
		err = q.Work(t.Context(), WorkerOptions{Slots: 1, MaxJobs: 1, Handler: HandlerFunc(func(context.Context, *Run) error {
			state, _, there := procStat(left)
			killed = !there || zombie(state)
			return nil
		})})
		if err != nil || killed != want {
			t.Errorf("after one that was %s: killed %t, %v", outcome, killed, err)
		}
	}
}
