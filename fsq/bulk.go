package fsq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/queuectl/queuectl/spool"
)

// Act is something to do to jobs.
type Act struct {
	Action string // one of the actions, such as ActionRetry
	Change Change // of ActionSet
	Signal string // of ActionSignal
}

// ActionDelete removes a job. It is the one action that JobInfo.Actions never tells of.
const ActionDelete = "delete"

var waitingStates = []State{Pending, Scheduled, Retrying, Held}

// acts are what can be done to many jobs, and to which of them. What it makes of each is a
// result as the command line prints it.
var acts = map[string]struct {
	done   string
	states []State
	do     func(ctx context.Context, q *Queue, t *target, a Act, r *ActResult) error
}{
	ActionRetry: {"retried", []State{Dead, Cancelled}, func(ctx context.Context, q *Queue, t *target, _ Act, _ *ActResult) error {
		return q.retryDead(ctx, t)
	}},
	ActionCancel: {"cancelled", append([]State{Processing}, waitingStates...), func(ctx context.Context, q *Queue, t *target, _ Act, r *ActResult) (err error) {
		if r.Asked, err = q.cancel(ctx, t); r.Asked.State == Processing {
			r.Result = ResultAsked
		}
		return err
	}},
	ActionDelete: {"removed", append([]State{Done, Dead, Cancelled}, waitingStates...), func(ctx context.Context, q *Queue, t *target, _ Act, _ *ActResult) error {
		return q.remove(ctx, t)
	}},
	ActionHold: {"held", []State{Pending, Scheduled, Retrying}, func(ctx context.Context, q *Queue, t *target, _ Act, _ *ActResult) error {
		return q.hold(ctx, t)
	}},
	ActionRelease: {"released", []State{Held}, func(ctx context.Context, q *Queue, t *target, _ Act, _ *ActResult) error {
		return q.release(ctx, t)
	}},
	ActionRunNow: {"due now", []State{Scheduled, Retrying, Held}, func(ctx context.Context, q *Queue, t *target, _ Act, _ *ActResult) error {
		return q.runNow(ctx, t)
	}},
	ActionSet: {"changed", waitingStates, func(ctx context.Context, q *Queue, t *target, a Act, _ *ActResult) error {
		return q.reschedule(ctx, t, a.Change)
	}},
	ActionSignal: {"signalled", []State{Processing}, func(ctx context.Context, q *Queue, t *target, a Act, _ *ActResult) error {
		return q.signal(ctx, t, a.Signal)
	}},
}

// Results that are none of an action that is over.
const (
	ResultAsked  = "asked" // the worker of a running job, to cancel it
	ResultFailed = "failed"
)

// Validate reports what is wrong with it, as a *FieldError, or an error that wraps
// ErrSignal.
func (a Act) Validate() error {
	if _, known := acts[a.Action]; !known {
		return fieldErrorf("action", "must be retry, cancel, delete, hold, release, run-now, set or signal, not %s", quote(a.Action))
	}
	switch {
	case a.Action == ActionSet && a.Change == (Change{}):
		return fieldErrorf("priority", "must be given, or run_at")
	case a.Action == ActionSet:
		return a.Change.validate()
	case a.Action == ActionSignal:
		_, err := ParseSignal(a.Signal)
		return err
	}
	return nil
}

// States are those of the jobs that it can be done to.
func (a Act) States() []State { return slices.Clone(acts[a.Action].states) }

// Done is what a job is after it, such as "retried".
func (a Act) Done() string { return acts[a.Action].done }

// ActResult is what an Act has made of a job.
type ActResult struct {
	Queue  string  `json:"queue"`
	ID     string  `json:"id"`
	Result string  `json:"result"` // such as retried; asked, if the worker of a running job is asked to cancel it; failed
	Error  *string `json:"error"`
	Err    error   `json:"-"` // the same

	Asked Cancellation `json:"-"` // if that is the result: what AwaitCancelled takes
}

// Do does it to one job, on behalf of whom WithActor names. The error is that of RetryDead,
// Cancel and the other methods of a Queue.
func (a Act) Do(ctx context.Context, q *Queue, id string) ActResult {
	return a.do(ctx, q, jobNamed(id))
}

