package dashboard

import (
	"cmp"
	"io"
	"net/http"
	"net/url"

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

func (d *Dashboard) put(r *http.Request) (fsq.JobInfo, error) {
	if err := onlyQuery(r, "queue"); err != nil {
		return fsq.JobInfo{}, err
	}
	if form, err := body(r); err != nil || form {
		return fsq.JobInfo{}, badf("send the job as JSON, with Content-Type: application/json")
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return fsq.JobInfo{}, err
	}
	j, err := fsq.ParseJob(data, d.now())
	if err != nil {
		return fsq.JobInfo{}, err
	}
	q, err := d.queue(cmp.Or(r.URL.Query().Get("queue"), fsq.DefaultQueue))
	if err != nil {
		return fsq.JobInfo{}, err
	}
	if j, err = q.Enqueue(r.Context(), j); err != nil {
		return fsq.JobInfo{}, err
	}
	d.scan.nudge()
	return q.Get(r.Context(), j.ID)
}
