package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Revive gives a dead job a fresh budget and puts it back: it may have allowance
// more attempts. Everything else about it stays; an element of an array with a limit
// waits for a turn again if e's name is Queued. It is durable when it returns. The error
// wraps ErrLost if the job is not there any more.
func (s *Spool) Revive(e Entry, allowance int) (Entry, error) {
	n := e.Name
	n.Due = Truncate(s.Now())
	n.Allowed = min(n.Attempt+allowance, MaxAttempt)
	n.Lost, n.Snoozed, n.Outcome, n.Wait, n.Run = 0, 0, "", 0, 0
	n.Turn = false // it would be one too many: the array has given it to another
	to := Entry{Name: n, State: Pending, Path: pendingDir + "/" + s.file(n)}
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
	if err := s.remove([]Entry{e}); err != nil {
		return fmt.Errorf("remove job %q: %w", e.Name.ID, err)
	}
	return s.Sync(path.Dir(e.Path))
}

// remove deletes jobs: the job first, because what is then left over names nothing
// and is swept, where a job without its binding could lose its id to another.
func (s *Spool) remove(entries []Entry) error {
	for _, e := range entries {
		if e.State == Processing {
			return errors.New("a worker has it")
		}
		err := s.ops.unlink(s.abs(e.Path))
		if errors.Is(err, fs.ErrNotExist) {
			return ErrLost
		}
		if err != nil {
			return err
		}
	}
	for _, e := range entries {
		for attempt := 1; attempt <= e.Attempt; attempt++ {
			for _, kind := range logKinds {
				err := s.ops.unlink(s.LogPath(e.Name.ID, attempt, kind))
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
		}
		if err := s.freeID(e.Name.ID); err != nil {
			return err
		}
	}
	return nil
}

var logKinds = [...]string{"json", "out", "err"}

// freeID removes the binding of an id whose job is gone.
func (s *Spool) freeID(id string) error {
	if _, generated := ulidTime(id); generated {
		return nil
	}
	ref := s.idPath(id)
	held, err := s.ops.look(s.abs(path.Dir(ref)), path.Base(ref))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || held.nlink > 1 {
		return err
	}
	_, err = s.freeIfStale(id, held, false)
	return err
}
