package fsq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Transition is a job's arrival in a state, as its name tells it.
type Transition struct {
	Event           string     `json:"event"` // see the constants
	Time            time.Time  `json:"time"`  // when it was seen; of an end, when it was settled
	Queue           string     `json:"queue"`
	JobID           string     `json:"job_id"`
	State           State      `json:"state"`
	Outcome         string     `json:"outcome"` // of a job that is done or dead
	Priority        int        `json:"priority"`
	Attempt         int        `json:"attempt"` // begun so far
	MaxAttempts     int        `json:"max_attempts"`
	Worker          string     `json:"worker"`
	DueAt           *time.Time `json:"due_at"`
	WaitSeconds     *float64   `json:"wait_seconds"`
	DurationSeconds *float64   `json:"duration_seconds"`
}

// Kinds of transitions, beside EventStarted, EventDone, EventRetry, EventDead,
// EventRequeued and EventLost.
const (
	EventEnqueued  = "enqueued"
	EventHeld      = "held"
	EventReleased  = "released"
	EventChanged   = "changed" // its time or priority
	EventSnoozed   = "snoozed"
	EventCancelled = "cancelled"
	EventRevived   = "revived" // a dead job was retried
)

// Follow visits every transition from now on, until ctx is done (it returns nil then)
// or visit returns an error. Where the file system tells of changes it waits for them;
// else it looks again and again, and what a job does between two looks is not seen.
func (q *Queue) Follow(ctx context.Context, visit func(Transition) error) error {
	return q.follow(ctx, false, visit)
}

