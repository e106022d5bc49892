package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
)

// Revive gives a dead job a fresh budget and puts it back: it may have allowance
// more attempts. Everything else about it stays; an element of an array with a limit
// waits for a turn again if e's name is Queued. It is durable when it returns. The error
// wraps ErrLost if the job is not there any more.
func (s *Spool) Revive(e Entry, allowance int) (Entry, error) {
	n := e.Name
	n.Due = Truncate(s.Now())
	n.Allowed = min(n.Attempt+allowance, MaxAttempt)
	n.Lost, n.Snoozed, n.Held, n.Outcome, n.Wait, n.Run = 0, 0, false, "", 0, 0
	n.Turn = false // it would be one too many: the array has given it to another
	to := Entry{Name: n, State: Pending, Path: pendingDir + "/" + s.file(n)}
	// A demand that came too late for its last attempt is not about the next one.
	if err := s.WithdrawDemand(Demand{ID: n.ID}); err != nil {
		return to, fmt.Errorf("retry job %q: %w", n.ID, err)
	}
	err := s.move(e.Path, to.Path)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrLost
	}
	if err == nil {
		err = s.Sync(pendingDir, path.Dir(e.Path))
	}
	if err != nil {
		return to, fmt.Errorf("retry job %q: %w", n.ID, err)
	}
	return to, nil
}

// Remove deletes a job that nobody holds, and what is known of its attempts. The
// error wraps ErrLost if it is not there any more.
func (s *Spool) Remove(e Entry) error {
	if err := s.RemoveUnsynced(e); err != nil {
		return err
	}
	return s.SyncRemoved(e)
}

// RemoveUnsynced is Remove, but only after SyncRemoved a power cut does not bring the job
// back: who removes many has their directories synced once.
func (s *Spool) RemoveUnsynced(e Entry) error {
	if err := s.remove(e); err != nil {
		return fmt.Errorf("remove job %q: %w", e.Name.ID, err)
	}
	return nil
}

// SyncRemoved makes what RemoveUnsynced has done durable.
func (s *Spool) SyncRemoved(removed ...Entry) error {
	dirs := map[string]bool{}
	for _, e := range removed {
		dirs[path.Dir(e.Path)] = true
	}
	var errs []error
	for _, d := range slices.Sorted(maps.Keys(dirs)) {
		// Who prunes removes an hour that is empty: that it is gone is in what it was in.
		err := s.Sync(d)
		for errors.Is(err, fs.ErrNotExist) && d != "." {
			d = path.Dir(d)
			err = s.Sync(d)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// remove deletes a job, and then what is known of it: what is then left over names
// nothing and is swept, where a job without its binding could lose its id to another.
func (s *Spool) remove(e Entry) error {
	if e.State == Processing {
		return errors.New("a worker has it")
	}
	if e.Editing() {
		return fmt.Errorf("it is being edited: %w", ErrLost)
	}
	in, err := s.ops.look(s.abs(path.Dir(e.Path)), path.Base(e.Path))
	var held info
	if err == nil {
		held, err = s.boundTo(e)
	}
	if err == nil {
		err = s.ops.unlink(s.abs(e.Path))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return ErrLost
	}
	if err != nil {
		return err
	}
	_, generated := ulidTime(e.Name.ID)
	switch {
	case held.ino == 0 && generated:
		return s.removeRecords(e) // nobody else gets this id
	case held.same(in):
		return s.unbind(e, held)
	case held.nlink == 1:
		// The job's file had been replaced, by an editor say, and was not bound any more.
		_, err = s.freeIfStale(e.Name.ID, held)
		return err
	}
	return nil // they are those of another job that has this id
}

// boundTo is the file to which the id of a job is bound; that of a chosen id is bound
// if it was not, because nobody may get it before the records of this job are gone.
func (s *Spool) boundTo(e Entry) (held info, err error) {
	ref := s.idPath(e.Name.ID)
	held, err = s.ops.look(s.abs(path.Dir(ref)), path.Base(ref))
	if !errors.Is(err, fs.ErrNotExist) {
		return held, err
	}
	if _, generated := ulidTime(e.Name.ID); generated {
		return info{}, nil
	}
	if err := s.reserve(e.Name.ID, e.Path); err != nil && !errors.Is(err, ErrDuplicate) {
		return info{}, err
	}
	return s.ops.look(s.abs(path.Dir(ref)), path.Base(ref))
}

// unbind removes the records of a job whose file has been removed, and its binding,
// unless that is another's by now: from the moment on at which the file was gone, the id
// is that of anyone who wants it. Who takes it removes the records first, so that those
// that are there then are the new job's. As long as the binding is there, under the
// spool's lock, nobody can. It stays if its file has another name somewhere.
func (s *Spool) unbind(e Entry, held info) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	ref := s.idPath(e.Name.ID)
	now, err := s.ops.look(s.abs(path.Dir(ref)), path.Base(ref))
	// The number of an inode that is gone is soon another's: then it has its two links.
	if err != nil || !now.same(held) || now.nlink >= held.nlink {
		return ignoreNotExist(err)
	}
	if err := s.removeRecords(e); err != nil || now.nlink > 1 {
		return err
	}
	return ignoreNotExist(s.ops.unlink(s.abs(ref)))
}

// logKinds are what there can be of an attempt; FORMAT.md, section 2, says what they are.
var logKinds = [...]string{"json", "out", "err", "result", "progress"}

// fewAttempts is up to how many attempts their records are removed one by one. Beyond
// that a listing costs less, and a name can say that there were a million.
const fewAttempts = 30

// removeRecords removes what is kept of a job's attempts, and of what was done to it.
func (s *Spool) removeRecords(e Entry) error {
	if e.Attempt > fewAttempts {
		return s.removeLogs(e.Name.ID)
	}
	for attempt := 1; attempt <= e.Attempt; attempt++ {
		for _, kind := range logKinds {
			if err := s.unlinkLog(s.LogPath(e.Name.ID, attempt, kind)); err != nil {
				return err
			}
		}
	}
	return s.removeActs(e.Name.ID)
}
