package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type overview struct {
	frame
	Tiles    []tile
	Notes    []note
	Runs     []row
	Shown    int
	Running  int
	Waiting  int
	NoWorker bool

	Ranges  []choice
	Figures []figure

	Spark   template.HTML
	Through []through
	Queues  []queueLine

	Workers     []workerLine
	Busy, Slots int
	Failures    []failure
	Disk        *diskLine
}

// tile is one state's count.
type tile struct {
	State, Path, Note string
	Count             int
}

// note is something that somebody should look at.
type note struct {
	Key, Title, Text string
	Time             time.Time
	Code             string // what to type
	Path, Link       string
	Bad              bool
}

// choice is a link that chooses how something is shown.
type choice struct {
	Label, Path string
	Current     bool
}

// through is how much ended in the time before now.
type through struct {
	Name         string
	Known        bool
	Done, Failed int
	Rate         string
}

type queueLine struct {
	Name, Path                string
	Paused                    bool
	Limit                     int // 0: none
	BadLimit                  bool
	Due, Later, Running, Dead int
	Oldest                    bool // something is due
	Latency                   float64
}

type workerLine struct {
	fsq.WorkerInfo
	Load float64
}

type failure struct {
	Key, ID, Path, Error string
	At                   time.Time
	Again                bool
}

type diskLine struct {
	Free, Size, FreeInodes, Inodes string
	Used, UsedInodes               float64
	Percent, PercentInodes         string
	UsedClass, InodesClass         string
}

// maxRuns is how many running jobs the overview shows.
const maxRuns = 25

func (d *Dashboard) pageOverview(w http.ResponseWriter, r *http.Request) {
	p := overview{frame: d.frame(w, r, "overview", "Overview")}
	s := p.snap
	for _, ps := range processes(s.View.Workers) {
		p.Workers = append(p.Workers, workerLine{ps.WorkerInfo, load(ps.WorkerInfo)})
		if ps.State != fsq.WorkerLost {
			p.Busy += ps.Busy
			p.Slots += ps.Slots
		}
	}
	p.NoWorker = p.Slots == 0
	p.tiles()
	p.runs(d)
	slices.SortStableFunc(p.Workers, func(a, b workerLine) int {
		return cmp.Or(boolFirst(a.State == fsq.WorkerLost, b.State == fsq.WorkerLost), cmp.Compare(a.Host, b.Host))
	})
	p.notes()
	for _, q := range s.Queues {
		p.Queues = append(p.Queues, lineOf(q))
	}
	for _, f := range s.View.Failures[:min(len(s.View.Failures), 6)] {
		p.Failures = append(p.Failures, failure{
			Key: fmt.Sprintf("%s/%s/%d", f.Queue, f.JobID, f.Attempt), ID: f.JobID, Path: jobPath(f.Queue, f.JobID),
			Error: visible(shorten(cmp.Or(f.Error, f.Outcome), shortText)), At: f.Time, Again: f.Event == fsq.EventRetry,
		})
	}
	p.disk()
	d.history(r.Context(), r.URL.Query().Get("span"), &p)
	d.render(w, http.StatusOK, "overview", p)
}

func boolFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func load(w fsq.WorkerInfo) float64 {
	if w.Slots == 0 {
		return 0
	}
	return float64(w.Busy) / float64(w.Slots)
}

func lineOf(q queueSnapshot) queueLine {
	st := q.Status
	l := queueLine{
		Name: q.Name, Path: "/jobs?" + url.Values{"queue": {q.Name}}.Encode(), Paused: st.Paused != nil,
		Due: st.Pending, Later: st.Scheduled + st.Retrying + st.Held, Running: st.Processing, Dead: st.Dead,
	}
	if st.Limit != nil {
		l.Limit, l.BadLimit = *st.Limit, *st.Limit == 0
	}
	if st.OldestDueSeconds != nil {
		l.Oldest, l.Latency = true, *st.OldestDueSeconds
	}
	return l
}

// countIn is how many jobs of a state there are.
func countIn(st fsq.Status, s fsq.State) int {
	switch s {
	case fsq.Pending:
		return st.Pending
	case fsq.Scheduled:
		return st.Scheduled
	case fsq.Retrying:
		return st.Retrying
	case fsq.Held:
		return st.Held
	case fsq.Processing:
		return st.Processing
	case fsq.Done:
		return st.Done
	case fsq.Dead:
		return st.Dead
	case fsq.Cancelled:
		return st.Cancelled
	}
	return 0
}

