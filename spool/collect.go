package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// Collect brings a file that Boxed has named into pending/, as a drop that decide finds
// good, or sets it aside, or leaves it for later. What comes into pending/ is a copy: the
// bytes that were judged, of the owner whose they are, in a file that nobody but root has
// a name or a descriptor of. So nothing that its producer does to his file, then or later,
// reaches it. Adopted.Base names the drop, or where to look again. Like Adopt it is safe
// against others that try the same file.
func (s *Spool) Collect(rel string, decide func(Drop) Adoption) (Adopted, error) {
	var a Adopted
	var err error
	if dir, base := path.Split(rel); dir == boxesDir+"/" {
		a, err = s.collectTaken(base, decide)
	} else {
		a, err = s.collectBoxed(path.Clean(dir), base, decide)
	}
	if errors.Is(err, fs.ErrNotExist) {
		s.drops.forget(rel)
		return Adopted{}, nil // another worker's, or taken back
	}
	if err != nil {
		return Adopted{}, fmt.Errorf("collect %s: %w", rel, err)
	}
	if a.Done || a.Base != "" {
		s.drops.forget(rel)
	}
	if a.Again > 0 && a.Base == "" {
		a.Base = rel
	}
	return a, nil
}

// collectBoxed takes a file out of its box once nobody writes it any more. What it sees
// here decides nothing but that: the file may be another a moment later.
func (s *Spool) collectBoxed(box, base string, decide func(Drop) Adoption) (Adopted, error) {
	in, err := s.ops.look(s.abs(path.Dir(box)), path.Base(box))
	if err == nil {
		err = boxOwner(in)
	}
	if err != nil {
		return Adopted{}, err
	}
	owner := in.uid
	// As in adopt: what is no file is never opened.
	if in, err = s.ops.look(s.abs(box), base); err != nil || !in.mode.IsRegular() {
		return Adopted{}, err
	}
	f, err := s.ops.open(s.abs(box + "/" + base))
	if err != nil {
		if IsLink(err) || errors.Is(err, unix.ENXIO) {
			return Adopted{}, nil
		}
		return Adopted{}, err
	}
	defer f.Close()
	writing, sure := s.beingWritten(f)
	key := box + "/" + base
	if writing {
		return Adopted{Again: s.again(key, in)}, nil
	}
	data, in, err := readAll(f, s.format.MaxJobBytes)
	still := s.drops.still(key, in, s.ops.now())
	switch {
	case !sure && still < quietFor(s.network):
		return Adopted{Again: quietFor(s.network), Unsure: true}, nil
	case errors.Is(err, ErrNotRegular):
		return Adopted{}, nil
	case errors.Is(err, ErrChanging), err == nil && len(data) == 0:
		return Adopted{Again: s.again(key, in)}, nil
	case errors.Is(err, ErrTooLarge):
	case err != nil:
		return Adopted{}, err
	default:
		ad := decide(Drop{Base: base, Data: data, UID: in.uid, GID: in.gid, Mode: in.mode, Modified: in.mtime})
		if wait := patience(ad, sure) - still; ad.Reject != "" && wait > 0 {
			return Adopted{Again: wait}, nil
		}
	}
	taken := s.takeName(owner, base)
	if err := s.move(box+"/"+base, boxesDir+"/"+taken); err != nil {
		return Adopted{}, err
	}
	return s.judgeTaken(owner, taken, decide)
}

// collectTaken goes on with what another process has taken out of its box.
func (s *Spool) collectTaken(taken string, decide func(Drop) Adoption) (Adopted, error) {
	owner, own, ok := parseTaken(taken)
	if !ok {
		return Adopted{}, nil
	}
	in, err := s.ops.look(s.abs(boxesDir), taken)
	if err != nil {
		return Adopted{}, err
	}
	if wait := s.othersDrop(own, in); wait > 0 {
		return Adopted{Again: wait}, nil
	}
	if _, writer, owned := ownedDrop(own); !owned || writer != s.writer {
		// Under a new name, so that of two that go on one fails; and a power cut may have
		// left it its old ones.
		if err := s.dropTwins(taken, in); err != nil {
			return Adopted{}, err
		}
		to := s.takeName(owner, own)
		if err := s.move(boxesDir+"/"+taken, boxesDir+"/"+to); err != nil {
			return Adopted{}, err
		}
		taken = to
	}
	return s.judgeTaken(owner, taken, decide)
}

