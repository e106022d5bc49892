package spool

import (
	"errors"
	"fmt"
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
	known  atomic.Bool  // whether any stamp has told

	asking sync.Mutex
	asked  bool // the server has told its time

	mu   sync.Mutex
	last time.Time
}

// Now is the spool's time.
func (s *Spool) Now() time.Time { return s.ops.now().Add(s.ClockAhead()) }

// ClockAhead is how far the spool's clock is ahead of this host's, as far as is known.
func (s *Spool) ClockAhead() time.Duration { return time.Duration(s.clock.offset.Load()) }

// slowCall is how long a call may take whose stamp still tells the time: it is off by up
// to half of that. One that hung until the server was back would bend the clock by as
// much as the outage lasted.
const slowCall = 2 * time.Second

// observe learns from a stamp that the file server set between the two local times. What
// a slow call tells is better than nothing, and than nothing else.
func (s *Spool) observe(stamp, before, after time.Time) {
	if !s.network || after.Sub(before) > slowCall && s.clock.known.Load() {
		return
	}
	s.clock.known.Store(true)
	s.clock.offset.Store(int64(stamp.Sub(before.Add(after.Sub(before) / 2))))
}

// Calibrate asks a network file system for its time, once, by the stamp of a file
// made for it. Without that, what a process puts first would be due by its own clock.
// After an error the next call asks again. On a local file system it does nothing.
func (s *Spool) Calibrate() error {
	if !s.network {
		return nil
	}
	s.clock.asking.Lock()
	defer s.clock.asking.Unlock()
	if s.clock.asked {
		return nil
	}
	tmp := tmpDir + "/" + s.host.newWID() + "!clock"
	before := s.ops.now()
	f, err := s.ops.create(s.abs(tmp), s.FilePerm())
	if err != nil {
		return fmt.Errorf("ask the file server for its time: %w", err)
	}
	in, err := f.info()
	if err == nil {
		s.observe(in.mtime, before, s.ops.now())
	}
	err = errors.Join(err, f.Close(), s.ops.unlink(s.abs(tmp)))
	s.clock.asked = err == nil
	return err
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
