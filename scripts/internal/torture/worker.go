package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// worker is one process, which can have several registrations one after the other.
type worker struct {
	host   string // "" where there is only this one
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of Wait; to be read when exited is closed
	// dismissed is set of one whose end is no surprise any more.
	dismissed atomic.Bool
	// powerless is set of one whose host was switched off: it may never be seen to end.
	powerless atomic.Bool

	mu    sync.Mutex
	names []registration
	hits  []hit
	lost  map[string]bool // ids of jobs whose result was refused
}

type registration struct {
	name string
	from time.Time
}

// hit is what was done to a worker: it was killed, or suspended from one time to the
// other.
type hit struct{ from, to time.Time }

// startWorker starts a worker whose output goes to log, which is closed in the end.
func startWorker(cmd *exec.Cmd, log *os.File) (*worker, error) {
	w := &worker{cmd: cmd, exited: make(chan struct{})}
	cmd.Stderr = log
	// The pipe is this program's own, so that Wait does not close it before the last
	// event is read.
	r, pipe, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	cmd.Stdout = pipe
	err = errors.Join(cmd.Start(), pipe.Close())
	if err != nil {
		return nil, errors.Join(err, r.Close(), log.Close())
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer r.Close()
		defer log.Close()
		w.listen(io.TeeReader(r, log))
	}()
	go func() {
		w.err = cmd.Wait()
		<-read
		close(w.exited)
	}()
	return w, nil
}

// listen notes under which names the worker is registered, and when.
func (w *worker) listen(events io.Reader) {
	lines := bufio.NewScanner(events)
	for lines.Scan() {
		var e struct {
			Event  string    `json:"event"`
			Time   time.Time `json:"time"`
			Worker string    `json:"worker"`
			JobID  string    `json:"job_id"`
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue
		}
		w.mu.Lock()
		switch e.Event {
		case "ready":
			w.names = append(w.names, registration{e.Worker, e.Time})
		case "lost":
			if w.lost == nil {
				w.lost = make(map[string]bool)
			}
			w.lost[e.JobID] = true
		}
		w.mu.Unlock()
	}
}

func (w *worker) signal(s syscall.Signal) { _ = w.cmd.Process.Signal(s) }

func (w *worker) note(h hit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits = append(w.hits, h)
}

// excused adds the names under which the worker was registered when it was hit.
func (w *worker) excused(into map[string]bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, r := range w.names {
		for _, h := range w.hits {
			over := i+1 < len(w.names) && w.names[i+1].from.Before(h.from)
			if !over && !r.from.After(h.to) {
				into[r.name] = true
			}
		}
	}
}

// registrations is how often the worker has registered.
func (w *worker) registrations() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.names)
}

// called reports whether the worker is or was registered under a name.
func (w *worker) called(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.names, func(r registration) bool { return r.name == name })
}

// namesBefore are all but the last one, under which it is registered now.
func (w *worker) namesBefore() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.names[:max(len(w.names)-1, 0)] {
		names = append(names, r.name)
	}
	return names
}

// refused reports whether the worker was told that its result for a job does not count.
func (w *worker) refused(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost[id]
}
