package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

// editGrace is how long an edit may take before others take it for abandoned, where they
// cannot see that its process is gone. Its user's thinking is not part of it, only a few
// system calls; and an editor that was slower loses nothing but its edit.
const editGrace = time.Minute

func isEditing(rel string) bool { return strings.HasPrefix(rel, editingDir+"/") }

// editFiles is what an edit's directory holds.
type editFiles struct {
	bind     bool
	old, new string // names of files, "" if they are not there
	job      Name   // what they call the job: old if it is there, else new
}

func (f editFiles) empty() bool { return !f.bind && f.old == "" && f.new == "" }

// editFiles lists an edit's directory. Files of no meaning are passed over; Check names
// them.
func (s *Spool) editFiles(dir string) (f editFiles, err error) {
	err = s.ops.names(s.abs(dir), func(base string) error {
		if base == bindFile {
			f.bind = true
			return nil
		}
		prefix, n, ok := parseEditFile(base)
		switch {
		case !ok:
		case prefix == oldPrefix:
			f.old, f.job = base, n
		case f.old == "":
			f.new, f.job = base, n
		default:
			f.new = base
		}
		return nil
	})
	return f, err
}

// parseEditFile reads the name of a job's file in an edit's directory.
func parseEditFile(base string) (prefix string, n Name, ok bool) {
	for _, prefix := range []string{oldPrefix, newPrefix} {
		if name, has := strings.CutPrefix(base, prefix); has {
			n, err := ParseName(name)
			return prefix, n, err == nil
		}
	}
	return "", Name{}, false
}

// walkEdits visits the jobs that are amid an edit, each once: as it was, or, once that
// file is gone, as it will be.
func (s *Spool) walkEdits(visit func(Found) error) error {
	return s.eachEdit(func(dir string) error {
		f, err := s.editFiles(dir)
		if notDir(err) || err == nil && f.old == "" && f.new == "" {
			return nil
		}
		if err != nil {
			return err
		}
		base := f.old
		if base == "" {
			// It is the job only if its id is bound to it: else it is what an editor has
			// prepared, or what is left of one that was given up.
			if is, err := s.isBound(dir, f); err != nil || !is {
				return err
			}
			base = f.new
		}
		return visit(Found{Base: base, Entry: Entry{Name: f.job, State: Pending, Path: dir + "/" + base}})
	})
}

