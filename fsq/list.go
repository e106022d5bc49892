package fsq

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// ListOptions select what Page, List and ListAll return.
type ListOptions struct {
	States  []State  // none: all
	Where   Selector // more conditions; the zero value has none
	Sort    Sort     // "": SortTurn
	Reverse bool
	After   string // JobPage.Next of the page before; "": the first page
	Limit   int    // 0: no limit
	Details bool   // read each job's document and last record: command, error, times
	Total   bool   // count all that match; where files have to be read for that, there is no count
	// Reads bounds how many jobs are read whose names do not tell whether they match: by
	// tag, command, error, exit code, host, or time of a job that has not ended. Then the
	// end of ctx does, too, without an error. 0: no bound, a page is whole.
	Reads int
}

// JobPage is a part of a list.
type JobPage struct {
	Jobs     []JobInfo `json:"jobs"`
	Next     string    `json:"next"`     // to go on with: ListOptions.After of the next page; "": there is nothing after it
	Total    *int      `json:"total"`    // that match, on all pages, if that was asked for and names alone tell
	Examined int       `json:"examined"` // of them files were read to tell whether they match
	Partial  bool      `json:"partial"`  // there may be less than a page, because no more were to be read
}

// List is Page of one queue. more says that the limit has cut the list.
func (q *Queue) List(ctx context.Context, opt ListOptions) (jobs []JobInfo, more bool, err error) {
	return ListAll(ctx, []*Queue{q}, opt)
}

// ListAll is Page without what is only needed to go on.
func ListAll(ctx context.Context, qs []*Queue, opt ListOptions) (jobs []JobInfo, more bool, err error) {
	p, err := Page(ctx, qs, opt)
	return p.Jobs, p.Next != "", err
}

// Page returns a part of the list of jobs of several queues, in the order that is asked
// for. Going on from Next, no job that stays where it is is left out or shown twice,
// whatever comes and goes meanwhile; one that moves may be.
//
// It costs one listing of the names, less if the newest done jobs are enough, and reads
// the files of those that it returns, if it is asked for details, and of those whose names
// do not tell whether they match. It takes memory for the page, and Reads. The error is a
// *FieldError if an option is not valid.
func Page(ctx context.Context, qs []*Queue, opt ListOptions) (JobPage, error) {
	p, page, err := look(ctx, qs, &opt)
	if err == nil {
		err = p.fill(ctx, &page)
	}
	if err == nil {
		err = p.describe(ctx, qs, &page)
	}
	return page, err
}

// look looks at the names of all jobs.
func look(ctx context.Context, qs []*Queue, opt *ListOptions) (*pager, JobPage, error) {
	p, page := &pager{opt: opt, states: opt.States}, JobPage{Jobs: []JobInfo{}}
	if len(qs) == 0 {
		return p, page, nil
	}
	if err := opt.Where.Validate(); err != nil {
		return p, page, err
	}
	if len(p.states) == 0 {
		p.states = States()
	}
	if len(opt.Where.States) > 0 {
		p.states = slices.DeleteFunc(slices.Clone(p.states), func(s State) bool { return !slices.Contains(opt.Where.States, s) })
	}
	var err error
	if p.order, p.after, err = orderOf(opt, qs[0].now()); err != nil {
		return p, page, err
	}
	if opt.Limit > 0 {
		p.top.limit = opt.Limit + 1 // to know whether there are more
	}
	if opt.Reads > 0 && opt.Where.readsFiles() {
		p.top.limit += opt.Reads + 1 // all that can be examined
	}
	for _, q := range qs {
		if err := p.scan(ctx, q); err != nil {
			return p, page, err
		}
	}
	if opt.Total && !p.uncounted {
		page.Total = &p.total
	}
	return p, page, nil
}

// pager makes a page.
type pager struct {
	opt    *ListOptions
	states []State
	order  *order
	after  *place
	top    top

	total     int
	uncounted bool // the total is not known
	seen      int  // entries
	rows      []*row
}

// row is a job that is on the page, or may be.
type row struct {
	place
	q         *Queue
	judge     *judge
	e         spool.Entry // of what is no dropped file
	nth       int         // in the order in which jobs move
	undecided bool        // its files tell whether it is meant
	i         *JobInfo    // as far as it was read
	dropped   bool
}

