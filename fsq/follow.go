package fsq

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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
	baseline := func(e spool.Entry) { first = append(first, arrival{news(spool.Entry{}, false, e), e}) }
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
// new. It is not safe for concurrent use.
type follower struct {
	q       *Queue
	monitor *spool.Monitor // nil where there are no events
	known   map[string]spool.Entry
	ended   map[string]time.Time // names in done/ that were told of lately
	horizon time.Time            // all that ended before was told of
	floor   time.Time            // what ended before is no news, if it is not zero
	scanned time.Time            // local clock
	active  time.Time
	took    time.Duration
	rescan  bool
	forget  func(id string) // told of a job that is gone without an end, if not nil
}

// endedFor is how long a follower remembers whom it has told of as done: longer than
// a look takes, so that none is told of twice.
const endedFor = 2 * time.Minute

// rescanPause is the least time between two scans. Nobody sees less.
const rescanPause = 10 * time.Millisecond

// newFollower begins to follow. baseline, if not nil, is told of every job that waits,
// runs or is dead now.
func (q *Queue) newFollower(baseline func(spool.Entry)) (*follower, error) {
	f := &follower{q: q, known: map[string]spool.Entry{}, ended: map[string]time.Time{}, horizon: q.now(), active: time.Now()}
	// The monitor first, then the scan: what comes between the two is seen by both.
	if !q.s.Network() {
		if m, err := q.s.Monitor(); err == nil {
			f.monitor = m
		}
	}
	f.scanned = time.Now()
	err := q.s.Each(func(e spool.Entry) error {
		f.known[e.Name.ID] = e
		return nil
	}, spool.Pending, spool.Processing, spool.Dead)
	if err != nil {
		f.close()
		return nil, fmt.Errorf("follow the queue: %w", err)
	}
	f.took = time.Since(f.scanned)
	if baseline != nil {
		for _, e := range f.known {
			baseline(e)
		}
	}
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
	here := map[string]bool{}
	err = f.q.s.Each(func(e spool.Entry) error {
		here[e.Name.ID] = true
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
	// What is gone without an end was removed, or moves just now; if that, the next look
	// or event tells of it as of one that was never seen.
	for id := range f.known {
		if !here[id] {
			delete(f.known, id)
			if f.forget != nil {
				f.forget(id)
			}
		}
	}
	for name, at := range f.ended {
		if begun.Sub(at) > endedFor {
			delete(f.ended, name)
		}
	}
	if len(all) > 0 {
		f.active = f.scanned
	}
	return all, nil
}

// see adds e to the news, if it is any.
func (f *follower) see(all []arrival, e spool.Entry) []arrival {
	id := e.Name.ID
	if e.State == spool.Done {
		name := e.Name.String()
		if _, told := f.ended[name]; told || e.Due.Before(f.horizon.Add(-endedFor/2)) || e.Due.Before(f.floor) {
			return all
		}
		f.ended[name] = e.Due
		delete(f.known, id)
		return append(all, arrival{EventDone, e})
	}
	old, known := f.known[id]
	if known && e.Attempt < old.Attempt && !f.q.stillRuns(old) {
		known = false // a new job under the id of one that is gone
	}
	event := news(old, known, e)
	if event == "" {
		return all
	}
	f.known[id] = e
	return append(all, arrival{event, e})
}

// news is what it means that a job is found at e that was at old before; "" if nothing.
func news(old spool.Entry, known bool, e spool.Entry) string {
	if known && old.State == spool.Dead && e.State == spool.Pending && e.Attempt == 0 && old.Attempt > 0 {
		known = false // a new job under the id of one that was cancelled or removed
	}
	switch {
	case known && (e.Attempt < old.Attempt || e.State == old.State && e.Name == old.Name):
		return "" // older than what is known, or the same
	case e.State == spool.Processing:
		return EventStarted
	case e.State == spool.Dead && e.Outcome == string(OutcomeCancelled):
		return EventCancelled
	case e.State == spool.Dead:
		return EventDead
	case known && old.State == spool.Dead:
		return EventRevived
	case !known && e.Attempt == 0, known && old.State == spool.Pending && old.Attempt == e.Attempt:
		return newsOfWaiting(old, known, e)
	case known && e.Lost > old.Lost:
		return EventLost
	case known && e.Given > old.Given:
		return EventRequeued
	case known && e.Snoozed > old.Snoozed:
		return EventSnoozed
	default:
		return EventRetry
	}
}

// newsOfWaiting is about a job that has not run since it was seen.
func newsOfWaiting(old spool.Entry, known bool, e spool.Entry) string {
	switch {
	case !known && e.Held:
		return EventHeld
	case !known:
		return EventEnqueued
	case e.Held && !old.Held:
		return EventHeld
	case !e.Held && old.Held:
		return EventReleased
	default:
		return EventChanged
	}
}
