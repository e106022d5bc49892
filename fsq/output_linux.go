package fsq

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// openUnnamed makes a file in dir that has no name yet (O_TMPFILE, open(2)). The error
// wraps errors.ErrUnsupported where the file system or the kernel knows no such thing.
func openUnnamed(dir string, perm os.FileMode) (*os.File, error) {
	for {
		fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, uint32(perm))
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), dir), nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.EINVAL):
			return nil, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
		default:
			return nil, &os.PathError{Op: "open", Path: dir, Err: err}
		}
	}
}

// nameFile gives such a file its name, if nothing has that.
func nameFile(f *os.File, path string) error {
	from := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	for {
		err := unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return &os.LinkError{Op: "link", Old: from, New: path, Err: err}
		}
	}
}

// canName reports whether nameFile has what it needs: containers can be without /proc.
var canName = sync.OnceValue(func() bool {
	_, err := os.Stat("/proc/self/fd")
	return err == nil
})
