package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// trial is one run.
type trial struct {
	options
	out   io.Writer
	spool string
	env   []string
	jobs  []job

	mu       sync.Mutex
	breaches []string // what the programs say and do, beside what judge finds
	all      []*worker
	count    struct{ kills, short, long, dropped, mended int }
	cluster  // of several hosts
	patience time.Duration

	began time.Time
	took  time.Duration // until the last job was settled
}

func newTrial(o options, out io.Writer) *trial {
	t := &trial{options: o, out: out, spool: filepath.Join(o.dir, "spool"), patience: patience}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "QUEUECTL_") {
			t.env = append(t.env, kv)
		}
	}
	t.env = append(t.env, "QUEUECTL_SPOOL="+t.spool, "TORTURE="+o.dir)
	return t
}

// rand is a source of its own for each of several goroutines.
func (t *trial) rand(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(t.seed, stream)) }

func (t *trial) breach(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	t.breaches = append(t.breaches, text)
	if len(t.hosts) > 0 { // it is a long way to the report
		fmt.Fprintf(t.out, "  [%4.0f s] breach: %s\n", time.Since(t.began).Seconds(), text)
	}
}

// queuectl runs the program and returns its stdout. The error has its stderr.
func (t *trial) queuectl(args ...string) ([]byte, error) {
	return t.queuectlOn(t.host(), args...)
}

// queuectlOn is queuectl on one of several hosts.
func (t *trial) queuectlOn(host string, args ...string) ([]byte, error) {
	cmd := t.command(host, args...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out, fmt.Errorf("queuectl %.60q: %w: %s", args, err, exit.Stderr)
	}
	return out, err
}

// settings make losses frequent and their consequences quick.
func (t *trial) settings() [][2]string {
	return [][2]string{
		{"lease", t.lease.String()},
		{"max-lost", "100000"}, // no job dies of the torture
		{"backoff-max", "500ms"},
		{"kill-grace", "200ms"},
		{"output-limit", "64KiB"},
	}
}

func (t *trial) run(ctx context.Context) (evidence, error) {
	for _, dir := range []string{"flaky", "pids"} {
		if err := os.Mkdir(filepath.Join(t.dir, dir), 0o700); err != nil {
			return evidence{}, err
		}
	}
	if _, err := t.queuectl("init"); err != nil {
		return evidence{}, err
	}
	for _, kv := range t.settings() {
		if _, err := t.queuectl("config", "set", kv[0], kv[1]); err != nil {
			return evidence{}, err
		}
	}
	t.jobs = makeJobs(t.options.jobs, t.rand(0))
	t.began = time.Now()
	end := t.began.Add(time.Duration(t.seconds) * time.Second)
	tormented, cancel := context.WithDeadline(ctx, end)
	defer cancel()

	var group sync.WaitGroup
	errs := make([]error, t.workers+1)
	live := make([]*worker, t.workers)
	for i := range t.workers {
		group.Go(func() { live[i], errs[i] = t.torment(tormented, t.rand(uint64(i)+2)) })
	}
	group.Go(func() { errs[t.workers] = t.feed(ctx, end, t.rand(1)) })
	group.Wait()
	defer t.killAll()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return evidence{}, err
	}
	if err := t.finish(ctx, live); err != nil {
		return evidence{}, err
	}
	return t.collect()
}

