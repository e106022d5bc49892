package spool

import (
	"fmt"
	"path"
	"strings"

	"github.com/fsnotify/fsnotify"
)

// LogWatch tells that something was written about a job: output or a record. It is a
// hint, as Watch is.
type LogWatch struct {
	// C receives when there may be more to read.
	C <-chan struct{}

	w    *fsnotify.Watcher
	done chan struct{}
}

// WatchLogs begins to watch what is kept of a job's attempts. The error is no reason
// to stop: see Watch.
func (s *Spool) WatchLogs(id string) (*LogWatch, error) {
	if err := s.PrepareLogs(id); err != nil {
		return nil, fmt.Errorf("watch the logs of job %q: %w", id, err)
	}
	w, err := fsnotify.NewBufferedWatcher(64)
	if err != nil {
		return nil, fmt.Errorf("watch the logs of job %q: %w", id, err)
	}
	if err := w.Add(s.abs(logsDir + "/" + bucket(id))); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("watch the logs of job %q: %w", id, err)
	}
	wake := make(chan struct{}, 1)
	x := &LogWatch{C: wake, w: w, done: make(chan struct{})}
	go x.run(s.escape(id)+".a", wake)
	return x, nil
}

// run passes on what concerns the job; the directory is shared by those whose ids have
// the same hash.
func (x *LogWatch) run(prefix string, wake chan<- struct{}) {
	defer close(x.done)
	for {
		select {
		case ev, ok := <-x.w.Events:
			if !ok {
				return
			}
			if !strings.HasPrefix(path.Base(ev.Name), prefix) {
				continue
			}
		case _, ok := <-x.w.Errors:
			if !ok {
				return
			}
		}
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// Close ends it.
func (x *LogWatch) Close() error {
	err := x.w.Close()
	<-x.done
	return err
}