func (s *Spool) eachEdit(visit func(dir string) error) error {
	err := s.walkEach(editingDir, func(base string) error {
		// A link to elsewhere would make jobs of what lies there.
		in, err := s.ops.look(s.abs(editingDir), base)
		if err != nil || !in.mode.IsDir() {
			return ignoreNotExist(err)
		}
		return visit(editingDir + "/" + base)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a spool that is older than edits
	}
	return err
}

// isBound reports whether the id of an edit is bound to its new file.
func (s *Spool) isBound(dir string, f editFiles) (bool, error) {
	if f.new == "" {
		return false, nil
	}
	fresh, err := s.ops.look(s.abs(dir), f.new)
	if err != nil {
		return false, ignoreNotExist(err)
	}
	ref := s.idPath(f.job.ID)
	bound, err := s.ops.look(s.abs(path.Dir(ref)), path.Base(ref))
	return err == nil && bound.same(fresh), ignoreNotExist(err)
}

// RecoverEdits finishes the edits that were abandoned: those whose process is gone, and
// those that are older than age (0 stands for the default). It returns the jobs that it
// gave back to pending/.
func (s *Spool) RecoverEdits(age time.Duration) (back []Entry, err error) {
	if age == 0 {
		age = editGrace
	}
	err = s.noEdits.look(s, func() (nothing bool, err error) {
		nothing = true
		back, err = s.recoverEdits(age, func() { nothing = false })
		return nothing, err
	}, editingDir)
	if err != nil {
		return back, fmt.Errorf("finish abandoned edits: %w", err)
	}
	return back, nil
}

func (s *Spool) recoverEdits(age time.Duration, found func()) (back []Entry, err error) {
	var failed error
	err = s.eachEdit(func(dir string) error {
		found()
		in, err := s.ops.look(s.abs(editingDir), path.Base(dir))
		if err != nil || !in.mode.IsDir() {
			return ignoreNotExist(err)
		}
		if s.Now().Sub(in.ctime) < age && s.running(writerOf(dir)) {
			return nil
		}
		e, err := s.finishEdit(dir)
		if e != nil {
			back = append(back, *e)
		}
		// One that cannot be finished must not keep the others back.
		failed = errors.Join(failed, err)
		return nil
	})
	return back, errors.Join(err, failed)
}

// maxEditRounds bounds how often an edit's directory is emptied that is filled again: its
// editor can do that twice.
const maxEditRounds = 10

// finishEdit brings an edit to its end, forward if it is committed and back if it is not.
// It is what the editor itself does last, and what any number of others may do at any
// time, also while the editor goes on. back is the job, if this call put it back into
// pending/.
//
// An edit is committed if the id is bound to its new file. The only call that does that is
// the editor's rename of bind. So first bind is taken away: then it is decided, for ever
// and for everybody. That holds because bind is made before all else in the directory, so
// that whoever sees anything else there knows that it will not be made again.
//
// Committed: the old file is unlinked, and only when it is known to be gone the new one
// goes to pending/. So an old file beside which there is no new one was never replaced.
// Not committed: the old file goes back to pending/, then the new one is unlinked. It
// may come only now; then the directory is not empty, and the next round sees it. All
// names but that of the binding belong to this edit alone, and none is used twice: who
// was suspended and acts on what it saw long ago finds nothing.
//
// The rmdir is the fence: after it nothing can come into the directory any more.
func (s *Spool) finishEdit(dir string) (back *Entry, err error) {
	for range maxEditRounds {
		f, err := s.editFiles(dir)
		if notDir(err) {
			return back, nil
		}
		if err != nil {
			return back, err
		}
		if !f.empty() {
			if err := s.unlinkSurely(dir + "/" + bindFile); err != nil {
				return back, err
			}
		}
		if f.old != "" || f.new != "" {
			e, err := s.decideEdit(dir, f)
			if e != nil {
				back = e
			}
			if err != nil {
				return back, err
			}
		}
		err = s.ops.rmdir(s.abs(dir))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return back, nil
		}
		if !isNotEmpty(err) {
			return back, err
		}
		if left, err := s.editFiles(dir); err == nil && left.empty() {
			return back, nil // something of no meaning lies there; Check names it
		}
	}
	return back, fmt.Errorf("something keeps coming into %s", dir)
}

// decideEdit moves the job of an edit whose bind is gone. f is what was there before.
func (s *Spool) decideEdit(dir string, f editFiles) (back *Entry, err error) {
	committed, err := s.isBound(dir, f)
	if err != nil {
		return nil, err
	}
	if !committed {
		if f.old != "" {
			if back, err = s.giveBack(dir, f.old); err != nil {
				return back, err
			}
		}
		if f.new == "" {
			return back, nil
		}
		return back, s.unlinkSurely(dir + "/" + f.new)
	}
	if err := s.Sync(path.Dir(s.idPath(f.job.ID))); err != nil {
		return nil, err
	}
	// Listed anew: of a committed edit, the old file had come before bind went, so that it
	// is seen now if it is there.
	if f, err = s.editFiles(dir); err != nil || f.new == "" {
		return nil, ignoreNotExist(err) // somebody else has finished it
	}
	if f.old != "" {
		if err := s.unlinkSurely(dir + "/" + f.old); err != nil {
			return nil, err
		}
	}
	// Whoever removed the old one: a power cut must not bring it back once the new one is
	// in pending/.
	if err := ignoreNotExist(s.Sync(dir)); err != nil {
		return nil, err
	}
	_, n, _ := parseEditFile(f.new)
	return s.passOn(dir+"/"+f.new, n)
}

