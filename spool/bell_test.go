package spool

import (
	"os"
	"testing"
	"time"
)

// Whatever is asked for rings, on a local file system too, which others may have as a
// network file system; what a user does by hand in ctl/ itself does as well.
func TestRing(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	for name, ask := range map[string]func() error{
		"a request":             func() error { return s.Ask(Drain, l.Worker()) },
		"a demand to cancel":    func() error { return s.Demand(Demand{ID: "job-1"}) },
		"a signal":              func() error { return s.Demand(Demand{ID: "job-1", Signal: "HUP"}) },
		"a pause":               func() error { return s.Pause(Pause{}) },
		"the end of a pause":    func() error { _, err := s.Resume(); return err },
		"a look at the demands": nil,
	} {
		for _, network := range []bool{false, true} {
			s.network = network
			if name == "the end of a pause" {
				mustDo(t, s.Pause(Pause{}))
			}
			long := time.Unix(1000000000, 0)
			mustDo(t, os.Chtimes(s.abs(ctlDir), long, long))
			if ask == nil {
				_, err := s.Demands()
				mustDo(t, err)
			} else {
				mustDo(t, ask())
			}
			at, _, err := s.Rung()
			mustDo(t, err)
			if rung := !at.Equal(long); rung != (ask != nil) {
				t.Errorf("%s, network %t: rung %t", name, network, rung)
			}
		}
	}
}

// While another ring could bear the same time, nobody can tell that there was none.
func TestRungSettles(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	for ago, want := range map[time.Duration]bool{
		0: false, bellGrain - time.Second: false, -time.Hour: false, bellGrain + time.Second: true, time.Hour: true,
	} {
		mustDo(t, os.Chtimes(s.abs(ctlDir), time.Now().Add(-ago), time.Now().Add(-ago)))
		if _, settled, err := s.Rung(); err != nil || settled != want {
			t.Errorf("%s ago: %t, %v", ago, settled, err)
		}
	}
}
