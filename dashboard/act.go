package dashboard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// doneWords are what jobs are called to which an action was done.
var doneWords = map[string]string{
	fsq.ActionRetry: "retried", fsq.ActionCancel: "cancelled", fsq.ActionDelete: "removed", fsq.ActionHold: "held",
	fsq.ActionRelease: "released", fsq.ActionRunNow: "due now", fsq.ActionSet: "changed", fsq.ActionSignal: "signalled",
}

// params are the body of an action, and what it says beside which jobs are meant.
type params struct {
	Priority *int   `json:"priority"` // of set
	RunAt    string `json:"run_at"`   // of set: a time, or +10m
	Signal   string `json:"signal"`   // of signal; TERM if not given

	IDs    []jobID        `json:"ids"`
	Filter map[string]any `json:"filter"`
	All    bool           `json:"all"`     // the filter says nothing, and all that the action is for are meant
	Expect *int           `json:"expect"`  // so many jobs at most; if there are more, nothing is done
	DryRun bool           `json:"dry_run"` // only count

	act    fsq.Act
	filter filter
	back   string // of a form: where to go then
	form   bool
}

// jobID says which job is meant. Where the queue is not given, it is the one that has it.
type jobID struct {
	Queue string `json:"queue"`
	ID    string `json:"id"`
}

// results are what came of an action. Each is as queuectl prints it.
type results struct {
	Done    int             `json:"done"`
	Failed  int             `json:"failed"`
	Results []fsq.ActResult `json:"results"`         // those that failed first
	Cut     bool            `json:"cut"`             // there are more results than are listed
	Error   string          `json:"error,omitempty"` // why it ended before it was through
}

const (
	// maxResults bounds what is told of single jobs. What failed comes first.
	maxResults = 1000
	// actsAtOnce is how many jobs are changed at a time: they share fsyncs.
	actsAtOnce = 8
	// actTime is how long an action may take altogether before its answer is given up.
	actTime = time.Hour
	// maxIDs bounds a list of ids: the body is bounded as well.
	maxIDs = 10_000
)

// actOne acts on the job in the path.
func (d *Dashboard) actOne(w http.ResponseWriter, r *http.Request) {
	p, err := d.wanted(r)
	if err == nil && (p.IDs != nil || p.Filter != nil || p.All || p.Expect != nil || p.DryRun) {
		err = badf("the path says which job is meant: leave out ids, filter, all, expect and dry_run")
	}
	if err != nil {
		d.answerAct(w, r, p, results{}, err)
		return
	}
	var t tally
	d.actOn(r.Context(), p.act, []jobID{{r.URL.Query().Get("queue"), r.PathValue("id")}}, &t)
	d.answerAct(w, r, p, t.results(), t.first)
}

// actMany acts on the jobs that the body names, or for which its filter holds.
func (d *Dashboard) actMany(w http.ResponseWriter, r *http.Request) {
	p, err := d.wanted(r)
	if err == nil {
		err = p.checkWhich()
	}
	_ = http.NewResponseController(w).SetWriteDeadline(d.now().Add(actTime))
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(d.streams, func() { cancel(errClosed) })()
	switch {
	case err != nil:
		d.answerAct(w, r, p, results{}, err)
	case p.DryRun:
		doc, err := d.matched(ctx, p, readsAtOnce)
		answer(w, doc, err)
	default:
		res, err := d.act(ctx, p)
		d.answerAct(w, r, p, res, err)
	}
}

// matchDoc is the answer to a dry run.
type matchDoc struct {
	Matched int  `json:"matched"` // jobs that are meant
	Exact   bool `json:"exact"`   // false: there may be more, which to count would take too long
}

// checkWhich refuses a body that does not say which jobs are meant, or says it twice.
func (p *params) checkWhich() error {
	switch {
	case p.IDs != nil && (p.Filter != nil || p.All):
		return badf("give ids or a filter, not both")
	case len(p.IDs) > maxIDs:
		return badf("give %d ids at most, or a filter", maxIDs)
	case p.IDs == nil && p.Filter == nil && !p.All:
		return badf("say which jobs: ids, a filter, or all")
	case p.IDs == nil && p.filter.empty() && !p.All:
		return badf("the filter is empty: all says that all jobs are meant")
	}
	return nil
}

