//go:build linux && (amd64 || arm64)

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// These tests kill the program before each call by which it changes the spool or
// acknowledges something, one call after the other, and then see whether what is left
// goes on as if nothing had happened.

// everyGap runs test for each of the first n gaps; a sample of them if -short.
func everyGap(t *testing.T, n int, test func(t *testing.T, k int)) {
	t.Helper()
	step := 1
	if testing.Short() {
		step = 5
	}
	someGaps(t, n, step, test)
}

func someGaps(t *testing.T, n, step int, test func(t *testing.T, k int)) {
	t.Helper()
	if n == 0 {
		t.Fatal("the program changes nothing: this test tests nothing")
	}
	for k := 1; k <= n; k += step {
		t.Run(fmt.Sprintf("%02d", k), func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// tracer prepares to run queuectl and to kill it before the k-th change.
func (r *rig) tracer(k int, args ...string) tracer {
	return tracer{path: r.bin, args: args, env: r.env, dir: r.spool, kill: k}
}

// killed runs queuectl until the k-th change, and returns what it has printed.
func (r *rig) killed(k int, args ...string) (traced, string) {
	r.t.Helper()
	var out bytes.Buffer
	c := r.tracer(k, args...)
	c.out = &out
	got := c.run(r.t)
	r.judge(got, 0)
	return got, out.String()
}

// judge asserts that a traced program was killed, or ended as it should.
func (r *rig) judge(got traced, status int) {
	r.t.Helper()
	if !got.killed && got.status.ExitStatus() != status {
		r.t.Errorf("it was not killed and ended with %v\n%s", got.status.ExitStatus(), got.stderr)
	}
	if strings.Contains(got.stderr, "goroutine ") {
		r.t.Errorf("it panicked:\n%s", got.stderr)
	}
	r.t.Cleanup(func() {
		if r.t.Failed() {
			r.t.Logf("killed before: %s, after %q\n%s", got.gap(), got.calls, got.stderr)
		}
	})
}

// killedWorker runs a worker until the k-th change, or until there is nothing left to
// do.
func (r *rig) killedWorker(k int, args ...string) traced {
	r.t.Helper()
	pid, over, watched := make(chan int, 1), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		var worker int
		select {
		case worker = <-pid:
		case <-over:
			return
		}
		for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
			select {
			case <-over:
				return
			case <-time.After(pause):
			}
			var st fsq.Status
			out, err := r.command("status", "--json").Output()
			if err != nil || json.Unmarshal(out, &st) != nil {
				continue
			}
			if st.Pending+st.Scheduled+st.Retrying+st.Processing+st.Dropped == 0 {
				_ = syscall.Kill(worker, syscall.SIGTERM)
				return
			}
		}
	}()
	c := r.tracer(k, append([]string{"worker", "start"}, args...)...)
	c.pid = pid
	got := c.run(r.t)
	close(over)
	<-watched
	r.judge(got, 0)
	return got
}

// repair has check mend the spool until nothing half-done is left. A file in tmp/ or editing/ must
// have been there for a second before check takes it for abandoned.
func (r *rig) repair() {
	r.t.Helper()
	await(r.t, "what was left half-done is cleared up", func() bool {
		if res := r.run("check", "--repair"); res.code != 0 {
			r.t.Fatalf("check --repair: exit status %d\n%s%s", res.code, res.stdout, res.stderr)
		}
		for _, name := range r.files("tmp", "editing", "workers") {
			if strings.HasPrefix(name, "tmp/") || strings.HasPrefix(name, "editing/") || strings.HasPrefix(name, "workers/.") {
				return false
			}
		}
		return true
	})
}

// all lists every job of the spool by its id, and asserts that none is there twice.
func (r *rig) all() map[string]fsq.JobInfo {
	r.t.Helper()
	jobs := make(map[string]fsq.JobInfo)
	for _, j := range r.list() {
		if other, twice := jobs[j.ID]; twice {
			r.t.Errorf("job %s is there twice: %s and %s", j.ID, other.File, j.File)
		}
		jobs[j.ID] = j
	}
	return jobs
}

// once asserts that each job is done and ran once, and that those that were
// acknowledged are among them.
func (r *rig) once(acknowledged []string) map[string]fsq.JobInfo {
	r.t.Helper()
	jobs, ran := r.all(), tally(r.lines("ran"))
	for _, id := range acknowledged {
		if _, ok := jobs[id]; !ok {
			r.t.Errorf("job %s was acknowledged and is lost", id)
		}
	}
	for id, j := range jobs {
		if j.State != "done" || j.Attempts != 1 || ran[id] != 1 {
			r.t.Errorf("job %s is %s after %d attempts and ran %d times", id, j.State, j.Attempts, ran[id])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ran)) {
		if _, ok := jobs[id]; !ok {
			r.t.Errorf("job %s ran and is not there", id)
		}
	}
	return jobs
}

func note(id string) job {
	j := job{"command": `echo $QUEUECTL_JOB_ID >>"$DIR/ran"`}
	if id != "" {
		j["id"] = id
	}
	return j
}

// Enqueue: what is printed is kept, what is not is there whole or not at all, and the
// id can be used again or is taken by the job itself.
func TestEnqueueKilled(t *testing.T) {
	t.Parallel()
	var many []job
	for range 17 { // from 16 on a batch is synced at once
		many = append(many, note(""))
	}
	for name, c := range map[string]struct {
		fresh bool
		jobs  []job
	}{
		"generated": {false, []job{note("")}},
		"chosen":    {false, []job{note("chosen")}},
		"first":     {true, []job{note("chosen")}},
		"few":       {false, []job{note("chosen"), note(""), note("other")}},
		"many":      {false, append(many, note("chosen"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"enqueue"}
			for _, j := range c.jobs {
				args = append(args, j.String())
			}
			setup := func(t *testing.T) *rig {
				t.Helper()
				r := newRig(t)
				if !c.fresh {
					r.enqueue(note("before"))
				}
				return r
			}
			whole, _ := setup(t).killed(0, args...)
			try := func(t *testing.T, k int) {
				t.Helper()
				r := setup(t)
				_, out := r.killed(k, args...)
				acknowledged := strings.Fields(out)
				again := func() {
					for _, j := range c.jobs {
						if id, chosen := j["id"].(string); chosen {
							if res := r.run("enqueue", j.String()); res.code != 0 && res.code != exitConflict {
								t.Errorf("again: exit status %d\n%s", res.code, res.stderr)
							}
							acknowledged = append(acknowledged, id)
						}
					}
				}
				if _, err := os.Stat(r.spool + "/queuectl.json"); err == nil && k%2 == 1 {
					r.repair()
				}
				again() // it also completes a spool whose making was cut short
				r.repair()
				r.runDry()
				if !c.fresh {
					acknowledged = append(acknowledged, "before")
				}
				jobs := r.once(acknowledged)
				if most := len(c.jobs) + 1; len(jobs) > most {
					t.Errorf("%d jobs, at most %d were enqueued", len(jobs), most)
				}
				r.sound()
			}
			if name == "many" && !testing.Short() {
				// One job goes the way of the other.
				someGaps(t, len(whole.calls), 4, try)
			} else {
				everyGap(t, len(whole.calls), try)
			}
		})
	}
}

// A job that is due in hours goes into a directory of its hour, which is made first.
func TestEnqueueForLaterKilled(t *testing.T) {
	t.Parallel()
	later := note("later")
	later["run_at"] = "+48h"
	setup := func(t *testing.T) *rig {
		t.Helper()
		r := newRig(t)
		r.ok("init")
		return r
	}
	whole, _ := setup(t).killed(0, "enqueue", later.String())
	everyGap(t, len(whole.calls), func(t *testing.T, k int) {
		r := setup(t)
		r.killed(k, "enqueue", later.String())
		r.repair()
		if res := r.run("enqueue", later.String()); res.code != 0 && res.code != exitConflict {
			t.Errorf("again: exit status %d\n%s", res.code, res.stderr)
		}
		if jobs := r.all(); len(jobs) != 1 || jobs["later"].State != "scheduled" {
			t.Errorf("jobs: %v", jobs)
		}
		r.sound()
	})
}

// ended asserts what became of a job, of whose attempts some may have been lost, and
// that it ran often enough and not too often.
func ended(t *testing.T, j fsq.JobInfo, state string, attempts, ran int) {
	t.Helper()
	if string(j.State) != state || j.Attempts != attempts+j.Lost {
		t.Errorf("job %s is %s after %d attempts, %d of them lost; want %s after %d, not counting lost ones",
			j.ID, j.State, j.Attempts, j.Lost, state, attempts)
	}
	if ran < attempts || ran > j.Attempts {
		t.Errorf("job %s ran %d times in %d attempts, %d of them lost", j.ID, ran, j.Attempts, j.Lost)
	}
}

// Register, adopt, claim, run, settle, leave: another worker takes over, and only what
// the killed one ran runs again.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T) *rig {
		t.Helper()
		r := newRig(t)
		bad := note("bad")
		bad["command"] = bad["command"].(string) + "; exit 3"
		bad["max_retries"], bad["backoff_base"] = 1, 0.01
		r.enqueue(note("good"), bad, note(""))
		r.drop("dropped.json", note(""))
		return r
	}
	whole := setup(t).killedWorker(0)
	everyGap(t, len(whole.calls), func(t *testing.T, k int) {
		r := setup(t)
		r.killedWorker(k)
		if k%2 == 0 {
			r.repair()
			r.runDry()
		} else {
			r.runDry() // its own sweep finds the dead worker
			r.repair()
		}
		jobs, ran := r.all(), tally(r.lines("ran"))
		lost := 0
		for id, j := range jobs {
			lost += j.Lost
			if id == "bad" {
				ended(t, j, "dead", 2, ran[id])
			} else {
				ended(t, j, "done", 1, ran[id])
			}
		}
		if lost > 1 || len(jobs) != 4 {
			t.Errorf("%d jobs, want 4; %d attempts lost by a worker with one slot", len(jobs), lost)
		}
		for _, id := range []string{"good", "bad", "dropped"} {
			if _, ok := jobs[id]; !ok {
				t.Errorf("job %s is lost", id)
			}
		}
		r.sound()
	})
}

