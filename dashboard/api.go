package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// apiRoutes are the calls. API.md describes them, and a test compares the two.
func (d *Dashboard) apiRoutes() []route {
	return []route{
		{"GET /api/v1/status", d.apiStatus},
		{"GET /api/v1/stats", d.apiStats},
		{"GET /api/v1/history", d.apiHistory},
		{"GET /api/v1/jobs", d.apiJobs},
		{"GET /api/v1/jobs/{id}", d.apiJob},
		{"GET /api/v1/jobs/{id}/explain", d.apiExplain},
		{"GET /api/v1/jobs/{id}/logs/{stream}", d.apiLog},
		{"GET /api/v1/dead", d.apiDead},
		{"GET /api/v1/dead/groups", d.apiDeadGroups},
		{"GET /api/v1/queues", d.apiQueues},
		{"GET /api/v1/queues/{name}", d.apiQueue},
		{"GET /api/v1/queues/{name}/config", d.apiConfig},
		{"GET /api/v1/workers", d.apiWorkers},
		{"GET /api/v1/version", d.apiVersion},

		{"POST /api/v1/jobs", d.enqueue},
		{"POST /api/v1/jobs/{action}", d.actMany},
		{"POST /api/v1/jobs/{id}/{action}", d.actOne},
		{"POST /api/v1/queues/{name}/pause", d.pauseQueue},
		{"POST /api/v1/queues/{name}/resume", d.resumeQueue},
		{"POST /api/v1/queues/{name}/limit", d.limitQueue},
		{"POST /api/v1/queues/{name}/config", d.configQueue},
		{"POST /api/v1/workers/stop", d.stopWorkers},
		{"POST /api/v1/workers/{id}/stop", d.stopWorkers},
	}
}

// answer is a call's answer, or why there is none.
func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		writeError(w, statusOfError(err), err)
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// statusDoc is all queues taken together, and each one, and how old that is.
type statusDoc struct {
	fsq.Status
	Queues  []fsq.Status `json:"queues"`
	Disk    *fsq.Disk    `json:"disk"`
	Version uint64       `json:"version"` // that of the events
	At      time.Time    `json:"at"`
	CostMS  float64      `json:"cost_ms"`
	Polled  bool         `json:"polled"`
	Error   string       `json:"error,omitempty"` // why it may be out of date
}

func (d *Dashboard) apiStatus(w http.ResponseWriter, r *http.Request) {
	s := d.snapshot(r.Context())
	doc := statusDoc{Status: s.Status, Queues: s.statuses(), Disk: s.Disk, Version: s.Version, At: s.At, CostMS: s.costMS(), Polled: s.Polled}
	if s.Err != nil {
		doc.Error = s.Err.Error()
	}
	answer(w, doc, onlyIf(len(s.Queues) > 0 || s.Err == nil, s.Err))
}

// onlyIf is err unless there is something to show in spite of it.
func onlyIf(something bool, err error) error {
	if something {
		return nil
	}
	return err
}

func (s *snapshot) statuses() []fsq.Status {
	all := make([]fsq.Status, 0, len(s.Queues))
	for _, q := range s.Queues {
		all = append(all, q.Status)
	}
	return all
}

type statsDoc struct {
	fsq.Stats
	Queues []fsq.Stats `json:"queues"`
}

func (d *Dashboard) apiStats(w http.ResponseWriter, r *http.Request) {
	qs, err := d.asked(r)
	if err != nil {
		answer(w, nil, err)
		return
	}
	doc := statsDoc{Queues: []fsq.Stats{}}
	for _, q := range qs {
		st, err := q.Stats(r.Context())
		if err != nil {
			answer(w, nil, err)
			return
		}
		doc.Queues = append(doc.Queues, st)
	}
	if doc.Stats, err = fsq.StatsOf(r.Context(), qs...); err == nil && len(qs) == 1 {
		doc.Queue = qs[0].Name()
	}
	answer(w, doc, err)
}

// maxSpan is how far back the histories reach.
const maxSpan = 31 * 24 * time.Hour

