package spool

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// refuse makes heartbeats fail with an error, and looks with another if it is not nil.
func refuse(s *Spool, touch, look error) {
	s.ops = hooked(s.ops, s.dir, hook{before: func(c call) fault {
		switch c.op {
		case "touch":
			return fault{err: touch}
		case "look":
			return fault{err: look}
		}
		return fault{}
	}})
}

// A heartbeat that nobody can write is no sign of death: on a local file system a look
// tells whether others have taken the lease. On a network others may be able to write.
func TestBeatThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		touch, look error
		network     bool
		reaped      bool
		held, lost  bool
	}{
		"no space":              {touch: unix.ENOSPC, held: true},
		"quota":                 {touch: unix.EDQUOT, held: true},
		"read-only":             {touch: unix.EROFS, held: true},
		"the disk fails":        {touch: unix.EIO, held: true},
		"read-only, and reaped": {touch: unix.EROFS, reaped: true, lost: true},
		"nothing can be read":   {touch: unix.EIO, look: unix.EIO},
		"only this worker":      {touch: unix.EPERM},
		"a network":             {touch: unix.EROFS, network: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			s.network = test.network
			refuse(s, test.touch, test.look)
			l := mustRegister(t, s)
			if test.reaped {
				_, err := reopen(t, s).Reap(l.Worker(), nil)
				mustDo(t, err)
			}
			err := l.Beat()
			if err == nil || errors.Is(err, ErrHeld) != test.held || errors.Is(err, ErrLost) != test.lost || l.Lost() != test.lost {
				t.Errorf("held %t, lost %t: %v", errors.Is(err, ErrHeld), l.Lost(), err)
			}
		})
	}
}

// What an observer saw while it could not write itself counts for nothing.
func TestForgottenSightings(t *testing.T) {
	t.Parallel()
	const lease = 10 * time.Second
	s := newSpool(t)
	l, err := s.Register(1, "test", lease)
	mustDo(t, err)
	t.Cleanup(func() { l.Close() })
	o, clock := stranger(t, s)
	c := o.NewCensus()
	looks := func(n int) (dead bool) {
		for range n {
			dead = lookAt(t, c, time.Second, lease).Dead
			clock.add(time.Second)
		}
		return dead
	}
	looks(9)
	for range 20 {
		c.Forget()
		if looks(1) {
			t.Fatal("it is dead although nobody could write")
		}
	}
	if looks(9) {
		t.Error("it is dead before a lease is over in which it could have written")
	}
	if !looks(1) {
		t.Error("its heartbeat stands still for a lease, and it is not dead")
	}
}
