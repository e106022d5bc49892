//go:build !linux

package fsq

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// asOwner cannot change one thread's rights here. What the owner may not do, the system
// refuses when the command is started as him; only its error says less.
func asOwner(_ account, f func() error) error { return f() }

func mayUse(path string, mode uint32) error { return unix.Access(path, mode) }

// maxDescriptors bounds the descriptors that are looked for: a limit can be without end,
// and what starts a service opens a handful.
const maxDescriptors = 1 << 16

// keepDescriptors has no child inherit a descriptor that it is not given.
func keepDescriptors() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("keep descriptors from jobs: %w", err)
	}
	for fd := 3; fd < maxDescriptors && uint64(fd) < uint64(limit.Cur); fd++ {
		unix.CloseOnExec(fd)
	}
	return nil
}

// leaveKeyring has nothing to leave.
func leaveKeyring() {}
