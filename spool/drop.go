package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// How long a dropped file must have been still before it is judged. Where the
// kernel can say whether anyone has it open for writing, no waiting is needed to
// read it whole; a file that does not parse then gets the patience of rejectAfter,
// for a program that writes in several goes.
const (
	quietLocal   = 2 * time.Second // longer than the coarsest time stamps in use (FAT's)
	quietNetwork = 5 * time.Second // attribute caches of an NFS client start at 3 s
	rejectAfter  = 30 * time.Second
	rejectUnsure = 5 * time.Minute // where nobody can tell whether it is being written
)

func quietFor(network bool) time.Duration {
	if network {
		return quietNetwork
	}
	return quietLocal
}

// IsDrop reports whether base, a name in pending/, is that of a dropped file: one
// that ends in .json and is neither a job's name nor what editors, rsync and
// careful programs call a file that is not ready.
func IsDrop(base string) bool {
	if !strings.HasSuffix(base, suffix) || base == suffix || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "#") {
		return false
	}
	_, err := ParseName(base)
	return err != nil
}

// Drop is a dropped file, opened and read whole.
type Drop struct {
	Base     string
	Data     []byte
	UID, GID uint32
	Modified time.Time
}

// Stem is the file's name without .json: the id of a job that names none.
func (d Drop) Stem() string { return strings.TrimSuffix(d.Base, suffix) }

// Adoption is what the reader of a drop decides.
type Adoption struct {
	Name     Name   // the job's name; its ID is wanted as it is if Reserved, else made unique by Adopt
	Reserved bool   // the document names the id
	Reject   string // a reason not to take it
	// Unparsed says that the content is no document: somebody may not be done with it,
	// so it is rejected only once it has been still. Incomplete says more: that it is
	// the beginning of one.
	Unparsed, Incomplete bool
}

// Adopted is what Adopt did with a drop.
type Adopted struct {
	Name     Name
	Rejected string        // the reason
	Again    time.Duration // look again after this time: somebody is writing it, or it is gone on (0)
	Done     bool
	Unsure   bool // nobody can say whether it is being written: if it is the same then, it is not
}

// drops remembers since when a drop has looked the same, for file systems where
// nobody can be asked who is writing.
type drops struct {
	mu   sync.Mutex
	seen map[string]dropSeen
}

type dropSeen struct {
	in info
	at time.Time // this host's clock
}

func (d *drops) still(base string, in info, now time.Time) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, ok := d.seen[base]
	if !ok || !old.in.same(in) || old.in.size != in.size || !old.in.mtime.Equal(in.mtime) || !old.in.ctime.Equal(in.ctime) {
		if d.seen == nil {
			d.seen = map[string]dropSeen{}
		}
		d.seen[base] = dropSeen{in: in, at: now}
		return 0
	}
	return now.Sub(old.at)
}

func (d *drops) forget(base string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, base)
}

// Adopt makes a job of a dropped file, or sets it aside, or leaves it for later.
// decide reads what it says. It is safe against any number of workers that try the
// same file: one rename wins.
func (s *Spool) Adopt(base string, decide func(Drop) Adoption) (Adopted, error) {
	a, err := s.adopt(base, decide)
	if errors.Is(err, fs.ErrNotExist) {
		s.drops.forget(base)
		return Adopted{}, nil // another worker's, or taken back
	}
	if err != nil {
		return Adopted{}, fmt.Errorf("adopt %s/%s: %w", pendingDir, base, err)
	}
	if a.Done {
		s.drops.forget(base)
	}
	return a, nil
}

func (s *Spool) adopt(base string, decide func(Drop) Adoption) (Adopted, error) {
	rel := pendingDir + "/" + base
	// The look comes before the open, so that a device's or a FIFO's open, which may
	// have effects, is never called.
	in, err := s.ops.look(s.abs(pendingDir), base)
	if err != nil {
		return Adopted{}, err
	}
	if !in.mode.IsRegular() {
		return Adopted{}, nil // stays where it is; Check names it
	}
	f, err := s.ops.open(s.abs(rel))
	if err != nil {
		if IsLink(err) {
			return Adopted{}, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return s.rejectDrop(rel, in, "it cannot be read: "+plainError(err))
		}
		return Adopted{}, err
	}
	defer f.Close() // gives the read lease back, after the rename
	writing, sure := f.beingWritten()
	if writing {
		return Adopted{Again: s.again(base, in)}, nil
	}
	data, in, err := readAll(f, s.format.MaxJobBytes)
	still := s.drops.still(base, in, s.ops.now())
	if !sure && still < quietFor(s.network) {
		return Adopted{Again: quietFor(s.network), Unsure: true}, nil
	}
	switch {
	case errors.Is(err, ErrNotRegular):
		return Adopted{}, nil
	case errors.Is(err, ErrChanging) || err == nil && len(data) == 0:
		return Adopted{Again: s.again(base, in)}, nil
	case errors.Is(err, ErrTooLarge):
		return s.rejectDrop(rel, in, plainError(err))
	case err != nil:
		return Adopted{}, err
	}
	ad := decide(Drop{Base: base, Data: data, UID: in.uid, GID: in.gid, Modified: in.mtime})
	if ad.Reject != "" {
		if wait := patience(ad, sure) - still; wait > 0 {
			return Adopted{Again: wait}, nil
		}
		return s.rejectDrop(rel, in, ad.Reject)
	}
	// Not acknowledged to anyone, but it must not become an empty file under a job's
	// name in a power cut.
	if err := f.Sync(); err != nil {
		return Adopted{}, err
	}
	a, err := s.takeDrop(rel, in, ad)
	if errors.Is(err, unix.EPERM) && int(in.uid) != geteuid() {
		// protected_hardlinks (proc(5)) refuses a link to a file that this user may not
		// write, such as another group member's: its content goes on as our own file.
		var ours bool
		if in, ours, err = s.ownDrop(rel, in, data); err == nil && !ours {
			return Adopted{Again: time.Millisecond}, nil
		}
		if err == nil {
			a, err = s.takeDrop(rel, in, ad)
		}
	}
	return a, err
}

