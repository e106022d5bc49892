package dashboard

import (
	"fmt"
	"html/template"
	"net/http"
)

func (d *Dashboard) pageOverview(w http.ResponseWriter, r *http.Request) { d.stub(w, r, "Overview") }
func (d *Dashboard) pageJobs(w http.ResponseWriter, r *http.Request)     { d.stub(w, r, "Jobs") }
func (d *Dashboard) pageJob(w http.ResponseWriter, r *http.Request)      { d.stub(w, r, "Job") }
func (d *Dashboard) pageDead(w http.ResponseWriter, r *http.Request)     { d.stub(w, r, "Dead letters") }
func (d *Dashboard) pageQueues(w http.ResponseWriter, r *http.Request)   { d.stub(w, r, "Queues") }
func (d *Dashboard) pageWorkers(w http.ResponseWriter, r *http.Request)  { d.stub(w, r, "Workers") }

func (d *Dashboard) stub(w http.ResponseWriter, r *http.Request, title string) {
	s := d.snapshot(r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html><title>%s</title><p>%d jobs wait", template.HTMLEscapeString(title), s.Status.Pending)
}

// pageError is the page for whoever asked for something that there is not, or that failed.
func (d *Dashboard) pageError(w http.ResponseWriter, r *http.Request, status int, problem string) {
	http.Error(w, problem, status)
}

// pageLogin asks for the token; next is where to go then, wrong that one was refused.
func (d *Dashboard) pageLogin(w http.ResponseWriter, r *http.Request, next string, wrong bool) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = fmt.Fprintf(w, `<!doctype html><title>Log in</title><form method=post action=%q><input type=hidden name=next value=%q><label>Token <input type=password name=token autofocus></label><button>Log in</button></form>`,
		template.HTMLEscapeString(d.url("/login")), template.HTMLEscapeString(next))
}