// start starts a worker; host is "" where there is only this one.
func (t *trial) start(host string) (*worker, error) {
	log, err := os.OpenFile(filepath.Join(t.dir, "workers.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	w, err := startWorker(t.command(host, "worker", "start", "--json", "--count", fmt.Sprint(t.slots)), log)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	w.host = host
	t.all = append(t.all, w)
	return w, nil
}

// torment keeps one worker running and hits it again and again, until ctx is done. It
// returns the one that runs then.
func (t *trial) torment(ctx context.Context, r *rand.Rand) (w *worker, err error) {
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(r.Int64N(int64(most-least)))
	}
	for {
		if w == nil {
			if w, err = t.start(""); err != nil {
				return nil, err
			}
		}
		if !t.pause(ctx, w, between(100*time.Millisecond, 3*time.Second)) {
			return w, nil
		}
		if exited(w) {
			t.breach("a worker ended by itself: %v", w.err)
			w = nil
			continue
		}
		switch choice := r.IntN(10); {
		case choice < 5:
			t.kill(w)
			w = nil
			if !t.pause(ctx, nil, between(0, 500*time.Millisecond)) {
				return t.start("")
			}
		case choice < 7:
			t.suspend(w, between(0, t.lease*2/5), &t.count.short)
		default:
			t.suspend(w, between(t.lease*5/4, t.lease*5/2), &t.count.long)
		}
	}
}

// pause waits, less if w ends, and reports whether the torment goes on.
func (t *trial) pause(ctx context.Context, w *worker, d time.Duration) bool {
	var ended chan struct{}
	if w != nil {
		ended = w.exited
	}
	select {
	case <-ctx.Done():
		return false
	case <-ended:
	case <-time.After(d):
	}
	return true
}

func exited(w *worker) bool {
	select {
	case <-w.exited:
		return true
	default:
		return false
	}
}

func (t *trial) add(n *int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*n++
}

func (t *trial) kill(w *worker) {
	from := time.Now()
	w.signal(syscall.SIGKILL)
	<-w.exited
	w.note(hit{from, time.Now()})
	t.add(&t.count.kills)
}

// suspend stops a worker and lets it go on. It is excused if that took so long that
// another could take it for dead: a lease after the last heartbeat before.
func (t *trial) suspend(w *worker, d time.Duration, n *int) {
	from := time.Now()
	w.signal(syscall.SIGSTOP)
	time.Sleep(d)
	w.signal(syscall.SIGCONT)
	if to := time.Now(); to.Sub(from) >= t.lease*9/10 {
		w.note(hit{from, to})
	}
	t.add(n)
}

// batch is how many jobs one enqueue takes.
const batch = 40

// feed brings the jobs in, evenly until end: most by enqueue, one in ten as a file.
func (t *trial) feed(ctx context.Context, end time.Time, r *rand.Rand) error {
	step := time.Until(end) / time.Duration(len(t.jobs)/batch+1)
	for some := range slices.Chunk(t.jobs, batch) {
		args := []string{"enqueue"}
		for _, j := range some {
			if r.IntN(10) == 0 {
				if err := t.drop(j, r.IntN(3)); err != nil {
					return err
				}
				t.add(&t.count.dropped)
				continue
			}
			j.doc["id"] = j.id
			args = append(args, string(j.document()))
		}
		if len(args) > 1 {
			if _, err := t.queuectl(args...); err != nil {
				return err
			}
		}
		if !t.pause(ctx, nil, step*9/10) {
			return nil
		}
	}
	return nil
}

// drop puts a job's file into pending/ in one of three ways: it is moved there, or
// written there in two goes, or written under a name that nobody looks at and renamed.
// Its name is the job's id.
func (t *trial) drop(j job, way int) error {
	data, name := j.document(), filepath.Join(t.spool, "pending", j.id+".json")
	switch way {
	case 0:
		tmp := filepath.Join(t.dir, j.id)
		return errors.Join(os.WriteFile(tmp, data, 0o600), os.Rename(tmp, name))
	case 1:
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(data[:len(data)/2])
		time.Sleep(time.Millisecond)
		if err == nil {
			_, err = f.Write(data[len(data)/2:])
		}
		return errors.Join(err, f.Close())
	default:
		return errors.Join(os.WriteFile(name+".part", data, 0o600), os.Rename(name+".part", name))
	}
}

// patience is how long the workers may settle nothing at all before that counts as a
// hang.
const patience = 2 * time.Minute

// finish waits for the last job and has the workers drain.
func (t *trial) finish(ctx context.Context, live []*worker) error {
	var last string
	for moved := time.Now(); ; {
		var st struct{ Pending, Scheduled, Retrying, Processing, Dropped, Done, Dead, Rejected int }
		out, err := t.queuectl("status", "--json")
		if err == nil {
			err = json.Unmarshal(out, &st)
		}
		if err != nil {
			return err
		}
		if st.Pending+st.Scheduled+st.Retrying+st.Processing+st.Dropped == 0 {
			t.took = time.Since(t.began)
			break
		}
		if now := fmt.Sprint(st); now != last {
			last, moved = now, time.Now()
		} else if time.Since(moved) > patience {
			t.breach("nothing has moved for %v: %+v", patience, st)
			break
		}
		if !t.pause(ctx, nil, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
	for _, w := range live {
		w.signal(syscall.SIGTERM)
	}
	for _, w := range live {
		select {
		case <-w.exited:
			if w.err != nil {
				t.breach("a worker that was told to stop: %v", w.err)
			}
		case <-time.After(patience):
			t.breach("a worker that was told to stop goes on after %v", patience)
		}
	}
	return nil
}

func (t *trial) killAll() {
	t.mu.Lock()
	all := t.all
	t.mu.Unlock()
	for _, w := range all {
		w.signal(syscall.SIGKILL)
		if !w.powerless.Load() {
			<-w.exited
		}
	}
}

// collect reads what is left.
func (t *trial) collect() (e evidence, err error) {
	if err := t.check(); err != nil {
		return e, err
	}
	return t.evidence()
}

// evidence is what the spool, the workers and the jobs tell.
func (t *trial) evidence() (e evidence, err error) {
	e.jobs, e.excused = t.jobs, make(map[string]bool)
	for _, w := range t.all {
		w.excused(e.excused)
	}
	out, err := t.queuectl("list", "--limit", "0", "--json")
	if err == nil {
		found := struct{ Jobs *[]settled }{&e.settled}
		err = json.Unmarshal(out, &found)
	}
	if err != nil {
		return e, err
	}
	ran, err := os.Open(filepath.Join(t.dir, "ran"))
	if err != nil {
		return e, err
	}
	defer ran.Close()
	lines := bufio.NewScanner(ran)
	for lines.Scan() {
		l, err := parseLine(lines.Text())
		if err != nil {
			return e, err
		}
		e.lines = append(e.lines, l)
	}
	return e, lines.Err()
}

// check has queuectl verify the spool. What a worker leaves that is killed while it
// registers is no breach: check must name it and mend it, and then find nothing.
func (t *trial) check() error {
	for _, args := range [][]string{{"check", "--json", "--repair"}, {"check", "--json"}} {
		out, err := t.queuectl(args...)
		var found struct {
			Breaches []struct{ Code, Path, Problem string }
		}
		if jsonErr := json.Unmarshal(out, &found); jsonErr != nil {
			return errors.Join(err, jsonErr)
		}
		for _, b := range found.Breaches {
			if b.Code == "stale-tmp" && strings.HasPrefix(b.Path, "workers/") && len(args) == 3 {
				t.count.mended++
				continue
			}
			t.breach("check: %s %s: %s", b.Code, b.Path, b.Problem)
		}
		if err != nil && len(found.Breaches) == 0 {
			t.breach("check: %v", err)
		}
	}
	return nil
}
