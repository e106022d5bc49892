//go:build linux

// Command on runs a program "on" one of the rig's hosts, that is inside the
// network, UTS, mount and PID namespaces of that host:
//
//	on h2 queuectl list
//	on h2 queuectl worker & w=$!; kill -TERM $w; wait $w
//
// A PID namespace can only be entered by a new child, so there is always one
// process in between: this one. It forwards every catchable signal to the
// child and passes the child's exit status back (128+N after signal N). When it
// is itself killed with SIGKILL the kernel kills the child too (PDEATHSIG).
// SIGSTOP cannot be forwarded: use kill -STOP $(child_of $w).
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// failed is the exit status if the command could not be run; 1 to 124 are its own.
const failed = 125

func main() {
	code, err := on(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "on:", err) //nolint:forbidigo // this is main
	}
	os.Exit(code) //nolint:forbidigo // this is main
}

// on runs a command on a host and returns its exit status.
func on(args []string) (int, error) {
	if len(args) < 2 {
		return failed, errors.New("usage: on HOST COMMAND [ARG...]")
	}
	host := args[0]
	pid, err := os.ReadFile("/rig/state/hosts/" + host)
	if err != nil {
		return failed, fmt.Errorf("no running host %q", host)
	}
	// Namespaces belong to threads; the child is forked from this one.
	runtime.LockOSThread()
	if err := enter(strings.TrimSpace(string(pid))); err != nil {
		return failed, fmt.Errorf("entering %s: %w", host, err)
	}
	if err := os.Setenv("RIG_HOST", host); err != nil {
		return failed, err
	}
	if _, err := exec.LookPath(args[1]); err != nil {
		return 127, err
	}
	// Not SysProcAttr.Pdeathsig: its check of the parent's PID fails across PID
	// namespaces, where that PID is 0.
	cmd := exec.Command("setpriv", append([]string{"--pdeathsig", "KILL", "--"}, args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr //nolint:forbidigo // it is the command's
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGCONT, syscall.SIGWINCH)
	if err := cmd.Start(); err != nil {
		return failed, err
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may have ended
		}
	}()
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	if err != nil {
		return failed, err
	}
	return 0, nil
}

// enter moves the calling thread, and the children that it will have, to the
// namespaces of a process.
func enter(pid string) error {
	cwd, err := os.Getwd()
	if err != nil {
		cwd = "/"
	}
	names := []string{"net", "uts", "pid", "mnt"} // mnt last: it replaces /proc
	files := make([]*os.File, len(names))
	for i, name := range names {
		if files[i], err = os.Open("/proc/" + pid + "/ns/" + name); err != nil {
			return err
		}
		defer files[i].Close()
	}
	// A thread that shares its root and directory with others may not switch mounts.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	for i, f := range files {
		if err := unix.Setns(int(f.Fd()), 0); err != nil {
			return fmt.Errorf("setns %s: %w", names[i], err)
		}
	}
	// The switch has put this thread into the root directory. Not os.Chdir: what it
	// remembers is another thread's.
	if err := unix.Chdir(cwd); err != nil {
		cwd = "/"
	}
	return os.Setenv("PWD", cwd)
}
