package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

func newShow(a *app) *command {
	return &command{
		name:  "show",
		args:  "ID",
		least: 1,
		most:  1,
		short: "Show a job, its attempts and the end of its output",
		also:  []string{"get", "info", "inspect", "describe"},
		examples: []example{
			{"Everything about a job", "queuectl show job-1"},
			{"Its state, for a script", "queuectl show --json job-1 | jq -r .state"},
		},
		exits:  []exitStatus{{exitNotFound, "no such job, or no spool"}},
		queues: someQueue,
		run: func(ctx context.Context, args []string) error {
			return a.show(ctx, args[0])
		},
	}
}

func (a *app) show(ctx context.Context, id string) error {
	q, err := a.findOne(ctx, id)
	if err != nil {
		return err
	}
	j, err := q.Get(ctx, id)
	if err != nil {
		return err
	}
	if a.json {
		return a.out.json(j)
	}
	now := a.now()
	a.out.printf("%s  %s\n", a.out.paint(bold, clean(j.ID)), headline(a.out, j))
	jobFacts(j, now).write(a.out, "  ")
	for _, at := range j.Records {
		a.showAttempt(at, now)
	}
	a.showActions(j, now)
	if n := len(j.Records); n > 0 {
		for _, s := range []fsq.Stream{fsq.Stdout, fsq.Stderr} {
			a.showTail(q, j.ID, j.Records[n-1].Number, s)
		}
	}
	return nil
}

func headline(o *output, j fsq.JobInfo) string {
	s := o.paint(stateStyle[j.State], string(j.State))
	switch j.State {
	case "processing", "done", "dead":
		s += fmt.Sprintf(", attempt %d of %d", j.Attempts, j.MaxAttempts)
	case "retrying":
		s += fmt.Sprintf(", attempt %d of %d comes next", j.Attempts+1, j.MaxAttempts)
	}
	if j.WorkerLost {
		s += o.paint(red, ", its worker is dead and another has to take it over")
	}
	if j.Lost > 0 {
		s += fmt.Sprintf(", %d lost with their worker", j.Lost)
	}
	if j.Snoozed > 0 {
		s += fmt.Sprintf(", snoozed %s", times(j.Snoozed))
	}
	return s
}

func jobFacts(j fsq.JobInfo, now time.Time) facts {
	var f facts
	f.add("command", "%s", commandOf(j))
	f.add("priority", "%d", j.Priority)
	if j.EnqueuedAt != nil {
		f.add("enqueued", "%s", both(*j.EnqueuedAt, now))
	}
	if j.DueAt != nil && j.State != "done" && j.State != "dead" {
		f.add("due", "%s", both(*j.DueAt, now))
	}
	if j.EndedAt != nil {
		f.add("ended", "%s", both(*j.EndedAt, now))
	}
	if j.Dropped {
		f.add("dropped", "a file that the next worker takes as a job")
	}
	if j.Dropped && j.Error != "" {
		f[len(f)-1][1] = "a file that is no job so far"
	}
	if j.Error != "" && len(j.Records) == 0 {
		f.add("error", "%s", clean(j.Error))
	}
	if j.Job != nil {
		documentFacts(&f, *j.Job)
	}
	if j.File != "" {
		f.add("file", "%s", clean(j.File))
	}
	return f
}

