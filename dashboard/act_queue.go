package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

// done answers an action that is not about jobs: with v, or after a form with the page that
// it came from.
func (d *Dashboard) done(w http.ResponseWriter, r *http.Request, form url.Values, v any, text string, err error) {
	if err == nil {
		d.scan.nudge()
	}
	switch {
	case form == nil:
		answer(w, v, err)
	case err != nil:
		d.returnTo(w, r, form.Get("back"), flash{Text: sentence(err), Failed: true})
	default:
		d.returnTo(w, r, form.Get("back"), flash{Text: sentenceCase(text)})
	}
}

// readBody reads JSON into v, or returns the form that was sent instead.
func readBody(r *http.Request, v any) (url.Values, error) {
	form, err := body(r)
	if err != nil {
		return nil, err
	}
	if !form {
		return nil, readJSON(r, v)
	}
	if err := r.ParseForm(); err != nil {
		return url.Values{}, badBody(err)
	}
	return r.PostForm, nil
}

type pauseBody struct {
	Reason string `json:"reason"`
	Until  string `json:"until"` // a time, or +1h; "": until somebody resumes
}

type pauseDoc struct {
	Paused *fsq.Pause `json:"paused"`
}

func (d *Dashboard) pauseQueue(w http.ResponseWriter, r *http.Request) {
	var b pauseBody
	form, err := readBody(r, &b)
	if form != nil {
		b = pauseBody{form.Get("reason"), form.Get("until")}
	}
	var doc pauseDoc
	if err == nil {
		doc.Paused, err = d.pause(r.Context(), r.PathValue("name"), b)
	}
	d.done(w, r, form, doc, "queue "+r.PathValue("name")+" is paused", err)
}

func (d *Dashboard) pause(ctx context.Context, name string, b pauseBody) (*fsq.Pause, error) {
	p := fsq.Pause{Reason: strings.TrimSpace(b.Reason), By: actor(ctx)}
	if b.Until != "" {
		until, err := fsq.ParseTime(b.Until, d.now())
		if err != nil {
			return nil, badf("until %v", err)
		}
		if !until.After(d.now()) {
			return nil, badf("until must be a time to come, not %s", quote(b.Until))
		}
		p.Until = until
	}
	q, err := d.queue(name)
	if err != nil {
		return nil, err
	}
	if err := q.Pause(p); err != nil {
		return nil, err
	}
	return q.Paused()
}

type resumeDoc struct {
	Resumed bool `json:"resumed"` // it was paused
}

func (d *Dashboard) resumeQueue(w http.ResponseWriter, r *http.Request) {
	var none struct{}
	form, err := readBody(r, &none)
	var doc resumeDoc
	var q *fsq.Queue
	if err == nil {
		q, err = d.queue(r.PathValue("name"))
	}
	if err == nil {
		doc.Resumed, err = q.Resume()
	}
	d.done(w, r, form, doc, "queue "+r.PathValue("name")+" takes jobs again", err)
}

type limitDoc struct {
	Limit *int `json:"limit"` // null: as many as there are slots
}

func (d *Dashboard) limitQueue(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	var b map[string]any // null is a limit, too: it must be told from nothing
	form, err := readBody(r, &b)
	if form != nil {
		b = map[string]any{"limit": form.Get("limit")}
	}
	v, said := b["limit"]
	if err == nil && (!said || len(b) != 1) {
		err = badf("say the limit, and nothing else: {\"limit\":3}, or null for none")
	}
	var doc limitDoc
	if err == nil {
		doc, err = d.limit(name, v)
	}
	text := "queue " + name + " runs as many jobs at the same time as there are slots"
	if doc.Limit != nil {
		text = "queue " + name + " runs at most " + count(*doc.Limit, "job") + " at the same time"
	}
	d.done(w, r, form, doc, text, err)
}

// limit sets the limit of a queue; nothing, or null, takes it away.
func (d *Dashboard) limit(name string, v any) (limitDoc, error) {
	limit := 0
	if v != nil {
		text, err := settingText("limit", v)
		if err != nil {
			return limitDoc{}, err
		}
		if text = strings.TrimSpace(text); text != "" {
			if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > fsq.MaxLimit {
				return limitDoc{}, badf("the limit must be a whole number from 1 to %d, or nothing, not %s", fsq.MaxLimit, quote(text))
			}
		}
	}
	q, err := d.queue(name)
	if err != nil {
		return limitDoc{}, err
	}
	if err := q.SetLimit(limit); err != nil {
		return limitDoc{}, err
	}
	if limit == 0 {
		return limitDoc{}, nil
	}
	return limitDoc{&limit}, nil
}

