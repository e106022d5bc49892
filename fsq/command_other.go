//go:build !linux

package fsq

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// commandAttr gives a command its own process group. Only the guard kills it
// when its worker dies.
func commandAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// threadUmask cannot be: the umask is the process's.
func threadUmask(int) error { return errNoThreadUmask }

// ownUmask cannot be asked for here without changing it.
func ownUmask() string { return "" }

// awaitExit waits until the process is dead and reaps it. Between that and a
// signal to its group lie microseconds in which its number is not reserved.
func awaitExit(p *os.Process) (*syscall.WaitStatus, error) { return waitStatus(p) }

// groupLives says whether the group has a member that can be signalled; darwin
// refuses with EPERM if all are zombies.
func groupLives(pgid int, _ bool) bool { return unix.Kill(-pgid, 0) == nil }

// stdinFile is a file with the text in it.
func stdinFile(text string) (*os.File, error) { return tempStdin(text) }
