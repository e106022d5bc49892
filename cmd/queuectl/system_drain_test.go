package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// lasting is a job that runs until the file "go" is there.
func lasting(id string) job {
	return job{"id": id, "command": `until [ -e "$DIR/go" ]; do sleep 0.02; done`}
}

// drainedWith starts a worker with one slot and two jobs, asks it to stop while it
// runs the first, and asserts that it finishes that one and leaves the other.
func drainedWith(t *testing.T, ask func(*rig, *proc) (after func())) {
	t.Helper()
	t.Parallel()
	r := newRig(t)
	r.enqueue(lasting("first"), lasting("second"))
	w := r.worker()
	w.awaitEvent("started", "first")
	after := ask(r, w)
	w.awaitEvent("draining", "")
	if w.hasExited() {
		t.Error("the worker did not wait for its job")
	}
	r.touch("go")
	if ws := w.wait(); ws.ExitStatus() != 0 {
		t.Errorf("the worker ended with %v", w.cmd.ProcessState)
	}
	after()
	if j := r.show("first"); j.State != "done" || j.Attempts != 1 {
		t.Errorf("the running job is %s after %d attempts", j.State, j.Attempts)
	}
	if j := r.show("second"); j.State != "pending" || j.Attempts != 0 {
		t.Errorf("the waiting job is %s after %d attempts", j.State, j.Attempts)
	}
	r.sound()
}

func TestDrainByTERM(t *testing.T) {
	drainedWith(t, func(_ *rig, w *proc) func() {
		w.signal(syscall.SIGTERM)
		return func() {}
	})
}

func TestDrainByWorkerStop(t *testing.T) {
	drainedWith(t, func(r *rig, w *proc) func() {
		stop := r.background("worker", "stop")
		w.awaitEvent("draining", "")
		if stop.hasExited() {
			t.Error("worker stop did not wait for the worker")
		}
		return func() {
			if ws := stop.wait(); ws.ExitStatus() != 0 || !strings.Contains(stop.out(), "has stopped") {
				t.Errorf("worker stop: %v\n%s%s", stop.cmd.ProcessState, stop.out(), stop.complaints())
			}
		}
	})
}

// interruptedWith starts a worker and a job without retries, interrupts it, and
// asserts that the job is stopped, given back, and loses nothing: the next worker
// runs it to its end.
func interruptedWith(t *testing.T, status int, interrupt func(*rig, *proc)) {
	t.Helper()
	t.Parallel()
	r := newRig(t)
	j := lasting("long")
	j["max_retries"] = 0
	r.enqueue(j)
	w := r.worker()
	w.awaitEvent("started", "long")
	interrupt(r, w)
	w.awaitEvent("requeued", "long")
	if ws := w.wait(); ws.ExitStatus() != status {
		t.Errorf("the worker ended with %v, want exit status %d", w.cmd.ProcessState, status)
	}
	got := r.show("long")
	if got.State != "pending" || got.Attempts != 1 || got.MaxAttempts != 2 || got.Lost != 0 {
		t.Errorf("the job is %s after %d of %d attempts, %d lost; want pending, 1, 2, 0", got.State, got.Attempts, got.MaxAttempts, got.Lost)
	}
	if n := len(got.Records); n != 1 || got.Records[0].Outcome != "interrupted" {
		t.Errorf("records: %+v", got.Records)
	}
	r.touch("go")
	r.runDry()
	if j := r.show("long"); j.State != "done" || j.Attempts != 2 {
		t.Errorf("in the end the job is %s after %d attempts", j.State, j.Attempts)
	}
	r.sound()
}

func TestInterruptByTheSecondSignal(t *testing.T) {
	interruptedWith(t, 128+int(syscall.SIGTERM), func(_ *rig, w *proc) {
		w.signal(syscall.SIGTERM)
		begun := w.awaitEvent("draining", "").Time // no sooner than the first signal came
		await(t, "a signal is no echo of the first", func() bool { return time.Since(begun) > echo })
		w.signal(syscall.SIGTERM)
	})
}

func TestInterruptByWorkerStopNow(t *testing.T) {
	interruptedWith(t, 0, func(r *rig, _ *proc) { r.ok("worker", "stop", "--now") })
}
