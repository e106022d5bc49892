package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A trial on several hosts of the machine in scripts/internal/vm, which share the spool
// over NFS. This program runs beside the hosts, on the server, and calls the machine's
// helpers; the hosts' programs run through its command "on". The jobs write to a file
// that is on no share but is the same for all hosts, so the order of its lines is that
// in which things happened.

// shared is where the hosts mount what they share.
const shared = "/nfs"

// skews are the errors of the hosts' clocks, for programs that are built to heed them
// (scripts/test-nfs): nobody may be harmed by a wrong clock.
var skews = []time.Duration{0, 5 * time.Hour, -3 * time.Hour}

// clockSetting is the variable by which such a program is told of its error, in seconds.
const clockSetting = "TORTURE_CLOCK"

// witnessSetting names the file in which a program that is built for it writes down what
// the server had done although it heard of an error; see spool/witness.go.
const witnessSetting = "TORTURE_WITNESS"

// workersPerHost is how many processes work on each.
const workersPerHost = 2

// How slow the machine is shows in how long its boot took: quickBoot is what suffices for
// an emulated one on two CPUs that others use too. What takes its time is given as much
// more of it, the lease above all: a worker that gets no CPU for so long loses it.
const quickBoot = 24 * time.Second

// slower is how much slower the machine is than that; it never counts as quicker.
func slower(boot time.Duration) float64 { return max(1, boot.Seconds()/quickBoot.Seconds()) }

// slowness is what is granted to an emulated machine above each bound.
func (t *trial) slowness() time.Duration { return t.patience / 12 }

// cluster is what a trial on several hosts knows beside what any trial does. Its fields
// are guarded by the trial's mu.
type cluster struct {
	turn     int
	down     map[string]bool // hosts that were switched off
	extra    []job           // that were brought in for one purpose
	lapses   []lapse
	pardoned map[string]bool // workers that may have lost what they ran
	figures  []figure
	read     int64  // of the jobs' lines
	heard    []line // that were read
	asked    int    // how often an enqueue was told of an error and repeated
}

// figure is a measurement for the report.
type figure struct{ name, value string }

func (t *trial) figure(name, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := figure{name, fmt.Sprintf(format, args...)}
	t.figures = append(t.figures, f)
	fmt.Fprintf(t.out, "  [%4.0f s] %s: %s\n", time.Since(t.began).Seconds(), f.name, f.value)
}

// host is one where queuectl may be called, each in its turn; "" where there is only
// this one.
func (t *trial) host() string { return t.otherThan() }

// otherThan is one of the hosts that are up and are not named; "" if there is none.
func (t *trial) otherThan(names ...string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range t.hosts {
		t.turn++
		if h := t.hosts[t.turn%len(t.hosts)]; !t.down[h] && !slices.Contains(names, h) {
			return h
		}
	}
	return ""
}

func (t *trial) setDown(host string, down bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.down[host] = down
}

func (t *trial) isDown(host string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.down[host]
}

// command is queuectl with args, on a host if there are several.
func (t *trial) command(host string, args ...string) *exec.Cmd {
	if host == "" {
		cmd := exec.Command(t.binary, args...)
		cmd.Env = t.env
		return cmd
	}
	cmd := exec.Command("on", append([]string{host, t.binary}, args...)...)
	cmd.Env = t.env
	if i := slices.Index(t.hosts, host); i < len(skews) {
		cmd.Env = append(slices.Clip(t.env), fmt.Sprintf("%s=%d", clockSetting, int(skews[i].Seconds())))
	}
	return cmd
}

// helper calls one of the machine's.
func helper(args ...string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%q: %w: %s", args, err, out)
	}
	return nil
}

// runOnHosts is the trial: what befalls the hosts comes one after the other while all of
// them bring jobs in and work; what is measured comes when they are idle again.
func (t *trial) runOnHosts(ctx context.Context) (evidence, error) {
	if err := t.furnish(); err != nil {
		return evidence{}, err
	}
	defer t.killAll()
	t.began = time.Now()
	for _, h := range t.hosts {
		if err := t.staff(h, workersPerHost); err != nil {
			return evidence{}, err
		}
	}
	t.jobs = makeJobs(t.options.jobs, t.rand(0))
	var feeders sync.WaitGroup
	part := (len(t.jobs) + len(t.hosts) - 1) / len(t.hosts)
	errs := make([]error, len(t.hosts))
	for i, some := range slices.Collect(slices.Chunk(t.jobs, part)) {
		feeders.Go(func() { errs[i] = t.feedFrom(ctx, t.hosts[i], some, t.rand(uint64(i)+1)) })
	}
	misfortune := t.misfortunes(ctx)
	feeders.Wait()
	if err := errors.Join(append(errs, misfortune, ctx.Err())...); err != nil {
		return evidence{}, err
	}
	if err := t.settled(ctx, 2*time.Second); err != nil {
		return evidence{}, err
	}
	t.took = time.Since(t.began)
	for _, step := range []func(context.Context) error{t.anywhere, t.idle} {
		if err := step(ctx); err != nil {
			return evidence{}, err
		}
	}
	if err := t.check(); err != nil {
		return evidence{}, err
	}
	e, err := t.evidence()
	e.lapsed = t.lapses
	maps.Copy(e.excused, t.pardoned)
	e.jobs = append(slices.Clip(e.jobs), t.extra...)
	return e, err
}

