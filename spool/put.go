package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// Item is a job to put.
type Item struct {
	Name     Name
	Data     []byte
	Reserved bool // its id was chosen by a person and is to be unique; NewID's need no check
}

// Errors of Put.
var (
	ErrDuplicate = errors.New("duplicate id")
	// ErrUncertain says that the job is in the spool but perhaps not on the disk
	// yet: a power cut might still take it. Putting it again could make it run twice.
	// On a network file system that stopped answering it may also not be there: then a
	// chosen id is kept, and its job put by the next sweep; one without is not put.
	ErrUncertain = errors.New("not known to be durable")
)

// Put puts a job into the spool; when it returns nil, the job survives a power
// cut. The error wraps ErrDuplicate if the id is taken; after ErrUncertain the job
// is there (see there); after any other error it is not. Concurrent calls share fsyncs.
func (s *Spool) Put(it Item) error {
	p, err := s.stage(it, true)
	if err == nil {
		err = p.publish()
	}
	if err == nil {
		err = p.settleSync()
	}
	if err != nil {
		return fmt.Errorf("put job %q: %w", it.Name.ID, err)
	}
	return nil
}

// syncFSFrom is the size of a batch from which on one syncfs, which flushes
// everybody's data, costs less than an fsync for each file.
const syncFSFrom = 16

// PutBatch puts many jobs at the price of a few fsyncs; errs[i] is what Put would
// have returned for items[i].
func (s *Spool) PutBatch(items []Item) (errs []error) {
	errs = make([]error, len(items))
	puts := make([]*put, len(items))
	batch := len(items) >= syncFSFrom
	for i, it := range items {
		puts[i], errs[i] = s.stage(it, !batch)
	}
	if batch {
		if err := s.ops.syncFS(s.abs(tmpDir)); err != nil {
			s.syncEach(puts, errs)
		}
	}
	dirty := map[string]error{}
	for i, p := range puts {
		if errs[i] == nil {
			errs[i] = p.publish()
		}
		if errs[i] == nil {
			for _, d := range p.dirs {
				dirty[d] = nil
			}
		}
	}
	s.syncAll(dirty)
	for i, p := range puts {
		if errs[i] == nil {
			errs[i] = uncertain(p.firstError(dirty))
		}
		if errs[i] != nil {
			errs[i] = fmt.Errorf("put job %q: %w", items[i].Name.ID, errs[i])
		}
	}
	return errs
}

// syncAll makes the renames in the directories durable. Ids that people choose are spread
// over 256 of them: then one syncfs costs less. After one that failed nothing is known of
// any directory: an fsync that comes second may be told nothing.
func (s *Spool) syncAll(dirty map[string]error) {
	err := errors.ErrUnsupported
	if len(dirty) >= syncFSFrom {
		err = s.ops.syncFS(s.abs(tmpDir))
	}
	for d := range dirty {
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			dirty[d] = s.Sync(d)
		case err != nil:
			dirty[d] = err
		}
	}
}

// syncEach stands in where there is no syncfs. After one that failed, nothing is
// known of any file, and a file must not be synced twice: all are given up.
func (s *Spool) syncEach(puts []*put, errs []error) {
	for i, p := range puts {
		if errs[i] != nil {
			continue
		}
		if err := p.rewrite(); err != nil {
			errs[i] = err
		}
	}
}

// put is one job on its way into the spool.
type put struct {
	s        *Spool
	it       Item
	tmp      string   // where it is written
	dst      string   // where it goes
	dirs     []string // to be synced before it is acknowledged
	reserved bool
	staged   time.Time // when its file was made, this host's clock
}

// validate refuses a name that could not be read back: its job would lie in pending/
// and never run.
func (s *Spool) validate(n Name) error {
	if err := ValidateID(n.ID); err != nil {
		return err
	}
	if l := len(s.escape(n.ID)); l > MaxIDLength {
		return fmt.Errorf("%w: it is %d bytes long, %d is the limit (this file system takes \"a\" and \"A\" for one, so capital letters count three times)", ErrInvalidID, l, MaxIDLength)
	}
	_, err := ParseName(s.file(n))
	return err
}

