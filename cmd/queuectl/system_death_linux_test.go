package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// pids reads process numbers that jobs wrote.
func (r *rig) pids(name string) (pids []int) {
	r.t.Helper()
	for _, word := range r.lines(name) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			r.t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// runs reports whether a process is there and no zombie.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, ok := strings.Cut(string(stat), ") ")
	return ok && rest[0] != 'Z' && rest[0] != 'X'
}

func anyRuns(pids []int) bool {
	for _, pid := range pids {
		if runs(pid) {
			return true
		}
	}
	return false
}

// A worker that is suspended for longer than its lease: its jobs run elsewhere. When
// it goes on, the result that it has is refused, the job that it still ran is stopped,
// and it works on under a new registration.
func TestSuspendedWorker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok("init")
	r.ok("config", "set", "lease", "1s")
	r.enqueue(
		// Ends while its worker is suspended.
		job{"id": "ends", "command": `[ $QUEUECTL_ATTEMPT -gt 1 ] || until [ -e "$DIR/go" ]; do sleep 0.02; done; echo $$ >>"$DIR/ended"`},
		// Still runs when its worker is taken for dead.
		job{"id": "runs", "command": `[ $QUEUECTL_ATTEMPT -gt 1 ] || { echo $$ >"$DIR/pid"; exec sleep 1000; }`},
	)
	slow := r.worker("--count", "2")
	slow.awaitEvent("started", "ends")
	slow.awaitEvent("started", "runs")
	await(t, "the job has told its pid", func() bool { return len(r.pids("pid")) == 1 })
	first := slow.awaitEvent("ready", "").Worker
	slow.signal(syscall.SIGSTOP)
	r.touch("go")
	await(t, "a job ends unseen", func() bool { return len(r.lines("ended")) == 1 && !anyRuns(r.pids("ended")) })

	other := r.worker("--count", "2")
	for _, id := range []string{"ends", "runs"} {
		if e := other.awaitEvent("done", id); e.Attempt != 2 {
			t.Errorf("job %s was done in attempt %d, want 2", id, e.Attempt)
		}
	}
	if anyRuns(r.pids("pid")) {
		t.Error("a job was started again while its first attempt still ran")
	}
	slow.signal(syscall.SIGCONT)
	for _, id := range []string{"ends", "runs"} {
		slow.awaitEvent("lost", id)
	}
	slow.awaitEvents(2, "ready", "")
	second := slow.told("ready", "")[1].Worker
	if second == first {
		t.Errorf("the worker goes on as %s, which others have taken for dead", first)
	}
	if n := len(slow.told("done", "")); n > 0 {
		t.Errorf("%d results were accepted from a worker that had been taken for dead", n)
	}

	other.drain()
	r.enqueue(job{"id": "after", "command": "true"})
	if e := slow.awaitEvent("done", "after"); e.Worker != second {
		t.Errorf("worker %s ran the next job, want %s", e.Worker, second)
	}
	slow.drain()
	for _, id := range []string{"ends", "runs"} {
		if j := r.show(id); j.State != "done" || j.Attempts != 2 || j.Lost != 1 {
			t.Errorf("job %s is %s after %d attempts, %d lost", id, j.State, j.Attempts, j.Lost)
		}
	}
	if n := len(r.list("done", "dead")); n != 3 {
		t.Errorf("%d jobs are settled, want 3", n)
	}
	r.sound()
}

// A worker that was asked to stop while it was suspended, and then taken for dead, stops
// when it goes on: it does not come back under a new name.
func TestStopOfASuspendedWorker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok("init")
	r.ok("config", "set", "lease", "1s")
	slow := r.worker()
	first := slow.awaitEvent("ready", "").Worker
	slow.signal(syscall.SIGSTOP)
	if res := r.run("worker", "stop", "--timeout", "0"); res.code != exitFailed {
		t.Fatalf("worker stop: exit status %d\n%s%s", res.code, res.stdout, res.stderr)
	}
	other := r.worker()
	heir := other.awaitEvent("ready", "").Worker
	await(t, "the suspended worker is taken for dead", func() bool {
		left := r.status().Workers
		return len(left) == 1 && left[0].ID == heir
	})
	slow.signal(syscall.SIGCONT)
	if status := slow.wait(); status.ExitStatus() != exitOK {
		t.Errorf("the worker ended with %v", status)
	}
	for _, e := range slow.told("ready", "") {
		if e.Worker != first {
			t.Errorf("it came back as %s", e.Worker)
		}
	}
	other.drain()
	r.sound()
}

