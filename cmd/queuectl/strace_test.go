//go:build linux && (amd64 || arm64)

package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// strace finds the program, which makes system calls of another one fail.
func strace(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: system calls cannot be made to fail")
	}
	if out, err := exec.Command(path, "-qq", "-e", "trace=none", "true").CombinedOutput(); err != nil {
		t.Skipf("strace does not work here: %v: %s", err, out)
	}
	return path
}

// straced is a command line of queuectl under strace, which writes what it sees to the
// file "log".
func (r *rig) straced(options, args []string) *exec.Cmd {
	r.t.Helper()
	cmd := exec.Command(strace(r.t), slices.Concat([]string{"-f", "-q", "-o", r.path("log")}, options, []string{r.bin}, args)...)
	cmd.Env = r.env
	return cmd
}

// inject makes the k-th call fail. Calls are counted for each thread alone.
func inject(call, fault string, k int) []string {
	return []string{"-e", "trace=" + call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", call, fault, k)}
}

func (r *rig) log() string {
	r.t.Helper()
	data, err := os.ReadFile(r.path("log"))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}

var (
	faultyCalls = []string{"renameat", "linkat", "fsync", "unlinkat", "mkdirat", "openat", "write"}
	faults      = []string{
		"error=ENOSPC", "signal=KILL",
		"error=EIO", "error=EDQUOT", "error=ESTALE", "error=EACCES", "error=EINTR",
	}
)

// mostCalls is more than an enqueue makes of one kind in one thread. Those of the
// dynamic loader and of the Go runtime are among them.
const mostCalls = 60

// eachFault runs a test for each call and each way to fail; for few of them if -short.
func eachFault(t *testing.T, some []string, test func(t *testing.T, call, fault string)) {
	t.Helper()
	strace(t)
	if testing.Short() {
		some = some[:2]
	}
	for _, call := range faultyCalls {
		for _, fault := range some {
			t.Run(call+"/"+fault[strings.IndexByte(fault, '=')+1:], func(t *testing.T) {
				t.Parallel()
				test(t, call, fault)
			})
		}
	}
}

// faulty enqueues a job while the k-th call fails, and returns what was acknowledged,
// and whether the call was made at all.
func (r *rig) faulty(call, fault string, k int, j job) (acknowledged []string, hit bool) {
	r.t.Helper()
	cmd := r.straced(inject(call, fault, k), []string{"enqueue", j.String()})
	res := r.runCommand(cmd)
	// strace ends as the program did.
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	hit = ws.Signaled() || strings.Contains(r.log(), "(INJECTED)")
	if !hit && res.code != 0 {
		r.t.Errorf("nothing failed, and yet: exit status %d\n%s", res.code, res.stderr)
	}
	if res.code == exitUsage || strings.Contains(res.stderr, "goroutine ") {
		r.t.Errorf("call %d of %s, %s: exit status %d\n%s", k, call, fault, res.code, res.stderr)
	}
	if res.code > 0 && res.stderr == "" && !r.muted() {
		r.t.Errorf("call %d of %s, %s: exit status %d without a word", k, call, fault, res.code)
	}
	// A write to stderr may have been the call that failed, but then stdout was tried.
	if acknowledged = strings.Fields(res.stdout); res.code == 0 && len(acknowledged) != 1 {
		r.t.Errorf("call %d of %s, %s: exit status 0, and not acknowledged\n%s", k, call, fault, res.stderr)
	}
	return acknowledged, hit
}

// muted reports whether the complaint itself was made to fail: each thread has a k-th
// call of its own, and the program may have moved to another between the two.
func (r *rig) muted() bool {
	r.t.Helper()
	for line := range strings.Lines(r.log()) {
		if strings.Contains(line, "write(2, ") && strings.Contains(line, "(INJECTED)") {
			return true
		}
	}
	return false
}

// named asserts that check names each file that an enqueue left behind.
func (r *rig) named() {
	r.t.Helper()
	await(r.t, "check names what was left half-done", func() bool {
		debris := r.files("tmp")
		if len(debris) == 0 {
			return true
		}
		res := r.run("check")
		for _, name := range debris {
			if !strings.Contains(res.stdout, name+": ") {
				return false
			}
		}
		return true
	})
}

// Whatever the system answers, what was acknowledged is kept, and what was not is
// there or not, and check knows of all that is left.
func TestEnqueueFaulty(t *testing.T) {
	t.Parallel()
	eachFault(t, faults, func(t *testing.T, call, fault string) {
		r := newRig(t)
		r.enqueue(note("before"))
		acknowledged := []string{"before"}
		for k := 1; ; k++ {
			id := fmt.Sprintf("job-%d", k)
			j := note(id)
			if call == "renameat" || k%2 == 0 {
				j = note("") // a chosen id has one way more to fail
			}
			ids, hit := r.faulty(call, fault, k, j)
			acknowledged = append(acknowledged, ids...)
			if j["id"] == id && len(ids) == 0 {
				// Said again, it is there.
				if res := r.run("enqueue", j.String()); res.code != 0 && res.code != exitConflict {
					t.Errorf("again: exit status %d\n%s", res.code, res.stderr)
				}
				acknowledged = append(acknowledged, id)
			}
			if !hit {
				break
			}
			if k > mostCalls {
				t.Fatalf("more than %d calls of %s", mostCalls, call)
			}
		}
		r.named()
		r.repair()
		r.runDry()
		r.once(acknowledged)
		r.sound()
	})
}

// The first enqueue makes the spool. One that was made in part is completed by the
// next.
func TestFirstEnqueueFaulty(t *testing.T) {
	t.Parallel()
	eachFault(t, faults[:3], func(t *testing.T, call, fault string) {
		top := t.TempDir()
		for k, hit := 1, true; hit; k++ {
			dir := fmt.Sprintf("%s/%d", top, k)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			r := newRigIn(t, dir)
			var acknowledged []string
			acknowledged, hit = r.faulty(call, fault, k, note("first"))
			res := r.run("enqueue", note("first").String())
			if res.code != 0 && res.code != exitConflict || len(acknowledged) > 0 && res.code == 0 {
				t.Errorf("call %d: acknowledged %v; again: exit status %d\n%s", k, acknowledged, res.code, res.stderr)
			}
			r.repair()
			if jobs := r.all(); len(jobs) != 1 {
				t.Errorf("call %d: jobs %v", k, jobs)
			}
			r.sound()
			if k > mostCalls {
				t.Fatalf("more than %d calls of %s", mostCalls, call)
			}
		}
	})
}

// When clearing up fails too, check names what is left.
func TestEnqueueCannotClearUp(t *testing.T) {
	t.Parallel()
	for _, call := range []string{"renameat", "linkat", "fsync"} {
		t.Run(call, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.enqueue(note("before"))
			options := append(inject(call, "error=EIO", 1), "-e", "trace=unlinkat,"+call, "-e", "inject=unlinkat:error=EIO")
			res := r.runCommand(r.straced(options, []string{"enqueue", note("chosen").String()}))
			if res.code != exitFailed || res.stdout != "" || len(r.files("tmp")) != 1 {
				t.Errorf("exit status %d, left in tmp: %v\n%s%s", res.code, r.files("tmp"), res.stdout, res.stderr)
			}
			r.named()
			r.repair()
			r.runDry()
			r.once([]string{"before"})
			r.sound()
		})
	}
}

