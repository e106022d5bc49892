package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

const (
	// linger is how long the queues are followed after the last look: who goes from page to
	// page pays for one scan.
	linger = 30 * time.Second
	// freshFor is how long a snapshot holds without a change: by then jobs may be due.
	freshFor = time.Second
	// viewShare bounds the time that goes into telling pages of changes: one part in so many.
	viewShare = 10
	// factsEvery is how often that is looked at of which nothing tells: rejected and dropped
	// files, settings, the disk.
	factsEvery = 10 * time.Second
	// factsShare bounds the time that goes into it: one part in so many.
	factsShare = 50
)

// scanner follows the queues while somebody looks, once for all who do.
type scanner struct {
	d      *Dashboard
	linger time.Duration

	mu      sync.Mutex
	looking int         // how many look at this moment
	idle    *time.Timer // ends the round when nobody has come back
	round   *round      // nil: nobody looks
	version uint64
	print   uint64                    // the fingerprint of that version
	scans   int                       // how many queues were scanned as a whole, ever
	taken   int                       // how many snapshots were taken, ever
	done    map[string]*fsq.DoneCount // by queue: what was counted stays when nobody looks
	closed  bool
	all     sync.WaitGroup
}

// round is the time from the first who looks to some time after the last one.
type round struct {
	s     *scanner
	ctx   context.Context
	stop  context.CancelFunc
	ready chan struct{} // closed when the queues were scanned for the first time

	taking  sync.Mutex // by whoever takes a snapshot
	latest  *snapshot
	opening sync.Mutex    // by whoever looks which queues there are
	changed chan struct{} // receives when there may be something new

	mu     sync.Mutex
	stale  bool // latest lacks a change
	lives  []*liveQueue
	err    error // why there are not all
	lost   bool  // the spool is gone
	factAt time.Time
	cost   time.Duration // of the facts
	disk   *fsq.Disk
	wakers map[chan struct{}]bool // who wants to be told of another version
}

type liveQueue struct {
	*fsq.Live
	q     *fsq.Queue
	stop  context.CancelFunc
	facts facts
}

// newScanner numbers its versions from the time on, so that pages of an earlier process
// have none of them.
func newScanner(d *Dashboard) *scanner {
	return &scanner{d: d, linger: linger, done: map[string]*fsq.DoneCount{}, version: uint64(d.now().UnixMilli())}
}

// look begins to look; what it returns ends it. The queues are followed meanwhile, and
// some time longer. It is nil if the scanner is closed.
func (s *scanner) look() (*round, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, func() {}
	}
	s.looking++
	if s.idle != nil {
		s.idle.Stop()
		s.idle = nil
	}
	if s.round == nil {
		ctx, stop := context.WithCancel(context.Background())
		s.round = &round{s: s, ctx: ctx, stop: stop, ready: make(chan struct{}), changed: make(chan struct{}, 1), wakers: map[chan struct{}]bool{}}
		r := s.round
		s.all.Go(r.run)
	}
	return s.round, sync.OnceFunc(s.leave)
}

// counted is what was counted of a queue in an earlier round.
func (s *scanner) counted(queue string) *fsq.DoneCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done[queue] == nil {
		s.done[queue] = &fsq.DoneCount{}
	}
	return s.done[queue]
}

// forget is for when the spool is gone: another may come in its place.
func (s *scanner) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = map[string]*fsq.DoneCount{}
}

// nudge has the next snapshot look at everything: somebody here has changed something.
func (s *scanner) nudge() {
	s.d.shared.forget()
	s.mu.Lock()
	r := s.round
	s.mu.Unlock()
	if r == nil {
		return
	}
	r.mu.Lock()
	r.factAt = time.Time{}
	r.mu.Unlock()
	r.touch()
}

func (s *scanner) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looking--; s.looking > 0 || s.round == nil {
		return
	}
	s.idle = time.AfterFunc(s.linger, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.looking == 0 {
			s.end()
		}
	})
}

// end ends the round. The caller has the mutex.
func (s *scanner) end() {
	if s.round != nil {
		s.round.stop()
		s.round = nil
	}
}

func (s *scanner) close() {
	s.mu.Lock()
	s.closed = true
	if s.idle != nil {
		s.idle.Stop()
	}
	s.end()
	s.mu.Unlock()
	s.all.Wait()
}