// DoTo is Do for a job of q that Page, List or Select has just returned: it need not be
// looked for, which costs a listing where nobody chose its id. If only some states were
// listed and it is in none of them any more, it is left alone: the error wraps ErrState.
func (a Act) DoTo(ctx context.Context, q *Queue, j *JobInfo) ActResult {
	return a.do(ctx, q, j.target())
}

func (i *JobInfo) target() *target {
	t := &target{id: i.ID, states: i.listed}
	if i.seen != nil {
		e := *i.seen
		t.seen = &e
	}
	return t
}

func (a Act) do(ctx context.Context, q *Queue, t *target) ActResult {
	r := ActResult{Queue: q.Name(), ID: t.id, Result: a.Done()}
	if r.Err = a.Validate(); r.Err == nil {
		r.Err = acts[a.Action].do(ctx, q, t, a, &r)
	}
	if r.Err != nil {
		r.Fail(r.Err)
	}
	return r
}

// Fail makes it the result of an action that has failed with err.
func (r *ActResult) Fail(err error) {
	text := err.Error()
	r.Result, r.Error, r.Err = ResultFailed, &text, err
}

// BulkResult is what an Act has made of many jobs.
type BulkResult struct {
	Done    int         `json:"done"`
	Failed  int         `json:"failed"`
	Results []ActResult `json:"results"` // those that failed, as far as they are listed
}

// BulkOptions say how jobs are gone through.
type BulkOptions struct {
	Failures int             // at most so many are listed; 0: none
	Each     func(ActResult) // told of each job in turn, if not nil

	page int // in place of bulkPage, for tests
}

const (
	// bulkPage is how many jobs are looked up at a time: a listing of a million names costs
	// what acting on a thousand jobs does.
	bulkPage = 5000
	// bulkReads is how many are read for a page whose names do not tell whether they are
	// meant.
	bulkReads = 4 * bulkPage
	// bulkAtOnce is how many jobs are acted on at a time: they wait for the disk, which
	// makes what comes together durable together.
	bulkAtOnce = 8
	// bulkSynced is how many removals share fsyncs: on a disk that is busy each takes a tenth
	// of a second, and who stops it does not wait for longer.
	bulkSynced = 500
)

// Bulk does something to all jobs of several queues that where means, as far as they are
// in a state for it: page by page, in bounded memory, and to each once. Jobs that come
// meanwhile may be left out. What cannot be done to one job does not end it. The error is of
// what does: where that is not valid or empty, a spool that cannot be read, ctx that is
// done. The result then tells how far it has come.
func Bulk(ctx context.Context, qs []*Queue, where Selector, a Act, opt BulkOptions) (BulkResult, error) {
	sum := BulkResult{Results: []ActResult{}}
	err := a.Validate()
	if err == nil {
		err = whereBulk(where)
	}
	if err != nil {
		return sum, err
	}
	list := bulkList(where, a)
	list.Limit = cmp.Or(opt.page, list.Limit)
	seed, acted := maphash.MakeSeed(), map[uint64]bool{} // some 20 bytes for each job
	left := -1                                           // how many there can be
	for more := true; more; more = list.After != "" {
		p, rows, err := pageRows(ctx, qs, list)
		if err != nil {
			return sum, err
		}
		if left < 0 {
			// Who makes jobs faster than they can be acted on must not keep this going.
			left = rows.total
		}
		// What was acted on and has moved since, such as a job that was retried and is dead
		// again, is not meant a second time.
		rows.rows = slices.DeleteFunc(rows.rows, func(r *row) bool {
			id := maphash.String(seed, r.Queue+"\x00"+r.ID)
			again := acted[id]
			acted[id] = true
			return again
		})
		rows.rows = rows.rows[:min(len(rows.rows), left)]
		left -= len(rows.rows)
		aims := make([]aim, len(rows.rows))
		for i, r := range rows.rows {
			aims[i] = aim{r.q, r.target(rows.states)}
		}
		actOn(ctx, aims, a, func(r ActResult) {
			if r.Err == nil {
				sum.Done++
			} else if sum.Failed++; len(sum.Results) < opt.Failures {
				sum.Results = append(sum.Results, r)
			}
			if opt.Each != nil {
				opt.Each(r)
			}
		})
		if ctx.Err() != nil {
			return sum, context.Cause(ctx)
		}
		if list.After = p.Next; left == 0 {
			break
		}
	}
	return sum, nil
}

