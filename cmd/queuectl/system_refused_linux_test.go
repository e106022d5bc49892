//go:build linux && (amd64 || arm64)

package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/queuectl/queuectl/fsq"
)

// outage is a reason for which a file system takes no writes for a while.
type outage struct {
	says, hint string
	// mount makes the file system on dir, or says why it cannot; nil: any will do.
	mount func(t *testing.T, dir string) (problem string)
	begin func(t *testing.T, dir string) (end func())
}

// outages of real file systems. A full disk is with onSmallDisks, a failing one with
// thinDisk.
var outages = map[string]outage{
	"inodes": {
		says: "no space left on device", hint: "df -i",
		mount: func(t *testing.T, dir string) string {
			return diskImage{size: 8 << 20, mkfs: []string{"mkfs.ext4", "-q", "-m", "0", "-N", "128"}}.mount(t, dir)
		},
		begin: func(t *testing.T, dir string) func() {
			ballast := filepath.Join(dir, "ballast")
			if err := os.Mkdir(ballast, 0o700); err != nil {
				t.Fatal(err)
			}
			for i := 0; ; i++ {
				err := os.WriteFile(filepath.Join(ballast, string(rune('a'+i))), nil, 0o600)
				if errors.Is(err, syscall.ENOSPC) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			return func() {
				if err := os.RemoveAll(ballast); err != nil {
					t.Fatal(err)
				}
			}
		},
	},
	// ext4 and xfs need a kernel that counts for them, and root is exempt there. In btrfs
	// quotas are always built in, and bind everybody: renames and heartbeats, too.
	"quota": {
		says: "disk quota exceeded", hint: "quota",
		mount: func(t *testing.T, dir string) string {
			top := dir + ".top" // who sets a limit must not be below it
			if err := os.Mkdir(top, 0o700); err != nil {
				t.Fatal(err)
			}
			if problem := (diskImage{size: 128 << 20, mkfs: []string{"mkfs.btrfs", "-q"}}).mount(t, top); problem != "" {
				return problem
			}
			unmounted(t, top)
			for _, args := range [][]string{{"subvolume", "create", top + "/limited"}, {"quota", "enable", top}} {
				if problem := perform(append([]string{"btrfs"}, args...)...); problem != "" {
					return problem
				}
			}
			bind(t, top+"/limited", dir)
			return ""
		},
		begin: func(t *testing.T, dir string) func() {
			limit := func(bytes string) {
				t.Helper()
				if problem := perform("btrfs", "qgroup", "limit", bytes, firstSubvolume, dir+".top"); problem != "" {
					t.Fatal(problem)
				}
			}
			limit("1")
			return func() { limit("none") }
		},
	},
	"read-only": {says: "read-only file system", hint: "read-write", begin: readOnly},
}

// firstSubvolume is the group of the first subvolume of a btrfs.
const firstSubvolume = "0/256"

// perform runs a program that says what is wrong, or nothing.
func perform(args ...string) (problem string) {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return strings.Join(args, " ") + ": " + err.Error() + ": " + string(out)
	}
	return ""
}

// diskImage is a file system in a file.
type diskImage struct {
	path    string // in a directory of the test if not given
	size    int64
	options string // of the mount
	mkfs    []string
}

// mount makes it anew and mounts it, or says why it cannot.
func (i diskImage) mount(t *testing.T, dir string) (problem string) {
	t.Helper()
	if i.path == "" {
		return diskImage{filepath.Join(t.TempDir(), "image"), i.size, i.options, i.mkfs}.mount(t, dir)
	}
	if err := errors.Join(os.WriteFile(i.path, nil, 0o600), os.Truncate(i.path, i.size)); err != nil {
		t.Fatal(err)
	}
	if problem := perform(append(slices.Clone(i.mkfs), i.path)...); problem != "" {
		return problem
	}
	return i.again(dir)
}

// again mounts what is there.
func (i diskImage) again(dir string) (problem string) {
	return perform("mount", "-o", strings.Trim("loop,"+i.options, ","), i.path, dir)
}

// unmounted leaves no mount on dir behind.
func unmounted(t *testing.T, dir string) {
	t.Helper()
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			// Something still runs there: its end ends the mount too.
			t.Errorf("unmount: %v", err)
			_ = syscall.Unmount(dir, syscall.MNT_DETACH)
		}
	})
}

// bind shows a directory at another place as well, or at its own once more.
func bind(t *testing.T, from, to string) {
	t.Helper()
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
}

