package dashboard

import (
	"bytes"
	"net/http"

	"github.com/queuectl/queuectl/fsq"
)

// metrics answers Prometheus. The jobs are those of the shared scan; what was ever counted
// is in the histories of the queues.
func (d *Dashboard) metrics(w http.ResponseWriter, r *http.Request) {
	s := d.snapshot(r.Context())
	m := fsq.Metrics{Disk: s.Disk, Scan: s.Cost, Version: d.opt.Version}
	err := s.Err
	for _, qs := range s.Queues {
		if err != nil {
			break
		}
		var q *fsq.Queue
		if q, err = d.opt.Open(qs.Name); err == nil {
			var qm fsq.QueueMetrics
			qm, err = q.Metrics(r.Context(), qs.Status)
			m.Queues = append(m.Queues, qm)
		}
	}
	var b bytes.Buffer
	if err == nil {
		err = fsq.WriteMetrics(&b, m)
	}
	if err != nil { // a part of the figures would pass for all of them
		d.opt.Log.Warn("no metrics", "error", err)
		http.Error(w, "the spool cannot be read now", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", fsq.MetricsContentType)
	_, _ = w.Write(b.Bytes())
}
