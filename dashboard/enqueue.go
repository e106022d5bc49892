package dashboard

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/queuectl/queuectl/fsq"
)

// enqueue takes a job, if that is allowed: whoever may do that runs commands here.
func (d *Dashboard) enqueue(w http.ResponseWriter, r *http.Request) {
	if !d.opt.AllowEnqueue {
		writeError(w, http.StatusForbidden, &forbidden{"this dashboard takes no jobs; queuectl dashboard --allow-enqueue lets it"})
		return
	}
	j, err := d.put(r)
	if err != nil {
		writeError(w, statusOfError(err), err)
		return
	}
	w.Header().Set("Location", d.url("/api/v1/jobs/"+url.PathEscape(j.ID)+"?queue="+url.QueryEscape(j.Queue)))
	writeJSON(w, http.StatusCreated, j)
}

// enqueuedDoc is a job that was taken.
type enqueuedDoc struct {
	fsq.JobInfo
	Warnings []string `json:"warnings"` // of fields that mean nothing, and are kept
}

func (d *Dashboard) put(r *http.Request) (doc enqueuedDoc, err error) {
	if err := onlyQuery(r, "queue"); err != nil {
		return doc, err
	}
	if form, err := body(r); err != nil || form {
		return doc, badf("send the job as JSON, with Content-Type: application/json")
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return doc, err
	}
	j, err := fsq.ParseJob(data, d.now())
	if err != nil {
		return doc, err
	}
	doc.Warnings = []string{}
	for _, u := range j.Unknown() {
		text := "unknown field " + quote(u.Name) + " kept as it is"
		if u.Nearest != "" {
			text += "; did you mean " + quote(u.Nearest) + "?"
		}
		doc.Warnings = append(doc.Warnings, text)
	}
	q, err := d.made(cmp.Or(r.URL.Query().Get("queue"), fsq.DefaultQueue))
	if err != nil {
		return doc, err
	}
	if j, err = q.Enqueue(r.Context(), j); err != nil {
		return doc, err
	}
	d.scan.nudge()
	doc.JobInfo, err = q.Get(r.Context(), j.ID)
	return doc, err
}

// made is a queue, which is made if it is not there and may be shown. A spool that is gone is
// not made again.
func (d *Dashboard) made(name string) (*fsq.Queue, error) {
	q, err := d.queue(name)
	if !errors.Is(err, fsq.ErrNotFound) || len(d.opt.Queues) > 0 && !slices.Contains(d.opt.Queues, name) {
		return q, err
	}
	if _, err := fsq.OpenQueue(d.opt.Dir, name, fsq.DefaultConfig()); err != nil {
		return nil, err
	}
	return d.opt.Open(name)
}