// readOnly makes what is below dir read-only, until end. A remount would be refused, since
// workers have a file open for writing; the same by way of another mount is not.
func readOnly(t *testing.T, dir string) (end func()) {
	t.Helper()
	bind(t, dir, dir)
	if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	over := false
	end = func() {
		if over {
			return
		}
		over = true
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	return end
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a file system")
	}
}

// rigOn has its spool in a directory that is or will be a mount's, and all else elsewhere.
func rigOn(t *testing.T, dir string) *rig {
	t.Helper()
	r := newRigIn(t, dir)
	r.dir = t.TempDir()
	r.env = append(slices.DeleteFunc(r.env, func(kv string) bool { return strings.HasPrefix(kv, "DIR=") }), "DIR="+r.dir)
	return r
}

func eachOutage(t *testing.T, test func(t *testing.T, r *rig, why outage, begin func() (end func()))) {
	t.Helper()
	for name, why := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needsRoot(t)
			dir := t.TempDir()
			if why.mount != nil {
				if problem := why.mount(t, dir); problem != "" {
					t.Skip(problem)
				}
				unmounted(t, dir)
			}
			test(t, rigOn(t, dir), why, func() func() { return why.begin(t, dir) })
		})
	}
}

// refused asserts that a command failed for that reason, in one line and a hint.
func (why outage) refused(t *testing.T, res result, args ...string) {
	t.Helper()
	line, hint, _ := strings.Cut(strings.TrimSuffix(res.stderr, "\n"), "\n")
	if res.code != exitFailed || res.stdout != "" || !strings.HasPrefix(line, "queuectl: ") || !strings.HasSuffix(line, why.says) ||
		!strings.HasPrefix(hint, "hint: ") || !strings.Contains(hint, why.hint) || strings.Contains(hint, "\n") {
		t.Errorf("%q: exit status %d\n%s%s", args, res.code, res.stdout, res.stderr)
	}
}

