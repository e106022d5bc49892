package fsq

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// asOwner calls f with the file system's view of a user: what it may not reach, it does
// not. Only the thread's identity towards files changes, not the one by which another
// process of that user could send this one signals; and the thread ends with the call.
func asOwner(acc account, f func() error) error {
	if acc.uid == 0 || !wideCalls {
		return f()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
		err := assume(acc)
		if err == nil {
			err = f()
		}
		result <- err
	}()
	return <-result
}

// wideCalls says that these calls take numbers of 32 bits: on 32-bit machines their names
// are those of the old ones, which take 16. There exec has the last word.
const wideCalls = ^uintptr(0)>>63 == 1

// assume gives this thread a user's rights to files. These are the system calls
// themselves: those of package syscall change all threads.
func assume(acc account) error {
	var first *uint32
	if len(acc.groups) > 0 {
		first = &acc.groups[0]
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(acc.groups)), uintptr(unsafe.Pointer(first)), 0); errno != 0 {
		return fmt.Errorf("become user %s: setgroups: %w", acc.name, errno)
	}
	// setfsgid and setfsuid return what was before, never an error: so they are asked twice.
	if err := setFS(unix.SYS_SETFSGID, acc.gid); err != nil {
		return err
	}
	return setFS(unix.SYS_SETFSUID, acc.uid)
}

func setFS(call uintptr, id uint32) error {
	_, _, _ = unix.RawSyscall(call, uintptr(id), 0, 0)
	if now, _, _ := unix.RawSyscall(call, ^uintptr(0), 0, 0); uint32(now) != id {
		return fmt.Errorf("become user %d for files: %w", id, unix.EPERM)
	}
	return nil
}

// mayUse is access(2) with the rights by which files are opened, which asOwner changes.
func mayUse(path string, mode uint32) error {
	err := unix.Faccessat2(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
	if err == unix.ENOSYS || err == unix.EPERM {
		return unix.Access(path, mode) // an old kernel, or a sandbox: then exec has the last word
	}
	return err
}

// keepDescriptors has no child inherit a descriptor that it is not given: what Go opens
// is so by itself, what this process has inherited is not.
func keepDescriptors() error {
	const first = 3
	if unix.CloseRange(first, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return nil
	}
	// A kernel older than 5.11.
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("keep descriptors from jobs: %w", err)
	}
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// leaveKeyring keeps the keys of root's session from a child of this thread. Where there
// are no keyrings, or they are forbidden, as in containers, there are no keys.
func leaveKeyring() { _, _ = unix.KeyctlJoinSessionKeyring("") }
