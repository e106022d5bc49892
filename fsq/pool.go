package fsq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Share is a queue's part in the work of a process that serves several.
type Share struct {
	Queue  *Queue
	Rank   int // a queue of a higher rank waits as long as one of a lower has due jobs
	Weight int // of the starts among queues of one rank that have due jobs; 1 if not given
}

// Pool works several queues with one set of slots. In each of them it is a worker of its
// own, with a registration, a lease and a name; which one gets the next free slot is
// decided here. Asked to stop in one queue, it stops in all.
type Pool struct {
	opt  WorkerOptions
	stop chan struct{} // closed by Interrupt
	once sync.Once

	events sync.Mutex // one event at a time

	mu      sync.Mutex
	slots   int           // jobs at a time
	running int           // jobs that are claimed now
	granted int           // slots that were given and not used yet
	taken   int           // jobs that were ever claimed
	changed uint64        // counts starts and ends
	closed  bool          // no more slots are given
	ended   chan struct{} // closed with it
	seats   []*seat       // in the order of their coming
	clocks  []clock       // of each rank
}

// seat is a queue's place in a Pool. Its fields belong to the Pool's mutex.
type seat struct {
	pool   *Pool
	worker *Worker
	rank   int
	weight int
	wake   chan struct{} // receives when it is this queue's turn, or the end has come

	wants   bool
	served  float64 // starts, each divided by the weight
	empty   bool    // it had nothing due when changed was emptyAt
	emptyAt uint64
	alive   bool // its loop has come round since the last time that all had
}

// clock is how far a rank has come, in the measure of seat.served.
type clock struct {
	rank int
	at   float64
}

// contender is a queue that wants the next free slot, or does not.
type contender struct {
	wants  bool
	rank   int
	served float64
}

// nextTurn is the index of the queue whose turn it is, -1 for none: of those of the
// lowest rank that want a slot the one that was served least by its weight. Two that
// both want slots all the time are never further apart than by one job.
func nextTurn(cs []contender) int {
	best := -1
	for i, c := range cs {
		if !c.wants {
			continue
		}
		if best < 0 || c.rank < cs[best].rank || c.rank == cs[best].rank && c.served < cs[best].served {
			best = i
		}
	}
	return best
}

// comeBack is where a queue goes on that wanted nothing for a while: what it did not
// take meanwhile is gone, or it would keep all others waiting until it has caught up.
func comeBack(served, rankAt float64) float64 { return max(served, rankAt) }

// NewPool makes a pool. Run starts it.
func NewPool(shares []Share, opt WorkerOptions) *Pool {
	if opt.Slots < 1 {
		opt.Slots = 1
	}
	p := &Pool{opt: opt, slots: opt.Slots, stop: make(chan struct{}), ended: make(chan struct{})}
	for _, s := range shares {
		p.join(s)
	}
	return p
}

func (p *Pool) join(share Share) *seat {
	s := &seat{
		pool: p, rank: share.Rank, weight: max(share.Weight, 1), wake: make(chan struct{}, 1),
		// Until it has looked it may have what must come first.
		wants: true,
	}
	s.worker = newWorker(share.Queue, p.opt, s)
	p.mu.Lock()
	defer p.mu.Unlock()
	s.served = comeBack(0, p.clock(s.rank).at)
	p.seats = append(p.seats, s)
	return s
}

// Interrupt makes Run give the running jobs back and return.
func (p *Pool) Interrupt() { p.once.Do(func() { close(p.stop) }) }

// Run works jobs until ctx is cancelled, or somebody asks the worker to stop in one of
// the queues, or the options say that it is done; see Worker.Run.
func (p *Pool) Run(ctx context.Context) error {
	guard, err := startGuard()
	if err != nil {
		p.seats[0].worker.log.Warn("if this worker is killed, processes that its jobs have started may outlive it", "error", err)
	} else {
		defer guard.close()
	}
	umask := ownUmask()
	if p.opt.MaxTime > 0 {
		timer := time.AfterFunc(p.opt.MaxTime, p.close)
		defer timer.Stop()
	}
	var (
		all     sync.WaitGroup
		mu      sync.Mutex
		results []error
	)
	first := p.seats[0].worker
	several := len(p.seats) > 1 || p.opt.Later != nil
	work := func(s *seat, late bool) {
		s.worker.guard, s.worker.umask = guard, umask
		all.Go(func() {
			err := s.worker.live(ctx)
			p.leave(s)
			if err != nil && late && s.worker.ID() == "" {
				s.worker.problem(fmt.Errorf("queue %s: %w", s.worker.q.Name(), err))
				return // the others can go on without it
			}
			if err != nil && several {
				err = fmt.Errorf("queue %s: %w", s.worker.q.Name(), err)
			}
			mu.Lock()
			results = append(results, err)
			mu.Unlock()
			p.close()
		})
	}
	for _, s := range slices.Clone(p.seats) {
		work(s, false)
	}
	if p.opt.Later != nil {
		all.Go(func() { p.lookForQueues(first, func(s *seat) { work(s, true) }) })
	}
	all.Wait()
	return errors.Join(results...)
}

