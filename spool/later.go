package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// promoteAhead is how long before its hour begins a directory of pending/later/ is
// emptied into pending/. Workers promote at every scan, at least once a minute.
const promoteAhead = 5 * time.Minute

// Promote moves the jobs whose hour is near from pending/later/ to pending/, and
// returns when it should be called next; zero if nothing is left there. Any number
// of processes may do it at once.
func (s *Spool) Promote() (next time.Time, err error) {
	now := s.Now()
	err = s.walkEach(laterDir, func(base string) error {
		hour, err := parseLaterHour(base)
		if err != nil {
			return nil // Check names it
		}
		at := hour.Add(-promoteAhead)
		if at.After(now) {
			if next.IsZero() || at.Before(next) {
				next = at
			}
			return nil
		}
		return s.promoteHour(laterDir + "/" + base)
	})
	if err != nil {
		return next, fmt.Errorf("promote scheduled jobs: %w", err)
	}
	return next, nil
}

func (s *Spool) promoteHour(dir string) error {
	var all []Found
	if err := s.walkDir(Pending, dir, "", func(f Found) error {
		all = append(all, f)
		return nil
	}); err != nil {
		return err
	}
	moved := false
	for _, f := range all {
		if f.Err != nil {
			continue // Check names it
		}
		err := s.move(f.Path, pendingDir+"/"+f.Base)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		moved = moved || err == nil
	}
	// The hour must not be gone from the disk before the new names are on it.
	if moved {
		if err := s.Sync(pendingDir); err != nil {
			return err
		}
	}
	// A job that comes in just now keeps it; the next call finds it.
	s.hours.Delete(dir)
	if err := s.ops.rmdir(s.abs(dir)); err != nil && !notDir(err) && !isNotEmpty(err) {
		return err
	}
	return nil
}

// Waiting visits what lies in pending/ itself: jobs as names, drops as base names.
func (s *Spool) Waiting(job func(Name), drop func(base string)) error {
	err := s.walkDir(Pending, pendingDir, "", func(f Found) error {
		switch {
		case f.Err == nil:
			job(f.Name)
		case IsDrop(f.Base):
			drop(f.Base)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("scan %s: %w", pendingDir, err)
	}
	return nil
}

// Drops visits the dropped files that are regular: what else lies in pending/ under
// such a name never becomes a job.
func (s *Spool) Drops(visit func(base string)) error {
	var bases []string
	if err := s.Waiting(func(Name) {}, func(base string) { bases = append(bases, base) }); err != nil {
		return err
	}
	s.regular(bases, visit)
	return nil
}

func (s *Spool) regular(drops []string, visit func(base string)) {
	for _, base := range drops {
		if in, err := s.ops.look(s.abs(pendingDir), base); err == nil && in.mode.IsRegular() {
			visit(base)
		}
	}
}
