package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// StrangersError says that others than those whom the spool is for could put jobs into it,
// or another spool in its place: they can write a directory that leads to it.
type StrangersError struct {
	Path string // absolute
	Mode fs.FileMode
	UID  uint32 // its owner
	// ByMode says that the directory's mode lets them; else its owner is one of them.
	ByMode bool
}

// Error names the directory and why it cannot be trusted.
func (e *StrangersError) Error() string {
	if e.ByMode {
		return fmt.Sprintf("others may write %s (mode %04o), and so run commands as this worker's user", e.Path, e.Mode.Perm())
	}
	return fmt.Sprintf("%s belongs to user %d, who could so run commands as this worker's user", e.Path, e.UID)
}

// maxLinks bounds the symbolic links on the way to a spool, as the kernel does.
const maxLinks = 40

// Strangers looks whether anyone but this user, root, and the group of a group's spool can
// write the spool's directories or those above it, as sshd(8) does for a user's keys. The
// error is a *StrangersError then. In the directories above, the sticky bit keeps others
// from replacing what is there, and in a group of the owner's own is nobody else.
func (s *Spool) Strangers() error { return s.strangers(privateGroup) }

func (s *Spool) strangers(private func(uid, gid uint32) bool) error {
	return s.strangersTo(uint32(geteuid()), private)
}

// strangersTo is strangers to workers of the user uid.
func (s *Spool) strangersTo(uid uint32, private func(uid, gid uint32) bool) error {
	w := strangersWalk{owners: map[uint32]bool{0: true, uid: true}, private: private}
	if s.format.Group != "" {
		// Its members trust whoever made it: he gave them this directory.
		w.owners[s.owner] = true
	}
	for _, d := range append([]string{"."}, skeleton...) {
		if err := w.inside(filepath.Clean(s.abs(d)), s.format.Group != ""); err != nil {
			return lookedAt(err)
		}
	}
	if s.dir != s.root {
		w.root = s.root
		if in, err := s.ops.look(s.root, "."); err == nil && s.format.Group != "" {
			w.owners[in.uid] = true
		}
	}
	if err := w.above(s.dir); err != nil {
		return lookedAt(err)
	}
	return nil
}

// masterOf is whose workers run in a spool of that owner, if this user looks at it: root's
// do not start in another's spool, so that root looks with the owner's eyes.
func masterOf(owner uint32) uint32 {
	if euid := uint32(geteuid()); euid != 0 {
		return euid
	}
	return owner
}

// strangersOf looks who could put a spool in the place of one that is made in dir.
func strangersOf(dir string) error {
	w := strangersWalk{owners: map[uint32]bool{0: true, uint32(geteuid()): true}, private: privateGroup}
	fi, err := os.Stat(dir)
	if err == nil {
		err = w.judge(dir, fi, false, true)
	}
	if err == nil {
		err = w.above(dir)
	}
	if err != nil {
		return lookedAt(err)
	}
	return nil
}

// lookedAt tells an answer from a look that failed.
func lookedAt(err error) error {
	if found := (*StrangersError)(nil); errors.As(err, &found) {
		return err
	}
	return fmt.Errorf("look who may write the spool and what is above it: %w", err)
}

type strangersWalk struct {
	owners  map[uint32]bool
	private func(uid, gid uint32) bool
	links   int
	root    string // the spool, if this is one of its queues
}

// shared reports whether a directory above a queue is of the spool that it belongs to, and
// that is a group's.
func (w *strangersWalk) shared(dir string, fi fs.FileInfo) bool {
	return w.root != "" && (dir == w.root || filepath.Dir(dir) == w.root) && fi.Mode()&fs.ModeSetgid != 0
}

// inside judges a directory of the spool: a sticky bit is of no use where anyone may put a
// file.
func (w *strangersWalk) inside(dir string, group bool) error {
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // check names it; whoever needs it says so
	}
	if err != nil {
		return err
	}
	return w.judge(dir, fi, group, false)
}

// above judges what leads to path: each directory in which a name of it is looked up, also
// on the way through symbolic links.
func (w *strangersWalk) above(path string) error {
	for {
		fi, err := os.Lstat(path)
		if err != nil {
			return err
		}
		parent := filepath.Dir(path)
		if fi.Mode()&fs.ModeSymlink != 0 {
			if err := w.link(path, parent, fi); err != nil {
				return err
			}
		}
		if parent == path {
			return nil
		}
		if fi, err = os.Stat(parent); err != nil {
			return err
		}
		if err := w.judge(parent, fi, w.shared(parent, fi), true); err != nil {
			return err
		}
		path = parent
	}
}

func (w *strangersWalk) link(path, parent string, fi fs.FileInfo) error {
	if w.links++; w.links > maxLinks {
		return syscall.ELOOP
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && !w.owners[st.Uid] {
		return &StrangersError{Path: path, Mode: fi.Mode(), UID: st.Uid}
	}
	target, err := os.Readlink(path)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(parent, target)
	}
	if fi, err = os.Stat(target); err != nil {
		return err
	}
	if err := w.judge(target, fi, false, true); err != nil {
		return err
	}
	return w.above(target)
}

// judge is about one directory; group says that its group's members may write it, sticky,
// that its sticky bit counts.
func (w *strangersWalk) judge(dir string, fi fs.FileInfo, group, sticky bool) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if !w.owners[st.Uid] && !unmapped(st.Uid) {
		return &StrangersError{Path: dir, Mode: fi.Mode(), UID: st.Uid}
	}
	if sticky && fi.Mode()&fs.ModeSticky != 0 {
		return nil
	}
	mode := fi.Mode() & othersWrite
	if group || mode&0o020 != 0 && w.private(st.Uid, st.Gid) {
		mode &^= 0o020
	}
	if mode != 0 {
		return &StrangersError{Path: dir, Mode: fi.Mode(), UID: st.Uid, ByMode: true}
	}
	return nil
}
