package fsq

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Live is a view of a queue that is kept up to date: one scan at its beginning, and from
// then on what Follow tells, however many look at it. It is safe for concurrent use.
type Live struct {
	q       *Queue
	counted *DoneCount
	changed func()
	over    chan struct{}

	f *follower // knows all that wait, run or are dead

	mu       sync.Mutex
	details  map[string]JobInfo // of those that run, by the claim's name
	done     int
	news     time.Time // of the last job that moved
	ends     ends
	failures []Failure
	workers  []WorkerInfo
	paused   *Pause
	limit    *int
	err      error
}

// Failure is an attempt that failed.
type Failure struct {
	Transition
	Error string `json:"error"`
}

// LiveView is a queue at a moment.
type LiveView struct {
	Queue        string
	Counts       map[State]int
	Oldest       time.Time // the earliest due time of a job that is due; zero if none is
	Next         time.Time // the next due time to come; zero if none
	Running      []JobInfo // with Job
	Workers      []WorkerInfo
	Paused       *Pause
	Limit        *int      // as in Status; nil for several queues
	PausedQueues []string  // of several queues, those that are paused
	Ended        []int     // jobs done or dead in each of the last LiveSeconds, the newest last
	Failed       []int     // attempts that failed, likewise
	Failures     []Failure // the newest first
	Err          error     // why it is out of date
}

// LiveSeconds is how far back a Live counts ends.
const LiveSeconds = 300

const (
	maxFailures  = 100
	workersEvery = 2 * time.Second // workers beat, and nothing tells of it
)

// Live begins a view, which is kept until ctx is done. changed, if not nil, is called
// when there may be something new to see; it must return soon.
func (q *Queue) Live(ctx context.Context, changed func()) (*Live, error) {
	return q.LiveWith(ctx, &DoneCount{}, changed)
}

// LiveWith is Live for who views a queue again and again: with the count of an earlier view
// the beginning of another costs what waits and is dead, however much is done.
func (q *Queue) LiveWith(ctx context.Context, counted *DoneCount, changed func()) (*Live, error) {
	if changed == nil {
		changed = func() {}
	}
	l := &Live{q: q, counted: counted, changed: changed, over: make(chan struct{}), details: map[string]JobInfo{}}
	now := q.now() // of the file server: by a clock that is ahead nothing that ends would be news
	died := recent{q: q, now: now, ends: &l.ends}
	f, err := q.newFollower(died.see)
	if err != nil {
		return nil, err
	}
	l.f = f
	f.floor = now // those are counted here
	l.failures = died.failures()
	err = q.s.EachDoneSince(now.Add(-LiveSeconds*time.Second), func(e spool.Entry) error {
		l.ends.add(e.Due, false)
		return ctx.Err()
	})
	if err == nil {
		l.done, err = counted.count(ctx, q)
	}
	if err != nil {
		f.close()
		return nil, err
	}
	l.look(ctx)
	go l.follow(ctx)
	go l.lookAgain(ctx)
	return l, nil
}

// recent gathers the jobs that died last before a view begins.
type recent struct {
	q    *Queue
	now  time.Time
	ends *ends
	died []spool.Entry
}

func (r *recent) see(e spool.Entry) {
	if e.State != spool.Dead || e.Outcome == "" || e.Outcome == string(OutcomeCancelled) {
		return
	}
	if r.now.Sub(e.Due) < LiveSeconds*time.Second {
		r.ends.add(e.Due, true)
	}
	if r.died = append(r.died, e); len(r.died) >= 8*maxFailures {
		r.shed()
	}
}

func (r *recent) shed() {
	slices.SortFunc(r.died, func(a, b spool.Entry) int { return b.Due.Compare(a.Due) })
	r.died = slices.Delete(r.died, min(len(r.died), maxFailures), len(r.died))
}

// failures are the newest of them.
func (r *recent) failures() (all []Failure) {
	r.shed()
	for _, e := range r.died {
		all = append(all, r.q.failure(arrival{EventDead, e}, r.now))
	}
	return all
}

func (q *Queue) failure(a arrival, now time.Time) Failure {
	f := Failure{Transition: q.transition(a, now)}
	if r, ok := q.readRecord(f.JobID, f.Attempt); ok {
		f.Error = r.Error
	}
	return f
}

// Wait waits until the view is not kept any more.
func (l *Live) Wait() { <-l.over }

func (l *Live) follow(ctx context.Context) {
	defer close(l.over)
	defer l.f.close()
	for {
		all, err := l.f.next(ctx)
		if ctx.Err() != nil {
			return
		}
		l.take(all, err)
		l.changed()
		if err != nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(workersEvery):
			}
		}
	}
}

