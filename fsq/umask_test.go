package fsq

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// Each job has its own umask, also beside others that start at the same time, and the
// worker keeps its own.
func TestUmaskIsTheJobsOwn(t *testing.T) {
	before := syscall.Umask(0o022)
	t.Cleanup(func() { syscall.Umask(before) })
	var all sync.WaitGroup
	for i := range 40 {
		r := newRun(t, shell("umask"))
		if i%2 == 0 {
			r.umask = "0022"
		}
		want := 0o022
		if i%4 > 0 {
			want = []int{0, 0o077, 0o007, 0o777}[i%4]
			r.Job.Umask = fmt.Sprintf("%03o", want)
		}
		all.Go(func() {
			err := CommandHandler{}.Handle(t.Context(), r)
			text, _ := os.ReadFile(r.Stdout.Name())
			if got := fmt.Sprintf("%04o\n", want); err != nil || string(text) != got {
				t.Errorf("umask %s, want %s (%v)", text, got, err)
			}
		})
	}
	all.Wait()
	if now := syscall.Umask(0o022); now != 0o022 {
		t.Errorf("the worker's umask is %04o", now)
	}
}

func TestOwnUmask(t *testing.T) {
	own := ownUmask()
	if own == "" {
		t.Skip("this system does not tell a process's umask")
	}
	if before := syscall.Umask(0o027); !sameUmask(own, fmt.Sprintf("%o", before)) {
		t.Errorf("it is %04o, told %q", before, own)
	} else {
		defer syscall.Umask(before)
	}
	if now := ownUmask(); !sameUmask(now, "027") || sameUmask(now, "") || sameUmask("", "") || sameUmask(now, "0022") {
		t.Errorf("told %q", now)
	}
}

// The way through a shell, for where a thread has no umask of its own: arguments and exit
// codes are what they are without it.
func TestUmaskUnderAShell(t *testing.T) {
	start := func(r *Run, path string) error {
		under, argv := underShell(path, r.Job.Command.Args, 0o027)
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		p, err := startProcess(under, argv, &os.ProcAttr{Dir: r.Job.Cwd, Env: os.Environ(), Files: []*os.File{null, r.Stdout, r.Stderr}, Sys: commandAttr()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		<-p.exited
		return p.reap()
	}
	args := []string{"printf", "[%s]", "a b", "", "$HOME", "*", "'\"", "x\ny", "-e", "--"}
	path, err := lookPath("printf", os.Getenv("PATH"), "/")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(t, Command{Args: args})
	if err := start(r, path); err != nil || stdout(t, r) != "["+strings.Join(args[2:], "][")+"]" {
		t.Errorf("%q, %v", stdout(t, r), err)
	}
	r = newRun(t, Command{Args: []string{"sh", "-c", "umask; exit 3"}})
	err = start(r, "/bin/sh")
	if exit := (*ExitError)(nil); !errors.As(err, &exit) || exit.Code != 3 || stdout(t, r) != "0027\n" {
		t.Errorf("%q, %v", stdout(t, r), err)
	}
	// What is not there has been said before a shell comes into it.
	r = newRun(t, Command{Args: []string{"no-such-program"}})
	r.Job.Umask = "027"
	err = handle(t, r)
	if start := (*StartError)(nil); !errors.As(err, &start) || start.Code != codeNotFound || err.Error() != `start "no-such-program": not found in PATH` {
		t.Errorf("%v", err)
	}
}

func TestUmaskOfADocument(t *testing.T) {
	for _, mask := range []string{"0", "22", "022", "0022", "0777"} {
		if err := (Job{Command: shell("true"), Umask: mask}).Validate(); err != nil {
			t.Errorf("%q: %v", mask, err)
		}
	}
	for _, mask := range []string{"8", "1000", "00022", "-22", "u=rwx", " 22"} {
		wantFieldError(t, Job{Command: shell("true"), Umask: mask}.Validate(), "umask", "must be an octal number")
	}
}