// drop drops a file as mv does.
func (r *rig) drop(name string, j job) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(j.String()), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(r.path(name), r.spool+"/pending/"+name); err != nil {
		r.t.Fatal(err)
	}
}

// copyOf has a spool like that of r, links and times included.
func copyOf(t *testing.T, r *rig) *rig {
	t.Helper()
	c := newRig(t)
	if out, err := exec.Command("cp", "-a", r.spool, c.spool).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	return c
}

// widowed is a spool whose only worker was killed while it ran two jobs. One has lost
// its worker as often as is allowed.
func widowed(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.ok("init")
	r.ok("config", "set", "max-lost", "2")
	r.enqueue(job{"id": "unlucky", "command": "exec sleep 1000"})
	for range 2 {
		w := r.worker()
		w.awaitEvent("started", "unlucky")
		w.kill()
	}
	other := note("other")
	other["command"] = "[ $QUEUECTL_ATTEMPT -gt 1 ] || exec sleep 1000; " + other["command"].(string)
	r.enqueue(other)
	w := r.worker("--count", "2")
	w.awaitEvent("started", "unlucky")
	w.awaitEvent("started", "other")
	w.kill()
	return r
}

func (r *rig) bereaved() {
	r.t.Helper()
	jobs, ran := r.all(), tally(r.lines("ran"))
	if j := jobs["unlucky"]; j.State != "dead" || j.Outcome != "lost" || j.Attempts != 3 || j.Lost != 3 {
		r.t.Errorf("the unlucky job is %s, %s, after %d attempts, %d lost; want dead, lost, 3, 3", j.State, j.Outcome, j.Attempts, j.Lost)
	}
	// Its first attempt, which the test itself has cut, leaves no trace.
	j := jobs["other"]
	j.Attempts, j.Lost = j.Attempts-1, j.Lost-1
	ended(r.t, j, "done", 1, ran["other"])
	if len(jobs) != 2 || j.Lost > 1 {
		r.t.Errorf("%d jobs, want 2; %d more attempts lost", len(jobs), j.Lost)
	}
	r.sound()
}