// follow is Follow; all that is in a new queue is news.
func (q *Queue) follow(ctx context.Context, isNew bool, visit func(Transition) error) error {
	var first []arrival
	baseline := func(e spool.Entry) { first = append(first, arrival{news(trace{}, false, e), e}) }
	if !isNew {
		baseline = nil
	}
	f, err := q.newFollower(baseline)
	if err != nil {
		return err
	}
	defer f.close()
	if f.rescan = isNew; !isNew {
		f.floor = f.horizon
	}
	for all := first; ; {
		for _, t := range all {
			if err := visit(q.transition(t, q.now())); err != nil {
				return err
			}
		}
		if all, err = f.next(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// FollowAll is Follow of several queues. later, if not nil, opens the queues that are not
// known, for those that are made meanwhile; all that is in them is news, and one that is
// removed is left. visit is called by one goroutine at a time.
func FollowAll(ctx context.Context, qs []*Queue, later func(known func(string) bool) ([]*Queue, error), visit func(Transition) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var (
		all    sync.WaitGroup
		mu     sync.Mutex // of visit, known and failed
		known  = map[string]bool{}
		failed error
	)
	fail := func(err error) {
		if failed == nil && err != nil {
			failed = err
			stop(err)
		}
	}
	follow := func(q *Queue, isNew bool) {
		known[q.Name()] = true
		all.Go(func() {
			err := q.follow(ctx, isNew, func(t Transition) error {
				mu.Lock()
				defer mu.Unlock()
				if ctx.Err() != nil {
					return nil
				}
				return visit(t)
			})
			mu.Lock()
			defer mu.Unlock()
			if later != nil && errors.Is(err, fs.ErrNotExist) {
				delete(known, q.Name())
				return
			}
			fail(err)
		})
	}
	mu.Lock()
	for _, q := range qs {
		follow(q, false)
	}
	mu.Unlock()
	if later != nil && len(qs) > 0 {
		WatchQueues(ctx, qs[0].Root(), func() {
			mu.Lock()
			defer mu.Unlock()
			made, err := later(func(name string) bool { return known[name] })
			fail(err)
			for _, q := range made {
				follow(q, true)
			}
		})
	}
	all.Wait()
	return failed
}

// arrival is an entry that is news, and what kind of news.
type arrival struct {
	event string
	spool.Entry
}

func (q *Queue) transition(a arrival, now time.Time) Transition {
	i := info(a.Entry, now)
	t := Transition{
		Event: a.event, Time: now.UTC(), Queue: q.Name(), JobID: i.ID, State: i.State, Outcome: i.Outcome, Priority: i.Priority,
		Attempt: i.Attempts, MaxAttempts: i.MaxAttempts, Worker: i.Worker, DueAt: i.DueAt,
		WaitSeconds: i.WaitSeconds, DurationSeconds: i.DurationSeconds,
	}
	if i.EndedAt != nil {
		t.Time = *i.EndedAt
	}
	return t
}

// follower keeps what is known of all jobs that have not ended, and finds out what is
// new. It is not safe for concurrent use, but for what says so.
type follower struct {
	q       *Queue
	monitor *spool.Monitor // nil where there are no events
	seed    maphash.Seed
	ended   map[uint64]int64 // hashes of names in done/ that were told of lately, and when they ended, in ms
	horizon time.Time        // all that ended before was told of
	floor   time.Time        // what ended before is no news, if it is not zero
	scanned time.Time        // local clock
	active  time.Time
	took    time.Duration
	rescan  bool
	round   uint8 // of scans

	mu      sync.Mutex             // of what follows
	known   map[uint64]trace       // by the hash of the id: a million take 70 MB
	running map[uint64]spool.Entry // those of them that run
	count   *stateCount            // nil if a job has moved since
}

// endedFor is how long a follower remembers whom it has told of as done: longer than
// a look takes, so that none is told of twice.
const endedFor = 2 * time.Minute

// rescanPause is the least time between two scans. Nobody sees less.
const rescanPause = 10 * time.Millisecond

func (q *Queue) emptyFollower() *follower {
	return &follower{
		q: q, seed: maphash.MakeSeed(), ended: map[uint64]int64{}, horizon: q.now(), active: time.Now(),
		known: map[uint64]trace{}, running: map[uint64]spool.Entry{},
	}
}

// newFollower begins to follow. baseline, if not nil, is told of every job that waits,
// runs or is dead now; of one that moves meanwhile perhaps more than once.
func (q *Queue) newFollower(baseline func(spool.Entry)) (*follower, error) {
	f := q.emptyFollower()
	// The monitor first, then the scan: what comes between the two is seen by both.
	if !q.s.Network() {
		if m, err := q.s.Monitor(); err == nil {
			f.monitor = m
		}
	}
	f.scanned = time.Now()
	err := q.s.Each(func(e spool.Entry) error {
		f.keep(f.hash(e.Name.ID), e)
		if baseline != nil {
			baseline(e)
		}
		return nil
	}, spool.Pending, spool.Processing, spool.Dead)
	if err != nil {
		f.close()
		return nil, fmt.Errorf("follow the queue: %w", err)
	}
	f.took = time.Since(f.scanned)
	return f, nil
}

func (f *follower) close() {
	if f.monitor != nil {
		_ = f.monitor.Close()
	}
}

// next waits for news. The error is ctx's, or that of the file system.
func (f *follower) next(ctx context.Context) ([]arrival, error) {
	for {
		// Scans take at most a twentieth of the time, however fast things change.
		pause := max(20*f.took, rescanPause) - time.Since(f.scanned)
		if f.rescan && pause <= 0 {
			all, err := f.scan()
			if err != nil || len(all) > 0 {
				return all, err
			}
		}
		var events <-chan struct{}
		if f.monitor != nil {
			events = f.monitor.C
		}
		wait := pollInterval(f.q.cfg.PollInterval, f.monitor != nil, time.Since(f.active), f.took) - time.Since(f.scanned)
		if f.rescan {
			wait = min(wait, pause)
		}
		timer := time.NewTimer(max(wait, time.Millisecond))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		case <-timer.C:
			f.rescan = true
		case <-events:
			timer.Stop()
			if all := f.take(); len(all) > 0 {
				return all, nil
			}
		}
	}
}

func (f *follower) take() (all []arrival) {
	c := f.monitor.Take()
	for _, e := range c.Entries {
		all = f.see(all, e)
	}
	f.rescan = f.rescan || c.Rescan
	if c.Broken != nil {
		_ = f.monitor.Close()
		f.monitor, f.rescan = nil, true
		if m, err := f.q.s.Monitor(); err == nil {
			f.monitor = m
		}
	}
	return all
}

// scan looks at all jobs that have not ended and at those that ended lately.
func (f *follower) scan() (all []arrival, err error) {
	begun := f.q.now()
	f.scanned, f.rescan = time.Now(), false
	f.round++
	err = f.q.s.Each(func(e spool.Entry) error {
		all = f.see(all, e)
		return nil
	}, spool.Pending, spool.Processing, spool.Dead)
	if err == nil {
		err = f.q.s.EachDoneSince(f.horizon.Add(-endedFor/2), func(e spool.Entry) error {
			all = f.see(all, e)
			return nil
		})
	}
	if err != nil {
		return all, fmt.Errorf("follow the queue: %w", err)
	}
	f.took = time.Since(f.scanned)
	f.horizon = begun
	f.forget()
	for name, at := range f.ended {
		if begun.UnixMilli()-at > endedFor.Milliseconds() {
			delete(f.ended, name)
		}
	}
	if len(all) > 0 {
		f.active = f.scanned
	}
	return all, nil
}

// forget forgets what the last scan has not seen. What is gone without an end was removed,
// or moves just now; if that, the next look or event tells of it as of one that was never
// seen.
func (f *follower) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for job, t := range f.known {
		if t.round != f.round {
			f.count = nil
			delete(f.known, job)
			delete(f.running, job)
		}
	}
}

// hash stands for an id or a name: among a million jobs two have the same once in thirty
// million times, and a list is wrong by one until one of them moves.
func (f *follower) hash(s string) uint64 { return maphash.String(f.seed, s) }

// keep keeps what is known of a job that has not ended, or is dead.
func (f *follower) keep(job uint64, e spool.Entry) {
	t := traceOf(e)
	t.round = f.round
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[job], f.count = t, nil
	if e.State == spool.Processing {
		f.running[job] = e
	} else {
		delete(f.running, job)
	}
}

// drop forgets a job that is done.
func (f *follower) drop(job uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count = nil
	delete(f.known, job)
	delete(f.running, job)
}

// mark notes that a job of which there is no news was seen.
func (f *follower) mark(job uint64, t trace) {
	if t.round == f.round {
		return
	}
	t.round = f.round
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[job] = t
}

// see adds e to the news, if it is any.
func (f *follower) see(all []arrival, e spool.Entry) []arrival {
	job := f.hash(e.Name.ID)
	if e.State == spool.Done {
		name := f.hash(e.Name.String())
		if _, told := f.ended[name]; told || e.Due.Before(f.horizon.Add(-endedFor/2)) || e.Due.Before(f.floor) {
			return all
		}
		f.ended[name] = e.Due.UnixMilli()
		f.drop(job)
		return append(all, arrival{EventDone, e})
	}
	// Nobody else writes to known.
	old, known := f.known[job]
	if known && e.Attempt < int(old.attempt) && f.q.stillRuns(e) {
		known = false // a new job under the id of one that is gone
	}
	event := news(old, known, e)
	if event == "" {
		f.mark(job, old)
		return all
	}
	f.keep(job, e)
	return append(all, arrival{event, e})
}

// stateCount is how many jobs wait, run and are dead at a time.
type stateCount struct {
	at     time.Time
	counts map[State]int
	oldest time.Time // the earliest due time of a job that is due; zero if none is
	next   time.Time // the next due time to come; zero if none
}

// holds reports whether it is right at another time, if no job has moved.
func (t *stateCount) holds(now time.Time) bool {
	return !now.Before(t.at) && (t.next.IsZero() || now.Before(t.next))
}

// now returns the count, and the jobs that run, in a steady order. It is safe for
// concurrent use.
func (f *follower) now(now time.Time) (*stateCount, []spool.Entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// To count a million takes some time, and is asked for every second.
	if f.count == nil || !f.count.holds(now) {
		f.count = stateCountOf(f.known, now)
	}
	list := slices.Collect(maps.Values(f.running))
	slices.SortFunc(list, func(a, b spool.Entry) int {
		return cmp.Or(strings.Compare(a.Worker, b.Worker), strings.Compare(a.Name.ID, b.Name.ID))
	})
	return f.count, list
}

func stateCountOf(known map[uint64]trace, now time.Time) *stateCount {
	at := now.UnixMilli()
	var pending, scheduled, retrying, held, running, dead, cancelled int // to count in a map takes five times as long
	oldest, next := int64(math.MaxInt64), int64(math.MaxInt64)
	for _, t := range known {
		switch t.stateAt(at) {
		case Pending:
			pending++
			oldest = min(oldest, t.due)
		case Scheduled:
			scheduled++
			next = min(next, t.due)
		case Retrying:
			retrying++
			next = min(next, t.due)
		case Held:
			held++
		case Processing:
			running++
		case Dead:
			dead++
		case Cancelled:
			cancelled++
		}
	}
	t := &stateCount{at: now, counts: map[State]int{
		Pending: pending, Scheduled: scheduled, Retrying: retrying, Held: held, Processing: running, Dead: dead, Cancelled: cancelled,
	}}
	if oldest != math.MaxInt64 {
		t.oldest = time.UnixMilli(oldest).UTC()
	}
	if next != math.MaxInt64 {
		t.next = time.UnixMilli(next).UTC()
	}
	return t
}

// news is what it means that a job is found at e that was as old says before; "" if nothing.
func news(old trace, known bool, e spool.Entry) string {
	now := traceOf(e)
	if known && old.is(traceDead) && now.waits() && now.attempt == 0 && old.attempt > 0 {
		known = false // a new job under the id of one that was cancelled or removed
	}
	switch {
	case known && (now.attempt < old.attempt || now.same(old)):
		return "" // older than what is known, or the same
	case now.is(traceRuns):
		return EventStarted
	case now.is(traceCancelled):
		return EventCancelled
	case now.is(traceDead):
		return EventDead
	case known && old.is(traceDead):
		return EventRevived
	case !known && now.attempt == 0, known && old.waits() && old.attempt == now.attempt:
		return newsOfWaiting(old, known, now)
	case known && now.lost > old.lost:
		return EventLost
	case known && now.given > old.given:
		return EventRequeued
	case known && now.snoozed > old.snoozed:
		return EventSnoozed
	default:
		return EventRetry
	}
}

// newsOfWaiting is about a job that has not run since it was seen.
func newsOfWaiting(old trace, known bool, now trace) string {
	switch {
	case !known && now.is(traceHeld):
		return EventHeld
	case !known:
		return EventEnqueued
	case now.is(traceHeld) && !old.is(traceHeld):
		return EventHeld
	case !now.is(traceHeld) && old.is(traceHeld):
		return EventReleased
	default:
		return EventChanged
	}
}
