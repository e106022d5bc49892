package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// The tests that kill processes run the program as users build it, not this test
// binary under its name: nothing of the test framework may be in the way.
var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func binary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "queuectl-built-"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "queuectl")
		out, err := exec.Command("go", "build", "-o", built.path, ".").CombinedOutput()
		if err != nil {
			built.err = errors.New("go build: " + err.Error() + "\n" + string(out))
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// withBinary removes what binary has built after the last test.
type withBinary struct{ m *testing.M }

func (w withBinary) Run() int {
	defer func() {
		if built.dir != "" {
			_ = os.RemoveAll(built.dir)
		}
	}()
	return w.m.Run()
}

// hangGuard bounds every wait for a condition. It is no expectation of speed: these
// tests also pass on a machine that is twenty times overloaded.
const hangGuard = 3 * time.Minute

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	pause := 5 * time.Millisecond
	for end := time.Now().Add(hangGuard); !holds(); pause = min(pause*5/4, 200*time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain: %s", hangGuard, what)
		}
		time.Sleep(pause)
	}
}

// rig is a spool of its own and what a test does to it by way of the program.
type rig struct {
	t     *testing.T
	bin   string
	dir   string // of the test; jobs find it in $DIR
	spool string
	env   []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigIn(t, t.TempDir())
}

// newRigIn has its spool in dir/spool.
func newRigIn(t *testing.T, dir string) *rig {
	t.Helper()
	r := &rig{t: t, bin: binary(t), dir: dir, spool: filepath.Join(dir, "spool")}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "QUEUECTL_") {
			r.env = append(r.env, kv)
		}
	}
	r.env = append(r.env, "QUEUECTL_SPOOL="+r.spool, "DIR="+dir)
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) command(args ...string) *exec.Cmd {
	cmd := exec.Command(r.bin, args...)
	cmd.Env = r.env
	return cmd
}

// run runs queuectl to its end, whatever that is.
func (r *rig) run(args ...string) result {
	r.t.Helper()
	return r.runCommand(r.command(args...))
}

func (r *rig) runCommand(cmd *exec.Cmd) result {
	r.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		r.t.Fatal(err)
	}
	return result{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// ok runs queuectl, which must succeed, and returns its stdout.
func (r *rig) ok(args ...string) string {
	r.t.Helper()
	res := r.run(args...)
	if res.code != 0 {
		r.t.Fatalf("queuectl %q: exit status %d\n%s%s", args, res.code, res.stdout, res.stderr)
	}
	return res.stdout
}

func (r *rig) decode(v any, args ...string) {
	r.t.Helper()
	out := r.ok(append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		r.t.Fatalf("queuectl %q: %v\n%s", args, err, out)
	}
}

// job is what is enqueued: the fields of its document.
type job map[string]any

func (j job) String() string {
	data, err := json.Marshal(j)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// batchSize keeps a command line far below the kernel's limit.
const batchSize = 500

func (r *rig) enqueue(jobs ...job) (ids []string) {
	r.t.Helper()
	for some := range slices.Chunk(jobs, batchSize) {
		args := []string{"enqueue"}
		for _, j := range some {
			args = append(args, j.String())
		}
		ids = append(ids, strings.Fields(r.ok(args...))...)
	}
	return ids
}

func (r *rig) status() (st fsq.Status) {
	r.t.Helper()
	r.decode(&st, "status")
	return st
}

// settled reports whether no job waits or runs any more.
func (r *rig) settled() bool {
	r.t.Helper()
	st := r.status()
	return st.Pending+st.Scheduled+st.Retrying+st.Processing+st.Dropped == 0
}

// list returns the jobs in some states, or all.
func (r *rig) list(states ...string) (jobs []fsq.JobInfo) {
	r.t.Helper()
	args := []string{"list", "--limit", "0"}
	if len(states) > 0 {
		args = append(args, "--state", strings.Join(states, ","))
	}
	var found struct{ Jobs []fsq.JobInfo }
	r.decode(&found, args...)
	jobs = found.Jobs
	return jobs
}

func (r *rig) show(id string) (j fsq.JobInfo) {
	r.t.Helper()
	r.decode(&j, "show", id)
	return j
}

// sound asserts that check finds nothing and that no worker or file on its way in has
// left anything.
func (r *rig) sound() {
	r.t.Helper()
	if res := r.run("check"); res.code != 0 {
		r.t.Errorf("check: exit status %d\n%s%s", res.code, res.stdout, res.stderr)
	}
	for _, f := range r.files("tmp", "processing", "workers", "ctl/drain", "ctl/interrupt", "rejected") {
		r.t.Errorf("left behind: %s", f)
	}
}

// files lists what is below directories of the spool.
func (r *rig) files(dirs ...string) (names []string) {
	r.t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(filepath.Join(r.spool, dir), func(path string, _ fs.DirEntry, err error) error {
			if rel, relErr := filepath.Rel(r.spool, path); relErr == nil && rel != dir {
				names = append(names, rel)
			}
			return err
		})
		if err != nil {
			r.t.Error(err)
		}
	}
	return names
}

// lines reads a file that jobs append lines to; one that is not there has none.
func (r *rig) lines(name string) []string {
	r.t.Helper()
	data, err := os.ReadFile(r.path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.t.Fatal(err)
	}
	return strings.Fields(string(data))
}

func (r *rig) touch(name string) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func tally(words []string) map[string]int {
	n := make(map[string]int)
	for _, w := range words {
		n[w]++
	}
	return n
}

// proc is a program in the background.
type proc struct {
	t      *testing.T
	cmd    *exec.Cmd
	exited chan struct{}

	mu     sync.Mutex
	events []fsq.Event
	parsed int // bytes of stdout that events were made of
	stdout bytes.Buffer
	stderr bytes.Buffer
}

// worker starts a worker; its events are kept.
func (r *rig) worker(args ...string) *proc {
	r.t.Helper()
	return r.background(append([]string{"worker", "start", "--json"}, args...)...)
}

func (r *rig) background(args ...string) *proc {
	r.t.Helper()
	return start(r.t, r.command(args...))
}

func start(t *testing.T, cmd *exec.Cmd) *proc {
	t.Helper()
	p := &proc{t: t, cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = lineWriter{p, p.event}, lineWriter{p, p.complaint}
	// A job that outlives the program must not keep Wait waiting for its output.
	cmd.WaitDelay = hangGuard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("%q, pid %d: %v\n%s%s", cmd.Args, cmd.Process.Pid, cmd.ProcessState, p.out(), p.complaints())
		}
	})
	return p
}

