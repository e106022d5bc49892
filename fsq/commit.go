package fsq

import (
	"context"
	"sync"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// committer makes settlements durable in groups and only then tells of them. The
// slots do not wait for it.
type committer struct {
	w       *Worker
	pending *mailbox[commit]
	mu      sync.Mutex // held while a group is synced, so that flush waits for it
}

type commit struct {
	settled spool.Settled
	event   Event
}

// commitDelay is how long a settlement may wait for others to share an fsync with.
// PROTOCOL's bound is 100 ms; less is enough on a disk that syncs in one or two.
const commitDelay = 5 * time.Millisecond

func newCommitter(w *Worker) *committer {
	return &committer{w: w, pending: newMailbox[commit]()}
}

func (c *committer) add(s spool.Settled, e Event) { c.pending.put(commit{s, e}) }

func (c *committer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.pending.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(commitDelay):
		}
		c.flush()
	}
}

// flush makes durable and tells of all that was added before the call.
func (c *committer) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	group := c.pending.take()
	var settled []spool.Settled
	for _, g := range group {
		// A job that goes back to pending needs no sync: without it, it falls back to
		// being a dead worker's claim.
		if g.settled.State != spool.Pending {
			settled = append(settled, g.settled)
		}
	}
	err := c.w.q.s.SyncSettled(settled...)
	if err != nil {
		c.w.problem(err)
	}
	for _, g := range group {
		if err != nil && g.settled.State != spool.Pending {
			g.event.err = err
		}
		c.w.emit(g.event)
	}
}
