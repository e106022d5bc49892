package dashboard

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type jobPage struct {
	frame
	Job                     fsq.JobInfo
	State                   string
	ShowQueue               bool
	Why                     string
	Acts                    []act
	SetPath                 string // where priority and time are changed; "": they cannot be
	Signal                  string // where it is sent a signal; "": it does not run
	Command                 string
	NoCommand               string
	All                     string // where all of the job is, as JSON
	CommandCut, DocumentCut bool
	Logs                    []logPane
	Tailing                 bool // it writes while one looks
	Result                  string
	Document                string
	Env                     []keyValue
	Timeline                []moment
	Facts                   []fact
	Tags                    []tagLink
}

type logPane struct {
	Stream  string
	Attempt int
	Running bool
	Note    string
	HTML    template.HTML
	Empty   string // what is said instead
	Raw     string // where all of it is
	Size    string
}

type keyValue struct{ Key, Value string }

type fact struct {
	Key, Value, Path string
	Time             time.Time
}

// moment is an entry of the timeline.
type moment struct {
	Key, Class, Title, Text, Error string
	Path                           string // of the page that shows the output of the attempt
	At                             time.Time
	Since                          time.Time // it lasts
	Due                            time.Time // of an attempt
	Elapsed, TimeoutSeconds, Share float64
	BarClass                       string
}

// tailBytes is how much of an output is shown: some hundreds of lines.
const tailBytes = 64 << 10

func (d *Dashboard) pageJob(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	q, err := d.find(r.Context(), r.URL.Query().Get("queue"), id)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	i, err := q.Get(r.Context(), id)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	title := visible(i.ID)
	p := jobPage{frame: d.frame(w, r, "job", title), Job: d.shown(i), State: string(i.State), NoCommand: "This file is no job so far."}
	p.ShowQueue, p.All = p.several(), "/api/v1/jobs/"+url.PathEscape(i.ID)+"?"+url.Values{"queue": {i.Queue}}.Encode()
	if i.Error != "" && i.Dropped {
		p.NoCommand = visible(i.Error)
	}
	if x, err := q.Explain(r.Context(), id); err == nil {
		p.Why = why(x, p.Now)
	}
	if i.Command != nil {
		p.Command, p.CommandCut = cutText(visible(i.Command.String()))
	}
	for _, t := range i.Tags {
		p.Tags = append(p.Tags, tagLink{t, "/jobs?" + url.Values{"tag": {t}}.Encode()})
	}
	p.acts()
	attempt, _ := strconv.Atoi(r.URL.Query().Get("attempt"))
	for _, stream := range []fsq.Stream{fsq.Stdout, fsq.Stderr} {
		p.Logs = append(p.Logs, p.log(q, attempt, stream))
	}
	p.Tailing = i.State == fsq.Processing
	p.result()
	if err := p.document(); err != nil {
		d.opt.Log.Warn("a job's document cannot be shown", "job", i.ID, "error", err)
	}
	p.timeline(q)
	p.facts(q)
	d.render(w, http.StatusOK, "job", p)
}

// maxText bounds how much of a command or a document is shown: what nobody reads is not
// sent again and again.
const maxText = 64 << 10

