package fsq

import (
	"context"
	"sync"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// committer makes settlements durable in groups and only then tells of them. The
// slots do not wait for it.
//
// First claims go along: nobody waits for those, but a job that brings its machine down
// is to run out of attempts, and not to begin anew with each boot.
type committer struct {
	w       *Worker
	lease   *spool.Lease
	pending *mailbox[commit]
	mu      sync.Mutex // held while a group is synced, so that flush waits for it
}

type commit struct {
	claim   bool // it is one; else a settlement
	settled spool.Settled
	event   Event
}

// How long a settlement may wait for others to share an fsync with: one that comes alone,
// and one of many. PROTOCOL's bound is 100 ms. With 5 ms for all, short jobs on a local
// disk cost more than one fsync each; with 50 ms that is 20 groups a second, however many
// jobs there are.
const (
	commitAlone = 5 * time.Millisecond
	commitMany  = 50 * time.Millisecond
)

// commitDelay is how long a group waits that begins so long after the last one that had
// settlements in it. The first after a while is told of at once.
func commitDelay(since time.Duration) time.Duration {
	if since < 2*commitMany {
		return commitMany
	}
	return commitAlone
}

func newCommitter(w *Worker, lease *spool.Lease) *committer {
	return &committer{w: w, lease: lease, pending: newMailbox[commit]()}
}

func (c *committer) add(s spool.Settled, e Event) { c.pending.put(commit{settled: s, event: e}) }

func (c *committer) addClaim() { c.pending.put(commit{claim: true}) }

func (c *committer) run(ctx context.Context) {
	last := time.Now().Add(-2 * commitMany)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.pending.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(commitDelay(time.Since(last))):
		}
		if c.flush() > 0 {
			last = time.Now()
		}
	}
}

// flush makes durable and tells of all that was added before the call. It returns how many
// settlements these were.
func (c *committer) flush() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	group := c.pending.take()
	var settled []spool.Settled
	claims := false
	for _, g := range group {
		if g.claim {
			claims = true
			continue
		}
		// A job that goes back to pending needs no sync: without it, it falls back to
		// being a dead worker's claim.
		if g.settled.State != spool.Pending {
			settled = append(settled, g.settled)
		}
	}
	err := c.w.q.s.SyncSettled(settled...)
	if claims && len(settled) == 0 { // a settlement's takes along what was claimed before it
		err = c.lease.SyncClaims()
	}
	if err != nil {
		c.w.problem(err)
	}
	for _, g := range group {
		if g.claim {
			continue
		}
		if err != nil && g.settled.State != spool.Pending {
			// A second fsync would prove nothing: it may succeed although the first one's
			// writes were dropped.
			g.event.err, g.event.Uncertain = err, true
		}
		c.w.emit(g.event)
	}
	return len(settled)
}
