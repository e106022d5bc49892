package fsq

import (
	"context"
	"errors"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// heartbeat renews the lease and looks whether this worker's claims are still its
// own. It runs apart from the loop, so that a slow scan costs no lease; and the beats
// apart from it, because one hangs as long as a network file system is not reached, and
// its jobs must be stopped all the same.
func (in *incarnation) heartbeat(ctx context.Context) {
	interval := in.w.beatInterval()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	answers, waiting := make(chan error, 1), false
	defer func() {
		if waiting {
			<-answers //nolint:errcheck // nobody may beat once the registration is ended; what came of it is of no interest
		}
	}()
	ticked := bootTime()
	for {
		slept := false
		select {
		case <-ctx.Done():
			return
		case err := <-answers:
			waiting = false
			switch {
			case err == nil:
			case errors.Is(err, ErrLost):
				in.giveUp()
				return
			default:
				in.w.problem(err)
			}
		case <-tick.C:
			// bootTime goes on while the machine sleeps. Who wakes up asks first whether its
			// lease is lost: on a local file system nobody has taken it.
			slept = bootTime()-ticked > 2*interval
			ticked = bootTime()
			if !waiting {
				waiting = true
				go func() {
					err := in.beat()
					if err == nil || errors.Is(err, spool.ErrHeld) {
						in.audit()
					}
					answers <- err
				}()
			}
		}
		suspect, over := in.pulse.at(bootTime())
		in.setSuspect(suspect)
		if over && !slept {
			// The same end as if others had taken it: what was cancelled stays so, and a
			// new registration begins afresh.
			in.giveUp()
			return
		}
	}
}

// beat renews the lease. It counts from when it was begun: the server may have heard it as
// early as that, however long its answer took.
func (in *incarnation) beat() error {
	begun := bootTime()
	err := in.lease.Beat()
	in.mute.Store(err != nil)
	switch {
	case err == nil:
		in.pulse.beaten(begun)
	case errors.Is(err, spool.ErrHeld):
		in.pulse.kept(begun)
	}
	return err
}

// sure reports whether the lease is good at this moment. A worker that was suspended for
// so long that others may have its jobs by now asks before it starts one: its heartbeat
// wakes up no earlier than what starts jobs.
func (in *incarnation) sure() bool {
	if _, over := in.pulse.at(bootTime()); !over {
		return true
	}
	err := in.beat()
	return err == nil || errors.Is(err, spool.ErrHeld)
}

func (in *incarnation) giveUp() {
	in.stopRuns(ErrLost)
	close(in.lost)
}

// setSuspect wakes the loop when claims may be made again.
func (in *incarnation) setSuspect(v bool) {
	if in.doubt.Swap(v) && !v {
		in.w.seat.poke()
	}
}

// suspect reports whether the lease may run out before the next claim is settled.
func (in *incarnation) suspect() bool {
	if suspect, _ := in.pulse.at(bootTime()); suspect {
		in.doubt.Store(true) // so that the next beat wakes the loop
	}
	return in.doubt.Load()
}

// audit compares what lies in this worker's directory with what it runs. A job that
// has been taken away is stopped. One that is there and does not run is a claim whose
// reply was lost; it is seen at two audits, because it may be just about to start.
func (in *incarnation) audit() {
	names, err := in.lease.Claims()
	if err != nil {
		in.w.problem(err)
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	here := make(map[string]bool, len(names))
	unknown := map[string]bool{}
	for _, n := range names {
		key := n.String()
		here[key] = true
		if in.running[key] != nil || in.failed[key] {
			continue
		}
		unknown[key] = true
		if in.unknown[key] {
			in.strays.put(n)
			delete(unknown, key)
		}
	}
	in.unknown = unknown
	for key, s := range in.running {
		if here[key] {
			s.missed = 0
			continue
		}
		// Settling takes a moment in which the job still counts as running, and one scan
		// that does not see a name proves nothing.
		if s.missed++; s.missed >= 2 {
			if held, err := s.claim.Held(); err == nil && !held {
				s.cancel(ErrLost)
			}
		}
	}
}