func cutText(s string) (shown string, cut bool) {
	if len(s) <= maxText {
		return s, false
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…", true
}

// why says in a sentence why the job is where it is.
func why(x fsq.Explanation, now time.Time) string {
	at := func(t *time.Time) string {
		if t == nil {
			return "some time"
		}
		return relative(*t, now)
	}
	switch x.Reason {
	case fsq.ReasonDropped:
		return "A dropped file that no worker has taken in yet. A worker does so when nobody writes to it any more."
	case fsq.ReasonHeld:
		return "It is held: it waits until somebody releases it."
	case fsq.ReasonArray:
		return "It waits for a turn of its array, of which only so many may run at a time."
	case fsq.ReasonScheduled:
		return "It waits for its time, " + at(x.DueAt) + "."
	case fsq.ReasonRetry:
		return fmt.Sprintf("Attempt %d of %d is due %s.", x.Attempts+1, x.MaxAttempts, at(x.DueAt))
	case fsq.ReasonSnoozed:
		return fmt.Sprintf("It asked for a later try, due %s. That costs no retry; it has asked %d of %d times.", at(x.DueAt), x.Snoozed, x.SnoozeMax)
	case fsq.ReasonPaused:
		return "It is due, but its queue is paused." + ahead(x)
	case fsq.ReasonLimit:
		if *x.Limit == 0 {
			return "It is due, but the limit of its queue cannot be read: none of its jobs is started."
		}
		return fmt.Sprintf("It is due, but its queue may run %s at a time, and %d run.", plural(*x.Limit, "job"), x.Running) + ahead(x)
	case fsq.ReasonNoWorker:
		return "It is due, but no worker runs. Start one: queuectl worker start"
	case fsq.ReasonAllBusy:
		return fmt.Sprintf("It is due, but all %s are busy.", plural(x.Slots, "slot")) + ahead(x)
	case fsq.ReasonNext:
		return "It is due, and a slot is free." + ahead(x)
	case fsq.ReasonRunning:
		if x.Attempts >= x.MaxAttempts {
			return fmt.Sprintf("It runs on %s: attempt %d of %d, the last one.", x.Host, x.Attempts, x.MaxAttempts)
		}
		return fmt.Sprintf("It runs on %s: attempt %d of %d.", x.Host, x.Attempts, x.MaxAttempts)
	case fsq.ReasonOrphaned:
		return "Its worker is dead (" + x.WorkerError + "). Another worker puts it back, and it runs again; that costs no retry."
	case fsq.ReasonDone:
		return fmt.Sprintf("It succeeded %s, at attempt %d of %d.", at(x.EndedAt), x.Attempts, x.MaxAttempts)
	case fsq.ReasonFatal:
		return fmt.Sprintf("It was given up %s: attempt %d said that retries are of no use.", at(x.EndedAt), x.Attempts)
	case fsq.ReasonLost:
		return fmt.Sprintf("It was given up %s: it has lost its worker %d times.", at(x.EndedAt), x.Lost)
	case fsq.ReasonCancelled:
		return "It was cancelled " + at(x.EndedAt) + "."
	case fsq.ReasonBuried:
		return "Somebody has moved it to the dead letters by hand."
	}
	return fmt.Sprintf("It was given up %s: it has failed %d of %d times.", at(x.EndedAt), x.Attempts, x.MaxAttempts)
}

func ahead(x fsq.Explanation) string {
	if x.Ahead == 0 {
		return " It is the next one."
	}
	return " " + plural(x.Ahead, "job") + " before it."
}

// acts are what can be done to the job, and why not.
func (p *jobPage) acts() {
	i := p.Job
	if p.ReadOnly {
		return
	}
	of := "job " + visible(shorten(i.ID, 80))
	waits := i.State == fsq.Pending || i.State == fsq.Scheduled || i.State == fsq.Retrying || i.State == fsq.Held
	runs := i.State == fsq.Processing
	ended := i.State == fsq.Dead || i.State == fsq.Cancelled
	add := func(a act) {
		if i.Dropped {
			a.Why = "No worker has taken this file in yet"
		}
		a.Of, a.Back = i.ID, p.Back
		a.Path = callPath(i.Queue, i.ID, strings.ReplaceAll(strings.ToLower(a.Label), " ", "-"))
		p.Acts = append(p.Acts, a)
	}
	switch {
	case waits:
		now := act{Label: "Run now"}
		if i.State == fsq.Pending {
			now.Why = "It is due already"
		}
		add(now)
		if i.State == fsq.Held {
			release := act{Label: "Release"}
			if i.HeldBy == fsq.HeldByArray {
				release.Why = "It waits for a turn of its array"
			}
			add(release)
		} else {
			add(act{Label: "Hold"})
		}
	case runs:
		// Retry and delete are for jobs that have ended.
	default:
		retry := act{Label: "Retry"}
		if !ended {
			retry.Why = "It succeeded: enqueue it again instead"
		}
		add(retry)
	}
	cancel := act{Label: "Cancel", Danger: true, Ask: "Cancel " + of + "? It does not run any more."}
	if i.Attempts == 0 {
		cancel.Ask = "Cancel " + of + "? It will not run."
	}
	if runs {
		cancel.Ask = "Cancel " + of + "? It is stopped while it runs: SIGTERM, then SIGKILL."
	}
	if !waits && !runs {
		cancel.Why = "It has ended already"
	}
	add(cancel)
	del := act{Label: "Delete", Danger: true, Ask: "Delete " + of + " with its output and records? Nothing brings it back."}
	if runs {
		del.Why = "It runs: cancel it first"
	}
	add(del)
	p.Acts[len(p.Acts)-1].Back = "/jobs" // there is no page of it then
	if runs {
		p.Signal = callPath(i.Queue, i.ID, "signal")
	}
	if waits && !i.Dropped {
		p.SetPath = callPath(i.Queue, i.ID, "set")
	}
}

// log is the end of what an attempt has written.
func (p *jobPage) log(q *fsq.Queue, attempt int, stream fsq.Stream) logPane {
	name := "stdout"
	if stream == fsq.Stderr {
		name = "stderr"
	}
	l := logPane{Stream: name, Empty: "It has not run yet."}
	f, a, err := q.Log(p.Job.ID, attempt, stream)
	if err != nil {
		l.Empty = visible(err.Error())
		return l
	}
	l.Attempt, l.Running = a.Number, a.Outcome == fsq.OutcomeRunning
	if f == nil {
		if a.Number > 0 {
			l.Empty = "Nothing was written."
			if l.Running {
				l.Empty = "Nothing was written so far."
			}
		}
		return l
	}
	defer f.Close()
	data, from, size, err := tail(f, tailBytes)
	if err != nil {
		l.Empty = visible(err.Error())
		return l
	}
	l.Raw = callPath(p.Job.Queue, p.Job.ID, "logs", name) + "&" + url.Values{"attempt": {strconv.Itoa(a.Number)}, "tail": {strconv.Itoa(maxTail)}}.Encode()
	l.Size = sizeOf(size)
	if from > 0 {
		l.Note = "the last " + sizeOf(int64(len(data))) + " of " + sizeOf(size)
	}
	l.HTML = ansiHTML(data, from)
	if len(data) == 0 {
		l.Empty = "Nothing was written so far."
	}
	return l
}

// tail reads the end of a file, from the beginning of a line if there is one near.
func tail(f *os.File, most int64) (data []byte, from, size int64, err error) {
	if size, err = f.Seek(0, io.SeekEnd); err != nil {
		return nil, 0, 0, err
	}
	from = max(size-most, 0)
	data, err = io.ReadAll(io.NewSectionReader(f, from, most))
	if err != nil {
		return nil, 0, 0, err
	}
	if from > 0 {
		if n := bytes.IndexByte(data, '\n'); n >= 0 && n < len(data)-1 {
			data, from = data[n+1:], from+int64(n)+1
		}
	}
	return data, from, size, nil
}

func (p *jobPage) result() {
	switch i := p.Job; {
	case len(i.Result) > 0:
		p.Result = pretty(i.Result)
	case i.ResultText != "":
		p.Result = visible(i.ResultText)
	case i.ResultNote != "":
		p.Result = visible(i.ResultNote)
	}
}

// pretty indents JSON and leaves its numbers as they are written.
func pretty(data []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, data, "", "  ") != nil {
		return visible(string(data))
	}
	return visible(b.String())
}

