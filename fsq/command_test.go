package fsq

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// waitUntil polls, as nothing here can be told of a change in the system.
func waitUntil(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(hang); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// readPid waits for a process to write its number, with a line's end, to a
// file.
func readPid(t *testing.T, path string) int {
	t.Helper()
	var pid int
	waitUntil(t, path+" is written", func() bool {
		text, err := os.ReadFile(path)
		if err != nil || !bytes.HasSuffix(text, []byte("\n")) {
			return false
		}
		pid, err = strconv.Atoi(string(bytes.TrimSpace(text)))
		return err == nil
	})
	return pid
}

// running says whether a process exists and is no zombie.
func running(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) || !exists("/proc/self/stat")
	}
	state := string(stat[bytes.LastIndexByte(stat, ')')+2:])
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// newRun is a run of the command in a directory of its own with output files.
func newRun(t *testing.T, c Command) *Run {
	t.Helper()
	dir := t.TempDir()
	r := &Run{
		Job: Job{Command: c, Cwd: dir}, ID: "job-1", Attempt: 2, MaxRetries: 3,
		Worker: "worker-1", Spool: "/spool", KillGrace: hang,
	}
	for name, f := range map[string]**os.File{"out": &r.Stdout, "err": &r.Stderr} {
		file, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		*f = file
	}
	return r
}

func shell(script string) Command { return Command{Shell: script} }