// act does it to all that are meant, unless there are more than somebody has agreed to.
func (d *Dashboard) act(ctx context.Context, p *params) (results, error) {
	if p.Expect != nil {
		doc, err := d.matched(ctx, p, 0)
		if err == nil && doc.Matched > *p.Expect {
			err = fmt.Errorf("%d jobs match by now, and %d were expected: nothing was done: %w", doc.Matched, *p.Expect, fsq.ErrState)
		}
		if err != nil {
			return results{}, err
		}
	}
	var t tally
	if p.IDs != nil {
		d.actOn(ctx, p.act, p.IDs, &t)
		return t.results(), nil
	}
	qs, where, err := d.where(p.filter)
	if err != nil {
		return results{}, err
	}
	at := 0
	_, err = fsq.Bulk(ctx, qs, where, p.act, fsq.BulkOptions{Each: func(r fsq.ActResult) {
		t.add(at, r)
		at++
	}})
	d.scan.nudge()
	res := t.results()
	if err != nil {
		res.Error = err.Error()
	}
	return res, err
}

// matched counts the jobs that are meant. It reads at most reads of those whose names do not
// tell; 0: all.
func (d *Dashboard) matched(ctx context.Context, p *params, reads int) (matchDoc, error) {
	if p.IDs != nil {
		return d.present(ctx, p)
	}
	qs, where, err := d.where(p.filter)
	if err != nil {
		return matchDoc{}, err
	}
	n, exact, err := fsq.Meant(ctx, qs, where, p.act, reads)
	return matchDoc{n, exact}, err
}

// present counts those of the ids that are there, whatever their state, and of an action that
// rejected files are for those, too.
func (d *Dashboard) present(ctx context.Context, p *params) (matchDoc, error) {
	doc := matchDoc{Exact: true}
	in := map[string][]string{}
	for _, id := range p.IDs {
		in[id.Queue] = append(in[id.Queue], id.ID)
	}
	for queue, ids := range in { // one listing for all of a queue
		qs, err := d.selected(filter{Queue: queue})
		if errors.Is(err, fsq.ErrNotFound) {
			continue
		}
		if err != nil {
			return doc, err
		}
		where, err := fsq.Locate(ctx, qs, ids)
		if err != nil && !errors.Is(err, fsq.ErrNotFound) {
			return doc, err
		}
		rejected := map[string]bool{}
		if p.act.Action == fsq.ActionRetry || p.act.Action == fsq.ActionDelete {
			for _, q := range qs {
				files, err := q.Rejects()
				if err != nil {
					return doc, err
				}
				for _, f := range files {
					rejected[f.Name], rejected[f.Dropped] = true, true
				}
			}
		}
		for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
			if len(where[id]) > 0 || rejected[id] {
				doc.Matched++
			}
		}
	}
	return doc, nil
}

// where is a filter for an action: the queues, and which jobs in them. Sort, limit and after
// are for pages: all are meant.
func (d *Dashboard) where(f filter) ([]*fsq.Queue, fsq.Selector, error) {
	qs, err := d.selected(f)
	if err != nil {
		return nil, fsq.Selector{}, err
	}
	where, err := f.selector(d.now())
	return qs, where, err
}

// actOn does it to each of some jobs, as far as that is possible.
func (d *Dashboard) actOn(ctx context.Context, a fsq.Act, ids []jobID, t *tally) {
	next := make(chan int)
	var workers sync.WaitGroup
	opened := d.opener(a)
	for range min(actsAtOnce, len(ids)) {
		workers.Go(func() {
			for i := range next {
				// Who has gone, or ends the program, wants no more of it.
				var q *fsq.Queue
				err := context.Cause(ctx)
				if err == nil {
					q, err = opened(ctx, ids[i])
				}
				if err != nil {
					text := err.Error()
					t.add(i, fsq.ActResult{Queue: ids[i].Queue, ID: ids[i].ID, Result: fsq.ResultFailed, Error: &text, Err: err})
					continue
				}
				t.add(i, actOne(ctx, a, q, ids[i].ID))
			}
		})
	}
	for i := range ids {
		next <- i
	}
	close(next)
	workers.Wait()
	d.scan.nudge()
}

// actOne does it to a job, or removes a file that never became one.
func actOne(ctx context.Context, a fsq.Act, q *fsq.Queue, id string) fsq.ActResult {
	r := a.Do(ctx, q, id)
	if a.Action == fsq.ActionDelete && errors.Is(r.Err, fsq.ErrNotFound) && q.RemoveDead(ctx, id) == nil {
		return fsq.ActResult{Queue: q.Name(), ID: id, Result: doneWords[a.Action]}
	}
	return r
}

