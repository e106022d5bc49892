package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"
)

// Census tells which workers are dead. It must be kept from one look to the next:
// where no lock and no pid can be asked, a worker is dead when its heartbeat has
// stood still for a lease of the observer's own successful looks. Clocks of two
// hosts are never compared, and while the file server is down nobody ages.
type Census struct {
	s    *Spool
	mu   sync.Mutex
	seen map[string]*sighting
	read map[string]Registered // as the last look found them
	own  string                // the observer, who is not looked at
	none vacant                // where there is nobody to judge
}

type sighting struct {
	heartbeat time.Time
	at        time.Time     // when the last look began, or its answer came if it brought news; this host's monotonic clock
	still     time.Duration // for how long the heartbeat has been seen not to move
	lease     time.Duration // after which the worker is dead
}

// NewCensus begins one without any history.
func (s *Spool) NewCensus() *Census { return &Census{s: s, seen: map[string]*sighting{}} }

// NewCensus begins one for the worker, who does not look at itself.
func (l *Lease) NewCensus() *Census {
	c := l.s.NewCensus()
	c.own = l.Worker()
	return c
}

// Forget drops what was seen of heartbeats. Who cannot write a heartbeat calls it before
// each look: that others write none then proves nothing, and once they can they have a
// whole lease to do so.
func (c *Census) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.seen)
}

// Alone reports whether the last looks, this one's at workers and RecoverEdits', found
// nobody, and nobody has come since. Who watches before it asks hears of who comes later.
// It is false on a network file system, where nothing tells.
func (c *Census) Alone() bool {
	return c.none.holds(c.s, workDir, workersDir) && c.s.noEdits.holds(c.s, editingDir)
}

// Verdict is what a look at a worker told.
type Verdict struct {
	Registered
	Dead   bool
	Gone   bool   // so is its process: it was not only silent
	Living bool   // its process is seen to live, whatever its heartbeat
	Reason string // why it is dead
}

// Look judges each registered worker, and each that has claims although it is not
// registered. poll is the time between two looks and lease the time without a
// heartbeat after which a worker is dead.
func (c *Census) Look(poll, lease time.Duration) (verdicts []Verdict, err error) {
	err = c.none.look(c.s, func() (nobody bool, err error) {
		verdicts, nobody, err = c.look(poll, lease)
		return nobody, err
	}, workDir, workersDir)
	return verdicts, err
}

