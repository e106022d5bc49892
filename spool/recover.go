package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"
)

// recentHours is how many hours of done/ before the cut can be involved in a job that
// it left under two names: file systems commit every 5 to 30 s.
const recentHours = 2

// Recover clears up after a power cut, once a boot: btrfs can leave a job under its
// old and its new name. Only a local file system needs it. The first worker after a boot
// calls it, and so must whoever removes a job or gives it another life: of a job that has
// two names, the other one would bring it back. It returns the names that it removed.
func (s *Spool) Recover() (removed []Entry, err error) {
	if s.network || s.host.BootID == "" {
		return nil, nil
	}
	mark := bootedDir + "/" + s.host.BootID
	if _, err := s.ops.look(s.abs(bootedDir), s.host.BootID); err == nil {
		return nil, nil
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, fmt.Errorf("recover: %w", err)
	}
	defer unlock()
	removed, err = s.Resolve()
	if err != nil {
		return removed, err
	}
	// The mark of this boot replaces those of earlier ones.
	_ = s.ops.names(s.abs(bootedDir), func(base string) error {
		return s.ops.unlink(s.abs(bootedDir + "/" + base))
	})
	f, err := s.ops.update(s.abs(mark), s.FilePerm())
	if takesNoWrites(err) {
		return removed, nil // it is looked over again, and who removes jobs makes space
	}
	if err != nil {
		return removed, fmt.Errorf("recover: %w", err)
	}
	return removed, f.Close()
}

// Resolve finds jobs that are under two names and removes all but the latest. They
// are removed, not renamed: rename(2) of one link of a file onto another does
// nothing. Names of different files are left alone, because then two jobs share an
// id and a person must decide.
func (s *Spool) Resolve() (removed []Entry, err error) {
	byID := map[string][]Entry{}
	// The time of the cut is that of the newest settlement: how long the power was off
	// is not known. Stamps of a clock that was ahead must not hide the others.
	var cut time.Time
	ahead := s.Now().Add(time.Hour)
	err = s.Each(func(e Entry) error {
		if e.State == Done {
			if !e.Due.After(ahead) && e.Due.After(cut) {
				cut = e.Due
			}
			if e.Due.Before(cut.Add(-recentHours * time.Hour)) {
				return nil
			}
		}
		byID[e.Name.ID] = append(byID[e.Name.ID], e)
		return nil
	}, Pending, Processing, Dead, Done)
	if err != nil {
		return nil, fmt.Errorf("resolve duplicates: %w", err)
	}
	// The name before the first one counts too, or the job would be published again.
	err = s.walkTmp(func(rel, _ string, n Name) error {
		if len(byID[n.ID]) > 0 {
			byID[n.ID] = append(byID[n.ID], Entry{Name: n, Path: rel})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("resolve duplicates: %w", err)
	}
	removed, err = s.resolveAll(slices.Collect(maps.Values(byID)))
	if err != nil {
		return removed, fmt.Errorf("resolve duplicates: %w", err)
	}
	return removed, nil
}

// resolveAll resolves jobs that may have several names, each with all of its. What it
// removed does not come back: a second cut would else find the old name alone, of a job
// that has been removed since.
func (s *Spool) resolveAll(jobs [][]Entry) (removed []Entry, err error) {
	for _, entries := range jobs {
		got, err := s.resolve(entries)
		removed = append(removed, got...)
		if err != nil {
			return removed, err
		}
	}
	synced := map[string]bool{}
	for _, e := range removed {
		dir := path.Dir(e.Path)
		if synced[dir] {
			continue
		}
		synced[dir] = true
		// The directory of a dead worker is another's to remove.
		if err := s.Sync(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
	}
	return removed, nil
}

func (s *Spool) resolve(entries []Entry) (removed []Entry, err error) {
	if len(entries) < 2 {
		return nil, nil
	}
	keep := entries[0]
	for _, e := range entries[1:] {
		if later(e, keep) {
			keep = e
		}
	}
	kept, err := s.ops.look(s.abs(path.Dir(keep.Path)), path.Base(keep.Path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // it has moved on: what was seen was no duplicate
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		in, err := s.ops.look(s.abs(path.Dir(e.Path)), path.Base(e.Path))
		if e.Path == keep.Path || err != nil || !in.same(kept) {
			continue
		}
		if err := s.ops.unlink(s.abs(e.Path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		removed = append(removed, e)
	}
	return removed, nil
}

// later reports whether a is further on in a job's life than b.
func later(a, b Entry) bool {
	if a.Attempt != b.Attempt {
		return a.Attempt > b.Attempt
	}
	if ra, rb := a.rank(), b.rank(); ra != rb {
		return ra > rb
	}
	if a.Changed != b.Changed {
		return a.Changed > b.Changed
	}
	// A dead letter that was given a fresh budget, an interrupted job.
	return a.Allowed > b.Allowed
}

// rank is how far on in a job's life its directory is. An edit's comes before all states,
// as tmp/ does: a job that is in pending/ too has not been taken out, or has been put back.
func (e Entry) rank() int {
	if e.Editing() {
		return 0
	}
	return stateRank[e.State]
}

// stateRank gives tmp/, which is no state, 0.
var stateRank = map[State]int{Pending: 1, Processing: 2, Dead: 3, Done: 4}
