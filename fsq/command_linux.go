package fsq

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// commandAttr gives a command its own process group, and has it killed when
// its worker dies in whatever way.
func commandAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
}

// threadUmask gives the calling thread an umask of its own, which its children inherit.
// The thread must never serve another goroutine again. Containers may forbid it.
func threadUmask(mask int) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return errNoThreadUmask
	}
	unix.Umask(mask)
	return nil
}

// ownUmask is this process's umask, as proc(5) tells it from Linux 4.7 on: umask(2) would
// change it for a moment, in all threads. "" if it does not. /proc/self would tell that of
// the first thread, which may have been given a job's.
func ownUmask() string {
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(status)) {
		if mask, ok := strings.CutPrefix(line, "Umask:"); ok {
			return strings.TrimSpace(mask)
		}
	}
	return ""
}

// awaitExit waits until the process is dead but leaves it as a zombie, which
// keeps its number, and the group's, from being given to another. So a signal
// that is sent before the reaping cannot hit a stranger.
func awaitExit(p *os.Process) (*syscall.WaitStatus, error) {
	for {
		err := unix.Waitid(unix.P_PID, p.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return nil, err
		}
	}
}

// groupLives says whether the group has a member that is not a zombie. Zombies
// stay where nobody reaps orphans, as in a container whose first process is
// not an init; only a thorough look, through all of /proc, tells them apart.
func groupLives(pgid int, thorough bool) bool {
	if err := unix.Kill(-pgid, 0); errors.Is(err, unix.ESRCH) {
		return false
	}
	if !thorough {
		return true
	}
	lives := false
	err := eachPid(func(pid int) {
		if state, group, ok := procStat(pid); ok && group == pgid && !zombie(state) {
			lives = true
		}
	})
	return lives || err != nil
}

// stdinFile is a file with the text in it, in memory if the kernel allows, so
// that a full disk does not keep a job from starting.
func stdinFile(text string) (*os.File, error) {
	fd, err := unix.MemfdCreate("stdin", unix.MFD_CLOEXEC)
	if err != nil {
		return tempStdin(text)
	}
	f := os.NewFile(uintptr(fd), "stdin")
	if err := fill(f, text); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
