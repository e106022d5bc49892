//go:build !linux

package spool

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

func infoOf(st *unix.Stat_t) info {
	return info{
		dev: uint64(st.Dev), ino: st.Ino, nlink: uint64(st.Nlink), // widths differ by system
		uid: st.Uid, gid: st.Gid, mode: kind(uint32(st.Mode)), size: st.Size, // widths differ by system
		mtime: time.Unix(st.Mtim.Unix()), ctime: time.Unix(st.Ctim.Unix()),
	}
}

func refreshed(path string) (info, error) { return refreshedByOpening(path) }

func touchFile(path string) error {
	now := unix.NsecToTimeval(time.Now().UnixNano())
	return pathError("touch", path, unix.Lutimes(path, []unix.Timeval{now, now}))
}

func (f osFile) stamp(t time.Time) error {
	tv := unix.NsecToTimeval(t.UnixNano())
	return pathError("stamp", f.Name(), unix.Futimes(int(f.Fd()), []unix.Timeval{tv, tv}))
}

func (osFile) beingWritten() (yes, known bool) { return false, false }

func (f osFile) tryLockAcrossHosts() (bool, error) { return f.tryLock() }

func (f osFile) unlockAcrossHosts() { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }

func syncFileSystem(string) error { return errors.ErrUnsupported }

func ordersNames(string) bool { return false }

func (osFile) writeOut() error { return errors.ErrUnsupported }
