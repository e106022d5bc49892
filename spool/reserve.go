package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
	"time"
)

// reserve binds id to the file at from by a hard link, which has one winner. A
// binding holds while the spool holds the job: it outlives the job only until
// somebody wants the id or Sweep passes.
func (s *Spool) reserve(id, from string) error {
	_, err := s.bind(id, from)
	return err
}

// bind is reserve, and reports whether it was this call that bound the id: if not, it
// was bound to this very file before.
func (s *Spool) bind(id, from string) (made bool, err error) {
	return s.bindUnless(id, from, s.freeIfStale)
}

// bindFree is bind, but takes every binding for one that holds, without a search.
func (s *Spool) bindFree(id, from string) (made bool, err error) {
	return s.bindUnless(id, from, func(string, info) (bool, error) { return false, nil })
}

// bindTries bounds how often an id is tried whose binding changes.
const bindTries = 3

func (s *Spool) bindUnless(id, from string, free func(id string, held info) (bool, error)) (made bool, err error) {
	ref := s.idPath(id)
	if _, known := s.hours.Load(path.Dir(ref)); !known {
		if err := s.mkdirs(path.Dir(ref)); err != nil {
			return false, err
		}
	}
	// More than once, because between a look at a stale binding and its removal the
	// world moves.
	for range bindTries {
		err = s.ops.link(s.abs(from), s.abs(ref))
		if err == nil {
			return true, s.onlyHolder(id, from)
		}
		held, lookErr := s.ops.look(s.abs(path.Dir(ref)), path.Base(ref))
		if errors.Is(lookErr, fs.ErrNotExist) {
			// No binding, so the link failed for another reason: perhaps its directory was
			// not there.
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
				return false, err
			}
			if mkErr := s.mkdirs(path.Dir(ref)); mkErr != nil {
				return false, mkErr
			}
			continue
		}
		if lookErr != nil {
			return false, lookErr
		}
		mine, mineErr := s.ops.look(s.abs(path.Dir(from)), path.Base(from))
		if mineErr != nil {
			return false, mineErr
		}
		if mine.same(held) {
			return false, nil // my own link, whose reply was lost, or one made before
		}
		if !errors.Is(err, fs.ErrExist) && !s.network {
			return false, err
		}
		stale, staleErr := free(id, held)
		if staleErr != nil {
			return false, staleErr
		}
		if !stale {
			return false, ErrDuplicate
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return false, ErrDuplicate
	}
	return false, err
}

// onlyHolder gives a binding back that was just made if a job holds the id without one:
// whose id NewID made. None can come to hold it so any more.
func (s *Spool) onlyHolder(id, from string) error {
	if _, generated := ulidTime(id); !generated {
		return nil
	}
	mine, err := s.ops.look(s.abs(path.Dir(from)), path.Base(from))
	if err != nil {
		return err
	}
	other := false
	for range 2 {
		err := s.Each(func(e Entry) error {
			if e.Name.ID != id {
				return nil
			}
			if in, err := s.ops.look(s.abs(path.Dir(e.Path)), path.Base(e.Path)); err != nil || !in.same(mine) {
				other = true
				return Stop
			}
			return nil
		}, Pending, Processing, Done, Dead)
		if err != nil {
			return err
		}
	}
	if !other {
		return nil
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := ignoreNotExist(s.ops.unlink(s.abs(s.idPath(id)))); err != nil {
		return err
	}
	return ErrDuplicate
}

// freeIfStale removes the binding of id to held if the spool does not hold that job
// any more, and what is kept of that job's attempts, which would pass for the next
// one's. All removals of bindings happen under the spool's lock: otherwise two could
// take the same binding for stale, and one remove what the other's successor has just
// made.
func (s *Spool) freeIfStale(id string, held info) (bool, error) {
	if s.network {
		fresh, err := s.binding(id)
		if err != nil || !fresh.same(held) {
			return err == nil || errors.Is(err, fs.ErrNotExist), ignoreNotExist(err)
		}
		held = fresh
	}
	// That no other name exists does not say that the job is gone: an editor, sed -i or a
	// backup puts another file under its name. That one exists does not say that it is
	// the spool's: a person may have moved it out. This look costs a listing, but only a
	// duplicate pays it.
	found, e, err := s.holds(id, held)
	if err != nil || found && !(e.State == Dead && e.Outcome == OutcomeCancelled) {
		return false, err
	}
	return s.free(id, held, e)
}

// free removes the binding of id to held, of which nothing was found but perhaps a
// cancelled job, unless something has become of it since.
func (s *Spool) free(id string, held info, cancelled Entry) (bool, error) {
	unlock, err := s.lock()
	if err != nil {
		return false, err
	}
	defer unlock()
	now, err := s.binding(id)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if !now.same(held) || now.nlink != held.nlink {
		return true, nil // someone else's by now, or the job has just gone: the next link will tell
	}
	if !now.ctime.Equal(held.ctime) {
		// It was renamed while it was looked for, so that not having seen it proves
		// nothing: a job that goes back to pending/ can pass a scan by again and again.
		return false, nil
	}
	if cancelled.Path != "" {
		if gone, err := s.yield(cancelled); err != nil || !gone {
			return false, err
		}
	}
	if err := s.removeLogs(id); err != nil {
		return false, err
	}
	return s.takeBinding(id, now)
}

// binding looks at the binding of an id. On a network file system what a client knows of
// a file may be minutes old, and only an open makes it ask.
func (s *Spool) binding(id string) (info, error) {
	ref := s.idPath(id)
	if !s.network {
		return s.ops.look(s.abs(path.Dir(ref)), path.Base(ref))
	}
	f, err := s.ops.open(s.abs(ref))
	if err != nil {
		return info{}, err
	}
	defer f.Close()
	return f.info()
}

// takeBinding removes a binding that is known to be stale. A lock on a network file
// system may be no lock (a mount with nolock, a lease that was lost): there it is moved
// away and looked at before it is removed, and what turns out to be another's is given
// back. For that moment the id looks free, so this does not replace the lock.
func (s *Spool) takeBinding(id string, stale info) (bool, error) {
	ref := s.idPath(id)
	if !s.network {
		err := ignoreNotExist(s.ops.unlink(s.abs(ref)))
		return err == nil, err
	}
	tmp := tmpDir + "/" + s.nextFile() + "!binding"
	if err := s.move(ref, tmp); err != nil {
		err = ignoreNotExist(err)
		return err == nil, err
	}
	taken, err := s.ops.look(s.abs(tmpDir), path.Base(tmp))
	if err != nil || !taken.same(stale) {
		// EEXIST: a third has bound the id in that moment.
		if linkErr := s.ops.link(s.abs(tmp), s.abs(ref)); linkErr != nil && !errors.Is(linkErr, fs.ErrExist) {
			return false, errors.Join(err, linkErr)
		}
	}
	err = errors.Join(err, ignoreNotExist(s.ops.unlink(s.abs(tmp))))
	return err == nil, err
}

// rebind binds an id to the file that its job has now: the one to which it is bound,
// held, has no other name. The new binding takes the place of the old one by a rename, so
// that the id is not free for a moment.
func (s *Spool) rebind(id string, held info, e Entry) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	ref := s.idPath(id)
	now, err := s.binding(id) // a cached count would have it done twice
	if err != nil || !now.same(held) || now.nlink > 1 {
		return ignoreNotExist(err)
	}
	job, err := s.ops.look(s.abs(path.Dir(e.Path)), path.Base(e.Path))
	if err != nil || job.same(now) { // a rename of one link onto another does nothing
		return ignoreNotExist(err)
	}
	tmp := tmpDir + "/" + s.nextFile() + "!binding"
	err = s.ops.link(s.abs(e.Path), s.abs(tmp))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // it has moved on; or it is another member's (see takeDrop), and stays as it is
	}
	if err == nil {
		err = s.move(tmp, ref)
	}
	if err != nil {
		return errors.Join(err, ignoreNotExist(s.ops.unlink(s.abs(tmp))))
	}
	return nil
}