func (d *Dashboard) apiHistory(w http.ResponseWriter, r *http.Request) {
	v := r.URL.Query()
	err := onlyQuery(r, "queue", "span", "step")
	span, step := time.Hour, time.Duration(0)
	for _, p := range []struct {
		name string
		to   *time.Duration
	}{{"span", &span}, {"step", &step}} {
		if s := v.Get(p.name); s != "" && err == nil {
			if *p.to, err = fsq.ParseDuration(s); err != nil {
				err = badf("%s %v", p.name, err)
			}
		}
	}
	if err == nil && span > maxSpan {
		err = badf("span must be 31d at most, not %s", quote(v.Get("span")))
	}
	var qs []*fsq.Queue
	if err == nil {
		qs, err = d.selected(filter{Queue: v.Get("queue")})
	}
	var h fsq.History
	if err == nil {
		h, err = fsq.HistoryOf(r.Context(), span, step, qs...)
	}
	if len(qs) == 1 {
		h.Queue = qs[0].Name()
	}
	answer(w, h, err)
}

// asked are the queues that the query asks about: the one of ?queue=, or all.
func (d *Dashboard) asked(r *http.Request) ([]*fsq.Queue, error) {
	if err := onlyQuery(r, "queue"); err != nil {
		return nil, err
	}
	return d.selected(filter{Queue: r.URL.Query().Get("queue")})
}

// onlyQuery refuses a parameter that means nothing to a call.
func onlyQuery(r *http.Request, known ...string) error {
	for key := range r.URL.Query() {
		if !slices.Contains(known, key) {
			return badf("there is no parameter %s", quote(key))
		}
	}
	return nil
}

// jobsDoc is a page of jobs. More and Next are as queuectl list prints them.
type jobsDoc struct {
	fsq.JobPage
	More bool `json:"more"` // the limit has cut the list
}

const (
	// readsAtOnce bounds the files that are read for a page of jobs whose names do not tell
	// whether they match.
	readsAtOnce = 20_000
	// listTime bounds how long that may take: then the page is shorter, and says so.
	listTime = 5 * time.Second
)

// page lists the jobs that a filter means, and how many there are if names alone tell.
func (d *Dashboard) page(ctx context.Context, f filter) (fsq.JobPage, error) {
	qs, err := d.selected(f)
	if err != nil {
		return fsq.JobPage{}, err
	}
	opt, err := f.options(d.now())
	if err != nil {
		return fsq.JobPage{}, err
	}
	total := d.total(ctx, f)
	opt.Total, opt.Reads = total == nil, readsAtOnce
	page, err := listPage(ctx, qs, opt)
	if opt.Total && errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		opt.Total = false // to count them all takes too long, but the newest may be found sooner
		page, err = listPage(ctx, qs, opt)
	}
	if total != nil {
		page.Total = total
		*total = max(*total, len(page.Jobs)) // the list is a moment newer
	}
	if page.Jobs == nil {
		page.Jobs = []fsq.JobInfo{}
	}
	return page, err
}

// listPage is fsq.Page with a bound.
func listPage(ctx context.Context, qs []*fsq.Queue, opt fsq.ListOptions) (fsq.JobPage, error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	return fsq.Page(ctx, qs, opt)
}

// total is how many jobs a filter means that asks for states and a queue alone: the scan that
// all share has counted them, and the list need not be read to its end. Else it is nil.
func (d *Dashboard) total(ctx context.Context, f filter) *int {
	other := f.values()
	for _, key := range []string{"state", "queue", "sort", "limit", "after"} {
		other.Del(key)
	}
	if len(other) > 0 {
		return nil
	}
	s := d.snapshot(ctx)
	if s.Err != nil {
		return nil
	}
	n := 0
	for _, st := range fsq.States() {
		if len(f.States) > 0 && !slices.Contains(f.States, st) {
			continue
		}
		for _, q := range s.Queues {
			if f.Queue != "" && f.Queue != q.Name {
				continue
			}
			n += q.View.Counts[st]
			if st == fsq.Pending {
				n += q.Status.Dropped
			}
		}
	}
	return &n
}

func (d *Dashboard) apiJobs(w http.ResponseWriter, r *http.Request) {
	var doc jobsDoc
	err := onlyKeys(r.URL.Query())
	var f filter
	if err == nil {
		f, err = parseFilter(r.URL.Query())
	}
	if err == nil {
		doc.JobPage, err = d.page(r.Context(), f)
		for i, j := range doc.Jobs {
			doc.Jobs[i] = d.shown(j)
		}
		doc.More = doc.Next != ""
	}
	answer(w, doc, err)
}

