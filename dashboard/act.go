package dashboard

import (
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

// action is something that is done to jobs.
type action struct {
	name   string      // in the path
	done   string      // what a job is then, as queuectl says it
	states []fsq.State // of the jobs that it is for, when they are not named
	do     func(ctx context.Context, q *fsq.Queue, id string, p *params) (result string, err error)
}

// actions are all of them. What they do is what the commands of these names do.
var actions = []action{
	{"retry", "retried", []fsq.State{fsq.Dead, fsq.Cancelled}, func(ctx context.Context, q *fsq.Queue, id string, _ *params) (string, error) {
		return "retried", q.RetryDead(ctx, id)
	}},
	{"cancel", "cancelled", []fsq.State{fsq.Pending, fsq.Scheduled, fsq.Retrying, fsq.Held, fsq.Processing}, cancelJob},
	{"delete", "removed", []fsq.State{fsq.Pending, fsq.Scheduled, fsq.Retrying, fsq.Held, fsq.Done, fsq.Dead, fsq.Cancelled}, deleteJob},
	{"hold", "held", []fsq.State{fsq.Pending, fsq.Scheduled, fsq.Retrying}, func(ctx context.Context, q *fsq.Queue, id string, _ *params) (string, error) {
		return "held", q.Hold(ctx, id)
	}},
	{"release", "released", []fsq.State{fsq.Held}, func(ctx context.Context, q *fsq.Queue, id string, _ *params) (string, error) {
		return "released", q.Release(ctx, id)
	}},
	{"run-now", "due now", []fsq.State{fsq.Scheduled, fsq.Retrying, fsq.Held}, func(ctx context.Context, q *fsq.Queue, id string, _ *params) (string, error) {
		return "due now", q.RunNow(ctx, id)
	}},
	{"set", "changed", []fsq.State{fsq.Pending, fsq.Scheduled, fsq.Retrying, fsq.Held}, func(ctx context.Context, q *fsq.Queue, id string, p *params) (string, error) {
		return "changed", q.Reschedule(ctx, id, p.change)
	}},
	{"signal", "signalled", []fsq.State{fsq.Processing}, func(ctx context.Context, q *fsq.Queue, id string, p *params) (string, error) {
		return "signalled", q.Signal(ctx, id, p.Signal)
	}},
}

// cancelJob does not wait for the end of a job that runs: its worker is asked.
func cancelJob(ctx context.Context, q *fsq.Queue, id string, _ *params) (string, error) {
	got, err := q.Cancel(ctx, id)
	if err != nil || got.State == fsq.Cancelled {
		return "cancelled", err
	}
	return "asked", nil
}

// deleteJob removes a job, or a file that never became one.
func deleteJob(ctx context.Context, q *fsq.Queue, id string, _ *params) (string, error) {
	err := q.Delete(ctx, id)
	if errors.Is(err, fsq.ErrNotFound) {
		err = q.RemoveDead(ctx, id)
	}
	return "removed", err
}

func actionNamed(name string) (action, error) {
	for _, a := range actions {
		if a.name == name {
			return a, nil
		}
	}
	return action{}, fmt.Errorf("there is no action %s: %w", quote(name), fsq.ErrNotFound)
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

	change fsq.Change
	filter filter
	back   string // of a form: where to go then
	form   bool
}

// jobID says which job is meant. Where the queue is not given, it is the one that has it.
type jobID struct {
	Queue string `json:"queue"`
	ID    string `json:"id"`
}

// result is what came of an action for one job, as queuectl prints it.
type result struct {
	Queue  string  `json:"queue"`
	ID     string  `json:"id"`
	Result string  `json:"result"`
	Error  *string `json:"error"`
}

// results are what came of it for all.
type results struct {
	Done    int      `json:"done"`
	Failed  int      `json:"failed"`
	Results []result `json:"results"` // those that failed first
	Cut     bool     `json:"cut"`     // there are more results than are listed
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
	a, p, err := d.wanted(r)
	if err == nil && (p.IDs != nil || p.Filter != nil || p.All || p.Expect != nil || p.DryRun) {
		err = badf("the path says which job is meant: leave out ids, filter, all, expect and dry_run")
	}
	if err != nil {
		d.answerAct(w, r, p, a, results{}, err)
		return
	}
	id := jobID{r.URL.Query().Get("queue"), r.PathValue("id")}
	res, err := d.act(r.Context(), a, []jobID{id}, p)
	d.answerAct(w, r, p, a, res, err)
}

// actMany acts on the jobs that the body names, or for which its filter holds.
func (d *Dashboard) actMany(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(d.now().Add(actTime))
	a, p, err := d.wanted(r)
	var ids []jobID
	if err == nil {
		ids, err = d.meant(r.Context(), a, p)
	}
	if err != nil {
		d.answerAct(w, r, p, a, results{}, err)
		return
	}
	if p.DryRun {
		writeJSON(w, http.StatusOK, countDoc{len(ids)})
		return
	}
	res, _ := d.act(r.Context(), a, ids, p)
	d.answerAct(w, r, p, a, res, nil)
}

// countDoc is the answer to a dry run.
type countDoc struct {
	Matched int `json:"matched"` // jobs that are meant
}

// meant are the jobs that the body names, or for which its filter holds and the action is.
func (d *Dashboard) meant(ctx context.Context, a action, p *params) ([]jobID, error) {
	switch {
	case p.IDs != nil && p.Filter != nil:
		return nil, badf("give ids or a filter, not both")
	case len(p.IDs) > maxIDs:
		return nil, badf("give %d ids at most, or a filter", maxIDs)
	case p.IDs != nil:
		return p.IDs, p.expected(len(p.IDs))
	case p.Filter == nil && !p.All:
		return nil, badf("say which jobs: ids, a filter, or all")
	case p.filter.empty() && !p.All:
		return nil, badf("the filter is empty: all says that all jobs are meant")
	}
	ids, err := d.matching(ctx, a, p.filter)
	if err != nil {
		return nil, err
	}
	return ids, p.expected(len(ids))
}

// expected refuses more jobs than somebody has agreed to.
func (p *params) expected(n int) error {
	if p.Expect != nil && n > *p.Expect {
		return fmt.Errorf("%d jobs match by now, and %d were expected: nothing was done: %w", n, *p.Expect, fsq.ErrState)
	}
	return nil
}

// matchAtOnce is how many jobs are listed at a time: each listing reads all names, and each
// job takes some hundred bytes.
const matchAtOnce = 100_000

// matching are the jobs for which a filter holds and an action is. Sort, limit and after
// are for pages: all are meant.
func (d *Dashboard) matching(ctx context.Context, a action, f filter) (ids []jobID, err error) {
	if f.States = a.among(f.States); len(f.States) == 0 {
		return nil, nil
	}
	qs, err := d.selected(f)
	if err != nil {
		return nil, err
	}
	where, err := f.selector(d.now())
	if err != nil {
		return nil, err
	}
	for opt := (fsq.ListOptions{Where: where, Limit: matchAtOnce}); ; {
		page, err := fsq.Page(ctx, qs, opt)
		if err != nil {
			return nil, err
		}
		for _, j := range page.Jobs {
			if !j.Dropped {
				ids = append(ids, jobID{j.Queue, j.ID})
			}
		}
		if opt.After = page.Next; opt.After == "" {
			return ids, nil
		}
	}
}

// among are those of the states that the action is for; none stand for all.
func (a action) among(states []fsq.State) []fsq.State {
	if len(states) == 0 {
		return a.states
	}
	return slices.DeleteFunc(slices.Clone(states), func(s fsq.State) bool { return !slices.Contains(a.states, s) })
}

// act does it for each of the jobs, as far as that is possible. The error is that of the
// first one in their order for which it is not.
func (d *Dashboard) act(ctx context.Context, a action, ids []jobID, p *params) (results, error) {
	t := tally{failed: map[int]result{}, done: map[int]result{}}
	next := make(chan int)
	var workers sync.WaitGroup
	opened := d.opener()
	for range min(actsAtOnce, len(ids)) {
		workers.Go(func() {
			for i := range next {
				r := result{Queue: ids[i].Queue, ID: ids[i].ID}
				q, err := opened(ctx, ids[i])
				if err == nil {
					r.Queue = q.Name()
					r.Result, err = a.do(ctx, q, ids[i].ID, p)
				}
				t.add(i, r, err)
			}
		})
	}
	for i := range ids {
		next <- i
	}
	close(next)
	workers.Wait()
	d.scan.nudge()
	return t.results(), t.err
}

// tally gathers results, some of them one by one.
type tally struct {
	mu           sync.Mutex
	all          results
	failed, done map[int]result // by their place in the order
	err          error
	errAt        int
}

func (t *tally) add(at int, r result, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.done
	if err == nil {
		t.all.Done++
	} else {
		kept = t.failed
		t.all.Failed++
		text := err.Error()
		r.Result, r.Error = "failed", &text
		if t.err == nil || at < t.errAt {
			t.err, t.errAt = err, at
		}
	}
	if len(kept) < maxResults {
		kept[at] = r
	}
}

func (t *tally) results() results {
	t.all.Results = []result{}
	for _, some := range []map[int]result{t.failed, t.done} {
		for _, at := range slices.Sorted(maps.Keys(some)) {
			t.all.Results = append(t.all.Results, some[at])
		}
	}
	t.all.Results = t.all.Results[:min(len(t.all.Results), maxResults)]
	t.all.Cut = len(t.all.Results) < t.all.Done+t.all.Failed
	return t.all
}

// opener opens each queue once for an action on many jobs.
func (d *Dashboard) opener() func(context.Context, jobID) (*fsq.Queue, error) {
	var mu sync.Mutex
	open := map[string]*fsq.Queue{}
	return func(ctx context.Context, id jobID) (*fsq.Queue, error) {
		if id.Queue == "" {
			return d.find(ctx, "", id.ID)
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
func (d *Dashboard) wanted(r *http.Request) (action, *params, error) {
	p, err := readParams(r)
	if err != nil {
		return action{}, p, err
	}
	a, err := actionNamed(r.PathValue("action"))
	if err != nil {
		return a, p, err
	}
	if p.Filter != nil && !p.form {
		v, err := filterValues(p.Filter)
		if err != nil {
			return a, p, err
		}
		if p.filter, err = parseFilter(v); err != nil {
			return a, p, err
		}
	}
	err = p.check(a.name, d.now())
	return a, p, err
}

// check completes what an action needs, and refuses what it has no use for.
func (p *params) check(action string, now time.Time) error {
	if action != "set" && (p.Priority != nil || p.RunAt != "") {
		return badf("priority and run_at are for set")
	}
	if action != "signal" && p.Signal != "" {
		return badf("signal is for signal")
	}
	switch action {
	case "set":
		if p.Priority == nil && p.RunAt == "" {
			return badf("set needs priority or run_at")
		}
		if n := p.Priority; n != nil && (*n < fsq.MinPriority || *n > fsq.MaxPriority) {
			return badf("priority must be a whole number from %d to %d, not %d", fsq.MinPriority, fsq.MaxPriority, *n)
		}
		p.change.Priority = p.Priority
		if p.RunAt != "" {
			at, err := fsq.ParseTime(p.RunAt, now)
			if err != nil {
				return badf("run_at %v", err)
			}
			p.change.RunAt = &at
		}
	case "signal":
		name, err := fsq.ParseSignal(cmpOr(p.Signal, "TERM"))
		if err != nil {
			return err
		}
		p.Signal = name
	}
	return nil
}

func cmpOr(s, other string) string {
	if s == "" {
		return other
	}
	return s
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
func (d *Dashboard) answerAct(w http.ResponseWriter, r *http.Request, p *params, a action, res results, err error) {
	if p.form {
		f := flash{Text: summary(a, res), Failed: res.Failed > 0}
		if err != nil {
			f = flash{Text: sentence(err), Failed: true}
		} else if res.Failed > 0 {
			f.Text += ": " + *res.Results[0].Error
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
func summary(a action, res results) string {
	text := count(res.Done, "job") + " " + a.done
	if asked := countResult(res, "asked"); asked > 0 && asked == res.Done {
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
func sentence(err error) string { return sentenceCase(err.Error()) }

func sentenceCase(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