// document is the job as it is stored, without the values of its environment.
func (p *jobPage) document() error {
	if p.Job.Job == nil {
		return nil
	}
	j := *p.Job.Job
	if len(j.Env) > 0 {
		hidden := make(map[string]string, len(j.Env))
		for _, key := range slices.Sorted(maps.Keys(j.Env)) {
			p.Env = append(p.Env, keyValue{key, j.Env[key]})
			hidden[key] = "…"
		}
		j.Env = hidden
	}
	data, err := j.MarshalJSON()
	if err != nil {
		return err
	}
	p.Document, p.DocumentCut = cutText(pretty(data))
	return nil
}

// timeline is what happened to the job, in order.
func (p *jobPage) timeline(q *fsq.Queue) {
	i := p.Job
	add := func(m moment) { p.Timeline = append(p.Timeline, m) }
	if i.EnqueuedAt != nil {
		add(moment{Key: "enqueued", Class: "pending", Title: "Enqueued", At: *i.EnqueuedAt})
	}
	if at, ok := firstDue(i); ok {
		add(moment{Key: "due", Class: "scheduled", Title: "Due", At: at})
	}
	for _, a := range i.Records {
		add(p.attempt(a, q))
	}
	switch {
	case i.State == fsq.Cancelled && i.EndedAt != nil:
		add(moment{Key: "end", Class: "cancelled", Title: "Cancelled", At: *i.EndedAt})
	case i.State == fsq.Dead && i.EndedAt != nil:
		add(moment{Key: "end", Class: "dead", Title: "Given up", At: *i.EndedAt})
	case i.State == fsq.Held:
		add(moment{Key: "next", Class: "held", Title: "Held"})
	case i.DueAt != nil && i.State == fsq.Pending && (len(i.Records) > 0 || i.EnqueuedAt == nil || !about(*i.DueAt, *i.EnqueuedAt)):
		add(moment{Key: "next", Class: "pending", Title: "Due", At: *i.DueAt, Due: *i.DueAt})
	case i.DueAt != nil && i.State == fsq.Scheduled:
		add(moment{Key: "next", Class: "scheduled", Title: "Due", At: *i.DueAt})
	case i.DueAt != nil && i.State == fsq.Retrying:
		add(moment{Key: "next", Class: "retrying", Title: fmt.Sprintf("Attempt %d is due", i.Attempts+1), At: *i.DueAt})
	}
	if i.ActionsCut > 0 && len(i.Actions) > 0 {
		p.insert(moment{Key: "cut", Class: "acted", Title: plural(i.ActionsCut, "earlier action") + " left out", At: i.Actions[0].At})
	}
	for n, a := range i.Actions {
		text := "by " + a.By
		if a.Detail != "" {
			text = a.Detail + ", " + text
		}
		p.insert(moment{Key: fmt.Sprintf("act%d", n), Class: "acted", Title: actionWords(a.Action), At: a.At, Text: text})
	}
}

