package fsq

import (
	"sync"
	"time"
)

// outputCheck is how often a running attempt's output is measured. What a job writes
// within that time can exceed the limit for as long. At first it is measured sooner, to
// outputFirst, and then less and less often: until then nobody can read it.
const (
	outputCheck = 100 * time.Millisecond
	outputFirst = 5 * time.Millisecond
)

// limited is a file that a job writes and that is kept from growing without end.
type limited interface{ enforce() error }

// limits measures the files of an attempt while it runs. It is a timer and no goroutine:
// most jobs have ended before it is due.
type limits struct {
	s     *slot
	files []limited

	mu    sync.Mutex // held while they are measured, so that stop waits for it
	over  bool
	pause time.Duration
	timer *time.Timer
}

func (s *slot) limit(files []limited) *limits {
	l := &limits{s: s, files: files, pause: outputFirst}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(l.pause, l.check)
	return l
}

func (l *limits) check() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	for _, f := range l.files {
		l.s.enforce(f)
	}
	l.pause = min(2*l.pause, outputCheck)
	l.timer.Reset(l.pause)
}

// stop returns when nothing is measured any more.
func (l *limits) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.timer.Stop()
}

// enforce cuts what is too long. That it cannot is told once: it is tried ten times a
// second.
func (s *slot) enforce(o limited) {
	if err := o.enforce(); err != nil && !s.grows {
		s.grows = true
		s.in.w.log.Warn("limit the output", "job", s.claim.Name().ID, "error", err)
	}
}
