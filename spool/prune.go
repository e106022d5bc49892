package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Pruned is what Prune removed, or would remove.
type Pruned struct{ Done, Dead int }

// Prune removes the jobs that were settled before the given times (zero: none of
// that state), with what is known of their attempts. A job that a person dropped
// under an id of the form of NewID's keeps nothing reserved. each, if not nil, is
// called for every job and may return false to spare it. dry removes nothing.
func (s *Spool) Prune(done, dead time.Time, dry bool, each func(Entry) bool) (p Pruned, err error) {
	take := func(e Entry, before time.Time, n *int) error {
		if before.IsZero() || !s.endedAt(e).Before(before) || each != nil && !each(e) {
			return nil
		}
		if !dry {
			if err := s.remove(e); err != nil {
				if errors.Is(err, ErrLost) {
					return nil
				}
				return err
			}
		}
		*n++
		return nil
	}
	if !done.IsZero() {
		if err := s.pruneDone(done, dry, func(e Entry) error { return take(e, done, &p.Done) }); err != nil {
			return p, fmt.Errorf("prune done jobs: %w", err)
		}
	}
	if !dead.IsZero() {
		err := s.Each(func(e Entry) error { return take(e, dead, &p.Dead) }, Dead)
		if err != nil {
			return p, fmt.Errorf("prune dead jobs: %w", err)
		}
	}
	return p, nil
}

// pruneDone goes through the hours that began before the limit, and removes the
// directories that empty: on ext4 that is the only way to get a directory's blocks
// back.
func (s *Spool) pruneDone(before time.Time, dry bool, take func(Entry) error) error {
	days, err := s.sortedNames(doneDir)
	if err != nil {
		return err
	}
	for _, day := range days {
		hours, err := s.sortedNames(doneDir + "/" + day)
		if notDir(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, hour := range hours {
			at, err := parseDoneHour(day, hour)
			if err != nil || !at.Before(before) {
				continue
			}
			dir := doneDir + "/" + day + "/" + hour
			if err := s.pruneHour(dir, dry, take); err != nil {
				return err
			}
		}
		if !dry {
			if err := s.rmdirEmpty(doneDir + "/" + day); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Spool) pruneHour(dir string, dry bool, take func(Entry) error) error {
	var all []Entry
	if err := s.walkDir(Done, dir, "", func(f Found) error {
		if f.Err == nil {
			all = append(all, f.Entry)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, e := range all {
		if err := take(e); err != nil {
			return err
		}
	}
	if dry {
		return nil
	}
	s.hours.Delete(dir)
	return s.rmdirEmpty(dir)
}

// rmdirEmpty removes a directory if it is empty.
func (s *Spool) rmdirEmpty(dir string) error {
	err := s.ops.rmdir(s.abs(dir))
	if err == nil || errors.Is(err, fs.ErrNotExist) || isNotEmpty(err) || isNotDir(err) {
		return nil
	}
	return err
}

// endedAt is when a job was settled. The name of one that was moved to its directory by
// hand says when it was due; the rename has stamped its file.
func (s *Spool) endedAt(e Entry) time.Time {
	if e.Outcome != "" {
		return e.Due
	}
	at, err := s.ClaimedAt(e)
	if err != nil {
		return e.Due
	}
	return at
}