// about reports whether two times are the same as far as a timeline goes.
func about(a, b time.Time) bool { return a.Sub(b).Abs() <= time.Second }

// firstDue is when the job was due for the first time, if that is a step of its own: later
// than it was enqueued, and not by an action, which is a step itself. When what still
// waits is due comes last in the timeline.
func firstDue(i fsq.JobInfo) (at time.Time, ok bool) {
	switch {
	case len(i.Records) > 0 && i.Records[0].Number == 1 && i.Records[0].StartedAt != nil && i.Records[0].WaitSeconds != nil:
		at = dueOf(i.Records[0])
	case len(i.Records) > 0 || i.DueAt != nil || i.Job == nil:
		return at, false
	default: // it has ended without any attempt
		at = i.Job.RunAt
		if i.EndedAt != nil && at.After(*i.EndedAt) {
			return at, false
		}
	}
	if at.IsZero() || i.EnqueuedAt == nil || at.Before(*i.EnqueuedAt) || about(at, *i.EnqueuedAt) {
		return at, false
	}
	acted := slices.ContainsFunc(i.Actions, func(a fsq.Action) bool { return about(a.At, at) })
	return at, !acted
}

// dueOf is when an attempt was due.
func dueOf(a fsq.Attempt) time.Time {
	if a.StartedAt == nil || a.WaitSeconds == nil {
		return time.Time{}
	}
	return a.StartedAt.Add(-time.Duration(*a.WaitSeconds * float64(time.Second)))
}

// writtenIn is how long it may take to write down that something was done.
const writtenIn = 300 * time.Millisecond

// insert puts what was done to the job before what came later. The order of all else is
// known without clocks, which may differ between hosts, and stays.
func (p *jobPage) insert(m moment) {
	at := slices.IndexFunc(p.Timeline, func(o moment) bool {
		if o.Key == "enqueued" {
			return false
		}
		when := o.At
		if when.IsZero() {
			when = o.Since
		}
		// An action is written down when it is done: what it made due may have run by then.
		made := !o.Due.IsZero() && m.At.Sub(o.Due).Abs() < writtenIn
		return when.IsZero() || when.After(m.At) || made
	})
	if at < 0 {
		at = len(p.Timeline)
	}
	p.Timeline = slices.Insert(p.Timeline, at, m)
}