// A worker that is killed takes its jobs' processes with it, also those that have
// left the process group, and another worker, which has been there all the time,
// runs the jobs again.
func TestKilledWorker(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue(
		job{"id": "family", "command": `[ $QUEUECTL_ATTEMPT -eq 1 ] || exit 0
			echo $$ >>"$DIR/pids"
			sh -c 'echo $$ >>"$DIR/pids"; sleep 1000 & echo $! >>"$DIR/pids"; wait' &
			setsid sh -c 'echo $$ >>"$DIR/pids"; exec sleep 1000' &
			wait`},
		// A loss takes none of its retries, of which it has none.
		job{"id": "fails", "max_retries": 0, "command": `[ $QUEUECTL_ATTEMPT -gt 1 ] || exec sleep 1000; exit 7`},
	)
	victim := r.worker("--count", "2")
	victim.awaitEvent("started", "family")
	victim.awaitEvent("started", "fails")
	await(t, "the job has started its family", func() bool { return len(r.pids("pids")) == 4 })
	witness := r.worker("--count", "2")
	witness.awaitEvent("ready", "")
	victim.kill()

	await(t, "the end of the killed worker's processes", func() bool { return !anyRuns(r.pids("pids")) })
	if e := witness.awaitEvent("done", "family"); e.Attempt != 2 {
		t.Errorf("done in attempt %d, want 2", e.Attempt)
	}
	witness.awaitEvent("dead", "fails")
	if n := len(witness.told("ready", "")); n != 1 {
		t.Errorf("the other worker has registered %d times", n)
	}
	witness.drain()

	for _, want := range []struct{ id, state, outcome string }{{"family", "done", "done"}, {"fails", "dead", "failed"}} {
		j := r.show(want.id)
		if string(j.State) != want.state || j.Outcome != want.outcome || j.Attempts != 2 || j.Lost != 1 {
			t.Errorf("job %s is %s, %s, after %d attempts, %d lost; want %s, %s, 2, 1",
				want.id, j.State, j.Outcome, j.Attempts, j.Lost, want.state, want.outcome)
		}
		if len(j.Records) != 2 || j.Records[0].Outcome != "lost" || j.Records[1].Outcome != want.outcome {
			t.Errorf("job %s: records %+v, want lost, then %s", want.id, j.Records, want.outcome)
		}
	}
	r.sound()
}

// A job that kills its worker each time must not go on doing so for ever.
func TestJobThatKillsItsWorker(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"parent": `kill -9 $PPID`,
		"name":   `w=${QUEUECTL_WORKER%.*}; kill -9 ${w##*.}; sleep 1000`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.ok("init")
			r.ok("config", "set", "max-lost", "3")
			r.enqueue(job{"id": "killer", "command": command})
			killed := 0
			for r.status().Dead == 0 {
				w := r.worker()
				await(t, "the job has killed its worker or is dead", func() bool { return w.hasExited() || r.status().Dead == 1 })
				if w.hasExited() {
					if ws := w.wait(); ws.Signal() != syscall.SIGKILL {
						t.Fatalf("the worker ended otherwise: %v", w.cmd.ProcessState)
					}
					if killed++; killed > 4 {
						t.Fatal("the job has killed more workers than max-lost allows")
					}
					continue
				}
				w.drain()
			}
			if j := r.show("killer"); killed != 4 || j.State != "dead" || j.Outcome != "lost" || j.Attempts != 4 || j.Lost != 4 {
				t.Errorf("%d workers were killed; the job is %s, %s, after %d attempts, %d lost; want 4, dead, lost, 4, 4",
					killed, j.State, j.Outcome, j.Attempts, j.Lost)
			}
			r.sound()
		})
	}
}

// What a finished job has left behind holds the lock of the worker that ran it. It is
// spared, and does not keep that worker's other jobs back.
func TestDaemonLeftBehind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.enqueue(
		job{"id": "leaver", "priority": 1, "command": `setsid sh -c 'echo $$ >"$DIR/daemon"; exec sleep 1000' &
			until [ -s "$DIR/daemon" ]; do sleep 0.02; done`},
		job{"id": "stuck", "command": `[ $QUEUECTL_ATTEMPT -gt 1 ] || exec sleep 1000`},
	)
	victim := r.worker()
	victim.awaitEvent("done", "leaver")
	victim.awaitEvent("started", "stuck")
	daemon := r.pids("daemon")
	if len(daemon) != 1 {
		t.Fatalf("daemons: %v", daemon)
	}
	t.Cleanup(func() { _ = syscall.Kill(daemon[0], syscall.SIGKILL) })
	if !holdsBelow(t, daemon[0], filepath.Join(r.spool, "workers")) {
		t.Error("the daemon has not inherited the lock: this test tests nothing")
	}
	witness := r.worker()
	witness.awaitEvent("ready", "")
	victim.kill()
	witness.awaitEvent("done", "stuck")
	witness.drain()
	if !runs(daemon[0]) {
		t.Error("the daemon of a finished job was killed")
	}
	r.sound()
}

// holdsBelow reports whether the process has a file below dir open.
func holdsBelow(t *testing.T, pid int, dir string) bool {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, dir+"/") {
			return true
		}
	}
	return false
}