func stdout(t *testing.T, r *Run) string {
	t.Helper()
	text, err := os.ReadFile(r.Stdout.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func handle(t *testing.T, r *Run) error {
	t.Helper()
	return CommandHandler{}.Handle(t.Context(), r)
}

func TestCommandEnds(t *testing.T) {
	for _, c := range []struct {
		command Command
		want    error
	}{
		{shell("exit 0"), nil},
		{shell("exit 3"), &ExitError{Code: 3}},
		{shell("exit 255"), &ExitError{Code: 255}},
		{shell("kill -TERM $$"), &ExitError{Code: -1, Signal: "SIGTERM"}},
		{shell("kill -KILL $$"), &ExitError{Code: -1, Signal: "SIGKILL"}},
		{Command{Args: []string{"true"}}, nil},
		{Command{Args: []string{"false"}}, &ExitError{Code: 1}},
		{Command{Args: []string{"/bin/sh", "-c", "exit 9"}}, &ExitError{Code: 9}},
	} {
		err := handle(t, newRun(t, c.command))
		var got *ExitError
		errors.As(err, &got)
		var want *ExitError
		errors.As(c.want, &want)
		switch {
		case want == nil && err != nil, want != nil && (got == nil || *got != *want):
			t.Errorf("%v: %v, want %v", c.command, err, c.want)
		}
	}
}

func TestCommandArgumentsAreExact(t *testing.T) {
	args := []string{"printf", "[%s]", "a b", "", "$HOME", "*", "'\"", "x\ny", "--"}
	r := newRun(t, Command{Args: args})
	if err := handle(t, r); err != nil {
		t.Fatal(err)
	}
	if got, want := stdout(t, r), "["+strings.Join(args[2:], "][")+"]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCommandOutputsAreApart(t *testing.T) {
	r := newRun(t, shell("echo one; echo two >&2"))
	if err := handle(t, r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.Stderr.Name())
	if got := stdout(t, r); got != "one\n" || string(text) != "two\n" || err != nil {
		t.Errorf("out %q, err %q, %v", got, text, err)
	}
	r = newRun(t, shell("echo one; echo two >&2"))
	r.Stdout, r.Stderr = nil, nil
	if err := handle(t, r); err != nil {
		t.Errorf("without output files: %v", err)
	}
}

func TestCommandStdin(t *testing.T) {
	big := strings.Repeat("0123456789abcde\n", 1<<16) // no pipe holds it
	for _, c := range []struct{ script, stdin, want string }{
		{"cat", "", ""},
		{"cat", "a\nb", "a\nb"},
		{"wc -c | tr -d ' '", big, strconv.Itoa(len(big)) + "\n"},
		{"echo not read", big, "not read\n"},
		{"head -n 1", big, big[:16]},
	} {
		r := newRun(t, shell(c.script))
		r.Job.Stdin = c.stdin
		if err := handle(t, r); err != nil {
			t.Errorf("%s: %v", c.script, err)
		}
		if got := stdout(t, r); got != c.want {
			t.Errorf("%s: %.40q, want %.40q", c.script, got, c.want)
		}
	}
	f, err := tempStdin("text")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if got := make([]byte, 5); exists(f.Name()) {
		t.Errorf("%s is still there", f.Name())
	} else if n, _ := f.Read(got); string(got[:n]) != "text" {
		t.Errorf("got %q", got[:n])
	}
}

func TestCommandEnvironment(t *testing.T) {
	t.Setenv("FROM_WORKER", "worker's")
	t.Setenv("FROM_BOTH", "worker's")
	t.Setenv("QUEUECTL_ATTEMPT", "99") // a worker that is a job itself
	r := newRun(t, shell(`echo "$FROM_WORKER, $FROM_BOTH, $QUEUECTL_JOB_ID, $QUEUECTL_ATTEMPT,`+
		` $QUEUECTL_MAX_RETRIES, $QUEUECTL_SPOOL, $QUEUECTL_WORKER, $PWD"; env | grep -c ATTEMPT=`))
	r.Job.Env = map[string]string{"FROM_BOTH": "a = b", "QUEUECTL_JOB_ID": "forged", "PWD": "/forged"}
	if err := handle(t, r); err != nil {
		t.Fatal(err)
	}
	want := "worker's, a = b, job-1, 2, 3, /spool, worker-1, " + r.Job.Cwd + "\n1\n"
	if got := stdout(t, r); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestCommandDirectory(t *testing.T) {
	r := newRun(t, shell("pwd"))
	parent := filepath.Dir(r.Job.Cwd)
	t.Chdir(parent)
	for _, cwd := range []string{"", ".", filepath.Base(r.Job.Cwd), r.Job.Cwd} {
		want := filepath.Join(parent, cwd)
		if filepath.IsAbs(cwd) {
			want = cwd
		}
		if err := r.Stdout.Truncate(0); err != nil {
			t.Fatal(err)
		}
		r.Job.Cwd = cwd
		if err := handle(t, r); err != nil {
			t.Errorf("cwd %q: %v", cwd, err)
		}
		if got := strings.TrimSpace(stdout(t, r)); got != want {
			t.Errorf("cwd %q: ran in %s, want %s", cwd, got, want)
		}
	}
}

func TestCommandIsFoundByItsOwnPath(t *testing.T) {
	for _, c := range []struct{ path, program string }{
		{"%/bin", "tool"},
		{"/nowhere:%/data:%/bin", "tool"}, // data/tool is not executable
		{"bin", "tool"},                   // relative to the job's directory
		{"/nowhere", "./bin/tool"},
	} {
		r := newRun(t, Command{Args: []string{c.program}})
		writeTool(t, r.Job.Cwd)
		r.Job.Env = map[string]string{"PATH": strings.ReplaceAll(c.path, "%", r.Job.Cwd)}
		if err := handle(t, r); err != nil {
			t.Errorf("%+v: %v", c, err)
		} else if got := stdout(t, r); got != "found\n" {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// writeTool makes bin/tool, which runs, and three that do not. The scripts are
// written by another process: a descriptor open for writing that a concurrent
// fork has inherited would make execve fail with "text file busy".
func writeTool(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command("sh", "-ec", `mkdir bin data
		printf '#!/bin/sh\necho found\n' >bin/tool
		printf '#!/nowhere/sh\n' >bin/orphaned
		echo not a program >bin/text
		cp bin/tool data/tool
		chmod +x bin/*`)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestCommandThatCannotStart(t *testing.T) {
	for _, c := range []struct {
		name string
		job  Job
		code int
		text string
	}{
		{"no such program", Job{Command: Command{Args: []string{"no-such-program"}}}, 127, `"no-such-program": not found in PATH`},
		{"no such path", Job{Command: Command{Args: []string{"./nothing"}}}, 127, "no such program"},
		{"no interpreter", Job{Command: Command{Args: []string{"bin/orphaned"}}}, 127, "interpreter is missing"},
		{"empty name", Job{Command: Command{Args: []string{""}}}, 127, "name is empty"},
		{"not executable", Job{Command: Command{Args: []string{"data/tool"}}}, 126, "permission denied"},
		{"not executable in PATH", Job{Command: Command{Args: []string{"tool"}}, Env: map[string]string{"PATH": "data"}}, 126, "data/tool is not executable"},
		{"not a program", Job{Command: Command{Args: []string{"bin/text"}}}, 126, "exec format error"},
		{"a directory", Job{Command: Command{Args: []string{"/"}}}, 126, "permission denied"},
		{"no directory", Job{Command: shell("true"), Cwd: "/no/such/dir"}, 126, `working directory "/no/such/dir" does not exist`},
		{"file as directory", Job{Command: shell("true"), Cwd: "/dev/null"}, 126, "not a directory"},
		{"too long", Job{Command: Command{Args: []string{"echo", strings.Repeat("x", 8<<20)}}}, 126, "argument list too long"},
	} {
		r := newRun(t, Command{})
		writeTool(t, r.Job.Cwd)
		if c.job.Cwd == "" {
			c.job.Cwd = r.Job.Cwd
		}
		r.Job = c.job
		var got *StartError
		if err := handle(t, r); !errors.As(err, &got) {
			t.Errorf("%s: %v", c.name, err)
		} else if got.Code != c.code || !strings.Contains(got.Error(), c.text) {
			t.Errorf("%s: code %d, %q; want code %d, %q", c.name, got.Code, got, c.code, c.text)
		}
	}
}

func TestCommandIsNotStartedTooLate(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ErrInterrupted)
	r := newRun(t, shell("echo ran"))
	if err := (CommandHandler{}).Handle(ctx, r); !errors.Is(err, ErrInterrupted) {
		t.Errorf("got %v", err)
	}
	if got := stdout(t, r); got != "" {
		t.Errorf("it ran: %q", got)
	}
}

func TestCommandInheritsTheLockAndNothingElse(t *testing.T) {
	r := newRun(t, shell("echo locked >/dev/fd/20; for n in 3 4 5 6 7 8 9; do (: >&$n) 2>/dev/null && echo $n; done; :"))
	path := filepath.Join(r.Job.Cwd, "lock")
	lock, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	r.lock = lock
	if err := handle(t, r); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); string(text) != "locked\n" || stdout(t, r) != "" {
		t.Errorf("lock file: %q, %v; other descriptors: %q", text, err, stdout(t, r))
	}
}
