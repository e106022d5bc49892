package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// FormatVersion is the version of the format that this package reads and writes.
const FormatVersion = 1

// DefaultMaxJobBytes is the size limit of a job's file in a new spool.
const DefaultMaxJobBytes = 1 << 20

// Errors of Open.
var (
	ErrNotSpool = errors.New("not a spool")
	ErrVersion  = errors.New("unknown format version")
)

// format is the content of queuectl.json: what every program on the spool must
// agree on. It is written once.
type format struct {
	Format      int    `json:"format"`
	MaxJobBytes int64  `json:"max_job_bytes"`
	FoldCase    bool   `json:"fold_case,omitempty"`
	Group       string `json:"group,omitempty"`
	CreatedAt   string `json:"created_at"`
}

// Spool is an open spool. Its methods are safe for concurrent use.
type Spool struct {
	locking gate // who is in has the lock of the spool, or waits for it

	dir       string // absolute
	root      string // of the spool that this is a queue of; dir if it is none
	queue     string // the name of the queue that it is
	ops       ops
	format    format
	owner     uint32 // of the directory
	gid       uint32 // of the directory, for a group's spool
	network   bool   // several hosts may share it: replies can be lost, flock and inotify do not reach
	host      Host
	processes processes
	writer    string // this Spool's part of the names in tmp/
	seq       counter
	syncs     dirSyncs
	order     struct {
		once sync.Once
		kept bool
	} // see ordered
	noEdits   vacant
	hours     sync.Map // done hour directories known to exist
	clock     clock
	drops     drops
	turns     turns
	admitting atomic.Bool // owners of jobs pass to their attempts' files: see AdmitOwners
}

// Open opens the spool in dir. The error wraps fs.ErrNotExist if there is nothing,
// ErrNotSpool if there is something else, ErrVersion if it is too new.
func Open(dir string) (*Spool, error) { return open(dir, realOps()) }