// stage writes the job's file below tmp/, durably if sync is set.
func (s *Spool) stage(it Item, sync bool) (*put, error) {
	if err := s.validate(it.Name); err != nil {
		return nil, err
	}
	if int64(len(it.Data)) > s.format.MaxJobBytes {
		return nil, fmt.Errorf("%w: it has %d bytes, %d is the limit", ErrTooLarge, len(it.Data), s.format.MaxJobBytes)
	}
	p := &put{s: s, it: it}
	err := p.write(sync)
	return p, err
}

func (p *put) write(sync bool) error {
	s := p.s
	p.tmp = tmpDir + "/" + s.writer + "-" + strconv.FormatUint(s.seq.next(), 36) + "!" + s.file(p.it.Name)
	begun := s.ops.now()
	p.staged = begun
	f, err := s.ops.create(s.abs(p.tmp), s.jobPerm(s.format.Group != ""))
	if err != nil {
		return err
	}
	_, err = f.Write(p.it.Data)
	if _, generated := ulidTime(p.it.Name.ID); err == nil && !s.network && !generated {
		err = f.stamp(s.tick()) // the order of jobs that are due at once: see Ready
	}
	if err == nil && sync {
		err = s.syncContent(f)
	}
	if err == nil && s.network {
		var in info
		if in, err = f.info(); err == nil {
			s.observe(in.mtime, begun, s.ops.now())
		}
	}
	// NFS reports at close what it could not write.
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return errors.Join(err, s.ops.unlink(s.abs(p.tmp)))
	}
	return nil
}

// ordered reports whether the file system is known to keep the order of changes. It is
// asked once, by who puts the first job.
func (s *Spool) ordered() bool {
	s.order.once.Do(func() { s.order.kept = !s.network && s.ops.ordered(s.dir) })
	return s.order.kept
}

// syncContent sees to it that no name of the file is on the disk without what was written.
// Where the file system keeps the order, that needs no commit of its journal: the fsync of
// the directory, before the job is acknowledged, is then the only one.
func (s *Spool) syncContent(f file) error {
	if s.ordered() {
		if err := f.writeOut(); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return f.Sync()
}

// rewrite puts a fresh, synced file in the place of one of which nothing is known.
func (p *put) rewrite() error {
	old := p.tmp
	if err := p.write(true); err != nil {
		return errors.Join(err, p.s.ops.unlink(p.s.abs(old)))
	}
	return p.s.ops.unlink(p.s.abs(old))
}

// publish makes the job visible.
func (p *put) publish() error {
	s := p.s
	if p.it.Reserved {
		if err := s.reserve(p.it.Name.ID, p.tmp); err != nil {
			return errors.Join(err, s.ops.unlink(s.abs(p.tmp)))
		}
		p.reserved = true
		p.dirs = append(p.dirs, path.Dir(s.idPath(p.it.Name.ID)))
	}
	p.dst = s.pendingPath(p.it.Name, s.Now())
	err := s.moveInto(p.tmp, p.dst)
	if err != nil && s.network {
		// A worker may have taken it on from there before it could be seen. But nobody
		// else takes it out of tmp/.
		_, lookErr := s.ops.look(s.abs(tmpDir), path.Base(p.tmp))
		switch {
		case errors.Is(lookErr, fs.ErrNotExist) && p.sweepable():
			return uncertain(err)
		case errors.Is(lookErr, fs.ErrNotExist):
			err = nil
		case lookErr != nil:
			return uncertain(err)
		}
	}
	if err != nil {
		// The link goes first: a reservation whose tmp file is there is rolled forward
		// by Sweep, one without is stale.
		if p.reserved {
			err = errors.Join(err, s.ops.unlink(s.abs(s.idPath(p.it.Name.ID))))
		}
		return errors.Join(err, s.ops.unlink(s.abs(p.tmp)))
	}
	p.dirs = append(p.dirs, path.Dir(p.dst))
	return nil
}

// sweepable reports whether the file may have been swept from tmp/, which is all that
// can take it from there unpublished: this process was suspended, or its host asleep,
// for so long that others took it for dead. Both clocks are asked, because the
// monotonic one may stand still while the host sleeps.
func (p *put) sweepable() bool {
	now := p.s.ops.now()
	return max(now.Sub(p.staged), now.Round(0).Sub(p.staged.Round(0))) >= tmpGrace
}

// settleSync makes the job durable. Where the order is kept, what came last brings all that
// came before it.
func (p *put) settleSync() error {
	dirs := p.dirs
	if p.s.ordered() {
		dirs = dirs[len(dirs)-1:]
	}
	return uncertain(p.s.Sync(dirs...))
}

func (p *put) firstError(dirty map[string]error) error {
	for _, d := range p.dirs {
		if err := dirty[d]; err != nil {
			return err
		}
	}
	return nil
}

func uncertain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUncertain, err)
}