// tally gathers results, some of them one by one. It is safe for concurrent use.
type tally struct {
	mu           sync.Mutex
	all          results
	failed, done map[int]fsq.ActResult // by their place in the order
	first        error                 // of what failed, in that order
	firstAt      int
}

func (t *tally) add(at int, r fsq.ActResult) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done == nil {
		t.failed, t.done = map[int]fsq.ActResult{}, map[int]fsq.ActResult{}
	}
	kept := t.done
	if r.Err == nil {
		t.all.Done++
	} else {
		kept = t.failed
		t.all.Failed++
		if t.first == nil || at < t.firstAt {
			t.first, t.firstAt = r.Err, at
		}
	}
	if len(kept) < maxResults {
		kept[at] = r
	}
}

func (t *tally) results() results {
	res := t.all
	res.Results = []fsq.ActResult{}
	for _, some := range []map[int]fsq.ActResult{t.failed, t.done} {
		for _, at := range slices.Sorted(maps.Keys(some)) {
			res.Results = append(res.Results, some[at])
		}
	}
	res.Results = res.Results[:min(len(res.Results), maxResults)]
	res.Cut = len(res.Results) < res.Done+res.Failed
	return res
}

// opener opens each queue once for an action on many jobs.
func (d *Dashboard) opener(a fsq.Act) func(context.Context, jobID) (*fsq.Queue, error) {
	var mu sync.Mutex
	open := map[string]*fsq.Queue{}
	return func(ctx context.Context, id jobID) (*fsq.Queue, error) {
		if id.Queue == "" {
			q, err := d.find(ctx, "", id.ID)
			if errors.Is(err, fsq.ErrNotFound) && (a.Action == fsq.ActionRetry || a.Action == fsq.ActionDelete) {
				if in, rejectErr := d.findRejected(id.ID); !errors.Is(rejectErr, fsq.ErrNotFound) {
					return in, rejectErr
				}
			}
			return q, err
		}
		mu.Lock()
		defer mu.Unlock()
		if q := open[id.Queue]; q != nil {
			return q, nil
		}
		q, err := d.queue(id.Queue)
		if err == nil {
			open[id.Queue] = q
		}
		return q, err
	}
}

// wanted reads which action is asked for, and its body: JSON, or a form of a page.
func (d *Dashboard) wanted(r *http.Request) (*params, error) {
	p, err := readParams(r)
	if err != nil {
		return p, err
	}
	name := r.PathValue("action")
	if doneWords[name] == "" {
		return p, fmt.Errorf("there is no action %s: %w", quote(name), fsq.ErrNotFound)
	}
	if p.Filter != nil && !p.form {
		v, err := filterValues(p.Filter)
		if err != nil {
			return p, err
		}
		if p.filter, err = parseFilter(v); err != nil {
			return p, err
		}
	}
	err = p.complete(name, d.now())
	return p, err
}

// complete makes the act of what was read, and refuses what the action has no use for.
func (p *params) complete(name string, now time.Time) error {
	p.act = fsq.Act{Action: name, Change: fsq.Change{Priority: p.Priority}, Signal: p.Signal}
	switch {
	case name != fsq.ActionSet && (p.Priority != nil || p.RunAt != ""):
		return badf("priority and run_at are for set")
	case name != fsq.ActionSignal && p.Signal != "":
		return badf("signal is for signal")
	case name == fsq.ActionSignal:
		known, err := fsq.ParseSignal(cmp.Or(p.Signal, "TERM"))
		if err != nil {
			return err
		}
		p.act.Signal = known
	case p.RunAt != "":
		at, err := fsq.ParseTime(p.RunAt, now)
		if err != nil {
			return badf("run_at %v", err)
		}
		p.act.Change.RunAt = &at
	}
	return p.act.Validate()
}

// body tells what a request sends: a form, or JSON, or nothing.
func body(r *http.Request) (form bool, err error) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case kind == "application/x-www-form-urlencoded":
		return true, nil
	case kind == "application/json", kind == "" && r.ContentLength == 0:
		return false, nil
	}
	return false, badf("send JSON, with Content-Type: application/json")
}

