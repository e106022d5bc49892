package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// maxChanges is how many changes a Monitor keeps between two calls of Take; with more,
// a scan is cheaper.
const maxChanges = 16 << 10

// Monitor tells of jobs that appear in any state, as far as events of the file system
// reach this host. Like Watch it is a hint: what it misses, a scan finds.
type Monitor struct {
	// C receives when there is something to take.
	C <-chan struct{}

	s    *Spool
	wake chan struct{}
	w    *fsnotify.Watcher
	done chan struct{}

	mu      sync.Mutex
	changes Changes
}

// Changes are what has happened since the last Take, in the order in which the events
// came. A job that moves fast appears at several places.
type Changes struct {
	Entries []Entry
	Rescan  bool  // there was more than could be kept, or a directory is new
	Broken  error // the monitor has ended
}

// Monitor begins to watch the directories of all states. The error is no reason to
// stop: see Watch.
func (s *Spool) Monitor() (*Monitor, error) {
	w, err := fsnotify.NewBufferedWatcher(1024)
	if err != nil {
		return nil, fmt.Errorf("monitor the spool: %w", err)
	}
	wake := make(chan struct{}, 1)
	m := &Monitor{C: wake, s: s, wake: wake, w: w, done: make(chan struct{})}
	if err := m.addAll(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("monitor the spool: %w", err)
	}
	go m.run()
	return m, nil
}

// addAll watches what is there. Of done/ only the newest day and hour get anything new.
func (m *Monitor) addAll() error {
	for _, d := range []string{pendingDir, laterDir, workDir, doneDir, deadDir} {
		if err := m.w.Add(m.s.abs(d)); err != nil {
			return err
		}
	}
	for _, parent := range []string{laterDir, workDir} {
		if err := m.s.ops.names(m.s.abs(parent), func(base string) error {
			return m.add(parent + "/" + base)
		}); err != nil {
			return err
		}
	}
	return m.addNewest(doneDir)
}

// addNewest watches the newest directory below dir and what is newest in that.
func (m *Monitor) addNewest(dir string) error {
	names, err := m.s.sortedNames(dir)
	if err != nil || len(names) == 0 {
		return ignoreNotExist(err)
	}
	newest := dir + "/" + names[0]
	if err := m.add(newest); err != nil || strings.Count(newest, "/") >= 2 {
		return err
	}
	return m.addNewest(newest)
}

// add watches a directory that may go at any time, and may be no directory.
func (m *Monitor) add(rel string) error {
	err := m.w.Add(m.s.abs(rel))
	if errors.Is(err, fs.ErrNotExist) || notDir(err) {
		return nil
	}
	return err
}

func (m *Monitor) run() {
	defer close(m.done)
	for {
		select {
		case ev, ok := <-m.w.Events:
			if !ok {
				return
			}
			m.event(ev)
		case err, ok := <-m.w.Errors:
			if !ok {
				return
			}
			m.note(func(c *Changes) {
				c.Rescan = true
				if !errors.Is(err, fsnotify.ErrEventOverflow) {
					c.Broken = err
				}
			})
		}
	}
}

func (m *Monitor) event(ev fsnotify.Event) {
	rel := strings.TrimPrefix(ev.Name, m.s.dir+"/")
	if rel == pendingDir && ev.Has(fsnotify.Remove|fsnotify.Rename) {
		m.note(func(c *Changes) { c.Rescan, c.Broken = true, errors.New("pending/ was moved or removed") })
		return
	}
	if !ev.Has(fsnotify.Create) {
		return
	}
	if e, ok := entryAt(rel); ok {
		m.note(func(c *Changes) {
			if len(c.Entries) >= maxChanges {
				c.Rescan, c.Entries = true, nil
			}
			if !c.Rescan {
				c.Entries = append(c.Entries, e)
			}
		})
		return
	}
	switch parent := path.Dir(rel); {
	case parent == laterDir, parent == workDir, parent == doneDir, path.Dir(parent) == doneDir:
		// A new hour, day or worker. What moved into it before the watch stands is found by
		// the scan.
		err := m.add(rel)
		if err == nil && parent == doneDir {
			err = m.addNewest(rel)
		}
		m.note(func(c *Changes) { c.Rescan, c.Broken = true, err })
	}
}

// entryAt is the job that a path below the spool is the name of.
func entryAt(rel string) (e Entry, ok bool) {
	dir, base := path.Split(rel)
	part := strings.Split(strings.TrimSuffix(dir, "/"), "/")
	e = Entry{State: State(part[0]), Path: rel}
	switch {
	case dir == pendingDir+"/", dir == deadDir+"/", strings.HasPrefix(dir, laterDir+"/") && len(part) == 3, e.State == Done && len(part) == 3:
	case e.State == Processing && len(part) == 2:
		e.Worker = part[1]
	default:
		return Entry{}, false
	}
	var err error
	e.Name, err = ParseName(base)
	return e, err == nil
}

func (m *Monitor) note(change func(*Changes)) {
	m.mu.Lock()
	change(&m.changes)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Take returns what has happened and forgets it.
func (m *Monitor) Take() Changes {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.changes
	m.changes = Changes{}
	return c
}

// Close ends it.
func (m *Monitor) Close() error {
	err := m.w.Close()
	<-m.done
	return err
}