// Whatever the reason, enqueue says so, acknowledges nothing and leaves nothing.
func TestEnqueueRefused(t *testing.T) {
	t.Parallel()
	eachOutage(t, func(t *testing.T, r *rig, why outage, begin func() func()) {
		r.enqueue(note("before"))
		end := begin()
		for _, args := range [][]string{
			{"enqueue", note("").String()},
			{"enqueue", note("chosen").String()},
			{"enqueue", "--id", "chosen", "--", "true"},
		} {
			why.refused(t, r.run(args...), args...)
		}
		if left := r.files("tmp"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if jobs := r.list(); len(jobs) != 1 || jobs[0].ID != "before" {
			t.Errorf("there are %v", jobs)
		}
		why.refused(t, r.run("worker", "start"), "worker", "start")
		end()
		acknowledged := append(r.enqueue(note("chosen"), note("")), "before")
		r.runDry()
		r.once(acknowledged)
		r.sound()
	})
}

// Jobs end while the file system takes nothing: their worker keeps the outcomes, settles
// them when it can, and goes on with what waits, without being started anew.
func TestSettleRefused(t *testing.T) {
	t.Parallel()
	eachOutage(t, func(t *testing.T, r *rig, why outage, begin func() func()) {
		// What has no output has files for it all the same, and gives them back.
		gated := func(id, end string) job {
			return job{"id": id, "max_retries": 0, "command": `echo out; echo err >&2; echo x >>"$DIR/begun"; until [ -e "$DIR/go" ]; do sleep 0.02; done; echo ` + id + ` >>"$DIR/ran"` + end}
		}
		r.enqueue(gated("good", ""), gated("bad", "; exit 3"), note("next"))
		w := r.worker("--count", "2")
		await(t, "both jobs have begun", func() bool { return len(r.lines("begun")) == 2 })
		end := begin()
		r.touch("go")
		await(t, "both jobs have ended", func() bool { return len(r.lines("ran")) == 2 })
		await(t, "the worker says why it cannot go on", func() bool {
			return slices.ContainsFunc(w.told("problem", ""), func(e fsq.Event) bool { return strings.Contains(e.Error, why.says) })
		})
		if st := r.status(); st.Processing != 2 || st.Pending != 1 || w.hasExited() {
			t.Errorf("%d claims are kept, want 2; %d jobs wait, want 1; the worker has exited: %v", st.Processing, st.Pending, w.hasExited())
		}
		end()
		w.awaitEvent("done", "next")
		w.drain()
		for id, state := range map[string]string{"good": "done", "bad": "dead", "next": "done"} {
			if j := r.show(id); string(j.State) != state || j.Attempts != 1 || j.Lost != 0 || len(j.Records) != 1 || j.Records[0].ExitCode == nil {
				t.Errorf("job %s is %s after %d attempts, %d lost, with the records %+v; want %s, 1, 0, and one", id, j.State, j.Attempts, j.Lost, j.Records, state)
			}
		}
		if ran := tally(r.lines("ran")); len(ran) != 3 || ran["good"] != 1 || ran["bad"] != 1 || ran["next"] != 1 {
			t.Errorf("ran: %v", ran)
		}
		if lost := append(w.told("lost", ""), w.told("reaped", "")...); len(lost) > 0 {
			t.Errorf("it told of losses: %+v", lost)
		}
		r.sound()
	})
}

// A command that only reads works on a read-only file system; one that must write fails
// with one line and a hint, and changes nothing.
func TestCommandsReadOnly(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	dir := t.TempDir()
	r, why := rigOn(t, dir), outages["read-only"]
	later := func(id string) job { return job{"id": id, "command": "true", "run_at": "+3h"} }
	r.enqueue(job{"id": "done", "command": "echo out"}, job{"id": "dead", "command": "exit 1", "max_retries": 0}, later("held"), later("later"))
	r.ok("worker", "start", "--drain")
	r.ok("hold", "held")
	before := r.files(".")
	end := readOnly(t, dir)
	for _, args := range [][]string{
		{"status"}, {"list"}, {"show", "done"}, {"logs", "done"}, {"dlq", "list"}, {"stats"}, {"explain", "later"}, {"worker", "list"},
		{"config", "list"}, {"queue", "list"}, {"check"}, {"wait", "done"},
	} {
		if res := r.run(args...); res.code != exitOK || strings.Contains(res.stderr, "queuectl: ") {
			t.Errorf("%q: exit status %d\n%s%s", args, res.code, res.stdout, res.stderr)
		}
	}
	for _, args := range [][]string{
		{"cancel", "later"}, {"delete", "done"}, {"retry", "dead"}, {"dlq", "retry", "dead"}, {"dlq", "remove", "dead"},
		{"hold", "later"}, {"release", "held"}, {"run-now", "later"}, {"set", "later", "--priority", "5"}, {"set", "later", "--delay", "9h"},
		{"pause"}, {"config", "set", "timeout", "10m"}, {"queue", "create", "mail"},
		{"prune", "--done-older", "0s"}, {"prune", "--dead-older", "0s"},
		{"worker", "start", "--once"}, {"worker", "start", "--detach"}, {"run", "--", "true"}, {"enqueue", "--", "true"},
	} {
		why.refused(t, r.run(args...), args...)
	}
	if after := r.files("."); !slices.Equal(before, after) {
		t.Errorf("before: %q\nafter:  %q", before, after)
	}
	end()
	for id, state := range map[string]string{"done": "done", "dead": "dead", "held": "held", "later": "scheduled"} {
		if j := r.show(id); string(j.State) != state {
			t.Errorf("job %s is %s", id, j.State)
		}
	}
	r.sound()
}

// signalStraced signals a worker that runs under strace, which hands nothing on.
func (p *proc) signalStraced(sig syscall.Signal) {
	p.t.Helper()
	part := strings.Split(p.awaitEvent("ready", "").Worker, ".")
	pid, err := strconv.Atoi(part[1])
	if err == nil {
		err = syscall.Kill(pid, sig)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// stracedWorker starts a worker under strace. If the test fails it is killed with it.
func (r *rig) stracedWorker(options []string, args ...string) *proc {
	r.t.Helper()
	w := start(r.t, r.straced(options, append([]string{"worker", "start", "--json"}, args...)))
	r.t.Cleanup(func() {
		if !w.hasExited() && len(w.told("ready", "")) > 0 {
			w.signalStraced(syscall.SIGKILL)
		}
	})
	return w
}

// Two workers whose heartbeats the file system refuses for some leases: neither takes the
// other for dead, nor itself, and a job that runs meanwhile is settled.
func TestHeartbeatsRefused(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{"EROFS", "ENOSPC", "EDQUOT", "EIO"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.enqueue(job{"id": "long", "command": `until [ -e "$DIR/go" ]; do sleep 0.1; done; echo long >>"$DIR/ran"`})
			inject := []string{"-e", "trace=utimensat", "-e", "inject=utimensat:error=" + fault}
			other := *r
			other.dir = t.TempDir()
			a := r.stracedWorker(inject, "--lease", "2s")
			a.awaitEvent("started", "long")
			b := other.stracedWorker(inject, "--lease", "2s")
			b.awaitEvent("ready", "")
			// 12 to a lease.
			await(t, "both have missed three leases", func() bool {
				return min(strings.Count(r.log(), "INJECTED"), strings.Count(other.log(), "INJECTED")) > 36
			})
			r.touch("go")
			a.awaitEvent("done", "long")
			if j := r.show("long"); j.State != "done" || j.Attempts != 1 || j.Lost != 0 || len(r.lines("ran")) != 1 {
				t.Errorf("it is %s after %d attempts, %d lost, and ran %v", j.State, j.Attempts, j.Lost, r.lines("ran"))
			}
			for _, w := range []*proc{a, b} {
				// Once a minute at most, on a machine however slow: not with each heartbeat.
				if told := w.told("problem", ""); len(told) == 0 || len(told) > 6 {
					t.Errorf("it told of %d problems: %+v", len(told), told)
				}
				// By now it looks dead, and is not: it is asked, and nothing is taken from it.
				if out := r.ok("worker", "stop", w.told("ready", "")[0].Worker); !strings.Contains(out, "gives no sign of life") {
					t.Errorf("worker stop: %s", out)
				}
				w.wait()
			}
			r.sound()
		})
	}
}

// While it is refused everything a worker does next to nothing, whether it is to go on or
// to end: it tries less and less often. See TestIdleWorkerSleeps.
func TestRefusedWorkerSleeps(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	strace(t)
	dir, view := t.TempDir(), t.TempDir()
	r := rigOn(t, dir)
	r.ok("init")
	bind(t, dir, view)
	unmounted(t, view)
	pipe := func(name string) (open func()) {
		if err := syscall.Mkfifo(r.path(name), 0o600); err != nil {
			t.Fatal(err)
		}
		return func() { r.touch(name) }
	}
	short, long := pipe("short"), pipe("long")
	r.enqueue(job{"id": "short", "command": `cat "$DIR/short"`}, job{"id": "long", "command": `cat "$DIR/long"`})
	w := r.stracedWorker(nil, "--lease", "6s", "--count", "3")
	w.awaitEvents(2, "started", "")
	end := readOnly(t, dir)
	short()
	// It comes by the other mount, and cannot be claimed by this one.
	r.ok("enqueue", "--spool", filepath.Join(view, "spool"), note("refused").String())
	await(t, "an outcome and a claim are refused", func() bool {
		kinds := map[bool]int{}
		for _, e := range w.told("problem", "") {
			kinds[strings.HasPrefix(e.Error, "claim ")]++
		}
		return kinds[true] > 0 && kinds[false] > 0
	})
	calls := func() int {
		t.Helper()
		const beats = 10 // the first are those in which what came before ends
		heartbeats := func() (at []int) {
			for i, line := range strings.Split(r.log(), "\n") {
				if strings.Contains(line, " utimensat(") {
					at = append(at, i)
				}
			}
			return at
		}
		begun := len(heartbeats())
		await(t, "some heartbeats", func() bool { return len(heartbeats()) > begun+beats })
		at := heartbeats()[begun:]
		return (at[beats] - at[beats-4]) / 4
	}
	const most = 600 // one that spins makes some thousands where nothing else runs
	n := calls()
	t.Logf("%d system calls from one heartbeat to the next", n)
	if n > most {
		t.Errorf("%d system calls from one heartbeat to the next, want at most %d", n, most)
	}
	w.signalStraced(syscall.SIGTERM)
	w.awaitEvent("draining", "")
	n = calls()
	t.Logf("%d when it is to end", n)
	if n > most {
		t.Errorf("%d system calls from one heartbeat to the next of a worker that is to end, want at most %d", n, most)
	}
	end()
	w.awaitEvent("done", "short")
	long()
	if ws := w.wait(); ws.ExitStatus() != 0 {
		t.Errorf("the worker ended with %v", w.cmd.ProcessState)
	}
	r.runDry()
	for _, id := range []string{"short", "long", "refused"} {
		if j := r.show(id); j.State != "done" || j.Attempts != 1 || j.Lost != 0 {
			t.Errorf("job %s is %s after %d attempts, %d lost", id, j.State, j.Attempts, j.Lost)
		}
	}
	r.sound()
}