// look says nobody if no other worker has an entry or claims: of one that is just leaving
// there is no verdict.
func (c *Census) look(poll, lease time.Duration) (verdicts []Verdict, nobody bool, err error) {
	s := c.s
	// Claims first, then the registry: a worker registers before it makes the
	// directory of its claims, so one that has claims and no entry is not a new one.
	var owners []string
	if err := s.walkEach(workDir, func(wid string) error {
		if _, _, ok := parseWID(wid); ok && wid != c.own {
			owners = append(owners, wid)
		}
		return nil
	}); err != nil {
		return nil, false, fmt.Errorf("look at workers: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := s.ops.now()
	all, err := s.workers(c.read, c.own)
	if err != nil {
		return nil, false, err
	}
	after := s.ops.now()
	c.read = make(map[string]Registered, len(all))
	for _, r := range all {
		c.read[r.Worker] = r
	}
	present := map[string]bool{}
	for _, r := range all {
		present[r.Worker] = true
		dead, reason := s.judge(r)
		gone := dead
		if !dead && c.expired(r, before, after, poll, max(lease, promised(r))) {
			dead, reason = true, fmt.Sprintf("no heartbeat for %s", lease)
		}
		if dead {
			// One that has just left is no dead worker: its entry went last.
			if there, err := s.Alive(r.Worker); err == nil && !there {
				continue
			}
		}
		verdicts = append(verdicts, Verdict{Registered: r, Dead: dead, Gone: gone, Living: !gone && s.lives(r), Reason: reason})
	}
	for wid := range c.seen {
		if !present[wid] {
			delete(c.seen, wid)
		}
	}
	for _, wid := range owners {
		if !present[wid] {
			host, pid, _ := parseWID(wid)
			r := Registered{Holder: Holder{Worker: wid, Host: host, PID: pid}}
			verdicts = append(verdicts, Verdict{Registered: r, Dead: true, Reason: "not registered"})
		}
	}
	return verdicts, len(all) == 0 && len(owners) == 0, nil
}

// maxLease bounds what a registry entry can claim for itself.
const maxLease = 24 * time.Hour

// promised is the lease that a worker registered with: it beats often enough for that
// one, which may be longer than the observer's.
func promised(r Registered) time.Duration {
	ms := min(max(r.LeaseMS, 0), maxLease.Milliseconds())
	return time.Duration(ms) * time.Millisecond
}

// expired counts how long the heartbeat has stood still. A look counts at most twice
// the time between looks, so that a suspended observer does not age the others, and
// at least nothing, where a clock that is set back shows in the time between them.
//
// A look can hang on its way, and what it saw is as old as that: standing still counts
// from the answer of the first look to the beginning of the last, never longer than it
// was seen. Else a worker that was cut off could lose its jobs before it stops them.
func (c *Census) expired(r Registered, before, after time.Time, poll, lease time.Duration) bool {
	g := c.seen[r.Worker]
	if g == nil || !g.heartbeat.Equal(r.Heartbeat) {
		c.seen[r.Worker] = &sighting{heartbeat: r.Heartbeat, at: after, lease: lease}
		return false
	}
	g.lease = lease
	g.still += min(max(before.Sub(g.at), 0), 2*poll)
	g.at = before
	return g.still >= lease
}

// Stirred reports whether a worker that was taken for dead has since given a sign of life.
func (s *Spool) Stirred(v Verdict) (bool, error) {
	if v.Gone {
		return false, nil
	}
	r, err := s.readWorker(v.Worker, v.Registered)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look at worker %s again: %w", v.Worker, err)
	}
	return !r.Heartbeat.Equal(v.Heartbeat), nil
}

// Soon is after how long the next look can be the one that finds a silent worker dead, at
// most poll. Who looks then finds it a lease and one poll after its last heartbeat, and not
// up to two; workers that beat cost no looks for that.
func (c *Census) Soon(poll time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.seen {
		if g.still > 0 && g.still < g.lease {
			poll = min(poll, g.lease-g.still)
		}
	}
	return poll
}

// here reports whether a worker's process is one that this kernel can tell of. Without the
// name of a pid namespace two containers could be taken for one.
func (s *Spool) here(r Registered) bool {
	return r.BootID != "" && r.BootID == s.host.BootID && r.PIDNS != "" && r.PIDNS == s.host.PIDNS
}

func (s *Spool) lives(r Registered) bool {
	return s.here(r) && s.processes.look(r.PID, r.ProcStart) == living
}

// judge asks what this kernel knows for certain.
func (s *Spool) judge(r Registered) (dead bool, reason string) {
	if s.here(r) {
		switch s.processes.look(r.PID, r.ProcStart) {
		case vanished:
			// The lock may still be held by what a job left behind: that must not keep the
			// other claims of this worker back for ever.
			return true, "its process is gone"
		case living:
			// Its lock may be free all the same: a job inherits the descriptor, and flock -u
			// lets go of it for the worker too. In this process there can be registrations
			// that were given up.
			if r.PID != os.Getpid() {
				return false, ""
			}
		case unseen:
		}
	}
	if _, own := ownLeases.Load(r.Worker); own {
		return false, ""
	}
	// The file server itself has the spool on a local disk, and its clients' locks are not
	// ones that flock(2) sees here. An earlier boot of this host has its name.
	if s.network || r.BootID != "" && r.BootID != s.host.BootID && r.Host != s.host.Name {
		return false, ""
	}
	if s.unlocked(r) {
		return true, "its lock is free"
	}
	return false, ""
}

// unlocked reports whether nobody holds the lock of a registry entry that is still
// the one that was read.
func (s *Spool) unlocked(r Registered) bool {
	f, err := s.ops.update(s.abs(workerPath(r.Worker)), 0)
	if err != nil {
		return false
	}
	defer f.Close()
	if in, err := f.info(); err != nil || !in.same(r.in) {
		return false
	}
	locked, err := f.tryLock()
	return err == nil && locked
}

// Alive reports whether the worker is registered. It does not judge.
func (s *Spool) Alive(wid string) (bool, error) {
	_, err := s.ops.look(s.abs(workersDir), path.Base(workerPath(wid)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