func (p *overview) tiles() {
	st := p.snap.Status
	for _, s := range fsq.States() {
		t := tile{State: string(s), Path: "/jobs?state=" + string(s), Count: countIn(st, s)}
		switch s {
		case fsq.Pending:
			t.Note = "nothing is due"
			if st.OldestDueSeconds != nil {
				t.Note = "oldest " + spanOf(*st.OldestDueSeconds)
			}
		case fsq.Scheduled:
			if st.NextDueAt != nil {
				t.Note = "next " + relative(*st.NextDueAt, p.Now)
			}
		case fsq.Processing:
			t.Note = "of " + plural(p.Slots, "slot")
		case fsq.Done:
			t.Note = thousands(sum(p.snap.View.Ended, 60)) + " last minute"
		case fsq.Dead:
			if n := sum(p.snap.View.Failed, fsq.LiveSeconds); n > 0 {
				t.Note = thousands(n) + " failed in 5 min"
			}
		}
		p.Tiles = append(p.Tiles, t)
	}
	p.Waiting = st.Pending + st.Scheduled + st.Retrying
}

// sum adds up the newest of the values.
func sum(values []int, newest int) (n int) {
	for _, v := range values[max(len(values)-newest, 0):] {
		n += v
	}
	return n
}

func (p *overview) runs(d *Dashboard) {
	running := slices.Clone(p.snap.View.Running)
	p.Running = len(running)
	slices.SortStableFunc(running, func(a, b fsq.JobInfo) int {
		if a.StartedAt == nil || b.StartedAt == nil {
			return boolFirst(a.StartedAt != nil, b.StartedAt != nil)
		}
		return a.StartedAt.Compare(*b.StartedAt)
	})
	lost := map[string]bool{}
	for _, w := range p.snap.View.Workers {
		lost[w.ID] = w.State == fsq.WorkerLost
	}
	for _, j := range running[:min(len(running), maxRuns)] {
		j.WorkerLost = j.WorkerLost || lost[j.Worker]
		p.Runs = append(p.Runs, d.row(j, p.Now, p.several(), timeoutOf(j, p.config(j.Queue))))
	}
	p.Shown = len(p.Runs)
}

// config is how a queue is set up.
func (f *frame) config(queue string) fsq.Config {
	if q := f.snap.queue(queue); q != nil {
		return q.Config
	}
	return fsq.DefaultConfig()
}

// notes gathers what somebody should look at, the worst first.
func (p *overview) notes() {
	s := p.snap
	for _, w := range processes(s.View.Workers) {
		if w.State == fsq.WorkerLost || w.State == fsq.WorkerSilent {
			p.Notes = append(p.Notes, note{
				Key: "worker-" + w.ID, Bad: w.State == fsq.WorkerLost, Title: fmt.Sprintf("Worker %s (pid %d) is %s.", visible(w.Host), w.PID, w.State),
				Text: sentenceCase(w.Error) + heldJobs(w.Busy) + ".", Path: "/workers", Link: "Workers",
			})
		}
	}
	if p.NoWorker && p.Waiting > 0 {
		p.Notes = append(p.Notes, note{Key: "no-worker", Bad: true, Title: "Nobody takes jobs:", Text: plural(p.Waiting, "job") + " wait, and no worker runs.", Code: "queuectl worker start"})
	}
	for _, q := range s.Queues {
		if pause := q.Status.Paused; pause != nil {
			p.Notes = append(p.Notes, pauseNote(q.Name, pause))
		}
	}
	st := s.Status
	if st.Unfinished > 0 {
		p.Notes = append(p.Notes, note{Key: "unfinished", Title: plural(st.Unfinished, "dropped file") + " cannot be read so far.", Code: "queuectl list --state pending"})
	}
	if st.Rejected > 0 {
		p.Notes = append(p.Notes, note{Key: "rejected", Title: plural(st.Rejected, "dropped file") + " was no job.", Path: "/dead", Link: "Rejected files"})
		if st.Rejected > 1 {
			p.Notes[len(p.Notes)-1].Title = plural(st.Rejected, "dropped file") + " were no jobs."
		}
	}
	if d := s.Disk; d != nil && d.Bytes > 0 && float64(d.FreeBytes) < .05*float64(d.Bytes) {
		p.Notes = append(p.Notes, note{Key: "disk", Bad: true, Title: "The disk is nearly full:", Text: sizeOf(d.FreeBytes) + " are free.", Code: "queuectl prune"})
	}
	slices.SortStableFunc(p.Notes, func(a, b note) int { return boolFirst(a.Bad, b.Bad) })
}

