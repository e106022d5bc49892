package fsq

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killPatience is how long a group may take to vanish after SIGKILL. Only
// processes that hang in the kernel, say on a dead file server, take long.
const killPatience = 10 * time.Second

// A process is a started command: the leader of a process group of its own.
// Only the goroutine that started it may call its methods.
type process struct {
	pid    int
	exited chan struct{} // closed when the leader is dead
	proc   *os.Process
	status *syscall.WaitStatus // the reaped leader's
	err    error               // why it could not be waited for
}

// startProcess starts a command on an OS thread that does nothing else until
// the command has ended. prepare, if it is not nil, runs there first: what it does to
// the thread, it does to the child. Linux sends the parent-death signal when the thread
// dies that made the child, not the process. A thread of the pool could die
// early: the runtime lets any other goroutine lock it later on and take it
// along when it exits. The thread costs nothing, as one has to wait for the
// child anyway.
func startProcess(path string, argv []string, attr *os.ProcAttr, prepare func() error) (*process, error) {
	p := &process{exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if prepare == nil {
			defer runtime.UnlockOSThread()
		} else if err := prepare(); err != nil {
			// A thread that may have been changed is not unlocked: it ends with the goroutine.
			started <- err
			return
		}
		proc, pid, status, err := startInGroup(path, argv, attr)
		if err != nil {
			started <- err
			return
		}
		p.pid, p.proc, p.status = pid, proc, status
		if status != nil {
			close(p.exited) // first: its number must not be signalled any more
			started <- nil
			return
		}
		started <- nil
		p.status, p.err = awaitExit(proc)
		close(p.exited)
	}()
	return p, <-started
}

// maxStarts bounds how often a command is started that dies at once in the worker's own
// group: a terminal interrupts once or twice, not for ever.
const maxStarts = 4

// startInGroup starts a command that leads a process group. Between fork and setpgid
// the child is in the worker's own group, and a Ctrl-C at the terminal kills it there:
// the command has not begun then, so that is no failure of the job, and it is started
// again. A command that joins the worker's group itself has begun: it is not run twice.
// status is set if it is dead and reaped already.
func startInGroup(path string, argv []string, attr *os.ProcAttr) (proc *os.Process, pid int, status *syscall.WaitStatus, err error) {
	for n := 1; ; n++ {
		if proc, err = os.StartProcess(path, argv, attr); err != nil {
			return nil, 0, nil, err
		}
		pid = proc.Pid
		pgid, groupErr := unix.Getpgid(pid)
		if groupErr != nil || pgid != unix.Getpgrp() || pgid == pid {
			return proc, pid, nil, nil
		}
		if status, err = reapDead(proc); err != nil {
			return nil, 0, nil, err
		}
		if n == maxStarts || status == nil || !fromTerminal(*status) {
			return proc, pid, status, nil
		}
	}
}

// reapDead reaps a child if it is dead, and does not wait for it; nil if it lives.
func reapDead(proc *os.Process) (*syscall.WaitStatus, error) {
	var status syscall.WaitStatus
	for {
		pid, err := syscall.Wait4(proc.Pid, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, fmt.Errorf("wait for process %d: %w", proc.Pid, err)
		case pid == 0:
			return nil, nil
		default:
			_ = proc.Release() // what it holds is the process that is gone
			return &status, nil
		}
	}
}

// fromTerminal reports whether a process died of what a terminal sends to its foreground
// group.
func fromTerminal(status syscall.WaitStatus) bool {
	s := status.Signal()
	return status.Signaled() && (s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGHUP)
}

func (p *process) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// reap frees the dead leader's process number and returns how it ended.
func (p *process) reap() error {
	if p.status == nil && p.err == nil {
		p.status, p.err = waitStatus(p.proc)
	}
	if p.err != nil {
		return fmt.Errorf("wait for process %d: %w", p.pid, p.err)
	}
	switch ws := *p.status; {
	case ws.Signaled():
		return &ExitError{Code: -1, Signal: signalName(ws.Signal())}
	case ws.ExitStatus() != 0:
		return &ExitError{Code: ws.ExitStatus()}
	}
	return nil
}

// waitStatus waits for a child and reaps it.
func waitStatus(proc *os.Process) (*syscall.WaitStatus, error) {
	state, err := proc.Wait()
	if err != nil {
		return nil, err
	}
	ws, ok := state.Sys().(syscall.WaitStatus)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return &ws, nil
}

// signalName is "SIGKILL", or "signal 40" for the ones without a name.
func signalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}

// stop ends the whole group, with SIGKILL alone if grace is 0, and returns
// when it is gone and its leader reaped. An error means that something is left
// that did not die, and that the leader may not be reaped.
func (p *process) stop(grace time.Duration) error {
	if grace > 0 {
		p.signal(unix.SIGTERM)
		p.signal(unix.SIGCONT) // a stopped process would never see the other
		if p.gone(grace) {
			return nil
		}
	}
	p.signal(unix.SIGKILL)
	if p.gone(killPatience) {
		return nil
	}
	return fmt.Errorf("process group %d is not gone %v after SIGKILL", p.pid, killPatience)
}

// signal sends s to the group. The number is still the group's: either the
// leader is not reaped, or gone has just seen another member. A leader that has left
// its group gets it apart.
func (p *process) signal(s unix.Signal) {
	_ = unix.Kill(-p.pid, s)
	if p.hasExited() {
		return
	}
	if pgid, err := unix.Getpgid(p.pid); err == nil && pgid != p.pid {
		_ = unix.Kill(p.pid, s)
	}
}

// gone waits for the leader to die and for every other member of the group,
// and says whether they did within the time. They are found by the group's
// number, so it does not matter who holds the output files.
func (p *process) gone(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		return false
	}
	// An unreaped leader is a member for ever.
	_ = p.reap()
	const longest = 128 * time.Millisecond
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		if !groupLives(p.pid, pause == longest) {
			return true
		}
		select {
		case <-timer.C:
			return !groupLives(p.pid, true)
		case <-time.After(pause):
		}
	}
}
