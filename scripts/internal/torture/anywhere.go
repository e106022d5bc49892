package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// anywhere asks for things on one host that happen on another.
func (t *trial) anywhere(ctx context.Context) error {
	t.census(ctx)
	for _, step := range []func(context.Context) error{t.cancelElsewhere, t.schedules} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// census looks whether all hosts see the same workers and jobs.
func (t *trial) census(ctx context.Context) {
	want := len(t.staffOf(""))
	var first counts
	for i, h := range t.hosts {
		var alive int
		ok := until(ctx, t.slowness(), func() bool {
			var list struct{ Workers []struct{ State string } }
			out, err := t.queuectlOn(h, "worker", "list", "--json")
			if err != nil || json.Unmarshal(out, &list) != nil {
				return false
			}
			alive = 0
			for _, w := range list.Workers {
				if w.State == "alive" {
					alive++
				}
			}
			return alive == want
		})
		if !ok {
			t.breach("%s sees %d workers alive, there are %d", h, alive, want)
		}
		c, err := t.counts(h)
		if i == 0 {
			first = c
		}
		if err != nil || c != first {
			t.breach("%s counts %+v, %s counts %+v (%v)", h, c, t.hosts[0], first, err)
		}
	}
	t.figure("worker list and status", "the same %d workers and %d jobs on each host", want, first.Done+first.Dead)
}

// settledAs tells what became of a job, as a host sees it.
func (t *trial) settledAs(host, id string) (state, outcome string) {
	var j struct{ State, Outcome string }
	out, err := t.queuectlOn(host, "show", "--json", id)
	if err != nil || json.Unmarshal(out, &j) != nil {
		return "", ""
	}
	return j.State, j.Outcome
}

// cancelElsewhere cancels a job that waits and one that runs, and waits for one, each from
// another host than the job's.
func (t *trial) cancelElsewhere(ctx context.Context) error {
	a := t.host()
	b := t.otherThan(a)
	waits := job{id: "cancel-waiting", cancelled: true, doc: map[string]any{"command": "exit 1", "run_at": "+1h"}}
	runs := job{id: "cancel-running", cancelled: true, doc: map[string]any{"command": fmt.Sprintf(framed, stays)}}
	wait := job{id: "wait-elsewhere", least: 1, most: 1, doc: map[string]any{"command": fmt.Sprintf(framed, "sleep 2")}}
	t.enqueueFrom(ctx, a, []job{waits, runs, wait})
	t.extra = append(t.extra, waits, runs, wait)
	if _, err := t.queuectlOn(b, "cancel", waits.id); err != nil {
		t.breach("cancel a job that waits: %v", err)
	}
	if _, err := t.queuectlOn(b, "wait", wait.id); err != nil {
		t.breach("wait for a job: %v", err)
	}
	began, ok := t.awaitStart(ctx, runs.id, 1, t.patience)
	if !ok {
		return ctx.Err()
	}
	home := ""
	if w := t.workerCalled(began.worker); w != nil {
		home = w.host
	}
	c, from := t.otherThan(home), time.Now()
	if _, err := t.queuectlOn(c, "cancel", runs.id); err != nil {
		t.breach("cancel a job that runs: %v", err)
	}
	t.figure("cancel", "of a job on %s, asked for on %s, took %s", home, c, waited(time.Since(from)))
	if pids := processesOf(runs.id); len(pids) > 0 {
		t.breach("%s: it is cancelled, and processes %v go on with it", runs.id, pids)
	}
	for _, j := range []job{waits, runs} {
		if state, outcome := t.settledAs(a, j.id); outcome != "cancelled" {
			t.breach("%s: it was cancelled, and %s sees it as %s, %s", j.id, a, state, outcome)
		}
	}
	return nil
}

// ahead is how far the schedules lie in the future.
const ahead = 6 * time.Second

// schedules has each host, whatever its clock says, bring in jobs for later: by a delay, by
// a time, and as a file with a delay. The file server's clock decides when they start.
func (t *trial) schedules(ctx context.Context) error {
	type plan struct {
		id, host   string
		from, to   float64 // when it was brought in, on the jobs' clock
		least, may time.Duration
	}
	var plans []plan
	for _, h := range t.hosts {
		for _, kind := range []string{"delay", "time", "drop"} {
			p := plan{id: "schedule-" + kind + "-" + h, host: h, least: ahead}
			j := job{id: p.id, least: 1, most: 1, doc: map[string]any{"command": fmt.Sprintf(framed, ":"), "run_at": fmt.Sprintf("+%ds", int(ahead.Seconds()))}}
			t.extra = append(t.extra, j)
			p.from = uptime()
			switch kind {
			case "time":
				j.doc["run_at"] = time.Now().Add(ahead).UTC().Format(time.RFC3339Nano) // this is the file server
				t.enqueueFrom(ctx, h, []job{j})
			case "delay":
				t.enqueueFrom(ctx, h, []job{j})
			case "drop":
				// From when somebody takes it, which is when it has been still for a while.
				p.may = 5*time.Second + pollBound
				if err := t.dropFrom(h, []job{j}); err != nil {
					return err
				}
			}
			p.to = uptime()
			plans = append(plans, p)
		}
	}
	worst := 0.0
	for _, p := range plans {
		limit := p.least + p.may + pollBound + t.slowness()
		began, ok := t.awaitStart(ctx, p.id, 1, limit)
		if !ok {
			continue
		}
		// A name has milliseconds, this clock hundredths.
		if early := p.from + p.least.Seconds() - began.at; early > 0.02 {
			t.breach("%s: it began %.2f s too early", p.id, early)
		}
		late := began.at - p.to - p.least.Seconds()
		if late > (limit - p.least).Seconds() {
			t.breach("%s: it began %.1f s late", p.id, late)
		}
		if p.may == 0 {
			worst = max(worst, late)
		}
	}
	t.figure("schedules", "hosts' clocks are wrong by %v, and %d jobs began in time, at most %.1f s late", skews[:min(len(t.hosts), len(skews))], len(plans), worst)
	return nil
}

// pollBound is the longest time between two looks of an idle worker.
const pollBound = 5 * time.Second

// calls counts the requests that the server has had.
func calls() (n int, err error) {
	data, err := os.ReadFile("/proc/net/rpc/nfsd")
	if err != nil {
		return 0, err
	}
	// "rpc CALLS BAD…" is one of its lines.
	for _, l := range splitLines(data) {
		if _, err := fmt.Sscanf(l, "rpc %d", &n); err == nil {
			return n, nil
		}
	}
	return 0, fmt.Errorf("/proc/net/rpc/nfsd has no line rpc")
}

// idle measures what idle hosts cost the server and how soon a job of one host starts on
// another, with workers as they are by default, and stops them from elsewhere.
func (t *trial) idle(ctx context.Context) error {
	if err := t.stop(t.host(), "--all"); err != nil {
		return err
	}
	if _, err := t.queuectl("config", "unset", "lease"); err != nil {
		return err
	}
	for _, h := range t.hosts {
		if err := t.staff(h, 1); err != nil {
			return err
		}
	}
	if !until(ctx, t.patience, func() bool { return t.ready() }) {
		return ctx.Err()
	}
	if err := t.idleLoad(ctx); err != nil {
		return err
	}
	// One worker stays, so that it is its looks that are timed.
	last := t.hosts[0]
	for _, h := range t.hosts[1:] {
		if err := t.stop(t.otherThan(h), "--host", h); err != nil {
			return err
		}
	}
	if left := t.staffOf(""); len(left) != 1 || left[0].host != last {
		t.breach("worker stop --host has left %d workers", len(left))
	}
	if err := t.idleLoad(ctx); err != nil {
		return err
	}
	if err := t.page(ctx, t.otherThan(last), last); err != nil {
		return err
	}
	if err := t.latency(ctx, "start on an idle host", 3, pollBound+time.Second); err != nil {
		return err
	}
	if err := t.latency(ctx, "start on a busy host", 5, 0); err != nil {
		return err
	}
	if err := t.stop(t.otherThan(last), "--all"); err != nil {
		return err
	}
	return t.price(last)
}

// price counts what jobs that do nothing cost the server when nothing else is asked of it:
// to bring them in, and to claim, run and settle them, with what it takes to start and end
// the two programs. They have a spool of their own, which nobody judges.
func (t *trial) price(host string) error {
	const n = 100
	queuectl := func(stdin string, args ...string) (requests float64, err error) {
		before, err := calls()
		if err != nil {
			return 0, err
		}
		cmd := t.command(host, args...)
		cmd.Stdin, cmd.Env = strings.NewReader(stdin), append(cmd.Env, "QUEUECTL_SPOOL="+filepath.Join(shared, "price"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return 0, fmt.Errorf("queuectl %q: %w: %s", args, err, out)
		}
		after, err := calls()
		return float64(after-before) / n, err
	}
	if _, err := queuectl("", "init"); err != nil {
		return err
	}
	enqueue, err := queuectl(strings.Repeat(`{"command":"true"}`+"\n", n), "enqueue", "-")
	if err != nil {
		return err
	}
	run, err := queuectl("", "worker", "start", "--drain", "--count", "2")
	if err != nil {
		return err
	}
	t.figure("price", "of %d jobs at once: %.1f requests each to enqueue them, %.1f to run them", n, enqueue, run)
	return nil
}

// idleLoad counts what the workers that are there ask of the server.
func (t *trial) idleLoad(ctx context.Context) error {
	load, err := t.load(ctx)
	if err == nil {
		t.figure("idle", "%d hosts with a worker each: %.1f requests a second in all", len(t.staffOf("")), load)
	}
	return err
}

// load counts the requests to the server in a second while there is nothing to do: over some
// of the longest pauses.
func (t *trial) load(ctx context.Context) (perSecond float64, err error) {
	// The time between looks grows to its bound while nothing happens.
	if !t.pause(ctx, nil, 2*pollBound) {
		return 0, ctx.Err()
	}
	before, err := calls()
	if err != nil {
		return 0, err
	}
	from := time.Now()
	if !t.pause(ctx, nil, 30*time.Second) {
		return 0, ctx.Err()
	}
	after, err := calls()
	return float64(after-before) / time.Since(from).Seconds(), err
}

// ready reports whether all workers that run are registered.
func (t *trial) ready() bool {
	for _, w := range t.staffOf("") {
		if w.registrations() == 0 {
			return false
		}
	}
	return true
}

// latency times jobs from the moment in which one host is told that they are enqueued, to
// their start on another.
func (t *trial) latency(ctx context.Context, name string, n int, pause time.Duration) error {
	var most, sum float64
	for i := range n {
		if !t.pause(ctx, nil, pause) {
			return ctx.Err()
		}
		j := job{id: fmt.Sprintf("latency-%d-%d", int(pause.Seconds()), i), least: 1, most: 1, doc: map[string]any{"command": fmt.Sprintf(framed, ":")}}
		t.extra = append(t.extra, j)
		t.enqueueFrom(ctx, t.otherThan(t.hosts[0]), []job{j})
		at := uptime()
		began, ok := t.awaitStart(ctx, j.id, 1, t.patience)
		if !ok {
			return ctx.Err()
		}
		took := max(began.at-at, 0)
		most, sum = max(most, took), sum+took
	}
	t.figure(name, "%.1f s after its enqueue on another host, at most %.1f s, of %d", sum/float64(n), most, n)
	if limit := pollBound + t.slowness(); most > limit.Seconds() {
		t.breach("%s: %.1f s, the bound is %v", name, most, pollBound)
	}
	return t.settled(ctx, 500*time.Millisecond)
}

// stop has workers stopped by a command on a host, and waits until all that it means have
// ended.
func (t *trial) stop(from string, args ...string) error {
	var meant []*worker
	for _, w := range t.staffOf("") {
		if args[0] == "--all" || w.host == args[1] {
			w.dismissed.Store(true)
			meant = append(meant, w)
		}
	}
	began := time.Now()
	if _, err := t.queuectlOn(from, append([]string{"worker", "stop"}, args...)...); err != nil {
		t.breach("worker stop %q on %s: %v", args, from, err)
	}
	t.figure("worker stop", "%q on %s: %d workers, in %s", args, from, len(meant), waited(time.Since(began)))
	for _, w := range meant {
		select {
		case <-w.exited:
			if w.err != nil {
				t.breach("a worker on %s that was told to stop: %v", w.host, w.err)
			}
		case <-time.After(t.slowness()):
			t.breach("worker stop has come back, and a worker on %s goes on", w.host)
		}
	}
	return nil
}

// lostReplies are the renames that the server had done although a program heard of an
// error, where programs are built to write them down.
func (t *trial) lostReplies() int {
	data, err := os.ReadFile(filepath.Join(t.dir, "witness"))
	if err != nil {
		return 0
	}
	return len(splitLines(data))
}
