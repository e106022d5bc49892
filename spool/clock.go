package spool

import (
	"sync"
	"sync/atomic"
	"time"
)

// clock is the spool's time: on a local file system this host's, on a network file
// system the file server's, as far as its stamps have told. Every time in a name
// and every comparison with one is taken from it, so that hosts whose clocks
// disagree still agree on what is due.
type clock struct {
	offset atomic.Int64 // the server's clock minus this host's, nanoseconds

	mu   sync.Mutex
	last time.Time
}

// Now is the spool's time.
func (s *Spool) Now() time.Time {
	return s.ops.now().Add(time.Duration(s.clock.offset.Load()))
}

// observe learns from a stamp that the file server set between the two local times.
func (s *Spool) observe(stamp, before, after time.Time) {
	if !s.network {
		return
	}
	s.clock.offset.Store(int64(stamp.Sub(before.Add(after.Sub(before) / 2))))
}

// tick is Now, but later than any tick before: it orders what this process puts.
func (s *Spool) tick() time.Time {
	s.clock.mu.Lock()
	defer s.clock.mu.Unlock()
	now := s.Now()
	if !now.After(s.clock.last) {
		now = s.clock.last.Add(time.Microsecond)
	}
	s.clock.last = now
	return now
}

// counter numbers the files of one Spool in tmp/.
type counter struct{ n atomic.Uint64 }

func (c *counter) next() uint64 { return c.n.Add(1) }