func (d *Dashboard) apiJob(w http.ResponseWriter, r *http.Request) {
	var j fsq.JobInfo
	q, err := d.find(r.Context(), r.URL.Query().Get("queue"), r.PathValue("id"))
	if err == nil {
		j, err = q.Get(r.Context(), r.PathValue("id"))
	}
	answer(w, d.shown(j), err)
}

func (d *Dashboard) apiExplain(w http.ResponseWriter, r *http.Request) {
	var e fsq.Explanation
	q, err := d.find(r.Context(), r.URL.Query().Get("queue"), r.PathValue("id"))
	if err == nil {
		e, err = q.Explain(r.Context(), r.PathValue("id"))
	}
	answer(w, e, err)
}

type deadDoc struct {
	Jobs     []fsq.JobInfo  `json:"jobs"`
	Rejected []fsq.Rejected `json:"rejected"`
}

func (d *Dashboard) apiDead(w http.ResponseWriter, r *http.Request) {
	qs, err := d.asked(r)
	doc := deadDoc{Jobs: []fsq.JobInfo{}, Rejected: []fsq.Rejected{}}
	for _, q := range qs {
		jobs, rejected, deadErr := q.DeadLetters(r.Context(), maxLimit)
		err = errors.Join(err, deadErr)
		doc.Jobs, doc.Rejected = append(doc.Jobs, jobs...), append(doc.Rejected, rejected...)
	}
	for i, j := range doc.Jobs {
		doc.Jobs[i] = d.shown(j)
	}
	answer(w, doc, err)
}

// shown is a job as it is shown: where nothing may be changed the values of its environment,
// which often are secrets, are not sent.
func (d *Dashboard) shown(i fsq.JobInfo) fsq.JobInfo {
	if !d.opt.ReadOnly || i.Job == nil || len(i.Job.Env) == 0 {
		return i
	}
	j := *i.Job
	j.Env = make(map[string]string, len(i.Job.Env))
	for key := range i.Job.Env {
		j.Env[key] = "…"
	}
	i.Job = &j
	return i
}

func (d *Dashboard) apiDeadGroups(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), listTime)
	defer cancel()
	var doc fsq.DeadGroups
	qs, err := d.asked(r)
	if err == nil {
		doc, err = d.dead.Groups(ctx, qs, readsAtOnce)
	}
	answer(w, doc, err)
}

type queuesDoc struct {
	Queues []fsq.Status `json:"queues"`
}

func (d *Dashboard) apiQueues(w http.ResponseWriter, r *http.Request) {
	s := d.snapshot(r.Context())
	answer(w, queuesDoc{s.statuses()}, onlyIf(len(s.Queues) > 0, s.Err))
}

func (d *Dashboard) apiQueue(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	s := d.snapshot(r.Context())
	q := s.queue(name)
	if q == nil && s.Err != nil {
		answer(w, nil, s.Err)
		return
	}
	if q == nil {
		answer(w, nil, fmt.Errorf("queue %q: %w", name, fsq.ErrNotFound))
		return
	}
	answer(w, q.Status, nil)
}

// settingDoc is a setting as queuectl config list has it.
type settingDoc struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Origin  string `json:"origin"` // queue, spool or default
	Default string `json:"default"`
	Help    string `json:"help"`
}

type settingsDoc struct {
	Settings []settingDoc `json:"settings"`
}

