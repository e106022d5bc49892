package spool

import (
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// simFile is an open file of a simFS.
type simFile struct {
	fs     *simFS
	node   *simNode
	at     int
	writes bool
	waits  bool // holds a lock that it waited for
	closed bool
}

func (n *simNode) info() info {
	mode := n.perm & fs.ModePerm
	if n.dir {
		mode |= fs.ModeDir
	}
	return info{
		dev: 1, ino: n.ino, nlink: n.nlink, uid: uint32(os.Geteuid()), gid: uint32(os.Getegid()),
		mode: mode, size: int64(len(n.data)), mtime: n.mtime, ctime: n.ctime,
	}
}

func (f *simFile) Read(p []byte) (int, error) {
	if f.at >= len(f.node.data) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[f.at:])
	f.at += n
	return n, nil
}

func (f *simFile) Write(p []byte) (int, error) {
	if !f.writes {
		return 0, syscall.EBADF
	}
	if end := f.at + len(p); end > len(f.node.data) {
		f.node.data = append(f.node.data, make([]byte, end-len(f.node.data))...)
	}
	copy(f.node.data[f.at:], p)
	f.at += len(p)
	f.node.mtime, f.node.ctime = f.fs.now(), f.fs.now()
	return len(p), nil
}

func (f *simFile) Sync() error {
	if !f.fs.noSync {
		f.fs.persist(f.node)
	}
	return nil
}

func (f *simFile) writeOut() error {
	if !f.fs.noSync {
		f.node.synced = append([]byte(nil), f.node.data...)
	}
	return nil
}

func (f *simFile) Close() error {
	if f.closed {
		return os.ErrClosed
	}
	f.closed = true
	if f.writes && f.node.writers > 0 {
		f.node.writers--
	}
	if f.node.locked == f {
		f.node.locked = nil
		if f.waits && f.fs.blocked > 0 {
			f.fs.blocked--
		}
	}
	if f.fs.kind == server && !f.fs.noSync {
		f.node.synced = append([]byte(nil), f.node.data...) // close-to-open
	}
	return nil
}

func (f *simFile) info() (info, error) { return f.node.info(), nil }

func (f *simFile) stamp(t time.Time) error {
	f.node.mtime, f.node.ctime = t, f.fs.now()
	return nil
}

func (f *simFile) tryLock() (bool, error) {
	if f.node.locked != nil && f.node.locked != f {
		return false, nil
	}
	f.node.locked = f
	return true, nil
}

// lock is only called where nobody can hold it: all processes are one goroutine.
func (f *simFile) lock(bool, time.Duration) error {
	if ok, _ := f.tryLock(); !ok {
		panic("simulated file system: a lock is waited for that nobody will give")
	}
	f.waits = true
	f.fs.blocked++
	return nil
}

func (f *simFile) beingWritten() (yes, known bool) {
	return f.node.writers > 0, f.fs.kind != server
}

func (f *simFile) release() {}

func (f *simFile) os() *os.File { return nil }