func whereBulk(where Selector) error {
	if where.Empty() {
		return fieldErrorf("filter", "must say which jobs are meant")
	}
	return where.Validate()
}

// bulkList goes through the jobs in an order that the actions do not change: what is
// acted on does not come again.
func bulkList(where Selector, a Act) ListOptions {
	return ListOptions{States: acts[a.Action].states, Where: where, Sort: SortAttempts, Limit: bulkPage, Reads: bulkReads, Total: true}
}

// Meant counts the jobs that Bulk would act on now. It reads at most reads of those whose
// names do not tell (0: all); exact is false if that was not enough.
func Meant(ctx context.Context, qs []*Queue, where Selector, a Act, reads int) (n int, exact bool, err error) {
	if err := errors.Join(a.Validate(), whereBulk(where)); err != nil {
		return 0, false, err
	}
	list := bulkList(where, a)
	for more := true; more; more = list.After != "" {
		if reads > 0 {
			list.Reads = min(reads, bulkReads)
		}
		p, err := Page(ctx, qs, list)
		if err != nil {
			return n, false, err
		}
		if p.Total != nil {
			return *p.Total, true, nil
		}
		n, list.After = n+len(p.Jobs), p.Next
		if reads > 0 {
			if reads -= p.Examined; reads <= 0 && p.Next != "" {
				return n, false, nil
			}
		}
	}
	return n, true, nil
}

// aim is a job that is acted on, and its queue.
type aim struct {
	q *Queue
	t *target
}

// actOn acts on some jobs at a time, and tells of them in their order, when what was done
// is durable.
func actOn(ctx context.Context, aims []aim, a Act, tell func(ActResult)) {
	if a.Action != ActionDelete {
		actTogether(ctx, aims, a, tell)
		return
	}
	for some := range slices.Chunk(aims, bulkSynced) {
		var results []ActResult
		for _, x := range some {
			x.t.unsynced = true
		}
		actTogether(ctx, some, a, func(r ActResult) { results = append(results, r) })
		err := syncRemoved(some)
		for i := range results {
			if r := &results[i]; r.Err == nil && err != nil {
				r.Fail(fmt.Errorf("remove job %q: %w", r.ID, err))
			}
			tell(results[i])
		}
		if ctx.Err() != nil {
			return
		}
	}
}

func syncRemoved(aims []aim) error {
	removed := map[*Queue][]spool.Entry{}
	for _, x := range aims {
		if x.t.removed != nil {
			removed[x.q] = append(removed[x.q], *x.t.removed)
		}
	}
	var errs []error
	for q, entries := range removed {
		errs = append(errs, q.s.SyncRemoved(entries...))
	}
	return errors.Join(errs...)
}

func actTogether(ctx context.Context, aims []aim, a Act, tell func(ActResult)) {
	var g sync.WaitGroup
	defer g.Wait()
	results := make(chan chan ActResult, bulkAtOnce)
	g.Go(func() {
		defer close(results)
		for _, x := range aims {
			if ctx.Err() != nil {
				return
			}
			result := make(chan ActResult, 1)
			results <- result
			g.Go(func() { result <- a.do(ctx, x.q, x.t) })
		}
	})
	for result := range results {
		tell(<-result)
	}
}

// Chosen is a job that Page, List or Select has just returned, and its queue.
type Chosen struct {
	Queue *Queue
	Job   *JobInfo
}

// DoAll is DoTo for many jobs, some at a time, and tells of each in their order. What it
// tells of is durable. When ctx ends, it does not begin with more of them.
func (a Act) DoAll(ctx context.Context, jobs []Chosen, tell func(ActResult)) {
	aims := make([]aim, len(jobs))
	for i, c := range jobs {
		aims[i] = aim{c.Queue, c.Job.target()}
	}
	actOn(ctx, aims, a, tell)
}

// target is the job of a row, where it was seen.
func (r *row) target(states []State) *target {
	if r.dropped {
		return &target{id: r.i.ID, states: states}
	}
	e := r.e
	return &target{id: e.Name.ID, seen: &e, states: states}
}

// pageRows is Page without what only a person wants to know.
func pageRows(ctx context.Context, qs []*Queue, opt ListOptions) (JobPage, *pager, error) {
	p, page, err := look(ctx, qs, &opt)
	if err == nil {
		err = p.fill(ctx, &page)
	}
	return page, p, err
}