// snapshot is the queues as they are now. While somebody looks it costs next to nothing, and
// misses no change that the file system has told of. It is never nil: its Err says what
// went wrong.
func (d *Dashboard) snapshot(ctx context.Context) *snapshot {
	r, leave := d.scan.look()
	defer leave()
	if r == nil {
		return &snapshot{Dir: d.opt.Dir, At: d.now(), Err: errClosed, Status: fsq.Sum(nil), View: fsq.SumViews(nil)}
	}
	select {
	case <-r.ready:
	case <-ctx.Done():
		return &snapshot{Dir: d.opt.Dir, At: d.now(), Err: context.Cause(ctx), Status: fsq.Sum(nil), View: fsq.SumViews(nil)}
	}
	return r.snapshot()
}

var errClosed = errors.New("the dashboard is closed")

// run follows the queues until nobody looks any more.
func (r *round) run() {
	defer func() {
		for _, l := range r.lives {
			l.stop()
			l.Wait()
		}
	}()
	r.open()
	close(r.ready)
	var others sync.WaitGroup
	defer others.Wait()
	if !r.s.d.opt.ReadOnly {
		others.Go(r.record)
	}
	others.Go(func() { fsq.WatchQueues(r.ctx, r.s.d.opt.Dir, r.open) })
	for told := uint64(0); ; {
		select {
		case <-r.ctx.Done():
			return
		case <-r.changed:
		}
		s := r.snapshot()
		if s.Version != told {
			told = s.Version
			r.wake()
		}
		// What comes fast is shown together: no page is told more often than once a second,
		// and less often where a million jobs wait and a look takes long.
		select {
		case <-r.ctx.Done():
			return
		case <-time.After(max(freshFor, viewShare*s.Cost)):
		}
	}
}

// touch is told by whoever follows a queue that something may have changed.
func (r *round) touch() {
	r.mu.Lock()
	r.stale = true
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// listen returns a channel that receives when there is another version, until forget is
// called.
func (r *round) listen() (news <-chan struct{}, forget func()) {
	c := make(chan struct{}, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wakers[c] = true
	return c, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.wakers, c)
	}
}

// wake tells all who wait that there is another version.
func (r *round) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.wakers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// open begins to follow the queues that were made, and leaves those that were removed.
func (r *round) open() {
	d := r.s.d
	r.opening.Lock()
	defer r.opening.Unlock()
	names, err := d.names()
	lost := errors.Is(err, errGone)
	if lost {
		r.s.forget()
	}
	r.mu.Lock()
	r.lost = lost
	var known []string
	r.lives = slices.DeleteFunc(r.lives, func(l *liveQueue) bool {
		gone := lost || err == nil && !slices.Contains(names, l.q.Name())
		if gone {
			l.stop()
		} else {
			known = append(known, l.q.Name())
		}
		return gone
	})
	r.mu.Unlock()
	for _, name := range names {
		if slices.Contains(known, name) || r.ctx.Err() != nil {
			continue // on a network to open one is some requests to the file server
		}
		q, openErr := d.opt.Open(name)
		if errors.Is(openErr, fs.ErrNotExist) {
			continue
		}
		if openErr != nil {
			err = errors.Join(err, openErr)
			continue
		}
		ctx, stop := context.WithCancel(r.ctx)
		live, liveErr := q.LiveWith(ctx, r.s.counted(q.Name()), r.touch)
		r.s.mu.Lock()
		r.s.scans++
		r.s.mu.Unlock()
		if liveErr != nil {
			stop()
			err = errors.Join(err, liveErr)
			continue
		}
		r.mu.Lock()
		r.lives = append(r.lives, &liveQueue{Live: live, q: q, stop: stop})
		slices.SortStableFunc(r.lives, func(a, b *liveQueue) int {
			return slices.Index(names, a.q.Name()) - slices.Index(names, b.q.Name())
		})
		r.factAt = time.Time{} // of the new one nothing is known
		r.mu.Unlock()
	}
	r.mu.Lock()
	r.err = err
	r.mu.Unlock()
	r.touch()
}

