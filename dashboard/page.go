package dashboard

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/queuectl/queuectl/fsq"
)

//go:embed templates
var templateFiles embed.FS

// pages are the templates, each with its own "main" in the common layout. They are read
// when a page is shown for the first time.
type pages struct {
	once sync.Once
	all  map[string]*template.Template
	err  error
}

func (d *Dashboard) template(page string) (*template.Template, error) {
	d.pages.once.Do(func() { d.pages.all, d.pages.err = d.parseTemplates() })
	return d.pages.all[page], d.pages.err
}

func (d *Dashboard) parseTemplates() (map[string]*template.Template, error) {
	funcs := template.FuncMap{
		"url": d.url, "icon": icon, "n": thousands, "span": spanOf, "visible": visible, "meter": meter, "stamp": stamp, "plural": plural,
		"known": func(at time.Time) bool { return !at.IsZero() },
		"ago":   func(at time.Time) template.HTML { return timeHTML(at, relative(at, d.now()), "rel") },
		"at": func(at time.Time) template.HTML {
			return timeHTML(at, at.UTC().Format("2006-01-02 15:04:05")+" UTC", "full")
		},
		"clock": func(at time.Time) template.HTML { return timeHTML(at, at.UTC().Format("15:04:05"), "clock") },
		"tick": func(at time.Time) template.HTML {
			if d.now().Sub(at) > 25*time.Hour {
				return timeHTML(at, at.UTC().Format("Jan 2 15:04"), "day")
			}
			return timeHTML(at, at.UTC().Format("15:04"), "tick")
		},
	}
	all := map[string]*template.Template{}
	for _, page := range []string{"overview", "jobs", "job", "dead", "queues", "workers", "message"} {
		t, err := template.New(page).Funcs(funcs).ParseFS(templateFiles, "templates/layout.html", "templates/"+page+".html")
		if err != nil {
			return nil, err
		}
		all[page] = t
	}
	t, err := template.New("bare").Funcs(funcs).ParseFS(templateFiles, "templates/bare.html")
	all["bare"] = t
	return all, err
}

// frame is what all pages have around them.
type frame struct {
	Page, Title string
	Fragment    bool // only what may have changed is wanted, not what is always the same
	Assets      string
	Nav         []navItem
	Spool       string
	Now         time.Time
	Cost        string // of the scan
	Polled      bool
	Problem     string
	ReadOnly    bool
	LogOut      bool // somebody has logged in
	Flash       *flash
	Back        string    // the page itself, below the base path: where a form leads back to
	AsOf        time.Time // of the snapshot
	Data        uint64    // its version
	snap        *snapshot
}

type navItem struct {
	Label, Rest string // where there is room for it
	Path        string
	Current     bool
	Count, Of   string
	Bad         bool
}

// frame looks at the queues, and takes the message of the last action.
func (d *Dashboard) frame(w http.ResponseWriter, r *http.Request, page, title string) frame {
	s := d.snapshot(r.Context())
	f := frame{
		Page: page, Title: title, Fragment: r.Header.Get("X-Fragment") != "", Assets: staticVersion(),
		Spool: d.opt.Dir, Now: d.now(), Cost: spanOf(s.Cost.Seconds()), Polled: s.Polled,
		ReadOnly: d.opt.ReadOnly, Back: strings.TrimPrefix(r.URL.RequestURI(), d.base), AsOf: s.At, Data: s.Version, snap: s,
	}
	if _, err := r.Cookie(d.cookie); err == nil && d.usesTokens() {
		f.LogOut = true
	}
	if s.Err != nil {
		f.Problem = strings.ReplaceAll(s.Err.Error(), "\n", "; ")
	}
	if !f.Fragment {
		f.Flash = d.takeFlash(w, r)
	}
	lost, alive := 0, 0
	for _, wk := range processes(s.View.Workers) {
		if wk.State == fsq.WorkerLost {
			lost++
		} else {
			alive++
		}
	}
	f.Nav = []navItem{
		{Label: "Overview", Path: "/"},
		{Label: "Jobs", Path: "/jobs"},
		{Label: "Dead", Rest: "letters", Path: "/dead", Count: countOf(s.Status.Dead), Of: "dead", Bad: true},
		{Label: "Queues", Path: "/queues", Count: countOf(len(s.View.PausedQueues)), Of: "paused"},
		{Label: "Workers", Path: "/workers", Count: countOf(alive), Of: "alive"},
	}
	if lost > 0 {
		f.Nav[4].Count, f.Nav[4].Of, f.Nav[4].Bad = countOf(lost), "lost", true
	}
	for i := range f.Nav {
		p := f.Nav[i].Path
		f.Nav[i].Current = "/"+page == p || page == "overview" && p == "/" || page == "job" && p == "/jobs"
	}
	return f
}