// notOverTheWeb are settings that decide as whom jobs run.
var notOverTheWeb = []string{"trust-group", "run-as-owner"}

func (d *Dashboard) configQueue(w http.ResponseWriter, r *http.Request) {
	values := map[string]any{}
	form, err := readBody(r, &values)
	for key, v := range form {
		if key != "back" {
			values[key] = v[len(v)-1]
		}
	}
	var doc settingsDoc
	if err == nil {
		doc.Settings, err = d.configure(r.PathValue("name"), values)
	}
	d.done(w, r, form, doc, "the settings of queue "+r.PathValue("name")+" were changed; workers have them once they are started again", err)
}

// configure changes settings, all or none of them as far as their values decide that. An
// empty value, or null, takes one back.
func (d *Dashboard) configure(name string, values map[string]any) ([]settingDoc, error) {
	if len(values) == 0 {
		return nil, badf("say which setting, and its value")
	}
	texts := map[string]string{}
	check := fsq.DefaultConfig()
	for key, v := range values {
		if slices.Contains(notOverTheWeb, key) {
			return nil, &forbidden{key + " decides as whom jobs run, and is not set over the web: use queuectl config set"}
		}
		text, err := settingText(key, v)
		if err != nil {
			return nil, err
		}
		if text != "" {
			if err := check.Set(key, text); err != nil {
				return nil, err
			}
		}
		texts[key] = text
	}
	q, err := d.queue(name)
	if err != nil {
		return nil, err
	}
	for key, text := range texts {
		change := func() error { return q.Set(key, text) }
		if text == "" {
			change = func() error { return q.Unset(key) }
		}
		if err := change(); err != nil {
			return nil, err
		}
	}
	if q, err = d.opt.Open(name); err != nil {
		return nil, err
	}
	return d.settings(q)
}

func settingText(key string, v any) (string, error) {
	one, err := filterValues(map[string]any{"state": v})
	if b, is := v.(bool); is {
		return map[bool]string{true: "true", false: "false"}[b], nil
	}
	if err != nil || len(one["state"]) > 1 {
		return "", badf("%s must be a text, a number, true or false", key)
	}
	return one.Get("state"), nil
}

// forbidden is something that is not done over the web.
type forbidden struct{ problem string }

func (e *forbidden) Error() string { return e.problem }

type stopBody struct {
	Drain *bool  `json:"drain"` // running jobs may end; else they go back to the queue. true if not given
	Queue string `json:"queue"` // only the workers of this one
}

// stopped is a worker that was asked to stop, as queuectl worker stop prints it.
type stopped struct {
	Queue  string `json:"queue"`
	Worker string `json:"worker"`
	Host   string `json:"host"`
	PID    int    `json:"pid"`
	Result string `json:"result"`
}

type stopDoc struct {
	Workers []stopped `json:"workers"`
}

// stopWorkers asks the worker in the path, or all, to stop. It does not wait for them.
func (d *Dashboard) stopWorkers(w http.ResponseWriter, r *http.Request) {
	var b stopBody
	form, err := readBody(r, &b)
	if form != nil {
		drain := form.Get("drain") != "false"
		b = stopBody{&drain, form.Get("queue")}
	}
	if b.Queue == "" {
		b.Queue = r.URL.Query().Get("queue")
	}
	doc := stopDoc{Workers: []stopped{}}
	var qs []*fsq.Queue
	if err == nil {
		qs, err = d.selected(filter{Queue: b.Queue})
	}
	if err == nil {
		opt := fsq.StopOptions{Now: b.Drain != nil && !*b.Drain}
		if id := r.PathValue("id"); id != "" {
			opt.IDs = strings.Split(id, ",") // of a process that serves several queues it has several
		}
		err = askToStop(r.Context(), qs, opt, func(e fsq.StopEvent) {
			doc.Workers = append(doc.Workers, stopped{e.Worker.Queue, e.Worker.ID, e.Worker.Host, e.Worker.PID, e.Result})
		})
	}
	d.done(w, r, form, doc, count(len(doc.Workers), "worker")+" asked to stop", err)
}

var errAsked = errors.New("it was only to be asked")

// askToStop is fsq.StopAll without the waiting.
func askToStop(ctx context.Context, qs []*fsq.Queue, opt fsq.StopOptions, report func(fsq.StopEvent)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	cancel(errAsked)
	return withoutAsked(fsq.StopAll(ctx, qs, opt, report))
}

// withoutAsked leaves out of err that nobody waited.
func withoutAsked(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if errors.Is(err, errAsked) || errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	var rest []error
	for _, e := range joined.Unwrap() {
		rest = append(rest, withoutAsked(e))
	}
	return errors.Join(rest...)
}
