package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/queuectl/queuectl/fsq"
)

// healthz says that the process lives.
func (d *Dashboard) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

// readiness is what keeps jobs from being run, in words.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"` // why not; for those who may see the spool
}

// readyz says whether jobs can be put in and are run.
func (d *Dashboard) readyz(w http.ResponseWriter, r *http.Request) {
	reasons := d.unready(r.Context())
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	doc := readiness{Ready: len(reasons) == 0, Reasons: reasons}
	if doc.Reasons == nil || !visitorOf(r.Context()).known {
		doc.Reasons = []string{}
	}
	writeJSON(w, status, doc)
}

// unready looks at each queue anew: a probe is no viewer, and does not keep the scan going.
func (d *Dashboard) unready(ctx context.Context) (reasons []string) {
	names, err := d.names()
	if err != nil {
		return []string{err.Error()}
	}
	if len(names) == 0 {
		return []string{"there is no spool at " + d.opt.Dir}
	}
	for _, name := range names {
		if err := d.queueReady(ctx, name); err != nil {
			reasons = append(reasons, fmt.Sprintf("queue %s: %v", name, err))
		}
	}
	return reasons
}

func (d *Dashboard) queueReady(ctx context.Context, name string) error {
	q, err := d.opt.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("it is not there")
	}
	if err != nil {
		return err
	}
	if err := q.Usable(); err != nil {
		return err
	}
	workers, err := q.Workers(ctx)
	if err != nil {
		return err
	}
	for _, w := range workers {
		if w.State == fsq.WorkerAlive && w.Only == "" {
			return nil
		}
	}
	return errors.New("no worker is alive")
}