// snapshot takes one, unless the latest will do.
func (r *round) snapshot() *snapshot {
	r.taking.Lock()
	defer r.taking.Unlock()
	now := r.s.d.now()
	r.mu.Lock()
	if r.latest != nil && !r.stale && now.Sub(r.latest.At) < freshFor {
		r.mu.Unlock()
		return r.latest
	}
	r.stale = false
	r.mu.Unlock()
	r.latest = r.take(now)
	return r.latest
}

// take takes a snapshot. The caller has taking.
func (r *round) take(now time.Time) *snapshot {
	d := r.s.d
	began := time.Now()
	_, err := d.names()
	r.mu.Lock()
	moved := errors.Is(err, errGone) != r.lost
	r.mu.Unlock()
	if moved {
		r.open() // nothing tells of that at once
	}
	r.lookAtFacts(now)
	r.mu.Lock()
	lives := slices.Clone(r.lives)
	s := &snapshot{At: now, Dir: d.opt.Dir, Err: r.err, Disk: r.disk}
	r.mu.Unlock()
	var all []fsq.Status
	var views []fsq.LiveView
	for _, l := range lives {
		v := l.View()
		st := statusOf(l.q.Root(), v, l.facts, now)
		all, views = append(all, st), append(views, v)
		s.Queues = append(s.Queues, queueSnapshot{Name: l.q.Name(), Dir: l.q.Dir(), Status: st, View: v, Config: l.facts.config, Own: l.facts.own})
		s.Polled = s.Polled || l.q.Polls()
	}
	s.Status, s.View = fsq.Sum(all), fsq.SumViews(views)
	s.Status.Spool = d.opt.Dir
	s.Err = errors.Join(s.Err, s.View.Err)
	s.Cost = time.Since(began)
	r.s.number(s)
	return s
}

// number gives a snapshot the version of the one before, unless there is something new.
func (s *scanner) number(shot *snapshot) {
	print := fingerprint(shot)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken++
	if print != s.print {
		s.version++
		s.print = print
	}
	shot.Version = s.version
}

// lookAtFacts looks at what nothing tells of, now and then. The caller has taking.
func (r *round) lookAtFacts(now time.Time) {
	r.mu.Lock()
	lives := slices.Clone(r.lives)
	due := now.Sub(r.factAt) >= max(factsEvery, factsShare*r.cost)
	r.mu.Unlock()
	if !due {
		return
	}
	began := time.Now()
	for _, l := range lives {
		f := facts{config: l.q.Config()}
		if again, err := r.s.d.opt.Open(l.q.Name()); err == nil {
			f.config = again.Config()
		}
		f.own, _ = l.q.Settings()
		if rejected, err := l.q.Rejects(); err == nil {
			f.rejected = len(rejected)
		}
		f.dropped, f.unfinished, _ = l.q.Drops()
		l.facts = f
	}
	disk, err := fsq.DiskOf(r.s.d.opt.Dir)
	r.mu.Lock()
	r.factAt, r.cost = now, time.Since(began)
	if r.disk = nil; err == nil {
		r.disk = &disk
	}
	r.mu.Unlock()
}

// fingerprint is equal for snapshots in which there is nothing new to see. Ages are no news:
// pages count them up by themselves.
func fingerprint(s *snapshot) uint64 {
	h := fnv.New64a()
	e := json.NewEncoder(h)
	for _, q := range s.Queues {
		st := q.Status
		st.OldestDueSeconds, st.Workers = nil, nil
		_ = e.Encode(st)
		_ = e.Encode(q.Own)
		for _, w := range q.View.Workers {
			_ = e.Encode([]any{w.ID, w.State, w.Slots, w.Busy, w.Jobs})
		}
		for _, j := range q.View.Running {
			_ = e.Encode([]any{j.ID, j.Attempts, j.Progress, j.WorkerLost})
		}
		for _, f := range q.View.Failures[:min(len(q.View.Failures), 1)] {
			_ = e.Encode([]any{f.JobID, f.Attempt, f.Time})
		}
		minute := 0
		for i := max(len(q.View.Ended)-60, 0); i < len(q.View.Ended); i++ {
			minute += q.View.Ended[i] + q.View.Failed[i]
		}
		_ = e.Encode(minute)
	}
	if s.Err != nil {
		_ = e.Encode(s.Err.Error())
	}
	return h.Sum64()
}