// ownDrop puts a copy that this user owns in the place of a drop; ours is false if
// another file came under its name since it was read. The names are exchanged, because
// a rename would destroy such a newcomer. Where the file system cannot do that, as NFS,
// a look directly before the rename has to do.
func (s *Spool) ownDrop(rel string, read info, data []byte) (copied info, ours bool, err error) {
	tmp := tmpDir + "/" + s.writer + "-" + strconv.FormatUint(s.seq.next(), 36) + "!" + path.Base(rel)
	if err := s.writeNew(tmp, data, s.format.Group != ""); err != nil {
		return info{}, false, err
	}
	copied, err = s.ops.look(s.abs(tmpDir), path.Base(tmp))
	if err == nil {
		err = s.ops.exchange(s.abs(tmp), s.abs(rel))
		if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EINVAL) {
			return s.replaceDrop(tmp, rel, read, copied)
		}
	}
	if err != nil {
		return info{}, false, errors.Join(err, s.ops.unlink(s.abs(tmp)))
	}
	out, err := s.ops.look(s.abs(tmpDir), path.Base(tmp))
	if err != nil {
		return info{}, false, err
	}
	ours = out.same(read)
	if !ours {
		if err := s.ops.exchange(s.abs(tmp), s.abs(rel)); err != nil {
			return info{}, false, err
		}
	}
	return copied, ours, s.ops.unlink(s.abs(tmp))
}

func (s *Spool) replaceDrop(tmp, rel string, read, copied info) (info, bool, error) {
	now, err := s.ops.look(s.abs(path.Dir(rel)), path.Base(rel))
	if err != nil || !now.same(read) {
		return info{}, false, errors.Join(err, s.ops.unlink(s.abs(tmp)))
	}
	return copied, true, s.move(tmp, rel)
}

// patience is how long a file must have been still before it is rejected.
func patience(ad Adoption, sure bool) time.Duration {
	switch {
	case !ad.Unparsed:
		return 0
	case !sure:
		return rejectUnsure
	case ad.Incomplete:
		return rejectAfter
	default:
		return quietLocal
	}
}

// again is when to look at a file again that is being written: soon if it is new,
// less and less often if it stays.
func (s *Spool) again(base string, in info) time.Duration {
	return min(max(s.drops.still(base, in, s.ops.now())/4, 100*time.Millisecond), 10*time.Second)
}

// takeDrop binds the id and renames the file to a job's name.
func (s *Spool) takeDrop(rel string, read info, ad Adoption) (Adopted, error) {
	n := ad.Name
	if err := s.validate(n); err != nil {
		return s.rejectDrop(rel, read, err.Error())
	}
	err := s.reserve(n.ID, rel)
	for i := 2; errors.Is(err, ErrDuplicate) && !ad.Reserved && i < 10000; i++ {
		n.ID = fmt.Sprintf("%s-%d", ad.Name.ID, i)
		if s.validate(n) != nil {
			n.ID = s.NewID()
		}
		err = s.reserve(n.ID, rel)
	}
	if errors.Is(err, ErrDuplicate) {
		return s.rejectDrop(rel, read, fmt.Sprintf("duplicate id: the spool holds a job %q already", n.ID))
	}
	if err != nil {
		return Adopted{}, err
	}
	to := s.pendingPath(n, s.Now())
	if err := s.moveInto(rel, to); err != nil {
		return Adopted{}, err
	}
	if taken, err := s.ops.look(s.abs(path.Dir(to)), path.Base(to)); err == nil && !taken.same(read) {
		// Another file came under this name since it was read: what was decided is not
		// about this one. It becomes a drop again.
		return Adopted{Again: time.Millisecond}, s.returnDrop(to, rel)
	}
	if path.Dir(to) != pendingDir {
		return Adopted{Name: n, Done: true}, s.Sync(path.Dir(to), pendingDir)
	}
	return Adopted{Name: n, Done: true}, nil
}

// returnDrop gives a file back to be adopted, under its name or, if that is taken
// again, another.
func (s *Spool) returnDrop(from, rel string) error {
	err := s.ops.link(s.abs(from), s.abs(rel))
	if errors.Is(err, fs.ErrExist) {
		return s.move(from, strings.TrimSuffix(rel, suffix)+"~"+s.host.newWID()+suffix)
	}
	if err == nil {
		err = s.ops.unlink(s.abs(from))
	}
	return err
}

// rejectDrop sets aside the file that was judged, and no other that came under its
// name since.
func (s *Spool) rejectDrop(rel string, judged info, reason string) (Adopted, error) {
	to, err := s.setAside(rel, reason)
	if err != nil {
		return Adopted{}, err
	}
	if taken, err := s.ops.look(s.abs(path.Dir(to)), path.Base(to)); err == nil && !taken.same(judged) {
		return Adopted{Again: time.Millisecond}, errors.Join(s.returnDrop(to, rel), s.unexplain(to))
	}
	return Adopted{Rejected: reason, Done: true}, nil
}

// plainError is the cause without the path, which the reader knows.
func plainError(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
