package fsq

import (
	"sync"
	"time"
)

// pulse knows by bootTime since when a worker has not been sure of its lease. It is asked
// at the moment at which it matters: a process that was suspended finds that out nowhere
// else before its next beat. Safe for concurrent use.
type pulse struct {
	lease time.Duration

	mu     sync.Mutex
	last   time.Duration // when the last beat that succeeded was begun
	held   time.Duration // when the last was that was refused, but found the lease unharmed
	lapsed time.Duration // when the lease was last had again after it could have been over
}

func newPulse(lease, now time.Duration) *pulse { return &pulse{lease: lease, last: now} }

// beaten notes that a beat which was begun then has succeeded.
func (p *pulse) beaten(begun time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if begun < p.last {
		return // of two beats the earlier one was answered last
	}
	p.had(begun)
	p.last = begun
}

// kept notes that a beat which was begun then could not be written, by anybody, and that
// nobody has taken the worker for dead. Its jobs may go on as long as that is so.
func (p *pulse) kept(begun time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.had(begun)
	p.held = max(p.held, begun)
}

// had notes a lapse if the lease could have been over before it was had again.
func (p *pulse) had(begun time.Duration) {
	if _, over := silentFor(begun-max(p.last, p.held), p.lease); over {
		p.lapsed = begun
	}
}

// at is what silentFor says about then.
func (p *pulse) at(now time.Duration) (suspect, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	suspect, _ = silentFor(now-p.last, p.lease)
	_, over = silentFor(now-max(p.last, p.held), p.lease)
	return suspect, over
}

// lapsedSince reports whether others could at some time since then take this worker for
// dead.
func (p *pulse) lapsedSince(then, now time.Duration) bool {
	_, over := p.at(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	return over || p.lapsed > then
}

// silentFor decides what a worker may still do after so long without a beat. Others may
// take it for dead from one lease on, and run its jobs: by then none may be running here,
// so they are stopped a beat before, which is how often this is asked.
func silentFor(silent, lease time.Duration) (suspect, over bool) {
	return silent >= lease*2/3, silent >= lease-lease/beatsPerLease
}