// move renames and clears up a doubtful answer: a network file system may have done
// it although it says that it has not. Then my own destination is there, which
// nobody else makes. The look opens the directory anew, because a plain stat may be
// answered from a stale cache.
func (s *Spool) move(from, to string) error {
	err := s.ops.rename(s.abs(from), s.abs(to))
	if err != nil && s.network {
		if _, lookErr := s.ops.look(s.abs(path.Dir(to)), path.Base(to)); lookErr == nil {
			return nil
		}
	}
	return err
}

// maxMoves bounds how often moveInto makes a directory that others remove.
const maxMoves = 10

// moveInto is move into a directory that may not be there: done/DAY/HOUR,
// pending/later/HOUR. Directories that empty are removed again at any time, also
// between the making and the move. The error wraps fs.ErrNotExist only if the source
// is gone.
func (s *Spool) moveInto(from, to string) error {
	dir := path.Dir(to)
	if strings.Count(dir, "/") == 0 {
		return s.move(from, to)
	}
	if _, known := s.hours.Load(dir); !known {
		if err := s.mkdirs(dir); ignoreNotExist(err) != nil {
			return err
		}
	}
	for range maxMoves {
		err := s.move(from, to)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, err := s.ops.look(s.abs(path.Dir(from)), path.Base(from)); err != nil {
			return err
		}
		// What is there next may be another's, which nobody has synced.
		s.hours.Delete(dir)
		s.hours.Delete(path.Dir(dir))
		if err := s.mkdirs(dir); ignoreNotExist(err) != nil {
			return err
		}
	}
	return fmt.Errorf("move a job into %s: somebody keeps removing it", dir)
}

// mkdirs makes a directory two or three levels below the spool and its parents,
// durably: what is synced into a directory that is itself not on the disk is lost. Nor
// need one be on the disk that is there: whoever made it may not have synced its parent
// yet, or have died before. So each is synced once by each process that uses it.
func (s *Spool) mkdirs(dir string) error {
	for i := strings.IndexByte(dir, '/'); ; {
		next := strings.IndexByte(dir[i+1:], '/')
		part := dir
		if next >= 0 {
			part = dir[:i+1+next]
		}
		err := s.ops.mkdir(s.abs(part), s.dirPerm())
		there := errors.Is(err, fs.ErrExist)
		if _, known := s.hours.Load(part); err == nil || there && !known {
			err = s.Sync(path.Dir(part))
		} else if there {
			err = nil
		}
		if err != nil {
			return fmt.Errorf("make directory %s: %w", part, err)
		}
		s.hours.Store(part, true)
		if next < 0 {
			return nil
		}
		i += 1 + next
	}
}
