package fsq

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// ListOptions select what List returns.
type ListOptions struct {
	States  []State  // none: all
	Where   Selector // more conditions; the zero value has none
	Limit   int      // 0: no limit
	Details bool     // read each job's document and last record: command, error, times
}

// List returns jobs: first those that run, then those that wait, in the order of
// their turn, then scheduled and retrying ones by due time, then dead and done ones,
// newest first. more says that the limit has cut the list. A job that moves while
// the list is made may be missing from it.
func (q *Queue) List(ctx context.Context, opt ListOptions) (jobs []JobInfo, more bool, err error) {
	states := opt.States
	if len(states) == 0 {
		states = States()
	}
	if len(opt.Where.States) > 0 {
		states = slices.DeleteFunc(slices.Clone(states), func(s State) bool { return !slices.Contains(opt.Where.States, s) })
	}
	now := q.now()
	meant := q.meant(opt.Where, now)
	seen := map[string]int{}
	var entries []spool.Entry
	drop := func(base string) {
		i := q.dropInfo(base)
		if slices.Contains(states, i.State) && opt.Where.matchName(spool.Entry{Name: spool.Name{ID: i.ID}}, i.State) && opt.Where.matchDetail(&i, now) {
			jobs = append(jobs, i)
		}
	}
	for _, dir := range directories(states) {
		top := newTop(opt.Limit)
		err := q.s.EachAndDrops(func(e spool.Entry) error {
			if st := stateOf(e, now); slices.Contains(states, st) && meant(e, st) {
				top.add(ranked{e, st})
			}
			return ctx.Err()
		}, drop, dir)
		if err != nil {
			return nil, false, err
		}
		sorted := top.sorted()
		more = more || top.cut
		for _, r := range sorted {
			// A job that was seen at two places has moved: its later place counts.
			key := r.e.Name.ID
			if at, twice := seen[key]; twice {
				if r.e.Attempt >= entries[at].Attempt {
					entries[at] = r.e
				}
				continue
			}
			seen[key] = len(entries)
			entries = append(entries, r.e)
		}
	}
	slices.SortFunc(jobs, func(a, b JobInfo) int { return strings.Compare(a.File, b.File) })
	dropped := jobs
	jobs = make([]JobInfo, 0, len(entries)+len(dropped))
	for _, e := range entries {
		jobs = append(jobs, info(e, now))
	}
	// Dropped files have no turn yet: they come after what waits.
	at := len(jobs)
	for i, j := range jobs {
		if j.State != Processing && j.State != Pending {
			at = i
			break
		}
	}
	jobs = slices.Insert(jobs, at, dropped...)
	if opt.Limit > 0 && len(jobs) > opt.Limit {
		jobs, more = jobs[:opt.Limit], true
	}
	for i := range jobs {
		jobs[i].Queue = q.Name()
	}
	if opt.Details {
		byFile := make(map[string]spool.Entry, len(entries))
		for _, e := range entries {
			byFile[e.Path] = e
		}
		for i := range jobs {
			if e, ok := byFile[jobs[i].File]; ok {
				q.detail(&jobs[i], e)
			}
			jobs[i].Job = nil
		}
		if len(jobs) > 0 && slices.ContainsFunc(jobs, func(i JobInfo) bool { return i.State == Processing }) {
			lost := q.lostWorkers(ctx)
			for i := range jobs {
				jobs[i].WorkerLost = lost[jobs[i].Worker]
			}
		}
	}
	return jobs, more, nil
}

// meant judges an entry, and reads no more of it than it must.
func (q *Queue) meant(where Selector, now time.Time) func(spool.Entry, State) bool {
	if !where.restricts() {
		return func(spool.Entry, State) bool { return true }
	}
	ids := make(map[string]bool, len(where.IDs))
	for _, id := range where.IDs {
		ids[id] = true
	}
	states := where.States
	where.IDs = nil // a set is faster than a list
	return func(e spool.Entry, st State) bool {
		if len(ids) > 0 && !ids[e.Name.ID] || len(states) > 0 && !slices.Contains(states, st) {
			return false
		}
		i := info(e, now)
		if where.reads() || i.EndedAt == nil && (where.Older != nil || where.Newer != nil) {
			q.detail(&i, e)
		}
		return where.matchDetail(&i, now)
	}
}

// ranked is an entry and what decides its place in a list.
type ranked struct {
	e     spool.Entry
	state State
}

// stateRank is the place of each state in a list.
var stateRank = func() map[State]int {
	ranks := map[State]int{}
	for i, s := range States() {
		ranks[s] = i
	}
	return ranks
}()

func compareRanked(a, b *ranked) int {
	if a.state != b.state {
		return cmp.Compare(stateRank[a.state], stateRank[b.state])
	}
	switch a.state {
	case Done, Dead, Cancelled:
		return cmp.Or(b.e.Due.Compare(a.e.Due), strings.Compare(b.e.Name.ID, a.e.Name.ID))
	case Pending:
		return cmp.Or(cmp.Compare(b.e.Priority, a.e.Priority), a.e.Due.Compare(b.e.Due), strings.Compare(a.e.Name.ID, b.e.Name.ID))
	default:
		return cmp.Or(a.e.Due.Compare(b.e.Due), cmp.Compare(b.e.Priority, a.e.Priority), strings.Compare(a.e.Name.ID, b.e.Name.ID))
	}
}

// top keeps the first entries of a list in bounded memory.
type top struct {
	limit int
	list  []*ranked
	last  *ranked // who comes after it is not among them; nil before the first cut
	cut   bool
}

func newTop(limit int) *top { return &top{limit: limit} }

func (t *top) add(r ranked) {
	if t.last != nil && compareRanked(&r, t.last) > 0 {
		return // as nearly all of a long list
	}
	kept := r // r itself stays off the heap
	t.list = append(t.list, &kept)
	if t.limit > 0 && len(t.list) >= 2*t.limit+256 {
		t.shed()
	}
}

func (t *top) shed() {
	slices.SortFunc(t.list, compareRanked)
	if t.limit > 0 && len(t.list) > t.limit {
		t.list, t.cut = t.list[:t.limit], true
		t.last = t.list[t.limit-1]
	}
}

func (t *top) sorted() []*ranked {
	t.shed()
	return t.list
}