func (d *Dashboard) apiConfig(w http.ResponseWriter, r *http.Request) {
	q, err := d.queue(r.PathValue("name"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	all, err := d.settings(q)
	answer(w, settingsDoc{all}, err)
}

// settings are those that hold for a queue, and where they come from.
func (d *Dashboard) settings(q *fsq.Queue) ([]settingDoc, error) {
	own, err := q.Settings()
	if err != nil {
		return nil, err
	}
	cfg := q.Config()
	var all []settingDoc
	for _, s := range fsq.Settings() {
		doc := settingDoc{Key: s.Key, Value: cfg.Get(s.Key), Origin: "default", Default: s.Default, Help: s.Help}
		if _, is := own[s.Key]; is && q.Name() != fsq.DefaultQueue {
			doc.Origin = "queue"
		} else if is || doc.Value != s.Default {
			doc.Origin = "spool"
		}
		all = append(all, doc)
	}
	return all, nil
}

type workersDoc struct {
	Workers []fsq.WorkerInfo `json:"workers"`
}

func (d *Dashboard) apiWorkers(w http.ResponseWriter, r *http.Request) {
	s := d.snapshot(r.Context())
	answer(w, workersDoc{s.Status.Workers}, onlyIf(len(s.Queues) > 0, s.Err))
}

type versionDoc struct {
	Version      string `json:"version"`
	Spool        string `json:"spool"`
	ReadOnly     bool   `json:"read_only"`
	AllowEnqueue bool   `json:"allow_enqueue"`
}

func (d *Dashboard) apiVersion(w http.ResponseWriter, _ *http.Request) {
	answer(w, versionDoc{d.opt.Version, d.opt.Dir, d.opt.ReadOnly, d.opt.AllowEnqueue && !d.opt.ReadOnly}, nil)
}

const (
	// tailDefault is how much of a stream is sent when nobody says.
	tailDefault = 64 << 10
	// maxTail bounds what is sent of a stream: what a job may write is the spool's to set.
	maxTail = 64 << 20
	// logTime is how long the sending may take over a slow line.
	logTime = 15 * time.Minute
)

// apiLog sends the end of what an attempt has written, as it is: a file to keep, which no
// browser shows or guesses the kind of.
func (d *Dashboard) apiLog(w http.ResponseWriter, r *http.Request) {
	err := d.sendLog(w, r)
	if err != nil {
		writeError(w, statusOfError(err), err)
	}
}

func (d *Dashboard) sendLog(w http.ResponseWriter, r *http.Request) error {
	v := r.URL.Query()
	if err := onlyQuery(r, "queue", "attempt", "tail"); err != nil {
		return err
	}
	stream, ok := map[string]fsq.Stream{"stdout": fsq.Stdout, "stderr": fsq.Stderr}[r.PathValue("stream")]
	if !ok {
		return fmt.Errorf("there are stdout and stderr, and no %s: %w", quote(r.PathValue("stream")), fsq.ErrNotFound)
	}
	attempt, tail := 0, int64(tailDefault)
	var err error
	if s := v.Get("attempt"); s != "" {
		if attempt, err = strconv.Atoi(s); err != nil || attempt < 1 {
			return badf("attempt must be a whole number from 1 up, not %s", quote(s))
		}
	}
	if s := v.Get("tail"); s != "" {
		if tail, err = fsq.ParseSize(s); err != nil || tail < 1 {
			return badf("tail must be a number of bytes, not %s", quote(s))
		}
		if tail > maxTail {
			return badf("tail must be 64MiB at most, not %s", quote(s))
		}
	}
	id := r.PathValue("id")
	q, err := d.find(r.Context(), v.Get("queue"), id)
	if err != nil {
		return err
	}
	f, a, err := q.Log(id, attempt, stream)
	if err != nil {
		return err
	}
	var size int64
	if f != nil {
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		size = info.Size()
	}
	n := min(tail, size)
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.a%d.%s.txt"`, fileName(id), a.Number, r.PathValue("stream")))
	h.Set("Content-Length", strconv.FormatInt(n, 10))
	h.Set("X-Total-Size", strconv.FormatInt(size, 10))
	h.Set("X-Attempt", strconv.Itoa(a.Number))
	_ = http.NewResponseController(w).SetWriteDeadline(d.now().Add(logTime))
	if f != nil && r.Method != http.MethodHead {
		sendTail(w, f, size-n, n)
	}
	return nil
}

// sendTail sends n bytes, and fewer only if the file was cut meanwhile: then the connection
// ends early, and whoever reads sees that.
func sendTail(w io.Writer, f *os.File, from, n int64) {
	_, _ = io.Copy(w, io.NewSectionReader(f, from, n))
}

// fileName is an id as a name that every system takes.
func fileName(id string) string {
	safe := []byte(id)
	for i, c := range safe {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			safe[i] = '_'
		}
	}
	return string(safe)
}