func countOf(n int) string {
	if n == 0 {
		return ""
	}
	return thousands(n)
}

// several reports whether it has to be said which queue a job is in.
func (f *frame) several() bool { return len(f.snap.Queues) > 1 }

// render writes a page. What fails while it is made is told instead of half a page.
func (d *Dashboard) render(w http.ResponseWriter, status int, page string, data any) {
	var out bytes.Buffer
	t, err := d.template(page)
	if err == nil {
		err = t.ExecuteTemplate(&out, "page", data)
	}
	if err != nil {
		d.opt.Log.Error("a page cannot be shown", "page", page, "error", err)
		http.Error(w, "this page cannot be shown: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "X-Fragment")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}

// bare is a page for who was not let in.
type bare struct {
	Assets, Title, Text string
	Login, Wrong        bool
	Next                string
}

// message is a page that only says something.
type message struct {
	frame
	Heading, Text string
	Jobs          []jobLink // that may be meant
}

// pageError is the page for whoever asked for something that there is not, or that failed.
func (d *Dashboard) pageError(w http.ResponseWriter, r *http.Request, status int, problem string, jobs ...jobLink) {
	if !visitorOf(r.Context()).known {
		// Who was not let in sees nothing of the spool, not even how many jobs there are.
		d.render(w, status, "bare", bare{Assets: staticVersion(), Title: http.StatusText(status), Text: sentenceCase(problem) + "."})
		return
	}
	m := message{frame: d.frame(w, r, "message", http.StatusText(status)), Heading: http.StatusText(status), Text: problem}
	m.Jobs = jobs
	if status == http.StatusNotFound {
		m.Heading = "There is no such thing"
	}
	m.Title = m.Heading
	d.render(w, status, "message", m)
}

// fail is pageError for what a library said.
func (d *Dashboard) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	var ambiguous *ambiguousError
	var jobs []jobLink
	switch {
	case errors.Is(err, errGone):
		status = http.StatusServiceUnavailable
	case errors.Is(err, fsq.ErrNotFound):
		status = http.StatusNotFound
	case errors.As(err, &ambiguous):
		status = http.StatusConflict
		for _, q := range ambiguous.in {
			jobs = append(jobs, jobLink{visible(ambiguous.id) + " of " + q.Name(), jobPath(q.Name(), ambiguous.id)})
		}
	}
	d.pageError(w, r, status, err.Error(), jobs...)
}

// pageLogin asks for the token; next is where to go then, wrong that one was refused.
func (d *Dashboard) pageLogin(w http.ResponseWriter, _ *http.Request, next string, wrong bool) {
	d.render(w, http.StatusUnauthorized, "bare", bare{Assets: staticVersion(), Title: "Log in", Login: true, Next: next, Wrong: wrong})
}

// act is a button for one thing that can be done.
type act struct {
	Label, Path, Back string
	Of                string // what it is about, where the label alone does not say
	Ask               string // the question before it; "": none
	Danger            bool
	Why               string            // it cannot be done, because of this
	Fields            map[string]string // of the plain form
	Body              string            // what app.js sends instead, if that is not the same
}

// jobPath is where a job's page is.
func jobPath(queue, id string) string {
	p := "/jobs/" + url.PathEscape(id)
	if queue != "" { // also the default one: another may have the id as well
		p += "?" + url.Values{"queue": {queue}}.Encode()
	}
	return p
}

// callPath is where something is done to a job, or a part of it is.
func callPath(queue, id string, parts ...string) string {
	return "/api/v1/jobs/" + url.PathEscape(id) + "/" + strings.Join(parts, "/") + "?" + url.Values{"queue": {queue}}.Encode()
}

// icons are shapes, so that no state is told by its colour alone.
var icons = map[string]template.HTML{
	"pending":    `<circle cx="8" cy="8" r="5.2"/>`,
	"scheduled":  `<circle cx="8" cy="8" r="6"/><path d="M8 4.6V8l2.4 1.6"/>`,
	"retrying":   `<path d="M13.4 8a5.4 5.4 0 1 1-1.7-3.9M13.6 1.8v3.4h-3.4"/>`,
	"held":       `<path d="M5.5 3.5v9M10.5 3.5v9"/>`,
	"processing": `<path d="M5 3.2v9.6L12.6 8z" fill="currentColor"/>`,
	"done":       `<path d="M2.8 8.6l3.4 3.4 7-7.6"/>`,
	"dead":       `<path d="M3.8 3.8l8.4 8.4M12.2 3.8l-8.4 8.4"/>`,
	"cancelled":  `<circle cx="8" cy="8" r="5.8"/><path d="M4 12l8-8"/>`,
	"silent":     `<path d="M8 2.5v7M8 13v.2"/>`,
	"ascending":  `<path d="M8 13V3.5M4 7l4-4 4 4"/>`,
	"descending": `<path d="M8 3v9.5M4 9l4 4 4-4"/>`,
}

func init() {
	icons["alive"], icons["stopping"], icons["lost"] = icons["done"], icons["held"], icons["dead"]
}

func icon(name any) template.HTML {
	shape := icons[fmt.Sprint(name)]
	if shape == "" {
		return ""
	}
	return `<svg class="ic" viewBox="0 0 16 16" aria-hidden="true">` + shape + `</svg>`
}

// timeHTML is a moment: what it reads as, and the whole of it behind that.
func timeHTML(at time.Time, text, kind string) template.HTML {
	if at.IsZero() {
		return "–"
	}
	at = at.UTC()
	return template.HTML(`<time datetime="` + stamp(at) + `" data-t="` + kind + `" title="` + at.Format("2006-01-02 15:04:05 UTC") + `">` + template.HTMLEscapeString(text) + `</time>`)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// relative is how long ago a moment was, or how far off it is. app.js counts on likewise.
func relative(at, now time.Time) string {
	d := now.Sub(at)
	s := roughly(d.Abs())
	switch {
	case d.Abs() < time.Second:
		return "now"
	case d < 0:
		return "in " + s
	}
	return s + " ago"
}

// roughly is to the nearest: nobody is to wait an hour more than was said.
func roughly(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	switch m := int(d.Round(time.Minute) / time.Minute); {
	case m < 60:
		return fmt.Sprintf("%d min", m)
	case m < 48*60:
		return two(m/60, "h", m%60, "min")
	}
	return fmt.Sprintf("%d d", d.Round(24*time.Hour)/(24*time.Hour))
}

// spanOf is a length of time in as few words as tell it.
func spanOf(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 0:
		return "0 s"
	case d < time.Millisecond:
		return "<1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', -1, 64) + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return two(int(d/time.Minute), "min", int(d%time.Minute/time.Second), "s")
	case d < 48*time.Hour:
		return two(int(d/time.Hour), "h", int(d%time.Hour/time.Minute), "min")
	}
	return two(int(d/(24*time.Hour)), "d", int(d%(24*time.Hour)/time.Hour), "h")
}

func two(a int, of string, b int, rest string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, of)
	}
	return fmt.Sprintf("%d %s %d %s", a, of, b, rest)
}