// furnish makes the spool that all hosts share.
func (t *trial) furnish() error {
	slow := slower(time.Duration(uptime() * float64(time.Second)))
	t.lease, t.patience = time.Duration(float64(t.lease)*slow).Round(time.Second), time.Duration(float64(patience)*slow)
	fmt.Fprintf(t.out, "the machine was up after %.0f s; the lease is %v\n", uptime(), t.lease)
	t.down, t.pardoned = make(map[string]bool), make(map[string]bool)
	t.spool = filepath.Join(shared, "q")
	t.env = append(t.env, "QUEUECTL_SPOOL="+t.spool, witnessSetting+"="+filepath.Join(t.dir, "witness")) // the last one counts
	for _, dir := range []string{"flaky", "pids", "drops"} {
		if err := os.Mkdir(filepath.Join(t.dir, dir), 0o700); err != nil {
			return err
		}
	}
	if _, err := t.queuectl("init"); err != nil {
		return err
	}
	for _, kv := range t.settings() {
		if _, err := t.queuectl("config", "set", kv[0], kv[1]); err != nil {
			return err
		}
	}
	return nil
}

// staff starts n workers on a host.
func (t *trial) staff(host string, n int) error {
	for range n {
		if _, err := t.start(host); err != nil {
			return err
		}
	}
	return nil
}

// staffOf are the workers on a host, or on any if it is "".
func (t *trial) staffOf(host string) (some []*worker) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.all {
		if (host == "" || w.host == host) && !w.powerless.Load() && !exited(w) {
			some = append(some, w)
		}
	}
	return some
}

// survived reports each worker that ended by itself.
func (t *trial) survived(after string) {
	t.mu.Lock()
	all := slices.Clone(t.all)
	t.mu.Unlock()
	for _, w := range all {
		if exited(w) && !w.dismissed.Swap(true) {
			t.breach("a worker on %s ended by itself, %s: %v", w.host, after, w.err)
		}
	}
}

// counts are how many jobs are in which state.
type counts struct {
	Pending, Scheduled, Retrying, Processing, Dropped, Done, Dead, Rejected int
}

func (t *trial) counts(host string) (c counts, err error) {
	out, err := t.queuectlOn(host, "status", "--json")
	if err == nil {
		err = json.Unmarshal(out, &c)
	}
	return c, err
}

func (c counts) open() int { return c.Pending + c.Scheduled + c.Retrying + c.Processing + c.Dropped }

// progressEvery is how often a trial that only waits says that it is alive.
const progressEvery = time.Minute

// settled waits until no job is open. That none is lost between two looks, nor hidden
// from one, is for the judge.
func (t *trial) settled(ctx context.Context, every time.Duration) error {
	var last counts
	told := time.Now()
	for moved := time.Now(); ; {
		c, err := t.counts(t.host())
		if err != nil {
			return err
		}
		if c.open() == 0 {
			return nil
		}
		if time.Since(told) > progressEvery {
			told = time.Now()
			fmt.Fprintf(t.out, "  [%4.0f s] %d jobs are open, %d are done\n", time.Since(t.began).Seconds(), c.open(), c.Done)
		}
		if c != last {
			last, moved = c, time.Now()
		} else if time.Since(moved) > t.patience {
			t.breach("nothing has moved for %v: %+v", t.patience, c)
			return nil
		}
		if !t.pause(ctx, nil, every) {
			return ctx.Err()
		}
	}
}

// lines are what the jobs have written down so far.
func (t *trial) lines() []line {
	t.mu.Lock()
	defer t.mu.Unlock()
	f, err := os.Open(filepath.Join(t.dir, "ran"))
	if err != nil {
		return nil // no job has begun
	}
	defer f.Close()
	data := make([]byte, 1<<20)
	n, _ := f.ReadAt(data, t.read) // io.EOF, most of the time
	whole := data[:strings.LastIndexByte(string(data[:n]), '\n')+1]
	t.read += int64(len(whole))
	for s := range strings.Lines(string(whole)) {
		if l, err := parseLine(strings.TrimSuffix(s, "\n")); err == nil { // the judge reads them all, and refuses
			t.heard = append(t.heard, l)
		}
	}
	return t.heard
}

// begun is the line with which an attempt of a job began.
func (t *trial) begun(id string, attempt int) (line, bool) {
	for _, l := range t.lines() {
		if l.kind == begins && l.id == id && l.attempt >= attempt {
			return l, true
		}
	}
	return line{}, false
}

// awaitStart waits until an attempt of a job has begun, or a later one.
func (t *trial) awaitStart(ctx context.Context, id string, attempt int, within time.Duration) (l line, ok bool) {
	ok = until(ctx, within, func() (there bool) {
		l, there = t.begun(id, attempt)
		return there
	})
	if !ok && ctx.Err() == nil {
		t.breach("%s: attempt %d has not begun within %v", id, attempt, within)
	}
	return l, ok
}

// uptime is the clock of the jobs' lines: seconds since the machine's boot.
func uptime() float64 {
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	var at float64
	_, _ = fmt.Sscan(string(data), &at) // 0 tells nothing
	return at
}

// lookEvery is how often until asks: what it looks at costs an emulated machine much.
const lookEvery = 200 * time.Millisecond

// until asks again and again, and reports whether it came true in time.
func until(ctx context.Context, within time.Duration, come func() bool) bool {
	for end := time.Now().Add(within); ; time.Sleep(lookEvery) {
		if come() {
			return true
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return false
		}
	}
}

// splitLines are the lines of a small file.
func splitLines(data []byte) []string {
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}
