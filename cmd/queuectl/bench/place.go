package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/queuectl/queuectl/spool"
)

// placePrefix begins the names of the directories in which is measured. One that begins
// with a dot is no file that anybody drops and no queue.
const placePrefix = ".queuectl-bench-"

// readMe is for who finds a directory that a killed run has left.
const readMe = "queuectl bench measures here. If none runs, this directory is one that was\nkilled has left behind: remove it.\n"

// place is a directory in which is measured. Its lock lives as long as the run.
type place struct {
	dir  string // absolute
	lock *os.File
}

func makePlace(parent string) (place, error) {
	parent, err := filepath.Abs(parent)
	if err != nil {
		return place{}, fmt.Errorf("make a directory to measure in: %w", err)
	}
	var p place
	if p.dir, err = os.MkdirTemp(parent, placePrefix); err != nil {
		return place{}, fmt.Errorf("make a directory to measure in: %w", err)
	}
	if p.lock, err = os.Open(p.dir); err == nil {
		// A file system without locks cannot tell a leftover from a run; that is all it is for.
		_ = unix.Flock(int(p.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		err = os.WriteFile(filepath.Join(p.dir, "README"), []byte(readMe), 0o600)
	}
	if err != nil {
		return place{}, errors.Join(fmt.Errorf("make a directory to measure in: %w", err), p.remove())
	}
	return p, nil
}

func (p place) remove() error {
	if p.lock != nil {
		_ = p.lock.Close()
	}
	if err := os.RemoveAll(p.dir); err != nil {
		return fmt.Errorf("remove what was measured with: %w", err)
	}
	return nil
}

// Leftovers are the directories in parent that runs have left that were killed: this
// user's, and without a run that still goes on. What cannot be looked at is left out.
func Leftovers(parent string) []string {
	var left []string
	entries, _ := os.ReadDir(parent)
	for _, e := range entries {
		path := filepath.Join(parent, e.Name())
		if !e.IsDir() || !strings.HasPrefix(e.Name(), placePrefix) {
			continue
		}
		fi, err := os.Lstat(path)
		if err != nil || owner(fi) != os.Geteuid() {
			continue
		}
		d, err := openDir(path)
		if err != nil {
			continue
		}
		if unix.Flock(d, unix.LOCK_EX|unix.LOCK_NB) == nil {
			left = append(left, path)
		}
		_ = unix.Close(d)
	}
	return left
}

func owner(fi fs.FileInfo) int {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// Beside is the directory in which to measure for the spool in dir: the one that it lies
// in, where nothing of the spool is touched, if that is on the same file system and this
// user may write there; else the spool itself, since a spool that is mounted, or a
// service's below root's /var/spool, has no other. No worker looks at what lies directly
// in a spool, and queuectl check names it. Where there is no spool yet it is the nearest
// directory that is there.
func Beside(dir string) (string, error) {
	at, err := filepath.EvalSymlinks(dir)
	for errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		if at, err = filepath.EvalSymlinks(dir); err == nil {
			return at, nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("find a directory to measure in: %w", err)
	}
	parent := filepath.Dir(at)
	var in, above unix.Stat_t
	if err := unix.Stat(at, &in); err != nil {
		return "", fmt.Errorf("find a directory to measure in: %s: %w", at, err)
	}
	if unix.Stat(parent, &above) == nil && above.Dev == in.Dev && unix.Access(parent, unix.W_OK|unix.X_OK) == nil {
		return parent, nil
	}
	return at, nil
}

// RoomError says that the files of a run would fill the file system up.
type RoomError struct {
	Need, Free uint64
	Of         string // "bytes" or "inodes"
}

func (e *RoomError) Error() string {
	return fmt.Sprintf("measuring takes up to %d %s of the file system for a while, and %d are free", e.Need, e.Of, e.Free)
}

// blockSize is what a file of a job takes.
const blockSize = 4 << 10

// roomFor refuses to begin what would fill more than half of what is free: others write
// there too.
func roomFor(o Options, lines []*line) error {
	files := filesOf(o, lines)
	m := spool.MountOf(o.Dir)
	switch {
	case m.Size > 0 && files*blockSize > m.Free/2:
		return &RoomError{files * blockSize, m.Free, "bytes"}
	case m.Files > 0 && files > m.FreeFiles/2:
		return &RoomError{files, m.FreeFiles, "inodes"}
	}
	return nil
}

// filesOf is how many files there are at the end of all rounds, roughly.
func filesOf(o Options, lines []*line) uint64 {
	var each, once int
	bulk := false
	for _, l := range lines {
		each += l.files
		bulk = bulk || l.bulk
		if l.many {
			once = streamJobs
		}
	}
	if bulk {
		each += streamJobs
	}
	return uint64((each*o.rounds() + once) * o.scale())
}