// dropTwins removes other names that a power cut has left of a file that was being taken,
// on file systems that can show both names of a rename: it would pass for one that somebody
// has linked here. What is in pending/ is a copy that was finished.
func (s *Spool) dropTwins(taken string, in info) error {
	if in.nlink < 2 || !in.mode.IsRegular() {
		return nil
	}
	twin := func(dir, base string) (bool, error) {
		other, err := s.ops.look(s.abs(dir), base)
		return err == nil && other.same(in), ignoreNotExist(err)
	}
	err := s.ops.names(s.abs(pendingDir), func(base string) error {
		if same, err := twin(pendingDir, base); err != nil || !same {
			return err
		}
		return errors.Join(s.ops.unlink(s.abs(boxesDir+"/"+taken)), fs.ErrNotExist)
	})
	if err != nil {
		return err
	}
	return s.Boxed(func(rel string) {
		if dir, base := path.Split(rel); dir != boxesDir+"/" {
			if same, _ := twin(dir, base); same {
				_ = s.ops.unlink(s.abs(rel)) // else it is set aside as a link, and not lost
			}
		}
	})
}

// judgeTaken opens the file once; whose it is, who can have written it and what it says
// all come from that one descriptor.
func (s *Spool) judgeTaken(owner uint32, taken string, decide func(Drop) Adoption) (Adopted, error) {
	rel := boxesDir + "/" + taken
	_, own, _ := parseTaken(taken)
	aside := func(reason string) (Adopted, error) {
		if err := s.setAside(rel, takenName(owner, dropName(own)), reason); err != nil {
			return Adopted{}, err
		}
		return Adopted{Rejected: reason, Done: true}, nil
	}
	in, err := s.ops.look(s.abs(boxesDir), taken)
	if err != nil {
		return Adopted{}, err
	}
	if !in.mode.IsRegular() {
		return aside("a " + kindName(in.mode) + " was put in the place of the file while it was looked at")
	}
	f, err := s.ops.open(s.abs(rel))
	if err != nil {
		return Adopted{}, err
	}
	defer f.Close()
	data, in, err := readAll(f, s.format.MaxJobBytes)
	switch {
	case err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrChanging):
		return Adopted{}, err
	case in.uid != owner:
		return aside(fmt.Sprintf("it belongs to user %d, and was dropped where user %d puts files", in.uid, owner))
	case in.nlink != 1:
		return aside("it has another name elsewhere (a hard link), so its owner need not have put it here")
	case errors.Is(err, ErrTooLarge):
		return aside(plainError(err))
	case errors.Is(err, ErrChanging):
		return Adopted{Again: time.Second, Base: rel}, nil
	}
	ad := decide(Drop{Base: dropName(own), Data: data, UID: in.uid, GID: in.gid, Mode: in.mode, Modified: in.mtime})
	if ad.Reject != "" {
		return aside(ad.Reject)
	}
	return s.copyTaken(owner, taken, own, data)
}

// copyTaken puts a copy in the place of a file that was found good, and that into
// pending/. Whatever it is cut short at, one file is left to go on with.
func (s *Spool) copyTaken(owner uint32, taken, own string, data []byte) (Adopted, error) {
	tmp := tmpDir + "/" + s.nextFile() + "!" + dropName(own)
	if err := s.writeFor(owner, tmp, data); err != nil {
		return Adopted{}, err
	}
	if err := s.move(tmp, boxesDir+"/"+taken); err != nil {
		return Adopted{}, errors.Join(err, ignoreNotExist(s.ops.unlink(s.abs(tmp))))
	}
	if err := s.move(boxesDir+"/"+taken, pendingDir+"/"+own); err != nil {
		return Adopted{}, err
	}
	if err := s.Sync(pendingDir, boxesDir); err != nil {
		return Adopted{}, err
	}
	return Adopted{Again: time.Millisecond, Base: own}, nil
}

// writeFor is writeOwn for another user's file.
func (s *Spool) writeFor(owner uint32, rel string, data []byte) error {
	return s.writeFile(rel, data, s.jobPerm(false), func(f file) error { return giveFile(f, owner) })
}

// giveFile makes a file that root has made another user's.
func giveFile(f file, owner uint32) error {
	if x := f.os(); x != nil {
		return x.Chown(int(owner), -1)
	}
	return nil // a simulated one has no owner
}

const boxedLogMode fs.FileMode = 0o600

// GiveLog makes a file about an attempt, which root has opened, that of the job's owner.
func GiveLog(f *os.File, uid, gid uint32) error {
	// The directory lets everybody pass, so a group's members would read it.
	if err := errors.Join(f.Chmod(boxedLogMode), f.Chown(int(uid), int(gid))); err != nil {
		return fmt.Errorf("give the job's owner its output: %w", err)
	}
	return nil
}
