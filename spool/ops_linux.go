package spool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func infoOf(st *unix.Stat_t) info {
	return info{
		dev: st.Dev, ino: st.Ino, nlink: uint64(st.Nlink), // 32 bits wide on some machines
		uid: st.Uid, gid: st.Gid, mode: kind(st.Mode), size: st.Size,
		mtime: time.Unix(st.Mtim.Unix()), ctime: time.Unix(st.Ctim.Unix()),
	}
}

// refreshed asks by statx(2), from Linux 4.11 on. Its own call tells no more than fstatat's.
func refreshed(path string) (info, error) {
	var st unix.Statx_t
	err := retry(func() error {
		return unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st)
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // seccomp filters that do not know it
		return refreshedByOpening(path)
	}
	if err != nil {
		return info{}, pathError("stat", path, err)
	}
	return info{
		dev: unix.Mkdev(st.Dev_major, st.Dev_minor), ino: st.Ino, nlink: uint64(st.Nlink),
		uid: st.Uid, gid: st.Gid, mode: kind(uint32(st.Mode)), size: int64(st.Size),
		mtime: time.Unix(st.Mtime.Sec, int64(st.Mtime.Nsec)), ctime: time.Unix(st.Ctime.Sec, int64(st.Ctime.Nsec)),
	}, nil
}

// touchFile lets the file server stamp the time: UTIME_NOW is sent as such, where
// os.Chtimes would send the clock of this host. For both times, because then it is enough
// to be allowed to write the file; for one alone one must own it (utimensat(2)).
func touchFile(path string) error {
	ts := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	return pathError("touch", path, unix.UtimesNanoAt(unix.AT_FDCWD, path, ts, unix.AT_SYMLINK_NOFOLLOW))
}

func (f osFile) stamp(t time.Time) error {
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(t.UnixNano())}
	return pathError("stamp", f.Name(), unix.UtimesNanoAt(int(f.Fd()), "", ts, unix.AT_EMPTY_PATH))
}

// beingWritten asks for a read lease, which the kernel grants only if nobody has
// the file open for writing (fcntl(2), "Leases"). Anyone who opens it for writing
// from then on waits until the descriptor is closed, so the answer stays true.
// Other users' files (EACCES) and network file systems (EINVAL) cannot be asked.
func (f osFile) beingWritten() (yes, known bool) {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if errors.Is(err, unix.EAGAIN) {
		return true, true
	}
	return false, err == nil
}

// tryLockAcrossHosts asks for a lock of the open file description (fcntl(2), "Open file
// description locks"). An NFS server keeps it against all clients, where flock(2) on the
// server and flock on its clients do not exclude each other.
func (f osFile) tryLockAcrossHosts() (bool, error) {
	err := retry(func() error {
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, pathError("lock", f.Name(), err)
}

func (f osFile) unlockAcrossHosts() {
	_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
}

// syncFileSystem flushes all of the file system that dir is on: for a batch it is
// 10 to 14 times cheaper than as many calls of fsync. Before Linux 5.8 it does not
// report all errors, which is why it is used for batches only on newer ones.
func syncFileSystem(dir string) error {
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", dir, err)
	}
	defer unix.Close(d)
	return pathError("syncfs", dir, unix.Syncfs(d))
}

// ordersNames reports whether dir is on an xfs or on an ext4 with a journal of its own:
// there one log on the same disk takes all changes of names, and the sizes and blocks of
// files, in their order. Others may do so too, but were not tried with the power cut.
// Where /proc or /sys is hidden nobody knows.
func ordersNames(dir string) bool {
	var st unix.Statfs_t
	var in unix.Stat_t
	if unix.Statfs(dir, &st) != nil || unix.Stat(dir, &in) != nil || !writesOutAll() {
		return false
	}
	switch int64(st.Type) & 0xffffffff {
	case unix.XFS_SUPER_MAGIC:
		// The fsync of a directory flushes neither of these disks.
		return !slices.ContainsFunc(mountOf(dir).Options, func(o string) bool {
			return strings.HasPrefix(o, "rtdev=") || strings.HasPrefix(o, "logdev=")
		})
	case unix.EXT4_SUPER_MAGIC:
		link, err := os.Readlink("/sys/dev/block/" + deviceNumber(in.Dev))
		if err != nil {
			return false
		}
		// jbd2 names a journal after its disk and, unless the disk is for it alone, its
		// inode, which is 8 (EXT4_JOURNAL_INO).
		return unix.Access("/proc/fs/jbd2/"+filepath.Base(link)+"-8", unix.F_OK) == nil
	}
	return false
}

// writesOutAll reports whether sync_file_range(2) waits for pages that are being written
// already and have changed since: from Linux 5.2 on, if it is given all three flags.
func writesOutAll() bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	return atLeast(unix.ByteSliceToString(u.Release[:]), 5, 2)
}

// atLeast compares a release of Linux, such as 6.1.0-13-amd64.
func atLeast(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	second := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(second)
	return errA == nil && errB == nil && (a > major || a == major && b >= minor)
}

// writeOut waits until the disk has taken the pages: only then do ext4 (with unwritten
// extents) and xfs note the file's size in their journal. sync_file_range(2) warns that it
// makes nothing durable; the fsync of a directory that follows does.
func (f osFile) writeOut() error {
	const whole = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	err := retry(func() error { return unix.SyncFileRange(int(f.Fd()), 0, 0, whole) })
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // seccomp filters that do not know it
		return errors.ErrUnsupported
	}
	return pathError("write out", f.Name(), err)
}
