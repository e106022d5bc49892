package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// maxRecordBytes bounds what ReadLog reads.
const maxRecordBytes = 1 << 20

// PrepareLogs makes the directory for what is kept of a job's attempts.
func (s *Spool) PrepareLogs(id string) error {
	dir := logsDir + "/" + bucket(id)
	if _, known := s.hours.Load(dir); known {
		return nil
	}
	// Not synced, as what is in it.
	perm := s.dirPerm()
	if s.admitting.Load() {
		perm = passable
	}
	err := s.ops.mkdir(s.abs(dir), perm)
	if err == nil && s.admitting.Load() {
		err = s.letPass(dir) // whatever the umask takes away
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	s.hours.Store(dir, true)
	return nil
}

// WriteLog writes a file about an attempt, once: the error wraps fs.ErrExist if it is
// there. It is not synced: a power cut may take it, and its reader expects that.
func (s *Spool) WriteLog(id string, attempt int, kind string, data []byte) error {
	fail := func(err error) error {
		return fmt.Errorf("write the %s of attempt %d of job %q: %w", kind, attempt, id, err)
	}
	if err := s.PrepareLogs(id); err != nil {
		return fail(err)
	}
	f, err := s.ops.create(s.LogPath(id, attempt, kind), s.FilePerm())
	if errors.Is(err, fs.ErrNotExist) {
		s.hours.Delete(logsDir + "/" + bucket(id))
		if err = s.PrepareLogs(id); err == nil {
			f, err = s.ops.create(s.LogPath(id, attempt, kind), s.FilePerm())
		}
	}
	if errors.Is(err, fs.ErrExist) {
		// An empty one is what a writer left that died before it wrote, or that was not
		// told that it had made it.
		p := s.LogPath(id, attempt, kind)
		if in, lookErr := s.ops.look(path.Dir(p), path.Base(p)); lookErr == nil && in.size == 0 && s.ops.unlink(p) == nil {
			f, err = s.ops.create(p, s.FilePerm())
		}
	}
	if err != nil {
		return fail(err)
	}
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		// Half a record would keep the whole one from being written when there is space
		// again.
		return fail(errors.Join(err, s.ops.unlink(s.LogPath(id, attempt, kind))))
	}
	return nil
}

// removeLogs removes all that is kept of a job's attempts and of what was done to it,
// however much there is.
func (s *Spool) removeLogs(id string) error {
	dir := logsDir + "/" + bucket(id)
	err := s.ops.names(s.abs(dir), func(base string) error {
		if of, err := jobOf(base); err != nil || of != id {
			return nil
		}
		return s.unlinkLog(s.abs(dir + "/" + base))
	})
	return ignoreNotExist(err)
}

// unlinkLog removes a file about an attempt, if it is there. Where a job may write it may
// have made a directory: an empty one goes too, another is left alone. Without that it
// would keep its job from being removed, and prune from going on.
func (s *Spool) unlinkLog(abs string) error {
	err := s.ops.unlink(abs)
	if isDirectory(err) {
		if rmdirErr := s.ops.rmdir(abs); rmdirErr == nil || isNotEmpty(rmdirErr) {
			return nil
		}
	}
	return ignoreNotExist(err)
}

// ReadLog reads a record.
func (s *Spool) ReadLog(id string, attempt int, kind string) ([]byte, error) {
	f, err := s.ops.open(s.LogPath(id, attempt, kind))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	data, _, err := readAll(f, maxRecordBytes)
	return data, err
}

// SetLogAside moves a log that is in the way to rejected/, its bytes unchanged: what
// an attempt writes into must be its own.
func (s *Spool) SetLogAside(id string, attempt int, kind string) error {
	rel := strings.TrimPrefix(s.LogPath(id, attempt, kind), s.dir+"/")
	err := s.setAside(rel, path.Base(rel), "it was there before the attempt that it is named after")
	return ignoreNotExist(err)
}

// OpenLog opens what an attempt wrote, for reading.
func (s *Spool) OpenLog(id string, attempt int, kind string) (*os.File, error) {
	f, err := s.ops.open(s.LogPath(id, attempt, kind))
	if err != nil {
		return nil, err
	}
	return f.os(), nil
}

// LogSize is the size of such a file; 0 if there is none.
func (s *Spool) LogSize(id string, attempt int, kind string) int64 {
	p := s.LogPath(id, attempt, kind)
	in, err := s.ops.look(path.Dir(p), path.Base(p))
	if err != nil {
		return 0
	}
	return in.size
}

// ClaimedAt is when the job of a claim was claimed, by the file server's clock: a
// rename stamps the file's change time.
func (s *Spool) ClaimedAt(e Entry) (time.Time, error) {
	in, err := s.ops.look(s.abs(path.Dir(e.Path)), path.Base(e.Path))
	return in.ctime.UTC(), err
}

// WrittenAt is when a job's file was written: when it was enqueued.
func (s *Spool) WrittenAt(e Entry) (time.Time, error) {
	in, err := s.ops.look(s.abs(path.Dir(e.Path)), path.Base(e.Path))
	return in.mtime.UTC(), err
}

// WorkerHost is the host that a worker's name tells of.
func WorkerHost(wid string) string {
	host, _, _ := parseWID(wid)
	return host
}

// WorkerLog makes the log file of a worker in the background, open for reading, too.
func (s *Spool) WorkerLog() (*os.File, error) {
	name := fmt.Sprintf("worker-%s-%d.log", s.Now().UTC().Format("20060102T150405"), os.Getpid())
	f, err := os.OpenFile(s.abs(logsDir+"/"+name), os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, s.FilePerm())
	if err != nil {
		return nil, fmt.Errorf("make a worker's log: %w", err)
	}
	return f, nil
}

// ClaimTime is ClaimedAt for a worker's claim.
func (s *Spool) ClaimTime(wid string, n Name) (time.Time, error) {
	return s.ClaimedAt(Entry{Name: n, State: Processing, Worker: wid, Path: claimsDir(wid) + "/" + s.file(n)})
}
