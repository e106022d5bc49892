package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
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

// beingWritten asks whether anyone has a file open for writing; on a network file system
// nobody is asked. NFS 4 grants a lease to who has a delegation and refuses it to all
// others, which says nothing of writers. And a rename gives the delegation back first, for
// which the kernel waits until the lease is given up: our own, until after 45 s it is taken
// away (fs.lease-break-time), with the directories locked meanwhile.
func (s *Spool) beingWritten(f file) (yes, known bool) {
	if s.network {
		return false, false
	}
	return f.beingWritten()
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
	Mode     fs.FileMode
	Modified time.Time
}

// Stem is the file's name without .json, as it was dropped: the id of a job that names
// none.
func (d Drop) Stem() string {
	if stem, _, owned := ownedDrop(d.Base); owned {
		return stem
	}
	return strings.TrimSuffix(d.Base, suffix)
}

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
	Base     string        // with Again, the name to look for
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
	if a.Again > 0 && a.Base == "" {
		a.Base = base
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
	if wait := s.othersDrop(base, in); wait > 0 {
		return Adopted{Again: wait}, nil
	}
	f, err := s.ops.open(s.abs(rel))
	if err != nil {
		if IsLink(err) {
			return Adopted{}, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return s.rejectDrop(base, in, "it cannot be read: "+plainError(err))
		}
		return Adopted{}, err
	}
	defer f.Close() // gives the read lease back, after the rename
	writing, sure := s.beingWritten(f)
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
		return s.rejectDrop(base, in, plainError(err))
	case err != nil:
		return Adopted{}, err
	}
	ad := decide(Drop{Base: dropName(base), Data: data, UID: in.uid, GID: in.gid, Mode: in.mode, Modified: in.mtime})
	if ad.Reject != "" {
		if wait := patience(ad, sure) - still; wait > 0 {
			return Adopted{Again: wait}, nil
		}
		return s.rejectDrop(base, in, ad.Reject)
	}
	// Not acknowledged to anyone, but it must not become an empty file under a job's
	// name in a power cut.
	if err := f.Sync(); err != nil {
		return Adopted{}, err
	}
	return s.takeDrop(base, in, data, ad)
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

// takeDrop makes a job of the file that was read as base.
func (s *Spool) takeDrop(base string, read info, data []byte, ad Adoption) (Adopted, error) {
	if err := s.validate(ad.Name); err != nil {
		return s.rejectDrop(base, read, err.Error())
	}
	own, in, err := s.ownDrop(base)
	if err != nil {
		return Adopted{}, err
	}
	if !in.same(read) {
		return Adopted{Again: time.Millisecond, Base: own}, nil
	}
	n, err := s.nameDrop(own, in, ad)
	if errors.Is(err, unix.EPERM) && int(in.uid) != geteuid() {
		// protected_hardlinks (proc(5)) refuses a link to a file that this user may not
		// write, such as another group member's: its content goes on as our own file.
		if own, in, err = s.copyDrop(own, data); err == nil {
			n, err = s.nameDrop(own, in, ad)
		}
	}
	if errors.Is(err, ErrDuplicate) {
		return s.setDropAside(own, fmt.Sprintf("duplicate id: the spool holds a job %q already", n.ID))
	}
	if err != nil {
		return Adopted{}, err
	}
	return Adopted{Name: n, Done: true}, nil
}

// maxNumbered is up to which number a drop is named after its file. Each number is tried
// in turn, so that ever more drops of one name would cost ever more.
const maxNumbered = 9

// errAlreadyJob says that the file of a drop is a job: another id for it would make a
// second job of one file.
var errAlreadyJob = fmt.Errorf("%w: the file is a job already", ErrDuplicate)

// idTaken says that another id may be tried.
func idTaken(err error) bool {
	return errors.Is(err, ErrDuplicate) && !errors.Is(err, errAlreadyJob)
}