// lineWriter hands on what a program writes.
type lineWriter struct {
	p    *proc
	take func([]byte)
}

func (w lineWriter) Write(data []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	w.take(data)
	return len(data), nil
}

func (p *proc) complaint(data []byte) { p.stderr.Write(data) }

func (p *proc) event(data []byte) {
	p.stdout.Write(data)
	for line := range bytes.Lines(p.stdout.Bytes()[p.parsed:]) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		p.parsed += len(line)
		var e fsq.Event
		if json.Unmarshal(line, &e) == nil {
			p.events = append(p.events, e)
		}
	}
}

func (p *proc) out() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String()
}

func (p *proc) complaints() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// told returns the events of a kind, about a job if id is given.
func (p *proc) told(kind, id string) (found []fsq.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if e.Kind == kind && (id == "" || e.JobID == id) {
			found = append(found, e)
		}
	}
	return found
}

// awaitEvent waits for the first one and returns it.
func (p *proc) awaitEvent(kind, id string) fsq.Event {
	p.t.Helper()
	p.awaitEvents(1, kind, id)
	return p.told(kind, id)[0]
}

func (p *proc) awaitEvents(n int, kind, id string) {
	p.t.Helper()
	await(p.t, "a worker tells of "+kind+" "+id, func() bool {
		if len(p.told(kind, id)) >= n {
			return true
		}
		if p.hasExited() && len(p.told(kind, id)) < n {
			p.t.Fatalf("the worker ended before it told of %s %s", kind, id)
		}
		return false
	})
}

func (p *proc) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

func (p *proc) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// wait returns how the program ended.
func (p *proc) wait() syscall.WaitStatus {
	p.t.Helper()
	await(p.t, "the end of a program", p.hasExited)
	return p.cmd.ProcessState.Sys().(syscall.WaitStatus)
}

// kill is kill -9, and returns when the process is dead.
func (p *proc) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait()
}

// drain stops a worker as SIGTERM does, which must succeed.
func (p *proc) drain() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	if ws := p.wait(); ws.ExitStatus() != 0 {
		p.t.Errorf("after SIGTERM: %v", p.cmd.ProcessState)
	}
}

// runDry works what is there with one more worker until nothing is left to do.
func (r *rig) runDry(args ...string) {
	r.t.Helper()
	w := r.worker(args...)
	w.awaitEvent("ready", "") // sooner, SIGTERM would find no handler
	await(r.t, "all jobs are settled", r.settled)
	w.drain()
}