func (p *jobPage) attempt(a fsq.Attempt, q *fsq.Queue) moment {
	m := moment{Key: fmt.Sprintf("a%d", a.Number), Title: fmt.Sprintf("Attempt %d", a.Number), Error: shorten(a.Error, 2000), Due: dueOf(a)}
	if a.StdoutBytes+a.StderrBytes > 0 {
		m.Path = "/jobs/" + url.PathEscape(p.Job.ID) + "?" + url.Values{"queue": {p.Job.Queue}, "attempt": {strconv.Itoa(a.Number)}}.Encode()
	}
	var facts []string
	if a.Host != "" {
		facts = append(facts, "on "+a.Host)
	}
	if a.Worker != "" {
		facts = append(facts, "worker "+a.Worker)
	}
	if a.PID > 0 {
		facts = append(facts, fmt.Sprintf("pid %d", a.PID))
	}
	if a.WaitSeconds != nil {
		facts = append(facts, "waited "+spanOf(*a.WaitSeconds))
	}
	switch a.Outcome {
	case fsq.OutcomeRunning:
		m.Class, m.Title = "processing", m.Title+" runs"
		if a.StartedAt != nil {
			m.Since, m.Elapsed = *a.StartedAt, max(p.Now.Sub(*a.StartedAt).Seconds(), 0)
			if t := timeoutOf(p.Job, q.Config()); t > 0 {
				m.TimeoutSeconds = t.Seconds()
				m.Share = m.Elapsed / m.TimeoutSeconds
			}
		}
	default:
		m.Class, m.Title = outcomeClass(a.Outcome), m.Title+" "+outcomeWords(a.Outcome)
		if a.DurationSeconds != nil {
			facts = append(facts, "ran "+spanOf(*a.DurationSeconds))
		}
		if a.EndedAt != nil {
			m.At = *a.EndedAt
		} else if a.StartedAt != nil {
			m.At = *a.StartedAt
		}
	}
	switch {
	case a.Signal != "":
		facts = append(facts, "ended by "+a.Signal)
	case a.ExitCode != nil:
		facts = append(facts, fmt.Sprintf("exit code %d", *a.ExitCode))
	}
	m.Text = strings.Join(facts, " · ")
	return m
}

func actionWords(action string) string {
	switch action {
	case fsq.ActionRetry:
		return "Retried by hand"
	case fsq.ActionCancel:
		return "Asked to be cancelled"
	case fsq.ActionHold:
		return "Held by hand"
	case fsq.ActionRelease:
		return "Released"
	case fsq.ActionRunNow:
		return "Made due"
	case fsq.ActionSet:
		return "Changed"
	case fsq.ActionEdit:
		return "Edited"
	case fsq.ActionSignal:
		return "Sent a signal"
	}
	return sentenceCase(visible(action))
}

func outcomeClass(outcome string) string {
	switch outcome {
	case string(fsq.OutcomeDone):
		return "done"
	case string(fsq.OutcomeSnoozed):
		return "scheduled"
	case string(fsq.OutcomeCancelled):
		return "cancelled"
	}
	return "failed"
}

func outcomeWords(outcome string) string {
	switch outcome {
	case string(fsq.OutcomeDone):
		return "succeeded"
	case "timeout":
		return "timed out"
	case string(fsq.OutcomeSnoozed):
		return "asked for a later try"
	case string(fsq.OutcomeLost):
		return "lost its worker"
	}
	return cmp.Or(outcome, "ended")
}

func (p *jobPage) facts(q *fsq.Queue) {
	i := p.Job
	add := func(key, value string) {
		if value != "" {
			p.Facts = append(p.Facts, fact{Key: key, Value: value})
		}
	}
	p.Facts = append(p.Facts, fact{Key: "Queue", Value: i.Queue, Path: "/jobs?" + url.Values{"queue": {i.Queue}}.Encode()})
	add("Priority", strconv.Itoa(i.Priority))
	tries := fmt.Sprintf("%d of %d", i.Attempts, i.MaxAttempts)
	if i.Lost > 0 {
		tries += fmt.Sprintf(", %d lost with their worker", i.Lost)
	}
	if i.Snoozed > 0 {
		tries += fmt.Sprintf(", %d snoozed", i.Snoozed)
	}
	add("Attempts", tries)
	if t := timeoutOf(i, q.Config()); t > 0 {
		add("Timeout", spanOf(t.Seconds()))
	} else {
		add("Timeout", "none")
	}
	for _, t := range []struct {
		key string
		at  *time.Time
	}{{"Enqueued", i.EnqueuedAt}, {"Due", i.DueAt}, {"Started", i.StartedAt}, {"Ended", i.EndedAt}} {
		if t.at != nil {
			p.Facts = append(p.Facts, fact{Key: t.key, Time: *t.at})
		}
	}
	if i.WaitSeconds != nil {
		add("Waited", spanOf(*i.WaitSeconds))
	}
	if i.DurationSeconds != nil {
		add("Ran", spanOf(*i.DurationSeconds))
	}
	add("Worker", i.Worker)
	if j := i.Job; j != nil {
		add("Directory", j.Cwd)
		add("Umask", j.Umask)
		if j.Array != nil {
			add("Array", fmt.Sprintf("element %d", j.Array.Index))
		}
	}
}
