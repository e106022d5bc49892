package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// Editing reports whether the job is amid an edit. It is as good as waiting, but whoever
// edits it, or who finishes what a dead editor has left, is the only one to move it.
func (e Entry) Editing() bool { return isEditing(e.Path) }

// Hold keeps a job that waits from being claimed until it is released. It is durable when
// it returns. The error wraps ErrLost if the job does not wait under that name any more.
// An element of an array passes its turn on, and waits for another once it is released.
func (s *Spool) Hold(e Entry) (Entry, error) {
	n := e.Name
	n.Held = true
	if n.Turn {
		n.Turn, n.Queued = false, true
	}
	pass := s.withTurn(e.Name)
	defer pass.end()
	to, err := s.alter("hold", e, n)
	if err == nil {
		pass.on()
	}
	return to, err
}

// Release ends a Hold. A job whose time came meanwhile is due now, so that its wait is
// not counted from a time at which it could not run. An element of an array that is not
// held need not wait for its turn then. See Hold.
func (s *Spool) Release(e Entry) (Entry, error) {
	n := e.Name
	if !n.Held {
		n.Queued = false
	}
	n.Held = false
	if now := Truncate(s.Now()); n.Due.Before(now) {
		n.Due = now
	}
	return s.alter("release", e, n)
}

// Reschedule gives a job that waits another priority and due time. See Hold.
func (s *Spool) Reschedule(e Entry, priority int, due time.Time) (Entry, error) {
	n := e.Name
	n.Priority, n.Due = priority, Truncate(due)
	return s.alter("reschedule", e, n)
}

// RunNow makes a job that waits due, and releases it if it is held, or waits for a turn
// of its array. See Hold.
func (s *Spool) RunNow(e Entry) (Entry, error) {
	n := e.Name
	n.Held, n.Queued, n.Due = false, false, Truncate(s.Now())
	return s.alter("run now", e, n)
}

// alter renames a job that waits within pending/. The name counts the change, so that no
// name recurs: a hold and a release would else give back the very name that another
// still means to claim or to change. Two who ask for the same change of the same name
// both get it.
func (s *Spool) alter(verb string, e Entry, n Name) (Entry, error) {
	to, err := s.altered(e, n)
	if err != nil {
		return e, fmt.Errorf("%s job %q: %w", verb, n.ID, err)
	}
	return to, nil
}

func (s *Spool) altered(e Entry, n Name) (Entry, error) {
	if e.State != Pending {
		return e, errors.New("it is not waiting")
	}
	if e.Editing() {
		return e, fmt.Errorf("it is being edited: %w", ErrLost)
	}
	if n == e.Name {
		return e, nil
	}
	n, err := s.changed(n, 1)
	if err != nil {
		return e, err
	}
	to := Entry{Name: n, State: Pending, Path: s.pendingPath(n, s.Now())}
	if err := s.unoccupied(e.Path, to.Path); err != nil {
		return e, err
	}
	err = s.moveInto(e.Path, to.Path)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrLost
	}
	if err == nil {
		err = s.syncMoved(e.Path, to.Path)
	}
	return to, err
}

// changed counts n changes in a name.
func (s *Spool) changed(name Name, n int) (Name, error) {
	if name.Changed+n > MaxAttempt {
		return name, fmt.Errorf("it has been changed %d times", name.Changed)
	}
	name.Changed += n
	return name, s.validate(name)
}

// unoccupied refuses a destination that is there, which only a copy made by hand can be:
// rename(2) would replace it.
func (s *Spool) unoccupied(from, to string) error {
	for _, p := range []string{to, from} {
		_, err := s.ops.look(s.abs(path.Dir(p)), path.Base(p))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // if it is from that is gone, the rename says so, or finds that it was made
		}
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w", to, fs.ErrExist)
}

// syncMoved makes a rename durable, its target first. An hour of pending/later/ is removed
// when it is empty.
func (s *Spool) syncMoved(from, to string) error {
	err := s.Sync(path.Dir(to))
	if path.Dir(from) != path.Dir(to) {
		err = errors.Join(err, ignoreNotExist(s.Sync(path.Dir(from))))
	}
	return err
}