// nameDrop gives a drop that this process owns its id and its job's name.
func (s *Spool) nameDrop(own string, in info, ad Adoption) (Name, error) {
	n := ad.Name
	err := s.publishDrop(own, in, n, s.bind)
	for i := 2; idTaken(err) && !ad.Reserved && i <= maxNumbered; i++ {
		n.ID = fmt.Sprintf("%s-%d", ad.Name.ID, i)
		if s.validate(n) != nil {
			break
		}
		// A search for the job that has this id would cost more than the next number.
		err = s.publishDrop(own, in, n, s.bindFree)
	}
	if idTaken(err) && !ad.Reserved {
		n.ID = ad.Name.ID + "-" + s.NewID()
		if s.validate(n) != nil {
			n.ID = s.NewID()
		}
		err = s.publishDrop(own, in, n, s.bindFree)
	}
	return n, err
}

// publishDrop binds the id and renames the file to a job's name.
func (s *Spool) publishDrop(own string, in info, n Name, bind func(id, from string) (bool, error)) error {
	rel := pendingDir + "/" + own
	made, err := bind(n.ID, rel)
	if err != nil {
		return err
	}
	if !made || in.nlink > 1 {
		// The id is this file's, but the file may have been dropped twice, by ln(1): then
		// it is a job already, or another adopter makes one of it just now. The lock orders
		// those two.
		unlock, err := s.lock()
		if err != nil {
			return err
		}
		defer unlock()
		found, err := s.Find(n.ID)
		if err != nil {
			return err
		}
		if len(found) > 0 && !made {
			return errAlreadyJob // on btrfs a power cut can leave both names
		}
		if len(found) > 0 {
			return ErrDuplicate
		}
	}
	// A file can be older than a demand for an earlier job of its id.
	if err := s.WithdrawDemand(Demand{ID: n.ID}); err != nil {
		return err
	}
	// A job must not be on the disk without its binding.
	if err := s.Sync(path.Dir(s.idPath(n.ID))); err != nil {
		return err
	}
	to := s.pendingPath(n, s.Now())
	if err := s.moveInto(rel, to); err != nil {
		return err
	}
	if path.Dir(to) != pendingDir {
		return s.Sync(path.Dir(to), pendingDir)
	}
	return nil
}

// copyDrop puts a copy that this user owns in the place of a drop that this process
// owns. The drop is renamed once more before that: if another has taken it meanwhile,
// that fails, and there is no second job.
func (s *Spool) copyDrop(own string, data []byte) (_ string, copied info, err error) {
	tmp := tmpDir + "/" + s.nextFile() + "!" + dropName(own)
	if err := s.writeOwn(tmp, data, s.format.Group != ""); err != nil {
		return "", info{}, err
	}
	old := own
	own = s.ownName(own)
	copied, err = s.ops.look(s.abs(tmpDir), path.Base(tmp))
	if err == nil {
		err = s.move(pendingDir+"/"+old, pendingDir+"/"+own)
	}
	if err == nil {
		err = s.move(tmp, pendingDir+"/"+own)
	}
	if err == nil {
		var now info
		// On a network file system, move may have taken the drop itself for the copy.
		if now, err = s.ops.look(s.abs(pendingDir), own); err == nil && !now.same(copied) {
			err = ErrChanging
		}
	}
	if err != nil {
		return "", info{}, errors.Join(err, ignoreNotExist(s.ops.unlink(s.abs(tmp))))
	}
	return own, copied, nil
}

// rejectDrop sets aside the file that was judged as base.
func (s *Spool) rejectDrop(base string, judged info, reason string) (Adopted, error) {
	own, in, err := s.ownDrop(base)
	if err != nil {
		return Adopted{}, err
	}
	if !in.same(judged) {
		return Adopted{Again: time.Millisecond, Base: own}, nil
	}
	return s.setDropAside(own, reason)
}

func (s *Spool) setDropAside(own, reason string) (Adopted, error) {
	if err := s.setAside(pendingDir+"/"+own, dropName(own), reason); err != nil {
		return Adopted{}, err
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
