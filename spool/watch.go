package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
)

// maxHints is how many names a Watch keeps between two calls of Take; with more, a
// scan is cheaper.
const maxHints = 1024

// Watch tells that something may have changed in pending/ or ctl/. It is a hint:
// the scan is the truth. Events of other hosts do not reach it.
type Watch struct {
	// C receives when there is something to take. One receive may stand for many
	// changes.
	C <-chan struct{}

	wake  chan struct{}
	w     *fsnotify.Watcher
	boxes string // the directory of the boxes, if these are collected
	peers []string
	whole bool // all of peers are watched
	done  chan struct{}

	mu    sync.Mutex
	hints Hints
	seen  map[string]struct{}
}

// Hints are what has happened since the last Take.
type Hints struct {
	Names  []string // names in pending/ that came or changed
	Rescan bool     // there was more than could be kept
	Asked  bool     // something changed in ctl/
	Boxed  bool     // something changed in a box
	Peers  bool     // a worker came, or somebody edits a job
	Broken error    // the watch has ended: poll, or watch anew
}

// Watch begins to watch. The error is no reason to stop: the system's limits on
// watches are low (fs.inotify.max_user_instances is 128), and polling works too.
func (s *Spool) Watch() (*Watch, error) {
	w, err := fsnotify.NewBufferedWatcher(64)
	if err != nil {
		return nil, fmt.Errorf("watch the spool: %w", err)
	}
	whole := true
	// Not workers/, in which each heartbeat would be an event: a worker makes its directory
	// in processing/ right after its entry.
	for _, d := range []string{pendingDir, ctlDir, ctlDir + "/" + string(Drain), ctlDir + "/" + string(Interrupt), cancelDir, signalDir, workDir, editingDir} {
		older := d == cancelDir || d == signalDir || d == editingDir // a spool can be than these
		err := w.Add(s.abs(d))
		whole = whole && (d != editingDir || err == nil)
		if err != nil && !(older && errors.Is(err, fs.ErrNotExist)) {
			_ = w.Close()
			return nil, fmt.Errorf("watch %s: %w", d, err)
		}
	}
	wake := make(chan struct{}, 1)
	x := &Watch{C: wake, wake: wake, w: w, done: make(chan struct{}), seen: map[string]struct{}{}}
	if s.admitting.Load() {
		x.boxes = s.abs(boxesDir)
		x.watchBoxes(s.dir)
	}
	x.peers, x.whole = []string{s.abs(workDir), s.abs(editingDir)}, whole
	go x.run(s.abs(pendingDir))
	return x, nil
}

// TellsOfPeers reports whether Hints.Peers can be relied upon: in a spool that is older than
// edits their directory may come later, and is not watched then.
func (x *Watch) TellsOfPeers() bool { return x.whole }

func (x *Watch) run(pending string) {
	defer close(x.done)
	for {
		select {
		case ev, ok := <-x.w.Events:
			if !ok {
				return
			}
			x.event(pending, ev)
		case err, ok := <-x.w.Errors:
			if !ok {
				return
			}
			x.note(func(h *Hints) {
				h.Rescan = true
				if !errors.Is(err, fsnotify.ErrEventOverflow) {
					h.Broken = err
				}
			})
		}
	}
}

func (x *Watch) event(pending string, ev fsnotify.Event) {
	if ev.Name == pending && ev.Has(fsnotify.Remove|fsnotify.Rename) {
		x.note(func(h *Hints) { h.Rescan, h.Broken = true, errors.New("pending/ was moved or removed") })
		return
	}
	if x.boxes != "" && (ev.Name == x.boxes || strings.HasPrefix(ev.Name, x.boxes+"/")) {
		if ev.Has(fsnotify.Create) && (ev.Name == x.boxes || filepath.Dir(ev.Name) == x.boxes) {
			x.watchBoxes(ev.Name)
		}
		x.note(func(h *Hints) { h.Boxed = true })
		return
	}
	if x.boxes != "" && filepath.Dir(ev.Name) == filepath.Dir(pending) {
		return // the spool itself is watched for the first box only
	}
	if dir := filepath.Dir(ev.Name); slices.Contains(x.peers, dir) {
		if ev.Has(fsnotify.Create) {
			x.note(func(h *Hints) { h.Peers = true })
		}
		return
	}
	if filepath.Dir(ev.Name) != pending {
		x.note(func(h *Hints) { h.Asked = true })
		return
	}
	// A name that leaves is no news to a queue that finds out when it claims.
	if !ev.Has(fsnotify.Create | fsnotify.Write | fsnotify.Chmod) {
		return
	}
	base := filepath.Base(ev.Name)
	x.note(func(h *Hints) {
		if _, known := x.seen[base]; known || h.Rescan {
			return
		}
		if len(h.Names) >= maxHints {
			h.Rescan = true
			return
		}
		x.seen[base] = struct{}{}
		h.Names = append(h.Names, base)
	})
}

// watchBoxes watches a directory and, as far as they are boxes or have boxes in them, what
// is below it. One that cannot be watched is found by the next scan.
func (x *Watch) watchBoxes(dir string) {
	in, err := os.Lstat(dir)
	if err != nil || !in.IsDir() || x.w.Add(dir) != nil {
		return
	}
	switch {
	case dir == filepath.Dir(x.boxes):
		x.watchBoxes(x.boxes)
	case dir == x.boxes:
		_ = readNames(dir, func(name string) error {
			x.watchBoxes(dir + "/" + name)
			return nil
		})
	}
}

func (x *Watch) note(change func(*Hints)) {
	x.mu.Lock()
	change(&x.hints)
	x.mu.Unlock()
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// Take returns what has happened and forgets it.
func (x *Watch) Take() Hints {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.hints
	x.hints = Hints{}
	clear(x.seen)
	return h
}

// Close ends the watch.
func (x *Watch) Close() error {
	err := x.w.Close()
	<-x.done
	return err
}