// A worker that takes over from a dead one dies on the way.
func TestReaperKilled(t *testing.T) {
	t.Parallel()
	origin := widowed(t)
	whole := copyOf(t, origin).killedWorker(0)
	everyGap(t, len(whole.calls), func(t *testing.T, k int) {
		r := copyOf(t, origin)
		r.killedWorker(k)
		if k%2 == 0 {
			r.repair()
			r.runDry()
		} else {
			r.runDry()
			r.repair()
		}
		r.bereaved()
	})
}

// The same with check --repair in the worker's place.
func TestRepairKilled(t *testing.T) {
	t.Parallel()
	origin := widowed(t)
	whole, _ := copyOf(t, origin).killed(0, "check", "--repair")
	everyGap(t, len(whole.calls), func(t *testing.T, k int) {
		r := copyOf(t, origin)
		r.killed(k, "check", "--repair")
		r.runDry()
		r.repair()
		r.bereaved()
	})
}

// dlq retry: a job is dead or waits, and once its id is printed it waits.
func TestRetryKilled(t *testing.T) {
	t.Parallel()
	origin := newRig(t)
	bad := job{"id": "bad", "max_retries": 0, "command": `[ $QUEUECTL_ATTEMPT -gt 1 ] || exit 1; echo bad >>"$DIR/ran"`}
	origin.enqueue(bad)
	origin.runDry()
	whole, _ := copyOf(t, origin).killed(0, "dlq", "retry", "bad")
	everyGap(t, len(whole.calls), func(t *testing.T, k int) {
		r := copyOf(t, origin)
		_, out := r.killed(k, "dlq", "retry", "bad")
		j := r.show("bad")
		if out != "" && j.State == "dead" {
			t.Errorf("retried, it says, and the job is %s", j.State)
		}
		if j.State == "dead" {
			r.ok("dlq", "retry", "bad")
		}
		r.repair()
		r.runDry()
		ended(t, r.all()["bad"], "done", 2, 1+len(r.lines("ran")))
		r.sound()
	})
}

// prune: a job is there or not, and if not its id can be used again.
func TestPruneKilled(t *testing.T) {
	t.Parallel()
	origin := newRig(t)
	ids := origin.enqueue(note("one"), note("two"), note(""))
	origin.runDry()
	args := []string{"prune", "--done-older", "0"}
	whole, _ := copyOf(t, origin).killed(0, args...)
	everyGap(t, len(whole.calls), func(t *testing.T, k int) {
		r := copyOf(t, origin)
		r.killed(k, args...)
		r.repair()
		left := r.all()
		for _, id := range ids[:2] {
			res := r.run("enqueue", note(id).String())
			if _, held := left[id]; held && res.code != exitConflict || !held && res.code != 0 {
				t.Errorf("job %s is still there: %v; enqueue: exit status %d\n%s", id, held, res.code, res.stderr)
			}
		}
		r.runDry()
		r.ok(args...)
		if jobs := r.all(); len(jobs) > 0 {
			t.Errorf("jobs: %v", jobs)
		}
		if left := r.files("ids", "logs", "done"); len(left) > 0 {
			for _, name := range left {
				if strings.HasSuffix(name, ".json") {
					t.Errorf("left behind: %s", name)
				}
			}
		}
		r.sound()
	})
}
