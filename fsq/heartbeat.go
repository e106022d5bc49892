package fsq

import (
	"context"
	"errors"
	"time"
)

// heartbeat renews the lease and looks whether this worker's claims are still its
// own. It runs apart from the loop, so that a slow scan costs no lease.
func (in *incarnation) heartbeat(ctx context.Context) {
	interval := in.w.beatInterval()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last := bootTime()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := in.lease.Beat()
		switch {
		case err == nil:
			last = bootTime()
			in.setSuspect(false)
			in.audit()
		case errors.Is(err, ErrLost):
			in.stopRuns(ErrLost)
			close(in.lost)
			return
		default:
			in.w.problem(err)
			// Others may take this worker for dead from one lease on, and run its jobs: by
			// then none may be running here. bootTime goes on while the machine sleeps.
			silent := bootTime() - last
			in.setSuspect(silent >= in.q.cfg.Lease*2/3)
			if silent >= in.q.cfg.Lease {
				// The same end as if others had taken it: what was cancelled stays so, and a
				// new registration begins afresh.
				in.stopRuns(ErrLost)
				close(in.lost)
				return
			}
		}
	}
}

// setSuspect wakes the loop when claims may be made again.
func (in *incarnation) setSuspect(v bool) {
	if in.doubt.Swap(v) && !v {
		in.w.seat.poke()
	}
}

// suspect reports whether the lease may run out before the next claim is settled.
func (in *incarnation) suspect() bool { return in.doubt.Load() }

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
