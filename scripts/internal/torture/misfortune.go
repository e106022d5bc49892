package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// misfortunes befall the hosts while they work, one after the other, so that it is clear
// what each excuses.
func (t *trial) misfortunes(ctx context.Context) error {
	if !until(ctx, t.patience, func() bool { return len(t.lines()) > min(t.options.jobs/20, 60) }) {
		if ctx.Err() == nil {
			t.breach("the jobs have written no more than %d lines in %v", len(t.lines()), t.patience)
		}
		return ctx.Err()
	}
	for _, m := range []struct {
		name    string
		befalls func(context.Context) error
	}{
		{"the file server is restarted", t.restartServer},
		{"workers are suspended past their lease", t.suspendWorkers},
		{"a host is cut off", t.cutOff},
		{"a host is switched off", t.switchOff},
	} {
		fmt.Fprintf(t.out, "  [%4.0f s] now %s\n", time.Since(t.began).Seconds(), m.name)
		if err := m.befalls(ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		t.survived("while " + m.name)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// bound is what a job of a worker that has fallen silent waits at most, until it runs
// elsewhere: a lease and a sweep, of a quarter of a lease and a quarter of that more.
func (t *trial) bound() time.Duration { return t.lease + t.lease*5/16 }

// probe is a job of which there must be a first attempt that lasts, whoever takes it.
type probe struct {
	id     string
	first  line // of the first attempt
	worker *worker
}

// stays is a job whose first attempt does not end, ends one whose first attempt does when
// it is let.
const (
	stays = `[ "$QUEUECTL_ATTEMPT" != 1 ] || exec sleep 1000`
	ends1 = `[ "$QUEUECTL_ATTEMPT" != 1 ] || while [ ! -e "$TORTURE/$QUEUECTL_JOB_ID.go" ]; do sleep 0.2; done`
)

// sendProbe enqueues a job that goes before all others, and waits until it runs.
func (t *trial) sendProbe(ctx context.Context, id, script string) (p probe, ok bool) {
	p.id = id
	j := job{id: id, doc: map[string]any{"command": fmt.Sprintf(framed, script), "priority": 900}, least: 1, most: 1}
	t.mu.Lock()
	t.extra = append(t.extra, j)
	t.mu.Unlock()
	t.enqueueFrom(ctx, t.host(), []job{j})
	if p.first, ok = t.awaitStart(ctx, id, 1, t.patience); !ok {
		return p, false
	}
	// The job may be quicker than the line by which its worker tells its name.
	ok = until(ctx, t.slowness(), func() bool {
		p.worker = t.workerCalled(p.first.worker)
		return p.worker != nil
	})
	if !ok {
		t.breach("%s runs on worker %s, which nobody has started", id, p.first.worker)
	}
	return p, ok
}

func (t *trial) workerCalled(name string) *worker {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.all {
		if w.called(name) {
			return w
		}
	}
	return nil
}

func (t *trial) letEnd(p probe) error {
	return os.WriteFile(filepath.Join(t.dir, p.id+".go"), nil, 0o600)
}

// processesOf are those that run the first attempt of a job on any host, as their environment
// tells. What has begun to exit has none any more.
func processesOf(id string) (pids []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is right
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		env := "\x00" + string(data)
		if strings.Contains(env, "\x00QUEUECTL_JOB_ID="+id+"\x00") && strings.Contains(env, "\x00QUEUECTL_ATTEMPT=1\x00") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// restartServer restarts the file server under load. If that is asked for the replies to
// one host are lost on their way just before: what that one wanted last is done, and it
// will ask for it again.
func (t *trial) restartServer(ctx context.Context) error {
	began := make(map[*worker]int)
	for _, w := range t.staffOf("") {
		began[w] = t.startsOf(w)
	}
	from := time.Now()
	calls, lost := [][]string{{"nfs_server_restart", "1"}}, "no replies were lost on purpose"
	if t.deaf {
		deaf := t.host()
		lost = "replies to " + deaf + " were lost"
		calls = [][]string{
			{"netem", deaf, "loss", "100%"},
			{"sleep", "0.5"}, // for calls to come in whose replies do not get out
			calls[0],
			{"netem", deaf, "off"},
		}
	}
	for _, call := range calls {
		if err := helper(call...); err != nil {
			return err
		}
	}
	back := time.Now()
	t.figure("server restarted", "it was away for %.1f s, %s", back.Sub(from).Seconds(), lost)
	for w := range began {
		began[w] = t.startsOf(w)
	}
	first, looks := true, 0
	until(ctx, t.patience, func() bool {
		waits := false
		for w, n := range began {
			if t.startsOf(w) == n && !exited(w) {
				waits = true
			} else if first {
				first = false
				t.figure("server restarted", "a job began %.1f s later", time.Since(back).Seconds())
			}
		}
		if looks++; waits && looks%10 == 0 { // a count costs more than a look
			c, err := t.counts(t.host())
			return err == nil && c.Pending == 0
		}
		return !waits
	})
	stalled := time.Since(from)
	t.figure("server restarted", "after %.1f s all workers work", time.Since(back).Seconds())
	// Who was not heard for so long has stopped its jobs, as it must.
	if stalled >= t.lease*2/3 {
		for w := range began {
			w.note(hit{from, time.Now()})
		}
	}
	return nil
}

// startsOf counts the jobs that a worker has begun.
func (t *trial) startsOf(w *worker) (n int) {
	for _, l := range t.lines() {
		if l.kind == begins && w.called(l.worker) {
			n++
		}
	}
	return n
}

// suspendWorkers stops workers for longer than their lease. One of them has a job that
// would go on for ever, and one has a job that ends meanwhile.
func (t *trial) suspendWorkers(ctx context.Context) error {
	stay, ok := t.sendProbe(ctx, "probe-suspend-stay", stays)
	if !ok {
		return ctx.Err()
	}
	end, ok := t.sendProbe(ctx, "probe-suspend-end", ends1)
	if !ok {
		return ctx.Err()
	}
	at := uptime()
	victims := map[*worker]int{stay.worker: stay.worker.registrations(), end.worker: end.worker.registrations()}
	for w := range victims {
		if err := w.signalWorker(syscall.SIGSTOP); err != nil {
			return err
		}
		t.add(&t.count.long)
	}
	if err := t.letEnd(end); err != nil {
		return err
	}
	t.reran(ctx, "suspended worker", at, stay, end)
	for w := range victims {
		if err := w.signalWorker(syscall.SIGCONT); err != nil {
			return err
		}
	}
	t.cameBack(ctx, victims, at, stay, end)
	return nil
}

// cutOff parts a host from the file server and from all others, for longer than its
// workers' lease.
func (t *trial) cutOff(ctx context.Context) error {
	stay, ok := t.sendProbe(ctx, "probe-cutoff-stay", stays)
	if !ok {
		return ctx.Err()
	}
	end, ok := t.sendProbe(ctx, "probe-cutoff-end", ends1)
	if !ok {
		return ctx.Err()
	}
	host := stay.worker.host
	at := uptime()
	victims := make(map[*worker]int)
	for _, w := range t.staffOf(host) {
		victims[w] = w.registrations()
	}
	t.setDown(host, true) // nobody can enqueue from there
	if err := helper("partition", host); err != nil {
		return err
	}
	if err := t.letEnd(end); err != nil {
		return err
	}
	probes := []probe{stay}
	if end.worker.host == host {
		probes = append(probes, end)
	}
	t.reran(ctx, "host cut off", at, probes...)
	// It must have stopped them by itself, before others could take it for dead.
	for _, p := range probes {
		if pids := processesOf(p.id); len(pids) > 0 {
			t.breach("%s: it runs elsewhere, and processes %v on %s, which was cut off, go on with it", p.id, pids, host)
		}
	}
	if err := helper("heal", host); err != nil {
		return err
	}
	t.setDown(host, false)
	t.cameBack(ctx, victims, 0, probes...)
	return nil
}

// reran waits until probes run elsewhere, and tells how long that took.
func (t *trial) reran(ctx context.Context, whose string, from float64, probes ...probe) {
	for _, p := range probes {
		again, ok := t.awaitStart(ctx, p.id, 2, t.bound()+t.patience)
		if !ok {
			continue
		}
		w := t.workerCalled(again.worker)
		where := "?"
		if w != nil {
			where = w.host
		}
		t.figure(whose, "its job ran again %.1f s later, on %s (lease + sweep: %.1f s)", again.at-from, where, t.bound().Seconds())
	}
}

// cameBack waits until workers that were taken for dead have noticed: they are registered
// anew, what they ran is stopped, and their results were refused. at is from when, on the
// jobs' clock, they were suspended; 0 if they were not, and could stop their jobs in time.
func (t *trial) cameBack(ctx context.Context, victims map[*worker]int, at float64, probes ...probe) {
	back := time.Now()
	for w, n := range victims {
		if !until(ctx, t.lease+t.slowness()+t.patience, func() bool { return w.registrations() > n || exited(w) }) {
			t.breach("a worker on %s that had been taken for dead has not registered anew", w.host)
		}
	}
	t.figure("back again", "%d workers registered anew within %.1f s", len(victims), time.Since(back).Seconds())
	for _, p := range probes {
		if !until(ctx, t.slowness(), func() bool { return p.worker.refused(p.id) && len(processesOf(p.id)) == 0 }) {
			t.breach("%s: its first worker has come back; refused: %v; processes that go on with it: %v", p.id, p.worker.refused(p.id), processesOf(p.id))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for w := range victims {
		for _, name := range w.namesBefore() {
			t.pardoned[name] = true
			if at != 0 {
				// The last heartbeat can have been a while before.
				t.lapses = append(t.lapses, lapse{name, at + t.lease.Seconds()*3/4, uptime()})
			}
		}
	}
}

// switchOff takes a host's power away, and boots it again.
func (t *trial) switchOff(ctx context.Context) error {
	stay, ok := t.sendProbe(ctx, "probe-off-stay", stays)
	if !ok {
		return ctx.Err()
	}
	host := stay.worker.host
	gone := t.staffOf(host)
	from, at := time.Now(), uptime()
	for _, w := range gone {
		w.dismissed.Store(true)
		w.powerless.Store(true)
	}
	t.setDown(host, true)
	if err := helper("crash_host", host); err != nil {
		return err
	}
	// Nobody waits for their ends: what runs on a host without power can hang in exit.
	for _, w := range gone {
		w.note(hit{from, time.Now()})
		t.add(&t.count.kills)
	}
	t.reran(ctx, "host switched off", at, stay)
	if err := helper("boot_host", host); err != nil {
		return err
	}
	t.setDown(host, false)
	return t.staff(host, workersPerHost)
}

// signalWorker reaches the worker itself, where "on" passes only some signals on.
func (w *worker) signalWorker(s syscall.Signal) error {
	out, err := exec.Command("child_of", strconv.Itoa(w.cmd.Process.Pid)).Output()
	if err != nil {
		return fmt.Errorf("child_of: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		return err
	}
	return syscall.Kill(pid, s)
}

// waited is how long something took, to be printed.
func waited(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s" }
