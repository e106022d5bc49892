package spool

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
)

// Find looks for the jobs with this id: none, one, or, after a crash or a copy made
// by hand, more. The search of done/ makes it as dear as a listing of the spool.
func (s *Spool) Find(id string) (found []Entry, err error) { return s.find(id, time.Time{}) }

// FindNear is Find for an id of which its caller knows something: the names that the job
// may have while it waits or runs, and, unless it is zero, when it may have been filed in
// done/. If it holds a chosen id and one of them is right, nothing that waits is listed.
func (s *Spool) FindNear(id string, names []Name, filed time.Time) ([]Entry, error) {
	if e, ok := s.findBound(id, names); ok {
		return []Entry{e}, nil
	}
	return s.find(id, filed)
}

func (s *Spool) find(id string, filed time.Time) (found []Entry, err error) {
	isNamed := s.namedBy(id)
	collect := func(f Found) error {
		if !isNamed(f.Base) && f.Name.ID != id {
			return nil
		}
		return withName(func(f Found) error {
			if f.Err == nil && f.Name.ID == id {
				found = append(found, f.Entry)
			}
			return nil
		})(f)
	}
	first := func(f Found) error {
		if err := collect(f); err != nil || len(found) == 0 {
			return err
		}
		return errStop
	}
	for range 2 {
		if !filed.IsZero() {
			// The record was written before the job was filed, perhaps in the hour before.
			hour := filed.Truncate(time.Hour)
			err = s.walkDoneHours(func(at time.Time) bool { return at.Equal(hour) || at.Equal(hour.Add(time.Hour)) }, first)
			if err = ignoreStop(err); err != nil || len(found) > 0 {
				return found, failedScan(Done, err)
			}
		}
		for _, st := range []State{Pending, Processing, Dead} {
			if err := s.walkFiles(st, collect); err != nil {
				return nil, failedScan(st, err)
			}
		}
		if len(found) > 0 {
			return latest(found), nil
		}
		err = ignoreStop(s.walkFiles(Done, first))
		if err != nil || len(found) > 0 {
			return found, failedScan(Done, err)
		}
	}
	return nil, nil
}

func failedScan(st State, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("scan %s: %w", st, err)
}

// namedBy tells the files of the jobs with an id, and perhaps some others, from the rest.
func (s *Spool) namedBy(id string) func(base string) bool {
	plain, folded := "."+string(appendEscaped(nil, id, false))+suffix, "."+string(appendEscaped(nil, id, true))+suffix
	return func(base string) bool { return strings.HasSuffix(base, plain) || strings.HasSuffix(base, folded) }
}

// latest drops what a scan saw of a job before it moved on: of one id the entries
// with the most attempts are the present.
func latest(entries []Entry) []Entry {
	top := 0
	for _, e := range entries {
		top = max(top, e.Attempt)
	}
	return slices.DeleteFunc(entries, func(e Entry) bool { return e.Attempt < top })
}

// findBound looks whether the file to which a chosen id is bound has one of the names, in
// pending/ or as a claim. On a network file system it does not: what a client remembers of
// a name that it has asked for may be a minute old.
func (s *Spool) findBound(id string, names []Name) (Entry, bool) {
	if s.network || len(names) == 0 {
		return Entry{}, false
	}
	ref := s.idPath(id)
	bound, err := s.ops.look(s.abs(path.Dir(ref)), path.Base(ref))
	// The job and its binding are two names. A third is left of a power cut or of a hand:
	// then the search decides which counts.
	if err != nil || bound.nlink > 2 {
		return Entry{}, false
	}
	is := func(e Entry) bool {
		in, err := s.ops.look(s.abs(path.Dir(e.Path)), path.Base(e.Path))
		return err == nil && in.mode.IsRegular() && in.dev == bound.dev && in.ino == bound.ino
	}
	for _, n := range names {
		for _, dir := range []string{pendingDir, laterDir + "/" + laterHour(n.Due)} {
			if e := (Entry{Name: n, State: Pending, Path: dir + "/" + s.file(n)}); is(e) {
				return e, true
			}
		}
	}
	var claim Entry
	err = s.walkEach(workDir, func(worker string) error {
		for _, n := range names {
			n.Attempt++
			claim = Entry{Name: n, State: Processing, Worker: worker, Path: claimsDir(worker) + "/" + s.file(n)}
			if is(claim) {
				return errStop
			}
		}
		return nil
	})
	return claim, errors.Is(err, errStop)
}
