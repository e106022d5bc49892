package fsq

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
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

	mu       sync.Mutex
	jobs     map[string]spool.Entry // that wait, run or are dead
	details  map[string]JobInfo     // of those that run, by the claim's name
	done     int
	news     time.Time // of the last job that moved
	ends     []end
	failures []Failure
	workers  []WorkerInfo
	paused   *Pause
	limit    *int
	err      error
}

type end struct {
	at     time.Time
	failed bool
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
	l := &Live{q: q, counted: counted, changed: changed, over: make(chan struct{}), jobs: map[string]spool.Entry{}, details: map[string]JobInfo{}}
	f, err := q.newFollower(func(e spool.Entry) { l.jobs[e.Name.ID] = e })
	if err != nil {
		return nil, err
	}
	f.forget = func(id string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.jobs, id)
	}
	now := q.s.Now()
	f.floor = now // those are counted here
	l.recall(now)
	err = q.s.EachDoneSince(now.Add(-LiveSeconds*time.Second), func(e spool.Entry) error {
		l.ends = append(l.ends, end{e.Due, false})
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
	go l.follow(ctx, f)
	go l.lookAgain(ctx)
	return l, nil
}

// recall makes failures of the jobs that died before the view began.
func (l *Live) recall(now time.Time) {
	for _, e := range l.jobs {
		if e.State != spool.Dead || e.Outcome == "" || stateOf(e, now) == Cancelled {
			continue
		}
		if now.Sub(e.Due) < LiveSeconds*time.Second {
			l.ends = append(l.ends, end{e.Due, true})
		}
		l.failures = append(l.failures, Failure{Transition: l.q.transition(arrival{EventDead, e}, now)})
	}
	slices.SortFunc(l.failures, func(a, b Failure) int { return b.Time.Compare(a.Time) })
	l.failures = l.failures[:min(len(l.failures), maxFailures)]
	for i := range l.failures {
		if r, ok := l.q.readRecord(l.failures[i].JobID, l.failures[i].Attempt); ok {
			l.failures[i].Error = r.Error
		}
	}
}

// Wait waits until the view is not kept any more.
func (l *Live) Wait() { <-l.over }

func (l *Live) follow(ctx context.Context, f *follower) {
	defer close(l.over)
	defer f.close()
	for {
		all, err := f.next(ctx)
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		if l.err = err; err == nil {
			for _, a := range all {
				l.take(a)
			}
		}
		l.mu.Unlock()
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

// take takes note of an arrival. The caller has the mutex.
func (l *Live) take(a arrival) {
	id := a.Name.ID
	l.news = time.Now()
	if a.event == EventDone {
		l.done++
		delete(l.jobs, id)
	} else {
		l.jobs[id] = a.Entry
	}
	now := l.q.s.Now()
	failed := a.event == EventRetry || a.event == EventDead || a.event == EventLost || a.event == EventSnoozed
	if a.event == EventDone || failed {
		l.ends = append(l.ends, end{now, failed})
		l.ends = slices.DeleteFunc(l.ends, func(e end) bool { return now.Sub(e.at) > LiveSeconds*time.Second })
	}
	if !failed {
		return
	}
	fail := Failure{Transition: l.q.transition(a, now)}
	if r, ok := l.q.readRecord(id, a.Attempt); ok {
		fail.Error = r.Error
	}
	l.failures = append([]Failure{fail}, l.failures[:min(len(l.failures), maxFailures-1)]...)
}

// lookAgain looks at what nothing tells of.
func (l *Live) lookAgain(ctx context.Context) {
	tick := time.NewTicker(workersEvery)
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
	for _, e := range l.ends {
		i := LiveSeconds - 1 - int(now.Sub(e.at)/time.Second)
		if i < 0 || i >= LiveSeconds {
			continue
		}
		if e.failed {
			v.Failed[i]++
		} else {
			v.Ended[i]++
		}
	}
	var running []spool.Entry
	for _, e := range l.jobs {
		st := stateOf(e, now)
		v.Counts[st]++
		switch st {
		case Processing:
			running = append(running, e)
		case Pending:
			v.Oldest = earliest(v.Oldest, e.Due)
		case Scheduled, Retrying:
			v.Next = earliest(v.Next, e.Due)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(running, func(a, b spool.Entry) int {
		return cmp.Or(strings.Compare(a.Worker, b.Worker), strings.Compare(a.Name.ID, b.Name.ID))
	})
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