// giveBack puts the old job back into pending/. Its name counts two changes, where that
// of the new one would have counted one: neither is used twice.
func (s *Spool) giveBack(dir, base string) (*Entry, error) {
	_, n, _ := parseEditFile(base)
	n, err := s.changed(n, 2)
	if err != nil {
		return nil, err
	}
	return s.passOn(dir+"/"+base, n)
}

// passOn moves a job out of its edit's directory. Another may do the same, to the same
// name.
func (s *Spool) passOn(from string, n Name) (*Entry, error) {
	in, err := s.ops.look(s.abs(path.Dir(from)), path.Base(from))
	if err != nil {
		return nil, ignoreNotExist(err)
	}
	// One link, or two with the binding. If there are more, a power cut may have left the
	// job's old name as well (section 8): then this one goes.
	if elsewhere, err := s.isElsewhere(n.ID, in); err != nil {
		return nil, err
	} else if elsewhere {
		return nil, s.unlinkSurely(from)
	}
	to := Entry{Name: n, State: Pending, Path: s.pendingPath(n, s.Now())}
	if err := s.moveInto(from, to.Path); err != nil {
		// It may have been executed, and the job claimed before it could be seen.
		if _, lookErr := s.ops.look(s.abs(path.Dir(from)), path.Base(from)); errors.Is(lookErr, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	return &to, errors.Join(s.Sync(path.Dir(to.Path)), ignoreNotExist(s.Sync(path.Dir(from))))
}

// isElsewhere reports whether a file amid an edit is a job in one of the states, too.
func (s *Spool) isElsewhere(id string, in info) (found bool, err error) {
	if in.nlink == 1 {
		return false, nil
	}
	links := uint64(1)
	ref := s.idPath(id)
	if bound, err := s.ops.look(s.abs(path.Dir(ref)), path.Base(ref)); err == nil && bound.same(in) {
		links++
	} else if ignoreNotExist(err) != nil {
		return false, err
	}
	if in.nlink <= links {
		return false, nil
	}
	for range 2 { // one look that does not see it proves nothing
		err := s.Each(func(e Entry) error {
			if e.Name.ID != id || e.Editing() {
				return nil
			}
			other, err := s.ops.look(s.abs(path.Dir(e.Path)), path.Base(e.Path))
			if found = err == nil && other.same(in); found {
				return errStop
			}
			return ignoreNotExist(err)
		}, Pending, Processing, Done, Dead)
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// unlinkSurely removes a name of which it must be certain that it is gone. On a network
// file system neither error nor ENOENT says that: see move.
func (s *Spool) unlinkSurely(rel string) error {
	err := s.ops.unlink(s.abs(rel))
	if err == nil || errors.Is(err, fs.ErrNotExist) && !s.network {
		return nil
	}
	_, lookErr := s.ops.look(s.abs(path.Dir(rel)), path.Base(rel))
	if errors.Is(lookErr, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, lookErr)
}

// edits looks for edits that nobody will finish but a worker, or a repair.
func (c *checker) edits() error {
	return c.s.eachEdit(func(dir string) error {
		in, err := c.s.ops.look(c.s.abs(editingDir), path.Base(dir))
		if err != nil || !in.mode.IsDir() {
			return ignoreNotExist(err) // strays names it
		}
		err = c.s.ops.names(c.s.abs(dir), func(base string) error {
			if _, _, ok := parseEditFile(base); !ok && base != bindFile && !strings.HasPrefix(base, ".nfs") {
				c.unknown(dir + "/" + base)
			}
			return nil
		})
		age := c.s.Now().Sub(in.ctime)
		if notDir(err) || age < editGrace && c.s.running(writerOf(dir)) || age < time.Second {
			return nil
		}
		c.add(Breach{"stale-edit", dir, "an edit of a job was cut short", "workers finish it, and so does a repair", func() error {
			_, err := c.s.finishEdit(dir)
			return err
		}})
		return err
	})
}
