package dashboard

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// Prometheus is told what is in the shared scan and in the histories, of all queues.
func TestMetrics(t *testing.T) {
	r := newRig(t)
	r.enqueue("true", "false")
	mail, err := fsq.OpenQueue(r.dir, "mail", fsq.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mail.Enqueue(t.Context(), fsq.Job{Command: fsq.Command{Shell: "true"}}); err != nil {
		t.Fatal(err)
	}
	if err := mail.Work(t.Context(), fsq.WorkerOptions{Drain: true}); err != nil {
		t.Fatal(err)
	}
	w := r.get("/metrics")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != fsq.MetricsContentType {
		t.Fatalf("%d %s %s", w.Code, w.Header(), w.Body)
	}
	for _, line := range []string{
		`queuectl_jobs{queue="default",state="pending"} 2`, `queuectl_jobs{queue="mail",state="done"} 1`,
		`queuectl_jobs_processed_total{queue="mail",outcome="done"} 1`, `queuectl_job_run_seconds_count{queue="mail"} 1`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("there is no %s in\n%s", line, w.Body)
		}
	}
	// A spool that cannot be read has no figures: some would pass for all.
	if err := os.Rename(filepath.Join(r.dir, "queues", "mail", "done"), filepath.Join(r.dir, "queues", "mail", "gone")); err != nil {
		t.Fatal(err)
	}
	if w := r.get("/metrics"); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), r.dir) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Who looks leaves a trace of what waited, also when nothing ends.
func TestLooksAreRecorded(t *testing.T) {
	r := newRig(t)
	r.enqueue("true", "false")
	round, leave := r.d.scan.look()
	defer leave()
	<-round.ready
	round.recordOnce()
	h, err := r.q.History(t.Context(), time.Hour, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	last := h.Points[len(h.Points)-1]
	if last.Depth == nil || last.Depth.Pending != 2 {
		t.Errorf("%+v", last)
	}
}