func open(dir string, o ops) (*Spool, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	s := &Spool{dir: dir, ops: o, host: thisHost(), processes: realProcesses()}
	s.network = isNetwork(dir)
	s.root, s.queue = queueOf(dir, o)
	s.writer = s.host.newWID()
	if err := s.readFormat(); err != nil {
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	in, err := o.look(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("open spool %s: %w", dir, err)
	}
	s.owner = in.uid
	if s.format.Group != "" {
		s.gid = in.gid
	}
	if s.Foreign() {
		s.ops = givenTo(o, in)
	}
	return s, nil
}

// Foreign reports whether this is root, on a spool that a user made for himself.
func (s *Spool) Foreign() bool { return geteuid() == 0 && s.owner != 0 && s.format.Group == "" }

// givenTo gives what root makes in a user's spool to that user, who could not work with
// it otherwise: not even with his own jobs in a directory that root made.
func givenTo(o ops, owner info) ops {
	give := func(path string, err error) error {
		if err == nil {
			err = os.Lchown(path, int(owner.uid), int(owner.gid))
		}
		return err
	}
	giveFile := func(make func(string, fs.FileMode) (file, error)) func(string, fs.FileMode) (file, error) {
		return func(path string, perm fs.FileMode) (file, error) {
			f, err := make(path, perm)
			if err == nil {
				if err = give(path, nil); err != nil {
					_ = f.Close()
					return nil, err
				}
			}
			return f, err
		}
	}
	x := o
	x.create, x.update = giveFile(o.create), giveFile(o.update)
	x.mkdir = func(path string, perm fs.FileMode) error { return give(path, o.mkdir(path, perm)) }
	return x
}

func (s *Spool) readFormat() error {
	data, err := s.readFile(formatFile, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		if _, dirErr := s.ops.look(s.dir, "."); dirErr != nil {
			return dirErr
		}
		return fmt.Errorf("%w: there is no %s in it: %w", ErrNotSpool, formatFile, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &s.format); err != nil || s.format.Format == 0 {
		return fmt.Errorf("%w: its %s cannot be read", ErrNotSpool, formatFile)
	}
	if s.format.Format != FormatVersion {
		return fmt.Errorf("%w: it has format %d, this program knows %d", ErrVersion, s.format.Format, FormatVersion)
	}
	return nil
}

// Init makes a spool in dir, or completes one whose making was cut short, and
// opens it. With a group (a name or a number) its members share the spool: the
// directories are setgid and have mode 2770, else 0700. It refuses a directory
// that has something else in it (ErrNotSpool).
func Init(dir, group string) (*Spool, error) { return initialise(dir, group, realOps()) }

func initialise(dir, group string, o ops) (*Spool, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("make spool %s: %w", dir, err)
	}
	if s, err := open(dir, o); err == nil {
		// A group that is asked for must not be passed over in silence.
		if group != "" && s.format.Group != group {
			return nil, fmt.Errorf("make spool %s: it is there already, and not for group %s", dir, group)
		}
		return s, nil
	} else if errors.Is(err, ErrVersion) {
		return nil, err
	}
	s := &Spool{dir: dir, ops: o, host: thisHost()}
	if err := s.make(group); err != nil {
		return nil, fmt.Errorf("make spool %s: %w", dir, err)
	}
	return open(dir, o)
}

func (s *Spool) make(group string) error {
	perm, gid := fs.FileMode(0o700), -1
	if group != "" {
		var err error
		if gid, err = lookupGroup(group); err != nil {
			return err
		}
		perm = 0o770
	}
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return err
	}
	if err := s.ops.mkdir(s.dir, perm); errors.Is(err, fs.ErrExist) {
		if err := s.onlyOurs(); err != nil {
			return err
		}
		if err := os.Chmod(s.dir, perm); err != nil {
			return err // others could put jobs into a directory that was made for more
		}
	} else if err != nil {
		return err
	}
	for _, d := range append([]string{"."}, skeleton...) {
		if err := s.ops.mkdir(s.abs(d), perm); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if gid >= 0 {
			if err := os.Chown(s.abs(d), -1, gid); err != nil {
				return fmt.Errorf("give it to group %s: %w", group, err)
			}
			if err := os.Chmod(s.abs(d), perm|fs.ModeSetgid); err != nil {
				return err
			}
		}
	}
	if lock, err := s.ops.create(s.abs(lockFile), s.filePerm(group != "")); err == nil {
		_ = lock.Close()
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	fold, err := s.foldsCase()
	if err != nil {
		return err
	}
	f := format{Format: FormatVersion, MaxJobBytes: DefaultMaxJobBytes, FoldCase: fold, Group: group, CreatedAt: s.ops.now().UTC().Format(time.RFC3339)}
	// Nobody makes these again, so nobody else would sync their parents; and what is put
	// into a directory that is not on the disk is lost with it.
	for _, d := range []string{pendingDir, ctlDir, "."} {
		if err := s.ops.syncDir(s.abs(d)); err != nil {
			return err
		}
	}
	return s.writeFormat(f)
}

// onlyOurs refuses to make a spool among other people's files. The format is ours
// too: another process may have made the spool since it was looked for.
func (s *Spool) onlyOurs() error {
	ours := map[string]bool{lockFile: true, formatFile: true, queuesDir: true, boxesDir: true, statsDir: true}
	for _, d := range skeleton {
		ours[d] = true
	}
	return s.ops.names(s.dir, func(name string) error {
		if !ours[name] && name != configFile && name != "lost+found" {
			return fmt.Errorf("%w: the directory has other things in it, such as %q", ErrNotSpool, name)
		}
		return nil
	})
}

// writeFormat publishes queuectl.json by link(2): of two that make a spool at once
// one wins, and nobody ever sees a part of it.
func (s *Spool) writeFormat(f format) error {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	tmp := tmpDir + "/" + s.host.newWID() + "!" + formatFile
	if err := s.writeOwn(tmp, append(data, '\n'), f.Group != ""); err != nil {
		return err
	}
	err = s.ops.link(s.abs(tmp), s.abs(formatFile))
	if unlinkErr := s.ops.unlink(s.abs(tmp)); err == nil {
		err = unlinkErr
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.ops.syncDir(s.dir); err != nil {
		return err
	}
	return s.ops.syncDir(filepath.Dir(s.dir))
}

// foldsCase finds out whether the file system takes "Job" and "job" for one name.
func (s *Spool) foldsCase() (bool, error) {
	tmp := tmpDir + "/" + s.host.newWID() + "!case"
	f, err := s.ops.create(s.abs(tmp), 0o600)
	if err != nil {
		return false, err
	}
	_ = f.Close()
	_, lookErr := s.ops.look(s.abs(tmpDir), filepath.Base(tmp[:len(tmp)-len("case")]+"CASE"))
	return lookErr == nil, s.ops.unlink(s.abs(tmp))
}

func lookupGroup(group string) (int, error) {
	if gid, err := strconv.Atoi(group); err == nil {
		return gid, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// Dir is the spool's absolute path.
func (s *Spool) Dir() string { return s.dir }

// Network reports whether the spool is on a network file system, or on one that
// cannot be told from one.
func (s *Spool) Network() bool { return s.network }

// MaxJobBytes is the size limit of a job's file.
func (s *Spool) MaxJobBytes() int64 { return s.format.MaxJobBytes }

// Group is the group that the spool was made for, or "".
func (s *Spool) Group() string { return s.format.Group }

// jobPerm is the mode of a job's file, and of what says how jobs are run. In a group's
// spool the members read it, and rename it through the directory; if they could write
// it, a worker that runs only its own user's jobs would run what others have put there.
func (s *Spool) jobPerm(group bool) fs.FileMode {
	if group {
		return 0o640
	}
	return 0o600
}

// filePerm is the mode of any other new file: a group's spool is read and written by
// its members.
func (s *Spool) filePerm(group bool) fs.FileMode {
	if group {
		return 0o660
	}
	return 0o600
}

// FilePerm is the mode that a new file below the spool should have.
func (s *Spool) FilePerm() fs.FileMode { return s.filePerm(s.format.Group != "") }

func (s *Spool) dirPerm() fs.FileMode {
	if s.format.Group != "" {
		return 0o770 // setgid is inherited
	}
	return 0o700
}

// writeNew creates a file with data in it and makes its content durable. A failed
// fsync says nothing about a second one, so there is none: the file is removed.
func (s *Spool) writeNew(rel string, data []byte, group bool) error {
	return s.writeFile(rel, data, s.filePerm(group), nil)
}

// writeOwn is writeNew for a file that only its owner may change.
func (s *Spool) writeOwn(rel string, data []byte, group bool) error {
	return s.writeFile(rel, data, s.jobPerm(group), nil)
}

// writeFile hands the empty file to prepare first, if that is not nil.
func (s *Spool) writeFile(rel string, data []byte, perm fs.FileMode, prepare func(file) error) error {
	f, err := s.ops.create(s.abs(rel), perm)
	if err != nil {
		return err
	}
	if prepare != nil {
		err = prepare(f)
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return errors.Join(err, s.ops.unlink(s.abs(rel)))
	}
	return nil
}

// readFile reads a regular file of at most limit bytes, whole.
func (s *Spool) readFile(rel string, limit int64) ([]byte, error) {
	f, err := s.ops.open(s.abs(rel))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, _, err := readAll(f, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", rel, err)
	}
	return data, nil
}

// Errors of reading a job's file.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooLarge   = errors.New("too large")
	ErrChanging   = errors.New("it changed while it was read")
)

// readAll reads f, which must be regular, at most limit bytes long and the same
// before and after.
func readAll(f file, limit int64) ([]byte, info, error) {
	before, err := f.info()
	if err != nil {
		return nil, before, err
	}
	if !before.mode.IsRegular() {
		return nil, before, ErrNotRegular
	}
	if before.size > limit {
		return nil, before, fmt.Errorf("%w: it has %d bytes, %d is the limit", ErrTooLarge, before.size, limit)
	}
	var b bytes.Buffer
	b.Grow(int(before.size) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, before, err
	}
	after, err := f.info()
	if err != nil {
		return nil, before, err
	}
	if int64(b.Len()) != before.size || after.size != before.size || !after.mtime.Equal(before.mtime) {
		return nil, before, ErrChanging
	}
	return b.Bytes(), before, nil
}