// documentFacts adds what the job's own document says. The values of env are left
// out: they are where people put secrets.
func documentFacts(f *facts, d fsq.Job) {
	if d.TimeoutSet && d.Timeout > 0 {
		f.add("timeout", "%s", fsq.FormatDuration(d.Timeout))
	}
	if d.MaxRetries != nil {
		f.add("max retries", "%d", *d.MaxRetries)
	}
	if d.BackoffBase != nil {
		f.add("backoff base", "%g", *d.BackoffBase)
	}
	if d.SnoozeCodes != nil {
		f.add("snooze codes", "%s", d.SnoozeCodes)
	}
	if d.SnoozeMax != nil {
		f.add("snooze max", "%d", *d.SnoozeMax)
	}
	if d.FatalCodes != nil {
		f.add("fatal codes", "%s", d.FatalCodes)
	}
	if d.Cwd != "" {
		f.add("cwd", "%s", clean(d.Cwd))
	}
	if len(d.Env) > 0 {
		f.add("env", "%s", clean(strings.Join(sortedKeys(d.Env), " ")))
	}
	if d.Stdin != "" {
		f.add("stdin", "%s", plural(len(d.Stdin), "byte"))
	}
	if len(d.Tags) > 0 {
		f.add("tags", "%s", clean(strings.Join(d.Tags, ", ")))
	}
	if len(d.Metadata) > 0 {
		f.add("metadata", "%s", clean(string(d.Metadata)))
	}
	for _, k := range sortedKeys(d.Extra) {
		f.add(clean(k), "%s", clean(string(d.Extra[k])))
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

var outcomeStyle = map[string]style{
	"done": green, "running": cyan, "failed": red, "timeout": red, "lost": yellow, "interrupted": yellow, "cancelled": yellow, "snoozed": yellow,
}

func (a *app) showAttempt(at fsq.Attempt, now time.Time) {
	what := a.out.paint(outcomeStyle[at.Outcome], clean(at.Outcome))
	switch {
	case strings.HasPrefix(at.Error, at.Outcome+": "):
		what = a.out.paint(outcomeStyle[at.Outcome], clean(at.Error))
	case at.Error != "":
		what += ": " + clean(at.Error)
	}
	a.out.printf("\n%s  %s\n", a.out.paint(bold, fmt.Sprintf("attempt %d", at.Number)), what)
	var f facts
	if at.StartedAt != nil {
		f.add("started", "%s", both(*at.StartedAt, now))
	}
	if at.DurationSeconds != nil {
		f.add("ran", "%s", span(seconds(*at.DurationSeconds)))
	}
	if at.WaitSeconds != nil {
		f.add("waited", "%s", span(seconds(*at.WaitSeconds)))
	}
	switch {
	case at.Signal != "":
		f.add("signal", "%s", clean(at.Signal))
	case at.ExitCode != nil:
		f.add("exit code", "%d", *at.ExitCode)
	}
	if at.Worker != "" {
		f.add("worker", "%s", clean(at.Worker))
	}
	if at.Host != "" {
		host := clean(at.Host)
		if at.PID > 0 {
			host += fmt.Sprintf(", pid %d", at.PID)
		}
		f.add("host", "%s", host)
	}
	for _, s := range []struct {
		name       string
		bytes, cut int64
	}{{"stdout", at.StdoutBytes, at.StdoutCut}, {"stderr", at.StderrBytes, at.StderrCut}} {
		switch {
		case s.cut > 0:
			f.add(s.name, "%d bytes, and %d more were cut", s.bytes, s.cut)
		case s.bytes > 0:
			f.add(s.name, "%d bytes", s.bytes)
		}
	}
	if (at.Next == "retry" || at.Next == "snooze") && at.NextDue != nil {
		f.add(at.Next, "%s", both(*at.NextDue, now))
	}
	reportFacts(&f, at.Report)
	f.write(a.out, "  ")
}

// showActions prints what people have done to a job.
func (a *app) showActions(j fsq.JobInfo, now time.Time) {
	if len(j.Actions) == 0 && j.ActionsCut == 0 {
		return
	}
	a.out.printf("\n%s\n", a.out.paint(bold, "actions"))
	var f facts
	if j.ActionsCut > 0 {
		f.add("", "(%s left out)", plural(j.ActionsCut, "earlier action"))
	}
	for _, x := range j.Actions {
		text := both(x.At, now) + " by " + clean(x.By)
		if x.Detail != "" {
			text += ": " + clean(x.Detail)
		}
		f.add(clean(x.Action), "%s", text)
	}
	f.write(a.out, "  ")
}

// reportFacts adds what the job itself said of an attempt: a stranger's text.
func reportFacts(f *facts, r fsq.Report) {
	if r.Progress != nil {
		f.add("progress", "%s", clean(r.Progress.String()))
	}
	result := string(r.Result)
	if r.Result == nil {
		result = r.ResultText
	}
	if result != "" {
		f.add("result", "%s", shorten(clean(compactJSON(result)), resultWidth))
	}
	if r.ResultNote != "" {
		f.add("", "(%s)", clean(r.ResultNote))
	}
}

// resultWidth is some lines of a terminal; --json has all of it.
const resultWidth = 400

// compactJSON takes the line breaks out of JSON, and leaves other text as it is.
func compactJSON(s string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(s)) != nil {
		return s
	}
	return b.String()
}

// What show prints of each stream: enough to see how it ended.
const (
	tailLines = 10
	tailBytes = 16 << 10
)

// showTail prints the end of a stream. The output of a job is a stranger's text:
// it is indented and escaped, so that it cannot pass for queuectl's own.
func (a *app) showTail(q *fsq.Queue, id string, attempt int, s fsq.Stream) {
	name := map[fsq.Stream]string{fsq.Stdout: "stdout", fsq.Stderr: "stderr"}[s]
	f, _, err := q.Log(id, attempt, s)
	if err != nil {
		a.warn("%s of attempt %d: %s", name, attempt, err.Error())
		return
	}
	if f == nil {
		return
	}
	defer f.Close()
	lines, all, err := tail(f)
	if err != nil {
		a.warn("%s of attempt %d: %s", name, attempt, err.Error())
		return
	}
	if len(lines) == 0 {
		return
	}
	title := name
	if !all {
		title += fmt.Sprintf(", the last %s", plural(len(lines), "line"))
	}
	a.out.printf("\n%s\n", a.out.paint(bold, title))
	for _, l := range lines {
		a.out.printf("  %s\n", cleanLine(l))
	}
}

// tail reads the last lines of f and reports whether they are all there are.
func tail(f *os.File) (lines []string, all bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	from := max(info.Size()-tailBytes, 0)
	data, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	if err != nil {
		return nil, false, err
	}
	if len(data) == 0 {
		return nil, true, nil
	}
	lines = linesOf(data)
	n := max(len(lines)-tailLines, 0)
	return lines[n:], n == 0 && from == 0, nil
}

func linesOf(data []byte) []string {
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}
