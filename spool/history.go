package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// What is kept of the past in a spool. The directory is made when there is something to
// keep: a spool of an earlier version has none.
const (
	statsDir    = "stats"
	historyFile = statsDir + "/history.json"
	oddHistory  = statsDir + "/history.odd" // the last one that nobody could read
)

// MaxHistoryBytes is the size limit of a history: a longer one is not read.
const MaxHistoryBytes = 1 << 20

// HistoryPath is the path of the history, relative to the spool.
func HistoryPath() string { return historyFile }

// ReadHistory returns what is kept of the past; nil if there is nothing. The error wraps
// ErrNotRegular or ErrTooLarge of what can be no history.
func (s *Spool) ReadHistory() ([]byte, error) {
	data, err := s.readFile(historyFile, MaxHistoryBytes)
	for range staleTries {
		if !isStale(err) && !errors.Is(err, ErrChanging) {
			break
		}
		data, err = s.readFile(historyFile, MaxHistoryBytes)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case IsLink(err):
		return nil, fmt.Errorf("read the history: %w", ErrNotRegular)
	case err != nil:
		return nil, fmt.Errorf("read the history: %w", err)
	}
	return data, nil
}

// staleTries is how often a file is opened again that was replaced between its opening and
// its reading, which an NFS server answers with ESTALE.
const staleTries = 3

// ChangeHistory replaces the history by what change makes of it, one caller at a time. After
// a crash or a power cut it is the old one or the new one. change gets the error of
// ReadHistory with what was read. It says aside if what is there can be no history: that
// is kept as the last such file. nil leaves all as it is. The error wraps ErrUncertain if
// nobody knows whether it was replaced.
func (s *Spool) ChangeHistory(change func(old []byte, err error) (data []byte, aside bool, _ error)) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	data, aside, err := change(s.ReadHistory())
	if err != nil || data == nil {
		return err
	}
	if err := s.writeHistory(data, aside); err != nil {
		return fmt.Errorf("write the history: %w", err)
	}
	return nil
}

func (s *Spool) writeHistory(data []byte, aside bool) error {
	// Before its directory: where a queue is being removed there is no tmp/ any more.
	tmp := tmpDir + "/" + s.host.newWID() + "!history"
	if err := s.writeNew(tmp, data, s.format.Group != ""); err != nil {
		return err
	}
	err := s.ops.mkdir(s.abs(statsDir), s.dirPerm())
	if errors.Is(err, fs.ErrExist) {
		err = nil
	} else if err == nil {
		err = s.Sync(".")
	}
	if err == nil && aside {
		err = ignoreNotExist(s.ops.rename(s.abs(historyFile), s.abs(oddHistory)))
	}
	if err == nil {
		err = s.ops.rename(s.abs(tmp), s.abs(historyFile))
	}
	if err == nil {
		// Else a power cut could bring an older one back, and what was told of totals go down.
		return uncertain(s.Sync(statsDir))
	}
	// Nobody else takes it out of tmp/: if it is gone, the rename was made and its reply lost.
	if s.network {
		_, lookErr := s.ops.look(s.abs(tmpDir), path.Base(tmp))
		switch {
		case errors.Is(lookErr, fs.ErrNotExist):
			return nil
		case lookErr != nil:
			return uncertain(err)
		}
	}
	return errors.Join(err, s.ops.unlink(s.abs(tmp)))
}

// stampsDiffer is how far the time in a name may be ahead of what its directory bears: a
// kernel's stamps are a tick behind, and a file server's clock is known to half a round
// trip.
const stampsDiffer = 2 * time.Second

// EachEndedSince visits the jobs in done/ and dead/ that were settled at since or later, as
// their names say: those without an outcome, which somebody has moved there, are passed
// over. It lists only what has changed since then.
func (s *Spool) EachEndedSince(since time.Time, visit func(Entry) error) error {
	least := string(appendStamp(nil, since))
	dir := func(st State, dir string) error {
		in, err := s.ops.look(s.abs(dir), ".")
		if err != nil || in.ctime.Before(since.Add(-stampsDiffer)) {
			return err
		}
		return s.walkDirFiles(st, dir, "", func(f Found) error {
			if f.Base < least { // names begin with their time; most of an hour are spared the rest
				return nil
			}
			n, err := ParseName(f.Base)
			if err != nil || n.Outcome == "" {
				return nil
			}
			f.Name = n
			return visit(f.Entry)
		})
	}
	err := s.eachDoneHour(since, func(hour string) error { return dir(Done, hour) })
	if err == nil {
		err = dir(Dead, deadDir)
	}
	if err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("look for what has ended: %w", err)
	}
	return nil
}

// eachDoneHour visits the directories of done/ that may have what was settled at since or
// later.
func (s *Spool) eachDoneHour(since time.Time, visit func(dir string) error) error {
	days, err := s.sortedNames(doneDir)
	if err != nil {
		return err
	}
	for _, day := range days {
		if at, err := time.Parse("20060102", day); err != nil || at.Add(24*time.Hour).Before(since) {
			continue
		}
		hours, err := s.sortedNames(doneDir + "/" + day)
		if err != nil && !notDir(err) {
			return err
		}
		for _, hour := range hours {
			if at, err := parseDoneHour(day, hour); err != nil || at.Add(time.Hour).Before(since) {
				continue
			}
			// Pruning removes what is empty.
			if err := visit(doneDir + "/" + day + "/" + hour); err != nil && !notDir(err) {
				return err
			}
		}
	}
	return nil
}

// history looks at what is kept of the past; what is in it is for who can read it.
func (c *checker) history() error {
	err := c.s.ops.looks(c.s.abs(statsDir), func(base string, in info) error {
		switch rel := statsDir + "/" + base; {
		case base[0] == '.':
		case rel != historyFile && rel != oddHistory:
			c.unknown(rel)
		case rel == oddHistory:
			c.add(Breach{"odd-history", rel, "a history that could not be read was set aside; a new one has been begun", "look at it, then remove it", nil})
		case !in.mode.IsRegular():
			c.notAFile(rel, in.mode)
		}
		return nil
	})
	if notDir(err) {
		if _, lookErr := c.s.ops.look(c.s.dir, statsDir); lookErr == nil {
			c.add(Breach{"not-a-directory", statsDir, "a directory should be here", "move it away", nil})
		}
		return nil
	}
	return err
}

// HistoryWritten is when the history was last written, by the file system's clock. The
// error wraps fs.ErrNotExist if it never was.
func (s *Spool) HistoryWritten() (time.Time, error) {
	in, err := s.ops.look(s.abs(statsDir), path.Base(historyFile))
	if err != nil {
		return time.Time{}, fmt.Errorf("look at the history: %w", err)
	}
	return in.mtime, nil
}