// holds reports whether a job with this id is in any state, and which, or the file itself on
// its way in. A single look that does not see it proves nothing, because it may be
// moving: it is looked for twice, in the order in which jobs move.
func (s *Spool) holds(id string, held info) (found bool, e Entry, err error) {
	for range 2 {
		err := s.walkTmp(func(rel, _ string, n Name) error {
			if n.ID == id {
				in, err := s.ops.look(s.abs(tmpDir), path.Base(rel))
				found = found || err == nil && in.same(held)
			}
			return nil
		})
		for _, st := range []State{Pending, Processing, Done, Dead} {
			if err != nil || found {
				break
			}
			err = s.walk(st, func(f Found) error {
				switch {
				case f.Err == nil:
					if found = f.Name.ID == id; found {
						e = f.Entry
					}
				case st == Pending:
					// A dropped file is bound a moment before it gets its name.
					in, err := s.ops.look(s.abs(path.Dir(f.Path)), f.Base)
					found = err == nil && in.same(held)
				}
				if found {
					return errStop
				}
				return nil
			})
		}
		if err != nil && !errors.Is(err, errStop) || found {
			return found, e, ignoreStop(err)
		}
	}
	return false, Entry{}, nil
}

// lock takes the spool's lock. It orders rare repairs among the processes that can
// see each other's locks; no transition of a job depends on it. Those of one process queue
// up for it: who finds it taken looks again only after a pause. The error wraps EAGAIN if
// others have it for longer than lockPatience, of this process or of another.
func (s *Spool) lock() (unlock func(), err error) {
	begun := time.Now()
	if !s.locking.enter(lockPatience) {
		return nil, fmt.Errorf("lock the spool: %w", pathError("flock", s.abs(lockFile), syscall.EAGAIN))
	}
	defer func() {
		if err != nil {
			s.locking.leave()
		}
	}()
	f, err := s.lockAt(lockFile, lockPatience-time.Since(begun))
	if err != nil {
		return nil, fmt.Errorf("lock the spool: %w", err)
	}
	return func() { s.letGo(f); s.locking.leave() }, nil
}

// letGo ends what lockAt began.
func (s *Spool) letGo(f file) {
	f.unlock(s.network)
	_ = f.Close()
}

// lockAt locks a file of the spool's and makes it if it is not there.
func (s *Spool) lockAt(rel string, patience time.Duration) (file, error) {
	for range bindTries {
		f, err := s.ops.update(s.abs(rel), s.FilePerm())
		if err != nil {
			return nil, err
		}
		if err := f.lock(s.network, patience); err != nil {
			_ = f.Close()
			return nil, err
		}
		// A file that was removed while it was waited for locks nobody out: the removal of a
		// queue that was given up, or rm, does that.
		there, err := s.isAt(rel, f)
		if there {
			return f, nil
		}
		s.letGo(f)
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("somebody keeps removing %s", rel)
}

// isAt reports whether an open file is the one that has this name.
func (s *Spool) isAt(rel string, f file) (bool, error) {
	in, err := f.info()
	now, lookErr := s.ops.look(path.Dir(s.abs(rel)), path.Base(rel))
	if err = errors.Join(err, ignoreNotExist(lookErr)); err != nil {
		return false, err
	}
	return lookErr == nil && now.same(in), nil
}
