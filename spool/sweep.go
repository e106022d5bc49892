package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

// How old a file in tmp/ must be before Sweep asks whether its writer is dead, and
// from when on it does not ask: the writer may be on another host.
const (
	tmpGrace = time.Hour
	tmpLimit = 24 * time.Hour
)

// Sweep clears what dead processes left half-done: files in tmp/ are rolled forward
// if their id is bound already, else removed; edits are finished. age is how old they must
// be; 0 stands for the defaults. It returns the jobs that it put into pending/.
func (s *Spool) Sweep(age time.Duration) (forward []Entry, err error) {
	if forward, err = s.RecoverEdits(age); err != nil {
		return forward, fmt.Errorf("sweep: %w", err)
	}
	if age == 0 {
		age = tmpGrace
	}
	var names []string
	for _, dir := range []string{tmpDir, workersDir} {
		if err := s.ops.names(s.abs(dir), func(base string) error {
			if dir == tmpDir || strings.HasPrefix(base, ".") {
				names = append(names, dir+"/"+base)
			}
			return nil
		}); err != nil {
			return forward, fmt.Errorf("sweep %s: %w", dir, err)
		}
	}
	for _, rel := range names {
		e, err := s.sweepFile(rel, age)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return forward, fmt.Errorf("sweep %s: %w", rel, err)
		}
		if e != nil {
			forward = append(forward, *e)
		}
	}
	return forward, nil
}

func (s *Spool) sweepFile(rel string, age time.Duration) (*Entry, error) {
	in, err := s.ops.look(s.abs(path.Dir(rel)), path.Base(rel))
	if err != nil || !in.mode.IsRegular() {
		return nil, err
	}
	// ctime, because mtime is what the writer set.
	old := s.Now().Sub(in.ctime)
	_, canonical, isJob := strings.Cut(path.Base(rel), "!")
	if old < age || old < tmpLimit && s.running(writerOf(rel)) {
		return nil, nil
	}
	// Two links are this one and the binding. A third is the job itself: on btrfs a
	// power cut can leave the old name of a rename, and then the job has been published.
	n, nameErr := ParseName(canonical)
	if !isJob || nameErr != nil || in.nlink != 2 || path.Dir(rel) != tmpDir {
		return nil, s.ops.unlink(s.abs(rel))
	}
	ref, err := s.ops.look(s.abs(path.Dir(s.idPath(n.ID))), path.Base(s.idPath(n.ID)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // not known to be unbound: its writer may have been told that it is there
	}
	if err != nil || !ref.same(in) {
		return nil, s.ops.unlink(s.abs(rel))
	}
	// Its writer had written all of it and bound the id: it was a step from being
	// acknowledged. Running it is what its user asked for.
	e := Entry{Name: n, State: Pending, Path: s.pendingPath(n, s.Now())}
	if err := s.moveInto(rel, e.Path); err != nil {
		return nil, err
	}
	return &e, s.Sync(path.Dir(e.Path), path.Dir(s.idPath(n.ID)))
}

// writerOf is the writer that the name of an unfinished file tells of.
func writerOf(rel string) string {
	writer, _, _ := strings.Cut(strings.TrimPrefix(path.Base(rel), "."), "!")
	if _, _, ok := parseWID(writer); !ok { // a host's name can have a "-" too
		writer, _, _ = cutLast(writer, "-")
	}
	return writer
}

// running reports whether the process that a writer's or worker's name tells of may
// still live. Of another host's nothing is known.
func (s *Spool) running(wid string) bool {
	host, pid, ok := parseWID(wid)
	if !ok {
		return false
	}
	return host != s.host.Name || s.processes.look(pid, "") != vanished
}

// SweepIDs frees the ids of jobs that are gone: moved away or deleted by hand. Ids whose
// job has another file than the one that was bound, because an editor or a backup has
// replaced it, are bound to that. It looks at every binding, so it is for once in a
// while.
func (s *Spool) SweepIDs() (freed int, err error) {
	alone, err := s.lonelyBindings()
	if err == nil && len(alone) > 0 {
		freed, err = s.settleBindings(alone)
	}
	if err != nil {
		return freed, fmt.Errorf("sweep ids: %w", err)
	}
	return freed, nil
}

// lonelyBindings are those whose file has no other name.
func (s *Spool) lonelyBindings() (map[string]info, error) {
	alone := map[string]info{}
	err := s.walkEach(idsDir, func(xx string) error {
		dir := idsDir + "/" + xx
		// A count that a cache had is put right by the next sweep, or by who settles it.
		if err := s.ops.looks(s.abs(dir), func(base string, in info) error {
			id, err := unescapeID(strings.TrimSuffix(base, suffix))
			if err == nil && in.nlink < 2 && base == path.Base(s.idPath(id)) {
				alone[id] = in
			}
			return nil
		}); err != nil && !notDir(err) {
			return err
		}
		return nil
	})
	return alone, err
}

// settleBindings looks for the jobs of these ids, twice, because one look that does not
// see a job proves nothing; then it binds those that are there and frees the others.
func (s *Spool) settleBindings(alone map[string]info) (freed int, err error) {
	jobs := map[string]Entry{}
	for range 2 {
		if err := s.Each(func(e Entry) error {
			if _, wanted := alone[e.Name.ID]; wanted {
				jobs[e.Name.ID] = e
			}
			return nil
		}, Pending, Processing, Done, Dead); err != nil {
			return freed, err
		}
	}
	for id, held := range alone {
		if e, there := jobs[id]; there {
			if err := s.rebind(id, held, e); err != nil {
				return freed, err
			}
			continue
		}
		gone, err := s.free(id, held, Entry{})
		if err != nil {
			return freed, err
		}
		if gone {
			freed++
		}
	}
	return freed, nil
}