// thousands writes a count with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + one + "s"
}

// sizeOf is a number of bytes, to be read and not to be counted with.
func sizeOf(n int64) string {
	f, unit := float64(n), 0
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	for f >= 1024 && unit < len(units)-1 {
		f, unit = f/1024, unit+1
	}
	if unit > 0 && f < 10 {
		return fmt.Sprintf("%.1f %s", f, units[unit])
	}
	return fmt.Sprintf("%.0f %s", f, units[unit])
}

// How much of a text is shown in a row, and how much can be unfolded there.
const (
	shortText = 160
	longText  = 4 << 10
)

// shorten cuts a text to some characters.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	n := 0
	for i := range s {
		if n == most {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// row is a job as lists show it.
type row struct {
	fsq.JobInfo
	Key, Path string
	ShowQueue bool

	Command, Short string // made visible
	Long           bool   // Command can be unfolded
	Running        bool
	Since          time.Time
	Elapsed        float64
	TimeoutSeconds float64 // 0: none
	Share          float64
	BarClass       string
	Progress       string
	Percent        float64 // of 1; -1: not told
	Wait, Run      float64
	When           time.Time
	WhenLabel      string
	Detail         string
	DetailBad      bool
	Tags           []tagLink
}

type tagLink struct{ Tag, Path string }

// row composes what is shown of a job. Several says that its queue is to be named.
func (d *Dashboard) row(i fsq.JobInfo, now time.Time, several bool, timeout time.Duration) row {
	r := row{JobInfo: i, Key: i.Queue + "/" + i.ID, Path: jobPath(i.Queue, i.ID), ShowQueue: several, Percent: -1}
	if i.Command != nil {
		whole := i.Command.String()
		r.Command = visible(shorten(whole, longText))
		r.Short = strings.Join(strings.Fields(shorten(r.Command, shortText)), " ")
		r.Long = utf8.RuneCountInString(r.Command) > 110 || strings.Contains(r.Command, "\n")
	}
	for _, t := range i.Tags {
		r.Tags = append(r.Tags, tagLink{t, "/jobs?" + url.Values{"tag": {t}}.Encode()})
	}
	if i.WaitSeconds != nil && i.State != fsq.Processing {
		r.Wait = *i.WaitSeconds
	}
	if i.DurationSeconds != nil {
		r.Run = *i.DurationSeconds
	}
	switch {
	case i.State == fsq.Processing && i.StartedAt != nil:
		r.runs(*i.StartedAt, now, timeout)
		r.WhenLabel = "runs"
	case i.EndedAt != nil:
		r.When, r.WhenLabel = *i.EndedAt, "ended"
	case i.DueAt != nil:
		r.When, r.WhenLabel = *i.DueAt, "due"
	}
	r.detail()
	return r
}

func (r *row) runs(since, now time.Time, timeout time.Duration) {
	r.Running, r.Since = true, since
	r.Elapsed = max(now.Sub(since).Seconds(), 0)
	if timeout > 0 {
		r.TimeoutSeconds = timeout.Seconds()
		r.Share = r.Elapsed / r.TimeoutSeconds
		if r.Share > .8 {
			r.BarClass = "over"
		}
	}
	if p := r.JobInfo.Progress; p != nil {
		r.Progress = shorten(p.String(), 80)
		if p.Percent != nil {
			r.Percent = *p.Percent / 100
		}
	}
}

// detail is how far the job is, or what went wrong the last time.
func (r *row) detail() {
	i := r.JobInfo
	text := ""
	switch {
	case i.WorkerLost:
		text, r.DetailBad = "its worker is dead", true
	case i.Dropped:
		text = "a file that no worker has adopted yet"
	case r.Running && r.Progress != "":
		text = r.Progress
	case r.Running:
		text = i.Worker
	case i.State != fsq.Done && i.Error != "" && i.LastOutcome == string(fsq.OutcomeSnoozed):
		text = "snoozed: " + i.Error
	case i.HeldBy == fsq.HeldByArray:
		text = "waits for its array"
	case i.State != fsq.Done && i.Error != "":
		text, r.DetailBad = i.Error, i.State != fsq.Cancelled
	case i.State != fsq.Done && i.Outcome != "":
		text = i.Outcome
	}
	r.Detail = visible(shorten(text, shortText))
}

// timeoutOf is how long an attempt may run: what the job says, else the queue.
func timeoutOf(i fsq.JobInfo, cfg fsq.Config) time.Duration {
	if i.Job != nil && (i.Job.TimeoutSet || i.Job.Timeout > 0) {
		return i.Job.Timeout
	}
	return cfg.Timeout
}
