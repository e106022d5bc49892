package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Entry is a job as a scan saw it. A scan is no snapshot: a job that moves while
// it runs can be seen at two places or at none (see FORMAT.md, "Reading").
type Entry struct {
	Name
	State  State
	Worker string // whose claim it is, in processing
	Path   string // relative to the spool
}

var errStop = errors.New("stop")

// Stop makes Each end without an error when the visitor returns it.
var Stop = errStop

func ignoreStop(err error) error {
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// Each visits the jobs in the given states, in the order in which jobs move.
// Within done/ the newest hour comes first. Files whose names it does not know are
// passed over; Check names them.
func (s *Spool) Each(visit func(Entry) error, states ...State) error {
	return s.EachAndDrops(visit, nil, states...)
}

// EachAndDrops is Each and, if Pending is among the states, Drops for one listing. The
// drops of pending/ are visited after its jobs, not at all if drop is nil.
func (s *Spool) EachAndDrops(visit func(Entry) error, drop func(base string), states ...State) error {
	for _, st := range states {
		var drops []string
		err := s.walk(st, func(f Found) error {
			switch {
			case f.Err == nil:
				return visit(f.Entry)
			case drop != nil && f.Path == DropPath(f.Base) && IsDrop(f.Base):
				drops = append(drops, f.Base)
			}
			return nil
		})
		s.regular(drops, drop)
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("scan %s: %w", st, err)
		}
	}
	return nil
}

// Found is an entry of a state's directory, whatever it is.
type Found struct {
	Entry
	Base string // the file's name
	Err  error  // why its name is not a job's
}

func (s *Spool) walk(st State, visit func(Found) error) error {
	return s.walkFiles(st, withName(visit))
}

// withName completes what a walk finds before it is visited.
func withName(visit func(Found) error) func(Found) error {
	return func(f Found) error {
		if f.Name.ID == "" { // that of a job amid an edit is not its file's
			f.Name, f.Err = ParseName(f.Base)
		}
		return visit(f)
	}
}

// walkFiles is walk with the names unread, Found.Name and Found.Err: who looks for one
// among a million is spared most of what the walk costs.
func (s *Spool) walkFiles(st State, visit func(Found) error) error {
	switch st {
	case Pending:
		return s.walkPending(visit)
	case Processing:
		return s.walkEach(workDir, func(worker string) error {
			return s.walkDirFiles(Processing, workDir+"/"+worker, worker, visit)
		})
	case Done:
		return s.walkDoneHours(func(time.Time) bool { return true }, visit)
	default:
		return s.walkDirFiles(st, string(st), "", visit)
	}
}

func (s *Spool) walkPending(visit func(Found) error) error {
	if err := s.walkDirFiles(Pending, pendingDir, "", visit); err != nil {
		return err
	}
	// It goes first when a queue is removed; a removal that was cut short leaves no job there.
	if err := ignoreNotExist(s.walkEach(laterDir, func(hour string) error {
		return s.walkDirFiles(Pending, laterDir+"/"+hour, "", visit)
	})); err != nil {
		return err
	}
	return s.walkEdits(visit)
}

// walkDoneHours goes through the hours that are wanted, as walkFiles does. What is no
// hour is always.
func (s *Spool) walkDoneHours(wanted func(time.Time) bool, visit func(Found) error) error {
	return s.doneHours(func(dir string, at time.Time) error {
		if !at.IsZero() && !wanted(at) {
			return nil
		}
		return s.walkDirFiles(Done, dir, "", visit)
	})
}

// doneHours visits the directories of done/, the newest first. The time of what is no hour
// is zero.
func (s *Spool) doneHours(visit func(dir string, at time.Time) error) error {
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
			if err != nil {
				at = time.Time{}
			}
			if err := visit(doneDir+"/"+day+"/"+hour, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// sortedNames lists a small directory, greatest name first.
func (s *Spool) sortedNames(dir string) (names []string, err error) {
	err = s.ops.names(s.abs(dir), func(name string) error {
		names = append(names, name)
		return nil
	})
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(b, a) })
	return names, err
}

// walkEach visits the entries of a directory of directories.
func (s *Spool) walkEach(dir string, visit func(name string) error) error {
	names, err := s.sortedNames(dir)
	if err != nil {
		return err
	}
	slices.Reverse(names)
	for _, name := range names {
		if strings.HasPrefix(name, ".") {
			continue
		}
		if err := visit(name); err != nil {
			return err
		}
	}
	return nil
}

// walkDir visits the files of one directory. One that is gone, or no directory, is
// empty: it was removed meanwhile, or does not belong here.
func (s *Spool) walkDir(st State, dir, worker string, visit func(Found) error) error {
	return s.walkDirFiles(st, dir, worker, withName(visit))
}

func (s *Spool) walkDirFiles(st State, dir, worker string, visit func(Found) error) error {
	err := s.ops.names(s.abs(dir), func(base string) error {
		if st == Pending && base == "later" || strings.HasPrefix(base, ".nfs") {
			return nil
		}
		return visit(Found{Base: base, Entry: Entry{State: st, Worker: worker, Path: dir + "/" + base}})
	})
	if dir != string(st) && notDir(err) {
		return nil
	}
	return err
}

func notDir(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || isNotDir(err)
}

// walkTmp visits the files in tmp/ that are jobs on their way in.
func (s *Spool) walkTmp(visit func(rel, writer string, n Name) error) error {
	return s.ops.names(s.abs(tmpDir), func(base string) error {
		writer, canonical, ok := strings.Cut(base, "!")
		if !ok {
			return nil
		}
		n, err := ParseName(canonical)
		if err != nil {
			return nil
		}
		return visit(tmpDir+"/"+base, writer, n)
	})
}

// Read returns the content of a job's file.
func (s *Spool) Read(e Entry) ([]byte, error) { return s.readFile(e.Path, s.format.MaxJobBytes) }

// ReadChosen returns the content of the job that holds a chosen id, wherever it is,
// without a search. The error wraps fs.ErrNotExist if the id is not reserved.
func (s *Spool) ReadChosen(id string) ([]byte, error) {
	return s.readFile(s.idPath(id), s.format.MaxJobBytes)
}

// EachDoneSince visits the jobs in done/ that were settled at since or later, the newest
// hours first. It passes over older hours by their names.
func (s *Spool) EachDoneSince(since time.Time, visit func(Entry) error) error {
	err := s.walkDoneHours(func(at time.Time) bool { return !at.Add(time.Hour).Before(since) }, withName(func(f Found) error {
		if f.Err != nil || f.Due.Before(since) {
			return nil
		}
		return visit(f.Entry)
	}))
	if err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("scan %s: %w", Done, err)
	}
	return nil
}

// EachDone visits the jobs in done/ hour by hour, the newest first, of those hours that are
// wanted: that is asked of each when its turn comes. filed is the hour, zero for what lies
// in a directory that is none; that is visited always.
func (s *Spool) EachDone(wanted func(hour time.Time) bool, visit func(filed time.Time, e Entry) error) error {
	err := s.doneHours(func(dir string, at time.Time) error {
		if !at.IsZero() && !wanted(at) {
			return nil
		}
		return s.walkDir(Done, dir, "", func(f Found) error {
			if f.Err != nil {
				return nil
			}
			return visit(at, f.Entry)
		})
	})
	if err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("scan %s: %w", Done, err)
	}
	return nil
}
