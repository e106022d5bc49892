package spool

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ops are the system calls that the protocol is made of. Tests replace them one
// by one to order, count, fail and cut them; nothing else in this package touches
// the disk.
type ops struct {
	now func() time.Time

	create  func(path string, perm fs.FileMode) (file, error) // O_CREAT|O_EXCL|O_RDWR
	open    func(path string) (file, error)                   // read only; never follows a link, never blocks on a FIFO
	update  func(path string, perm fs.FileMode) (file, error) // O_RDWR, follows no link; makes the file if perm is not 0
	link    func(old, new string) error
	rename  func(old, new string) error
	unlink  func(path string) error
	mkdir   func(path string, perm fs.FileMode) error
	rmdir   func(path string) error
	names   func(dir string, visit func(name string) error) error          // the directory is opened anew each time
	look    func(dir, name string) (info, error)                           // fstatat in a directory opened anew: see move
	looks   func(dir string, visit func(name string, in info) error) error // what is in dir, all by one descriptor: an NFS client may answer from its cache
	refresh func(path string) (info, error)                                // stat that asks the file server, whatever is cached; opens nothing, follows no link
	touch   func(path string) error                                        // sets the modification time to the file server's now; follows no link
	syncDir func(dir string) error
	syncFS  func(dir string) error
	ordered func(dir string) bool // changes of names in dir's file system become durable in their order, after what was written out before them: see file.writeOut
}

// file is an open file, as far as the protocol needs one.
type file interface {
	io.Reader
	io.Writer
	io.Closer
	Sync() error
	writeOut() error // hands what was written to the disk, and its place to the journal; it is not durable, but no later change of names is without it
	info() (info, error)
	stamp(t time.Time) error // sets the modification time to the caller's t
	tryLock() (bool, error)  // flock(LOCK_EX|LOCK_NB): false where another holds it
	// flock(LOCK_EX), not on a network, and what reaches other hosts; EAGAIN after patience
	lock(network bool, patience time.Duration) error
	beingWritten() (yes, known bool) // whether anyone has it open for writing; known is false where the system cannot tell
	release()                        // has the client give a delegation of the file back
	os() *os.File                    // nil for a simulated file
}

// info is what fstat tells.
type info struct {
	dev, ino, nlink uint64
	uid, gid        uint32
	mode            fs.FileMode
	size            int64
	mtime, ctime    time.Time
}

func (i info) same(j info) bool { return i.dev == j.dev && i.ino == j.ino }

// realOps are the system calls of this machine.
func realOps() ops {
	return asBuilt(ops{
		now: time.Now,
		create: func(path string, perm fs.FileMode) (file, error) {
			f, err := createFile(path, perm)
			if err == nil && shared(perm) {
				if err = f.Chmod(perm); err != nil {
					err = errors.Join(err, f.Close(), pathError("unlink", path, unix.Unlink(path)))
				}
			}
			return wrapFile(f, err)
		},
		open: func(path string) (file, error) {
			return wrapFile(os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0))
		},
		update: func(path string, perm fs.FileMode) (file, error) {
			flags := os.O_RDWR | unix.O_NOFOLLOW | unix.O_NONBLOCK
			if perm != 0 {
				flags |= os.O_CREATE
			}
			f, err := os.OpenFile(path, flags, perm)
			if err == nil && shared(perm) {
				_ = f.Chmod(perm) // another member's file has it already
			}
			return wrapFile(f, err)
		},
		link:   func(old, new string) error { return retry(func() error { return os.Link(old, new) }) },
		rename: func(old, new string) error { return retry(func() error { return unixRename(old, new) }) },
		unlink: func(path string) error {
			return retry(func() error { return pathError("unlink", path, unix.Unlink(path)) })
		},
		mkdir: func(path string, perm fs.FileMode) error {
			err := retry(func() error { return os.Mkdir(path, perm) })
			if err == nil && shared(perm) {
				err = os.Chmod(path, perm|fs.ModeSetgid) // chmod(2) would clear the bit that was inherited
			}
			return err
		},
		rmdir: func(path string) error {
			return retry(func() error { return pathError("rmdir", path, unix.Rmdir(path)) })
		},
		names:   readNames,
		look:    lookAnew,
		looks:   lookAll,
		refresh: refreshed,
		touch:   touchFile,
		syncDir: syncDirectory,
		syncFS:  syncFileSystem,
		ordered: ordersNames,
	})
}

// shared reports whether perm is of a group's spool: there the modes must be as they
// are asked for, whatever the umask of this process takes away.
func shared(perm fs.FileMode) bool { return perm&0o070 != 0 }

// unixRename is rename(2) itself: os.Rename asks lstat first, which costs a call
// and, on NFS, may cache that the target is not there.
func unixRename(old, new string) error {
	if err := unix.Renameat(unix.AT_FDCWD, old, unix.AT_FDCWD, new); err != nil {
		return &os.LinkError{Op: "rename", Old: old, New: new, Err: err}
	}
	return nil
}

