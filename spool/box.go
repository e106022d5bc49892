package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// In root's spool nobody else can write anywhere but in a box, drop/NAME/, that root has
// made for him. That its owner alone can put files there is what makes the owner of such
// a file say who wants it run: in a directory that many may write, sticky or not, anyone
// puts a file of root's, by a hard link or by moving it out of a directory of his own.
const boxesDir = "drop"

// Modes of what the owners of boxes pass through: they see no names, and get at nothing
// but their box and their attempts' files.
const (
	passable fs.FileMode = 0o711
	boxMode  fs.FileMode = 0o700
)

// ErrNoBoxes is why a spool cannot have boxes.
var ErrNoBoxes = errors.New("only root's own spool, not a group's, runs jobs as their owners")

// MakeBox makes the directory drop/name of root's spool into which this user drops files,
// and lets him pass to it. One that is there and his is left as it is. It returns its path,
// relative to the spool. The error wraps ErrNoBoxes if this is not root, or the spool not
// root's alone; fs.ErrExist if another has it.
func (s *Spool) MakeBox(name string, uid, gid uint32) (rel string, err error) {
	rel = boxesDir + "/" + name
	fail := func(err error) (string, error) { return "", fmt.Errorf("make %s: %w", rel, err) }
	if name == "" || name != path.Base(name) || strings.HasPrefix(name, ".") || uid == 0 {
		return fail(fmt.Errorf("%w: %q is no user with files of his own", fs.ErrInvalid, name))
	}
	if err := s.AdmitOwners(); err != nil {
		return fail(err)
	}
	if err := s.ops.mkdir(s.abs(boxesDir), boxMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return fail(err)
	}
	if err := os.Chmod(s.abs(boxesDir), passable); err != nil {
		return fail(err)
	}
	err = s.ops.mkdir(s.abs(rel), boxMode)
	there := errors.Is(err, fs.ErrExist)
	if err != nil && !there {
		return fail(err)
	}
	in, err := s.ops.look(s.abs(boxesDir), name)
	switch {
	case err != nil:
		return fail(err)
	case in.uid == uid && boxOwner(in) == nil:
	case !in.mode.IsDir() || in.uid != 0:
		// One of root's is what a call left that was cut short.
		return fail(fmt.Errorf("%w, and is not this user's", fs.ErrExist))
	default:
		if err := os.Lchown(s.abs(rel), int(uid), int(gid)); err != nil {
			return fail(err)
		}
	}
	for _, dir := range []string{boxesDir, "."} {
		if err := s.ops.syncDir(s.abs(dir)); err != nil {
			return fail(err)
		}
	}
	return rel, nil
}

// BoxPath is the path of a user's box in the spool in dir.
func BoxPath(dir, name string) string { return path.Join(dir, boxesDir, name) }

// AdmitOwners lets the owners of jobs pass to what their attempts write: with that, a
// worker of root's can run each job as its file's owner, and collects the boxes. The error
// wraps ErrNoBoxes where that would not be safe.
func (s *Spool) AdmitOwners() error {
	if geteuid() != 0 || s.owner != 0 || s.format.Group != "" {
		return ErrNoBoxes
	}
	dirs := []string{".", logsDir}
	if err := s.walkEach(logsDir, func(xx string) error {
		if isBucket(xx) {
			dirs = append(dirs, logsDir+"/"+xx)
		}
		return nil
	}); err != nil {
		return err
	}
	if s.dir != s.root {
		if in, err := s.ops.look(s.root, "."); err != nil || in.uid != 0 {
			return errors.Join(ErrNoBoxes, err)
		}
		for _, dir := range []string{s.root, path.Dir(s.dir)} {
			if err := os.Chmod(dir, passable); err != nil {
				return fmt.Errorf("let the owners of jobs pass: %w", err)
			}
		}
	}
	for _, dir := range dirs {
		if err := s.letPass(dir); err != nil {
			return fmt.Errorf("let the owners of jobs pass: %w", err)
		}
	}
	s.admitting.Store(true)
	return nil
}

func (s *Spool) letPass(dir string) error { return os.Chmod(s.abs(dir), passable) }

// boxOwner refuses a directory that is nobody's box: in what others can write, a file's
// owner does not say who has put it there.
func boxOwner(in info) error {
	switch {
	case !in.mode.IsDir():
		return fmt.Errorf("a %s is no box", kindName(in.mode))
	case in.uid == 0:
		return errors.New("it belongs to root, who drops his files into pending/")
	case in.mode&othersWrite != 0:
		return fmt.Errorf("others than its owner may write there (mode %04o)", in.mode.Perm())
	}
	return nil
}

// Boxed visits what was dropped into boxes, or taken out of them by a worker that died
// then, as paths relative to the spool. A box that cannot be trusted is passed over; the
// error names it, when all others have been visited.
func (s *Spool) Boxed(visit func(rel string)) error {
	var bad error
	err := s.ops.names(s.abs(boxesDir), func(name string) error {
		if strings.HasPrefix(name, ".") {
			return nil
		}
		if _, _, ok := parseTaken(name); ok {
			visit(boxesDir + "/" + name)
			return nil
		}
		box := boxesDir + "/" + name
		in, err := s.ops.look(s.abs(boxesDir), name)
		if err == nil {
			err = boxOwner(in)
		}
		if err == nil {
			err = s.ops.names(s.abs(box), func(base string) error {
				if IsBoxed(base) {
					visit(box + "/" + base)
				}
				return nil
			})
		}
		if ignoreNotExist(err) != nil {
			bad = errors.Join(bad, fmt.Errorf("collect %s: %w", box, err))
		}
		return nil
	})
	return errors.Join(bad, ignoreNotExist(err))
}

func (s *Spool) hasBoxes() bool {
	_, err := s.ops.look(s.abs(boxesDir), ".")
	return err == nil
}

// IsBoxed reports whether a name in a box is that of a dropped file. A job's name is one,
// too: its producer has no say in when and how often it runs, but by its document.
func IsBoxed(base string) bool {
	_, err := ParseName(base)
	return IsDrop(base) || err == nil
}

// InBox reports whether a path that Adopt or Boxed named is one of a box's.
func InBox(rel string) bool { return strings.HasPrefix(rel, boxesDir+"/") }

// A file that is taken out of a box lies in drop/ itself, where only root gets at it, as
// UID!STEM~WRITER-N.json. The number is the owner's of its box, and nobody else's file is
// a job under it, whenever it is looked at again.
func takenName(uid uint32, own string) string {
	return strconv.FormatUint(uint64(uid), 10) + "!" + own
}

// takeName is a name for a file that is taken out of a box as base. With the number it
// must fit maxBase, whatever its producer has called it.
func (s *Spool) takeName(uid uint32, base string) string {
	const room = 160 // 255 less the longest number and the longest WRITER-N; an id is shorter
	if stem := (Drop{Base: base}).Stem(); len(stem) > room {
		base = strings.ToValidUTF8(stem[:room], "_") + suffix
	}
	return takenName(uid, s.ownName(base))
}

func parseTaken(base string) (uid uint32, drop string, ok bool) {
	digits, drop, marked := strings.Cut(base, "!")
	n, err := strconv.ParseUint(digits, 10, 32)
	if !marked || err != nil || n == 0 || strconv.FormatUint(n, 10) != digits || !strings.HasSuffix(drop, suffix) {
		return 0, "", false
	}
	return uint32(n), drop, true
}