// take takes note of arrivals, or of why there are none.
func (l *Live) take(all []arrival, err error) {
	now := l.q.s.Now()
	var failed []arrival
	l.mu.Lock()
	if l.err = err; err == nil && len(all) > 0 {
		l.news = time.Now()
	}
	for _, a := range all {
		switch a.event {
		case EventDone:
			l.done++
			l.ends.add(now, false)
		case EventRetry, EventDead, EventLost, EventSnoozed:
			failed = append(failed, a)
			l.ends.add(now, true)
		}
	}
	l.mu.Unlock()
	if len(failed) == 0 {
		return
	}
	// Of many that fail at once only the newest are read, and nobody waits for that.
	var news []Failure
	for _, a := range slices.Backward(failed[max(len(failed)-maxFailures, 0):]) {
		news = append(news, l.q.failure(a, now))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	news = append(news, l.failures...)
	l.failures = news[:min(len(news), maxFailures)]
}

// lookAgain looks at what nothing tells of.
func (l *Live) lookAgain(ctx context.Context) {
	every := workersEvery
	if l.q.Polls() {
		every = pollSlow // each look is some twenty requests to the file server
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	next := time.Now().Add(recountEvery)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.look(ctx)
			if now := time.Now(); now.After(next) && l.recount(ctx, now.Sub(next) > 10*recountEvery) {
				next = now.Add(max(recountEvery, recountShare*time.Since(now)))
			}
			l.changed()
		}
	}
}

const (
	// recountEvery is how often done jobs are counted anew: nothing tells of those that are
	// removed.
	recountEvery = 30 * time.Second
	// recountShare bounds the time that goes into it: one part in so many.
	recountShare = 100
)

// recount counts the done jobs anew, and reports whether it has tried to. While jobs move it
// does not, unless it is overdue: one that moves might be counted twice until the next time.
func (l *Live) recount(ctx context.Context, overdue bool) bool {
	l.mu.Lock()
	before := l.news
	l.mu.Unlock()
	if !overdue && time.Since(before) < workersEvery {
		return false
	}
	n, err := l.counted.count(ctx, l.q)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && (overdue || l.news.Equal(before)) {
		l.done = n
	}
	return true
}

func (l *Live) look(ctx context.Context) {
	workers, err := l.q.Workers(ctx)
	paused, pauseErr := l.q.Paused()
	limit, limitErr := l.q.limit()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.workers = workers
	}
	if pauseErr == nil {
		l.paused = paused
	}
	if limitErr == nil {
		l.limit = limit
	}
}

// View is what is known now.
func (l *Live) View() LiveView {
	l.mu.Lock()
	now := l.q.s.Now()
	v := LiveView{
		Queue: l.q.Name(), Counts: map[State]int{Done: l.done}, Workers: slices.Clone(l.workers), Paused: l.paused, Limit: l.limit,
		Failures: slices.Clone(l.failures), Err: l.err, Ended: make([]int, LiveSeconds), Failed: make([]int, LiveSeconds),
	}
	l.ends.count(now, v.Ended, v.Failed)
	l.mu.Unlock()
	t, running := l.f.now(now)
	maps.Copy(v.Counts, t.counts)
	v.Oldest, v.Next = t.oldest, t.next
	v.Running = l.runningJobs(running, now)
	return v
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// SumViews is what several queues show together. The jobs and failures keep the name of
// theirs.
func SumViews(all []LiveView) LiveView {
	sum := LiveView{Counts: map[State]int{}, Ended: make([]int, LiveSeconds), Failed: make([]int, LiveSeconds)}
	for _, v := range all {
		if v.Paused != nil {
			sum.PausedQueues = append(sum.PausedQueues, v.Queue)
		}
		for st, n := range v.Counts {
			sum.Counts[st] += n
		}
		for i := range LiveSeconds {
			sum.Ended[i] += v.Ended[i]
			sum.Failed[i] += v.Failed[i]
		}
		if !v.Oldest.IsZero() {
			sum.Oldest = earliest(sum.Oldest, v.Oldest)
		}
		if !v.Next.IsZero() {
			sum.Next = earliest(sum.Next, v.Next)
		}
		sum.Running = append(sum.Running, v.Running...)
		sum.Workers = append(sum.Workers, v.Workers...)
		sum.Failures = append(sum.Failures, v.Failures...)
		sum.Err = errors.Join(sum.Err, v.Err)
	}
	slices.SortStableFunc(sum.Failures, func(a, b Failure) int { return b.Time.Compare(a.Time) })
	sum.Failures = sum.Failures[:min(len(sum.Failures), maxFailures)]
	return sum
}

// runningJobs reads the document of each job that runs once, and its progress always.
func (l *Live) runningJobs(entries []spool.Entry, now time.Time) []JobInfo {
	jobs := make([]JobInfo, 0, len(entries))
	fresh := make(map[string]JobInfo, len(entries))
	for _, e := range entries {
		key := e.Path
		l.mu.Lock()
		i, known := l.details[key]
		l.mu.Unlock()
		if !known {
			i = info(e, now)
			i.Queue = l.q.Name()
			l.q.detail(&i, e)
		}
		i.Progress = l.q.progress(e.Name.ID, e.Attempt)
		fresh[key] = i
		jobs = append(jobs, i)
	}
	l.mu.Lock()
	l.details = fresh
	l.mu.Unlock()
	return jobs
}
