package dashboard

import (
	"time"
)

// recordEvery is how often the histories of the queues are written while somebody looks.
const recordEvery = time.Minute

// record writes the histories until nobody looks any more: workers do so only when
// something has ended, and what waits is to be seen also when nothing ends. Who may not
// write to the spool leaves it to them.
func (r *round) record() {
	tick := time.NewTicker(recordEvery)
	defer tick.Stop()
	for {
		r.recordOnce()
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (r *round) recordOnce() {
	r.mu.Lock()
	lives := append([]*liveQueue(nil), r.lives...)
	r.mu.Unlock()
	for _, l := range lives {
		depth := l.View().Depth()
		if err := l.q.Roll(r.ctx, &depth); err != nil && r.ctx.Err() == nil {
			r.s.d.opt.Log.Debug("the history is not written", "queue", l.q.Name(), "error", err)
		}
	}
}