// scan looks at all jobs of a queue.
func (p *pager) scan(ctx context.Context, q *Queue) error {
	j := q.judge(p.opt.Where, q.now())
	look := func(filed time.Time, e spool.Entry) error {
		if p.seen++; p.seen%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		p.offer(j, filed, e)
		return nil
	}
	for _, dir := range directories(p.states) {
		var err error
		if dir == spool.Done {
			err = q.s.EachDone(func(hour time.Time) bool { return p.wants(j, hour) }, look)
		} else {
			err = q.s.EachAndDrops(func(e spool.Entry) error { return look(time.Time{}, e) }, func(base string) { p.offerDrop(j, base) }, dir)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// wants reports whether jobs that were filed in an hour may be on the page. It is asked
// of the newest hour first.
func (p *pager) wants(j *judge, hour time.Time) bool {
	// The name was made before the job was filed, perhaps in the hour before.
	if hour.Add(time.Hour).Before(j.from) || !j.to.IsZero() && !hour.Add(-time.Hour).Before(j.to) {
		return false
	}
	if p.opt.Total || !p.order.newestFirst() {
		return true
	}
	first, last := p.order.bounds(hour)
	if p.after != nil && last.compareValues(p.after) < 0 {
		return false
	}
	if worst := p.top.worst(); worst != nil && first.compareValues(&worst.place) > 0 {
		p.top.cut = true
		return false
	}
	return true
}

func (p *pager) offer(j *judge, filed time.Time, e spool.Entry) {
	st := stateOf(e, j.now)
	if !slices.Contains(p.states, st) {
		return
	}
	meant, undecided := j.byName(e, st)
	if !meant {
		return
	}
	p.count(undecided)
	if best, ok := p.order.atBest(j.q, &e); ok && !p.top.wants(&best) {
		return
	}
	r := row{place: p.order.place(j.q, &e, filed), q: j.q, judge: j, e: e, nth: p.seen, undecided: undecided}
	if !p.open(&r.place) {
		return
	}
	if undecided && p.opt.Reads == 0 {
		i, meant := j.byFiles(e)
		if !meant {
			return
		}
		i.Job = nil
		r.i, r.undecided = &i, false
	}
	p.top.add(r)
}

func (p *pager) offerDrop(j *judge, base string) {
	i := j.q.dropInfo(base)
	if !slices.Contains(p.states, i.State) || !j.drop(&i) {
		return
	}
	p.count(false)
	r := row{place: p.order.placeOfDrop(j.q, &i), q: j.q, i: &i, dropped: true}
	if p.open(&r.place) {
		p.top.add(r)
	}
}

func (p *pager) count(undecided bool) {
	if p.total++; undecided {
		p.uncounted = true
	}
}

// open reports whether a place is on this page, as far as it is known yet.
func (p *pager) open(at *place) bool {
	return (p.after == nil || at.compare(p.after) > 0) && p.top.wants(at)
}

// fill takes those that are meant, in their order.
func (p *pager) fill(ctx context.Context, page *JobPage) error {
	sorted := single(p.top.sorted())
	var last *row
	for _, r := range sorted {
		if len(p.rows) == p.opt.Limit && p.opt.Limit > 0 {
			page.Next = p.order.cursor(last.place)
			return nil
		}
		if r.undecided {
			if page.Examined >= p.opt.Reads || ctx.Err() != nil {
				if last == nil {
					return ctx.Err()
				}
				page.Next, page.Partial = p.order.cursor(last.place), true
				return nil
			}
			page.Examined++
			i, meant := r.judge.byFiles(r.e)
			last = r
			if !meant {
				continue
			}
			i.Job = nil
			r.i = &i
		}
		last = r
		p.rows = append(p.rows, r)
	}
	if p.top.cut && last != nil {
		page.Next = p.order.cursor(last.place)
	}
	return nil
}

// single keeps of a job that was seen at two places the later one: it has moved.
func single(sorted []*row) []*row {
	type job struct{ queue, id string }
	at := make(map[job]*row, len(sorted))
	old := map[*row]bool{}
	for _, r := range sorted {
		if r.dropped {
			continue
		}
		key := job{r.Queue, r.ID}
		other := at[key]
		switch {
		case other == nil:
			at[key] = r
		case r.e.Attempt > other.e.Attempt || r.e.Attempt == other.e.Attempt && r.nth > other.nth:
			old[other], at[key] = true, r
		default:
			old[r] = true
		}
	}
	if len(old) == 0 {
		return sorted
	}
	return slices.DeleteFunc(sorted, func(r *row) bool { return old[r] })
}

// describe makes what the page tells of its jobs.
func (p *pager) describe(ctx context.Context, qs []*Queue, page *JobPage) error {
	running := map[*Queue]bool{}
	for _, r := range p.rows {
		i := r.i
		if i == nil {
			made := info(r.e, r.judge.now)
			if i = &made; p.opt.Details {
				r.q.detail(i, r.e)
			}
		}
		i.Queue = r.q.Name()
		if !r.dropped {
			i.seen = &r.e
		}
		if len(p.opt.States)+len(p.opt.Where.States) > 0 {
			i.listed = p.states
		}
		if p.opt.Details {
			i.Job = nil
		}
		running[r.q] = running[r.q] || i.State == Processing
		page.Jobs = append(page.Jobs, *i)
	}
	if !p.opt.Details {
		return nil
	}
	for _, q := range qs {
		if !running[q] {
			continue
		}
		lost := q.lostWorkers(ctx)
		for i := range page.Jobs {
			if page.Jobs[i].Queue == q.Name() {
				page.Jobs[i].WorkerLost = lost[page.Jobs[i].Worker]
			}
		}
	}
	if err := ctx.Err(); err != nil && !(p.opt.Reads > 0 && errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	return nil
}

// top keeps the first rows of a list in bounded memory.
type top struct {
	limit int // 0: none
	list  []*row
	last  *row // who comes after it is not among them; nil before the first cut
	cut   bool
}

// wants reports whether a row at this place would be among them, as far as is known yet.
func (t *top) wants(at *place) bool {
	if t.last == nil || at.compare(&t.last.place) < 0 {
		return true
	}
	t.cut = true // as nearly all of a long list
	return false
}

func (t *top) add(r row) {
	kept := r // r itself stays off the heap
	t.list = append(t.list, &kept)
	if t.limit > 0 && len(t.list) >= 2*t.limit+256 {
		t.shed()
	}
}

func (t *top) shed() {
	slices.SortFunc(t.list, func(a, b *row) int { return a.compare(&b.place) })
	if t.limit > 0 && len(t.list) >= t.limit {
		t.cut = t.cut || len(t.list) > t.limit
		t.list = t.list[:t.limit]
		t.last = t.list[t.limit-1]
	}
}

// worst is the last of them if no more find room, else nil.
func (t *top) worst() *row {
	if t.limit == 0 || len(t.list) < t.limit {
		return nil
	}
	t.shed()
	return t.last
}

func (t *top) sorted() []*row {
	t.shed()
	return t.list
}