// readJSON reads the body into v; none leaves it as it is.
func readJSON(r *http.Request, v any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	large := (*http.MaxBytesError)(nil)
	if errors.As(err, &large) {
		return err
	}
	if err != nil && r.ContentLength == 0 {
		return nil
	}
	if err != nil {
		return badf("the body must be one JSON object: %v", err)
	}
	if _, err = dec.Token(); errors.As(err, &large) {
		return err
	}
	if !errors.Is(err, io.EOF) {
		return badf("the body must be one JSON object, and there is more")
	}
	return nil
}

func readParams(r *http.Request) (*params, error) {
	p := &params{}
	form, err := body(r)
	if err != nil {
		return p, err
	}
	if !form {
		err = readJSON(r, p)
		return p, err
	}
	p.form = true
	if err := r.ParseForm(); err != nil {
		return p, badBody(err)
	}
	p.back = r.PostForm.Get("back")
	err = p.readForm(r.PostForm)
	return p, err
}

func badBody(err error) error {
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return err
	}
	return badf("the form cannot be read: %v", err)
}

// readForm reads the fields of a plain form: job is QUEUE/ID, as often as there are jobs,
// and filter the query of a page.
func (p *params) readForm(form url.Values) error {
	for key, all := range form {
		last := all[len(all)-1]
		var err error
		switch key {
		case "back":
		case "priority":
			if last != "" {
				p.Priority, err = wholeField(key, last)
			}
		case "run_at":
			p.RunAt = last
		case "signal":
			p.Signal = last
		case "expect":
			p.Expect, err = wholeField(key, last)
		case "all":
			p.All = last == "true"
		case "job":
			for _, v := range all {
				queue, id, _ := strings.Cut(v, "/")
				p.IDs = append(p.IDs, jobID{queue, id})
			}
		case "filter":
			p.Filter = map[string]any{}
			var v url.Values
			if v, err = url.ParseQuery(last); err == nil {
				err = onlyKeys(v)
			}
			if err == nil {
				p.filter, err = parseFilter(v)
			}
		default:
			err = badf("the form has a field %s that means nothing here; JSON needs Content-Type: application/json", quote(key))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func wholeField(key, s string) (*int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return nil, badf("%s must be a whole number, not %s", key, quote(s))
	}
	return &n, nil
}

// answerAct tells what came of an action: as JSON, or after a form with the page that it
// came from.
func (d *Dashboard) answerAct(w http.ResponseWriter, r *http.Request, p *params, res results, err error) {
	if p.form {
		f := flash{Text: summary(p.act.Action, res), Failed: res.Failed > 0 || err != nil}
		switch {
		case err != nil && res.Done == 0:
			f.Text = sentence(err)
		case err != nil:
			f.Text += ": " + plain(err.Error())
		case res.Failed > 0:
			f.Text += ": " + plain(*res.Results[0].Error)
		}
		d.returnTo(w, r, p.back, f)
		return
	}
	status := http.StatusOK
	switch {
	case err != nil && len(res.Results) == 0:
		writeError(w, statusOfError(err), err)
		return
	case err != nil:
		status = statusOfError(err)
	case res.Failed > 0:
		status = http.StatusMultiStatus
	}
	writeJSON(w, status, res)
}

// returnTo leads the browser that has sent a form back to a page, which says what came of
// it.
func (d *Dashboard) returnTo(w http.ResponseWriter, r *http.Request, back string, f flash) {
	if back == "" {
		if u, err := url.Parse(r.Header.Get("Referer")); err == nil && u.Host == r.Host {
			back = (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
		}
	}
	d.setFlash(w, f)
	http.Redirect(w, r, d.back(back), http.StatusSeeOther)
}

// summary says in a line what came of an action.
func summary(action string, res results) string {
	text := count(res.Done, "job") + " " + doneWords[action]
	if action == fsq.ActionDelete {
		text = count(res.Done, "job") + " deleted" // as the button says
	}
	if asked := countResult(res, fsq.ResultAsked); asked > 0 && asked == res.Done {
		text = "asked to end " + count(asked, "running job")
	}
	if res.Failed > 0 {
		text += ", " + strconv.Itoa(res.Failed) + " failed"
	}
	return sentenceCase(text)
}

func countResult(res results, what string) (n int) {
	for _, r := range res.Results {
		if r.Result == what {
			n++
		}
	}
	return n
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// sentence is an error for people.
func sentence(err error) string { return sentenceCase(plain(err.Error())) }

// plain leaves out what only names the kind of an error that says before that what it is.
func plain(text string) string { return strings.TrimSuffix(text, ": "+fsq.ErrState.Error()) }

func sentenceCase(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
