package spool

import (
	"slices"
	"sync"
	"time"
)

// vacant spares looks into directories in which nothing was found. An idle worker looks
// every few seconds for dead ones and for abandoned edits; three listings each time were
// most of what it cost. A directory whose time of change is the one that it bore before the
// last look, which found nothing, has nothing in it. On a network file system that
// proves nothing: a client may remember the time for a minute. Safe for concurrent use.
type vacant struct {
	mu    sync.Mutex
	since []time.Time // when they had changed last, if nothing was in them then
}

// vacantAfter is how long ago a directory must have changed for its time to tell it from
// what comes next: a kernel's stamps are some milliseconds apart, FAT's 2 s.
const vacantAfter = 3 * time.Second

// changed returns when each directory changed last; nil if that tells nothing.
func changed(s *Spool, dirs []string) []time.Time {
	if s.network {
		return nil
	}
	now := s.ops.now()
	times := make([]time.Time, len(dirs))
	for i, dir := range dirs {
		in, err := s.ops.look(s.abs(dir), ".")
		if err != nil || now.Sub(in.ctime) < vacantAfter {
			return nil
		}
		times[i] = in.ctime // nobody can set that, as rsync does the other
	}
	return times
}

// look calls find, which says whether it found nothing in the directories, unless that is
// known.
func (v *vacant) look(s *Spool, find func() (nothing bool, err error), dirs ...string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	times := changed(s, dirs)
	if v.same(times) {
		return nil
	}
	nothing, err := find()
	if err != nil || !nothing {
		times = nil
	}
	v.since = times
	return err
}

// holds reports whether the last look found nothing, and nothing has changed since.
func (v *vacant) holds(s *Spool, dirs ...string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.same(changed(s, dirs))
}

func (v *vacant) same(times []time.Time) bool {
	return times != nil && slices.EqualFunc(times, v.since, time.Time.Equal)
}