// createFile is open(2) itself: os.OpenFile asks the kernel three times more whether the
// new file can be polled, a sixth of what it costs to put a job.
func createFile(path string, perm fs.FileMode) (*os.File, error) {
	fd := -1
	err := retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, uint32(perm.Perm()))
		return err
	})
	if err != nil {
		return nil, pathError("open", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// retry repeats a call that a signal interrupted. On a network file system the
// interrupted call may have been executed: the caller's own check finds that.
func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// readNames visits each entry of dir in the order of the file system. It opens
// dir anew, because an NFS client answers a descriptor that it has kept from its
// cache, up to 60 s old. The names come in portions, so that memory does not grow
// with the directory.
func readNames(dir string, visit func(string) error) error {
	// What is no directory, a FIFO say, must be refused and not waited for.
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(4096)
		for _, name := range names {
			if err := visit(name); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// lookAll asks for each name by the descriptor that it lists. An NFS client sees that and
// has the server send both at once (READDIRPLUS).
func lookAll(dir string, visit func(string, info) error) error {
	d, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			var st unix.Stat_t
			if err := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); errors.Is(err, unix.ENOENT) {
				continue
			} else if err != nil {
				return pathError("stat", filepath.Join(dir, name), err)
			}
			if err := visit(name, infoOf(&st)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func lookAnew(dir, name string) (info, error) {
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return info{}, pathError("open", dir, err)
	}
	defer unix.Close(d)
	var st unix.Stat_t
	if err := unix.Fstatat(d, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return info{}, pathError("stat", filepath.Join(dir, name), err)
	}
	return infoOf(&st), nil
}

func syncDirectory(dir string) error {
	// Not os.Open: it asks the kernel five times whether the directory can be polled.
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", dir, err)
	}
	defer unix.Close(d)
	if err := pathError("sync", dir, retry(func() error { return unix.Fsync(d) })); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err // EINVAL, ENOTSUP: a file system without such a thing, there is nothing to wait for
	}
	return nil
}

// osFile is a file of this machine.
type osFile struct{ *os.File }

func wrapFile(f *os.File, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (f osFile) os() *os.File { return f.File }

// release changes nothing about the file, but before a client asks for a change of its mode
// it returns its delegation. Whether the change is refused does not matter.
func (f osFile) release() {
	if in, err := f.info(); err == nil {
		_ = f.Chmod(in.mode.Perm())
	}
}

// refreshedByOpening is for systems that cannot ask otherwise: close-to-open consistency.
func refreshedByOpening(path string) (info, error) {
	f, err := wrapFile(os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0))
	if err != nil {
		return info{}, err
	}
	defer f.Close()
	return f.info()
}

func (f osFile) info() (info, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return info{}, pathError("stat", f.Name(), err)
	}
	return infoOf(&st), nil
}

func (f osFile) tryLock() (bool, error) {
	err := retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, pathError("flock", f.Name(), err)
}

// lockPatience bounds the wait for a lock whose holder may be stopped: longer than a
// search of a million names under it takes.
const lockPatience = 30 * time.Second

// lock asks again and again instead of waiting in the kernel, which has no limit: a
// suspended holder would keep every other worker from adopting files, and from ending.
func (f osFile) lock(network bool, patience time.Duration) error {
	try := f.tryLockAcrossHosts
	if !network {
		try = f.tryLockHere
	}
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		locked, err := try()
		if locked || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return pathError("flock", f.Name(), unix.EAGAIN)
		}
		time.Sleep(pause)
	}
}

// tryLockHere asks for both locks: clients may have this disk over NFS, and they see only
// the one, while flock(1) sees only the other.
func (f osFile) tryLockHere() (bool, error) {
	if locked, err := f.tryLock(); !locked || err != nil {
		return false, err
	}
	locked, err := f.tryLockAcrossHosts()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOLCK) {
		return true, nil // not known here, and so not to an NFS server either
	}
	return locked, err
}

// kind translates st_mode.
func kind(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		m |= fs.ModeDir
	case unix.S_IFLNK:
		m |= fs.ModeSymlink
	case unix.S_IFIFO:
		m |= fs.ModeNamedPipe
	default:
		m |= fs.ModeIrregular
	}
	return m
}

func isNotDir(err error) bool { return errors.Is(err, unix.ENOTDIR) }

// isDirectory reports whether an unlink failed because the file is a directory: EISDIR
// on Linux, EPERM as POSIX has it.
func isDirectory(err error) bool { return errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) }

func isStale(err error) bool { return errors.Is(err, unix.ESTALE) }

func isNoSpace(err error) bool { return errors.Is(err, unix.ENOSPC) }

// takesNoWrites reports whether a write failed for a reason that lies in the file system
// and not in who writes: it is full, a quota is used up, it is read-only, or broken.
func takesNoWrites(err error) bool {
	for _, e := range []error{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func geteuid() int { return os.Geteuid() }

func isNotEmpty(err error) bool {
	return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY)
}

// IsLink reports whether an open failed because the file is a symbolic link.
func IsLink(err error) bool { return errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EMLINK) }
