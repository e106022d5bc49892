package fsq

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inOwnGroup starts a script that stays in the group of this process, as a command
// does that joins it as its first act.
func inOwnGroup(t *testing.T, dir, script string) (*process, error) {
	t.Helper()
	file := filepath.Join(dir, "script")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	return startProcess(file, []string{file}, &os.ProcAttr{Dir: dir, Env: os.Environ(), Files: []*os.File{null, null, null}}, nil)
}

// A command that joins its worker's group is run once. The script removes itself, so
// that a second start of it fails.
func TestCommandInTheWorkersGroupRunsOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := inOwnGroup(t, dir, "rm script; echo run >>runs; exit 7\n")
	if err != nil {
		t.Fatalf("it was started again: %v", err)
	}
	<-p.exited
	var exit *ExitError
	if err := p.reap(); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("it ended with %v", err)
	}
	if runs, err := os.ReadFile(filepath.Join(dir, "runs")); err != nil || strings.Count(string(runs), "run") != 1 {
		t.Errorf("runs: %q, %v", runs, err)
	}
}

// It can be stopped too, although it is in no group of its own.
func TestCommandInTheWorkersGroupIsStopped(t *testing.T) {
	t.Parallel()
	p, err := inOwnGroup(t, t.TempDir(), "rm script; exec sleep 1000\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	var exit *ExitError
	if err := p.reap(); !errors.As(err, &exit) || exit.Signal != "SIGTERM" {
		t.Errorf("it ended with %v", err)
	}
}

// What tells a command that a terminal has killed before it began from one that has
// ended: only the first is started again.
func TestReapOfADeadChild(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]bool{
		"kill -INT $$": true, "kill -QUIT $$": true, "kill -HUP $$": true,
		"kill -TERM $$": false, "kill -KILL $$": false, "exit 0": false, "exit 130": false,
	} {
		proc, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "ulimit -c 0; " + script}, &os.ProcAttr{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		var status *syscall.WaitStatus
		waitUntil(t, script+" is dead", func() bool {
			status, err = reapDead(proc)
			return err != nil || status != nil
		})
		if err != nil || fromTerminal(*status) != want {
			t.Errorf("%s: %v, %v, want %t", script, status, err, want)
		}
	}
	proc, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if status, err := reapDead(proc); status != nil || err != nil {
		t.Errorf("one that lives: %v, %v", status, err)
	}
	if err := errors.Join(proc.Signal(unix.SIGKILL), func() error { _, err := proc.Wait(); return err }()); err != nil {
		t.Error(err)
	}
}