// lookForQueues gives seats to queues that are made while the pool works.
func (p *Pool) lookForQueues(first *Worker, work func(*seat)) {
	whenQueuesChange(p.ended, first.q.Root(), first.sweepInterval(), func() {
		known := map[string]bool{}
		p.mu.Lock()
		for _, s := range p.seats {
			known[s.worker.q.Name()] = true
		}
		p.mu.Unlock()
		shares, err := p.opt.Later(func(name string) bool { return known[name] })
		if err != nil {
			first.problem(err)
		}
		for _, share := range shares {
			if !p.over() {
				work(p.join(share))
			}
		}
	})
}

// leave takes a queue's seat away.
func (p *Pool) leave(s *seat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, t := range p.seats {
		if t == s {
			p.seats = append(p.seats[:i:i], p.seats[i+1:]...)
		}
	}
	p.call(nil)
}

// close ends the giving of slots; all queues finish what runs.
func (p *Pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut()
}

func (p *Pool) shut() {
	if p.closed {
		return
	}
	p.closed = true
	close(p.ended)
	for _, s := range p.seats {
		s.poke()
	}
}

// over reports whether no more slots are given.
func (p *Pool) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (s *seat) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// free reports whether there is a slot to give.
func (p *Pool) free() bool {
	return !p.closed && p.running+p.granted < p.slots && (p.opt.MaxJobs < 1 || p.taken+p.granted < p.opt.MaxJobs)
}

func (p *Pool) next() *seat {
	cs := make([]contender, len(p.seats))
	for i, s := range p.seats {
		cs[i] = contender{s.wants, s.rank, s.served}
	}
	if i := nextTurn(cs); i >= 0 {
		return p.seats[i]
	}
	return nil
}

// call wakes the queue whose turn it is, unless it is the one that asks.
func (p *Pool) call(asking *seat) {
	if !p.free() {
		return
	}
	if s := p.next(); s != nil && s != asking {
		s.poke()
	}
}

func (p *Pool) clock(rank int) *clock {
	for i := range p.clocks {
		if p.clocks[i].rank == rank {
			return &p.clocks[i]
		}
	}
	p.clocks = append(p.clocks, clock{rank: rank})
	return &p.clocks[len(p.clocks)-1]
}

// ask says that a job is due and reports whether it may be claimed. After true, start or
// giveBack follows. After false the seat is woken when it may be its turn.
func (s *seat) ask() bool {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.wants {
		s.wants = true
		s.served = comeBack(s.served, p.clock(s.rank).at)
	}
	s.empty = false
	if !p.free() || p.next() != s {
		p.call(s)
		return false
	}
	p.granted++
	p.clock(s.rank).at = s.served
	s.served += 1 / float64(s.weight)
	return true
}

// giveBack returns a slot for which there was no job after all: others were faster.
func (s *seat) giveBack() {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.granted--
	s.served -= 1 / float64(s.weight)
	p.idle()
	p.call(s)
}

// start uses a slot. asked is false for a job that is this worker's already.
func (s *seat) start(asked bool) {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if asked {
		p.granted--
	}
	p.running++
	p.taken++
	p.changed++
	s.empty = false
	if p.opt.MaxJobs > 0 && p.taken >= p.opt.MaxJobs {
		p.shut()
	}
}

// done frees a slot. The seat's own loop goes on to ask for it.
func (s *seat) done() {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	p.changed++
	p.idle()
	p.call(s)
}

// idle wakes all queues of a drain when no slot is in use: each looks whether it is
// empty. Who looked while one was given for a job that others had gets no other call.
func (p *Pool) idle() {
	if !p.opt.Drain || p.running+p.granted > 0 {
		return
	}
	for _, t := range p.seats {
		t.poke()
	}
}

// rest says that there is nothing to claim.
func (s *seat) rest() {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	s.wants = false
	p.call(s)
}

// idleAt is a count that stays the same as long as no job starts or ends; ok is false
// while one runs, in any of the queues: it may yet enqueue another.
func (p *Pool) idleAt() (at uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed, p.running+p.granted == 0
}

// nothingDue says that a look that began at that count has found nothing to do. When all
// queues say so, and none has started anything since, a drain is over.
func (s *seat) nothingDue(at uint64) {
	p := s.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	s.empty, s.emptyAt = true, at
	for _, t := range p.seats {
		if !t.empty || t.emptyAt != p.changed {
			return
		}
	}
	if p.running+p.granted == 0 {
		p.shut()
	}
}

// round says that the seat's loop has come round. When those of all queues have, whoever
// watches the worker is told that it is alive.
func (s *seat) round() {
	p := s.pool
	if p.opt.Alive == nil {
		return
	}
	p.mu.Lock()
	s.alive = true
	all := true
	for _, t := range p.seats {
		all = all && t.alive
	}
	if all {
		for _, t := range p.seats {
			t.alive = false
		}
	}
	p.mu.Unlock()
	if all {
		p.opt.Alive()
	}
}

// resize changes how many jobs the pool takes at a time.
func (p *Pool) resize(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slots += by
	p.call(nil)
}

// excess reports whether more jobs are claimed than are asked for.
func (p *Pool) excess() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running+p.granted > p.slots
}
