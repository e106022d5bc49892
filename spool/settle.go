package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"
)

// Ending is how an attempt ended, as far as a name tells it.
type Ending struct {
	Outcome string        // a word in lower case
	Wait    time.Duration // from due to start
	Run     time.Duration
	Lost    int // attempts whose worker died, this one included; what the name tells is never lowered
}

// Settled is a transition that is done but perhaps not durable yet.
type Settled struct {
	Name  Name
	State State
	Path  string // relative to the spool
	Next  Name   // the element of an array to which the job's turn went, if it has an ID
	dirs  []string
}

// Done files the job as finished. Sync makes it durable; until then a power cut
// may bring the job back, and it runs again.
func (c *Claim) Done(end Ending) (Settled, error) {
	n := c.ended(end)
	return c.settle(Done, doneHour(n.Due, 0)+"/"+c.lease.s.file(n), n)
}

// Bury files the job as dead. See Done.
func (c *Claim) Bury(end Ending) (Settled, error) {
	n := c.ended(end)
	return c.settle(Dead, deadDir+"/"+c.lease.s.file(n), n)
}

// Retry puts the job back to be tried again when it is due.
func (c *Claim) Retry(due time.Time) (Settled, error) {
	n := c.name
	n.Due = Truncate(due)
	return c.settle(Pending, c.lease.s.pendingPath(n, c.lease.s.Now()), n)
}

// Release puts the job back as it was, as if it had not been claimed. The attempt
// is not taken back, because names would recur: one more is allowed instead.
func (c *Claim) Release(due time.Time) (Settled, error) {
	return c.free(due, func(n *Name) *int { return &n.Given })
}

// Lose puts the job back as Reap does: others took this worker for dead, killed the job,
// and have not taken the claim yet.
func (c *Claim) Lose(due time.Time) (Settled, error) {
	return c.free(due, func(n *Name) *int { return &n.Lost })
}

// Snooze puts the job back to be tried again when it is due, at no cost: as Release,
// but counted apart, so that it can be bounded.
func (c *Claim) Snooze(due time.Time) (Settled, error) {
	return c.free(due, func(n *Name) *int { return &n.Snoozed })
}

// free puts the job back and raises the allowance with the attempt.
func (c *Claim) free(due time.Time, counter func(*Name) *int) (Settled, error) {
	n := c.name
	n.Due = Truncate(due)
	n.Allowed = min(n.Allowed+1, MaxAttempt)
	count := counter(&n)
	*count = min(*count+1, MaxAttempt)
	return c.settle(Pending, c.lease.s.pendingPath(n, c.lease.s.Now()), n)
}

// Reject sets the job's file aside as one that cannot be run, its bytes unchanged.
func (c *Claim) Reject(reason string) (Settled, error) {
	s := c.lease.s
	// It has not run: if it is given back, that attempt was none.
	n := c.name
	n.Allowed = min(n.Allowed+1, MaxAttempt)
	to, err := s.explain(s.file(n), reason)
	if err != nil {
		return Settled{}, fmt.Errorf("reject job %q: %w", c.name.ID, err)
	}
	settled, err := c.settle("", to, c.name)
	if err != nil {
		return settled, errors.Join(err, s.unexplain(to))
	}
	return settled, nil
}

func (c *Claim) ended(end Ending) Name {
	n := c.name
	n.Due = Truncate(c.lease.s.Now())
	n.Outcome, n.Wait, n.Run = end.Outcome, Millis(end.Wait), Millis(end.Run)
	n.Lost = max(n.Lost, end.Lost)
	n.Turn = false // who makes the rename passes it on
	return n
}

// settle makes the one rename that ends a claim. No other party makes the same
// destination: it carries the attempt, and an attempt has one worker. The error
// wraps ErrLost if the claim was no longer this worker's; nothing is changed then.
// After any other error the claim stands and can be settled again.
func (c *Claim) settle(st State, to string, n Name) (Settled, error) {
	s := c.lease.s
	if c.over {
		return Settled{}, fmt.Errorf("settle job %q: its claim is settled already", c.name.ID)
	}
	pass := s.withTurn(c.name)
	defer pass.end()
	from := c.path()
	err := s.moveInto(from, to)
	for nth := 1; st == Done && isNoSpace(err) && nth <= 9; nth++ {
		// "No space" is also what a full directory says: ext4 refuses names from some
		// millions on. A second directory for the same hour answers that.
		to = doneHour(n.Due, nth) + "/" + path.Base(to)
		err = s.moveInto(from, to)
	}
	settled := Settled{Name: n, State: st, Path: to, dirs: []string{path.Dir(to), claimsDir(c.lease.Worker())}}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.end()
		// An earlier try may have been executed although neither its reply nor the look
		// for its destination came through.
		for _, t := range c.tried {
			if _, err := s.ops.look(s.abs(path.Dir(t.Path)), path.Base(t.Path)); err == nil {
				return t, nil
			}
		}
		return Settled{}, fmt.Errorf("settle job %q: %w", c.name.ID, ErrLost)
	case err != nil:
		if s.network {
			c.tried = append(c.tried, settled)
		}
		return Settled{}, fmt.Errorf("settle job %q: %w", c.name.ID, err)
	}
	c.end()
	if st != Pending {
		settled.Next = pass.on()
	}
	return settled, nil
}

// end notes that the claim is over.
func (c *Claim) end() {
	c.over = true
	c.lease.claims.Delete(c.path())
}

// SyncSettled makes transitions durable, target directories before source
// directories, each once. On btrfs, the target alone would leave a job under both
// names.
func (s *Spool) SyncSettled(all ...Settled) error {
	var dirs []string
	seen := map[string]bool{}
	for i := range 2 {
		for _, t := range all {
			if len(t.dirs) > i && !seen[t.dirs[i]] {
				seen[t.dirs[i]] = true
				dirs = append(dirs, t.dirs[i])
			}
		}
	}
	var errs []error
	for _, d := range dirs {
		// A worker's directory is gone once it has left, and an hour once it is pruned.
		if err := s.Sync(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