// A worker for whom the calls that claim, settle and leave fail, once in each thread,
// settles each job all the same, or leaves it to the next one.
func TestWorkerFaulty(t *testing.T) {
	t.Parallel()
	some := []string{"error=ENOSPC", "error=EIO", "error=EACCES", "error=ESTALE", "error=EINTR"}
	strace(t)
	if testing.Short() {
		some = some[:1]
	}
	for _, call := range []string{"renameat", "mkdirat", "fsync", "linkat", "unlinkat"} {
		for _, fault := range some {
			t.Run(call+"/"+fault[len("error="):], func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				bad := note("bad")
				bad["command"] = bad["command"].(string) + "; exit 3"
				bad["max_retries"] = 0
				r.enqueue(note("good"), bad, note(""), note("more"))
				r.drop("dropped.json", note(""))
				w := start(t, r.straced(inject(call, fault, 2), []string{"worker", "start", "--json"}))
				await(t, "the jobs are settled, or the worker has given up", func() bool { return w.hasExited() || r.settled() })
				// strace hands nothing on to its child.
				for _, e := range w.told("ready", "") {
					r.ok("worker", "stop", e.Worker)
				}
				w.wait()
				if strings.Contains(w.complaints(), "goroutine ") {
					t.Error("it panicked")
				}
				r.runDry()
				r.repair()
				jobs, ran := r.all(), tally(r.lines("ran"))
				for id, j := range jobs {
					state := "done"
					if id == "bad" {
						state = "dead"
					}
					ended(t, j, state, 1, ran[id])
				}
				if len(jobs) != 5 {
					t.Errorf("%d jobs, want 5", len(jobs))
				}
				r.sound()
			})
		}
	}
}

// A worker that waits does next to nothing: what it does between two heartbeats does
// not depend on how fast the machine is. One that polled each millisecond would make a
// thousand calls.
func TestIdleWorkerSleeps(t *testing.T) {
	t.Parallel()
	strace(t)
	r := newRig(t)
	r.ok("init")
	w := start(t, r.straced(nil, []string{"worker", "start", "--json", "--lease", "6s"}))
	worker := w.awaitEvent("ready", "").Worker
	const beats = 6
	heartbeats := func() (at []int) {
		lines := strings.Split(r.log(), "\n")
		for i, line := range lines {
			if strings.Contains(line, " utimensat(") {
				at = append(at, i)
			}
		}
		return at
	}
	await(t, "some heartbeats", func() bool { return len(heartbeats()) > beats })
	r.ok("worker", "stop", worker)
	w.wait()
	at := heartbeats()
	calls := (at[beats] - at[1]) / (beats - 1)
	t.Logf("%d system calls from one heartbeat to the next", calls)
	if most := 300; calls > most {
		t.Errorf("%d system calls from one heartbeat to the next, want at most %d", calls, most)
	}
}