func pauseNote(queue string, pause *fsq.Pause) note {
	n := note{Key: "paused-" + queue, Title: "Queue " + queue + " is paused.", Text: pause.Reason, Path: "/queues", Link: "Resume"}
	if pause.By != "" {
		n.Text = strings.TrimSpace(n.Text + " (" + pause.By + ")")
	}
	if n.Text != "" {
		n.Text += "."
	}
	if !pause.Until.IsZero() {
		n.Text, n.Time = strings.TrimSpace(n.Text+" It goes on"), pause.Until
	}
	return n
}

func heldJobs(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "; it has a job still"
	}
	return fmt.Sprintf("; it has %d jobs still", n)
}

func (p *overview) disk() {
	d := p.snap.Disk
	if d == nil || d.Bytes == 0 {
		return
	}
	class := func(used float64) string {
		if used > .9 {
			return "over"
		}
		return ""
	}
	l := &diskLine{Free: sizeOf(d.FreeBytes), Size: sizeOf(d.Bytes), Used: 1 - float64(d.FreeBytes)/float64(d.Bytes)}
	l.UsedClass, l.Percent = class(l.Used), percent(l.Used)
	if d.Inodes > 0 {
		l.Inodes, l.FreeInodes, l.UsedInodes = thousands(int(d.Inodes)), thousands(int(d.FreeInodes)), 1-float64(d.FreeInodes)/float64(d.Inodes)
		l.InodesClass, l.PercentInodes = class(l.UsedInodes), percent(l.UsedInodes)
	}
	p.Disk = l
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// spans are the lengths of time that the graphs show.
var spans = []struct {
	name, label string
	span        time.Duration
}{
	{"hour", "Hour", time.Hour}, {"day", "Day", 24 * time.Hour}, {"week", "Week", 7 * 24 * time.Hour}, {"month", "Month", 30 * 24 * time.Hour},
}

// history adds what ended in the past: the graphs, and the throughput.
func (d *Dashboard) history(ctx context.Context, span string, p *overview) {
	chosen := spans[0]
	for _, s := range spans {
		if s.name == span {
			chosen = s
		}
	}
	for _, s := range spans {
		c := choice{Label: s.label, Path: "/?span=" + s.name, Current: s.name == chosen.name}
		p.Ranges = append(p.Ranges, c)
	}
	v := p.snap.View
	p.Spark = sparkline(v.Ended, v.Failed, 30)
	p.Through = []through{throughOf("Last minute", true, sum(v.Ended, 60), sum(v.Failed, 60)), {Name: "Last hour"}, {Name: "Last day"}}
	qs, err := d.queues()
	if err != nil || len(qs) == 0 {
		return
	}
	history := func(span time.Duration) fsq.History {
		// What has just ended is in the view: a graph may be some seconds older.
		h, err := share(&d.shared, "history "+span.String(), 0, p.Now, func() (fsq.History, error) { return fsq.HistoryOf(ctx, span, 0, qs...) })
		if err != nil {
			p.Problem = cmp.Or(p.Problem, err.Error())
		}
		return h
	}
	p.Through[1], p.Through[2] = throughIn("Last hour", history(time.Hour), v), throughIn("Last day", history(24*time.Hour), v)
	if h := history(chosen.span); len(h.Points) > 0 {
		p.Figures = figures(h)
	}
}
func throughOf(name string, known bool, done, failed int) through {
	t := through{Name: name, Known: known, Done: done, Failed: failed}
	if failed > 0 {
		t.Rate = fmt.Sprintf("%.2g %%", 100*float64(failed)/float64(done+failed))
	}
	return t
}

// throughIn adds up a history. What was seen to end counts also while it is not written
// there.
func throughIn(name string, h fsq.History, v fsq.LiveView) through {
	t := through{Name: name}
	done, failed := 0, 0
	for _, p := range h.Points {
		if p.Ended != nil {
			t.Known = true
			done += p.Ended.Done
			failed += p.Ended.FailedAttempts
		}
	}
	seen, seenFailed := sum(v.Ended, fsq.LiveSeconds), sum(v.Failed, fsq.LiveSeconds)
	return throughOf(name, t.Known || seen+seenFailed > 0, max(done, seen), max(failed, seenFailed))
}

// figures are the graphs of a history; none if nothing is known.
func figures(h fsq.History) []figure {
	n := len(h.Points)
	series := func(name, class string, value func(fsq.HistoryPoint) float64) graphSeries {
		s := graphSeries{Name: name, Class: class, Values: make([]float64, n)}
		for i, p := range h.Points {
			s.Values[i] = value(p)
		}
		return s
	}
	unknown := math.NaN()
	ended := func(count func(*fsq.Ended) int) func(fsq.HistoryPoint) float64 {
		return func(p fsq.HistoryPoint) float64 {
			if p.Ended == nil {
				return unknown
			}
			return float64(count(p.Ended))
		}
	}
	depth := func(count func(*fsq.Depth) float64) func(fsq.HistoryPoint) float64 {
		return func(p fsq.HistoryPoint) float64 {
			if p.Depth == nil {
				return unknown
			}
			return count(p.Depth)
		}
	}
	spread := func(of func(fsq.HistoryPoint) *fsq.Spread, value func(*fsq.Spread) float64) func(fsq.HistoryPoint) float64 {
		return func(p fsq.HistoryPoint) float64 {
			if s := of(p); s != nil {
				return value(s)
			}
			return unknown
		}
	}
	count := func(v float64) string {
		if math.IsNaN(v) {
			return "–"
		}
		return thousands(int(math.Round(v)))
	}
	length := func(v float64) string {
		if math.IsNaN(v) {
			return "–"
		}
		return spanOf(v)
	}
	step := time.Duration(h.StepSeconds) * time.Second
	quantiles := func(of func(fsq.HistoryPoint) *fsq.Spread) []graphSeries {
		return []graphSeries{
			series("p50", "l1", spread(of, func(s *fsq.Spread) float64 { return s.P50 })),
			series("p95", "l2", spread(of, func(s *fsq.Spread) float64 { return s.P95 })),
			series("p99", "l3", spread(of, func(s *fsq.Spread) float64 { return s.P99 })),
		}
	}
	return []figure{
		graph{Title: "Ended in each " + stepWord(step), Start: h.Since, Step: step, Bars: true, Format: count, Series: []graphSeries{
			series("done", "b-done", ended(func(e *fsq.Ended) int { return e.Done })),
			series("failed attempts", "b-failed", ended(func(e *fsq.Ended) int { return e.FailedAttempts })),
		}}.draw("ended"),
		graph{Title: "Depth", Start: h.Since, Step: step, Format: count, Series: []graphSeries{
			series("due", "l1", depth(func(d *fsq.Depth) float64 { return d.Pending })),
			series("for later", "l2", depth(func(d *fsq.Depth) float64 { return d.Scheduled })),
			series("run", "l3", depth(func(d *fsq.Depth) float64 { return d.Processing })),
		}}.draw("depth"),
		graph{Title: "Wait", Start: h.Since, Step: step, Log: true, Format: length, Tick: axisSpan, Series: quantiles(func(p fsq.HistoryPoint) *fsq.Spread { return p.Wait })}.draw("wait"),
		graph{Title: "Run time", Start: h.Since, Step: step, Log: true, Format: length, Tick: axisSpan, Series: quantiles(func(p fsq.HistoryPoint) *fsq.Spread { return p.Run })}.draw("run"),
	}
}

// stepWord is what a step is called behind "each".
func stepWord(step time.Duration) string {
	switch step {
	case time.Minute:
		return "minute"
	case time.Hour:
		return "hour"
	}
	return spanOf(step.Seconds())
}

// axisSpan is a rung beside an axis, where there is little room.
func axisSpan(seconds float64) string {
	switch {
	case seconds < .9:
		return fmt.Sprintf("%.3g ms", seconds*1000)
	case seconds < 59:
		return fmt.Sprintf("%.0f s", seconds)
	case seconds < 3599:
		return fmt.Sprintf("%.0f min", seconds/60)
	case seconds < 86399:
		return fmt.Sprintf("%.0f h", seconds/3600)
	}
	return fmt.Sprintf("%.0f d", seconds/86400)
}
