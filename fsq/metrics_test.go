package fsq

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/queuectl/queuectl/spool"
)

// scrape reads metrics as Prometheus does: by its own parser, and its linter has nothing to
// say. Each sample's name has its labels and their values, in the order of writing.
func scrape(t *testing.T, m Metrics) map[string]float64 {
	t.Helper()
	var b bytes.Buffer
	if err := WriteMetrics(&b, m); err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(bytes.NewReader(b.Bytes())).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v\n%s", problems, err, b.String())
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(&b)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for name, f := range families {
		for _, x := range f.GetMetric() {
			key := name
			for _, l := range x.GetLabel() {
				key += " " + l.GetValue()
			}
			switch {
			case x.GetHistogram() != nil:
				h := x.GetHistogram()
				got[key+" count"], got[key+" sum"] = float64(h.GetSampleCount()), h.GetSampleSum()
				for _, c := range h.GetBucket() {
					got[key+" "+number(c.GetUpperBound())] = float64(c.GetCumulativeCount())
				}
			case x.GetCounter() != nil:
				got[key] = x.GetCounter().GetValue()
			default:
				got[key] = x.GetGauge().GetValue()
			}
		}
	}
	return got
}

// What Prometheus reads is what is there; and no counter ever goes down, whatever becomes of
// the jobs that were counted.
func TestMetrics(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	now := q.s.Now()
	done := file(t, q, spool.Done, "done", now.Add(-time.Second), OutcomeDone, 7*time.Millisecond, 2*time.Second)
	file(t, q, spool.Dead, "dead", now.Add(-time.Minute), OutcomeTimeout, 20*time.Second, 3*time.Hour)
	file(t, q, spool.Dead, "cancelled", now.Add(-time.Minute), OutcomeCancelled, 0, 0)
	u := unwritten{}
	u.at(now).Failed = 4
	rollAt(t, q, now, u)
	enqueue(t, q, `{"id":"waits","command":"true"}`)
	if err := q.Pause(Pause{Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	look := func() map[string]float64 {
		st, err := q.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		qm, err := q.Metrics(t.Context(), st)
		if err != nil {
			t.Fatal(err)
		}
		disk, err := DiskOf(q.Dir())
		if err != nil {
			t.Fatal(err)
		}
		return scrape(t, Metrics{Queues: []QueueMetrics{qm}, Disk: &disk, Scan: time.Second, Version: "a\"b\\c\nd"})
	}
	got := look()
	for name, want := range map[string]float64{
		"queuectl_jobs default pending": 1, "queuectl_jobs default done": 1, "queuectl_jobs default dead": 1, "queuectl_jobs default cancelled": 1, "queuectl_jobs default held": 0,
		"queuectl_queue_paused default":          1,
		"queuectl_attempts_failed_total default": 4,
		"queuectl_workers default alive":         0,
		"queuectl_worker_slots default":          0,
		"queuectl_scan_duration_seconds":         1,
		"queuectl_job_run_seconds default count": 2, "queuectl_job_run_seconds default sum": 10802,
		"queuectl_job_run_seconds default 2.5": 1, "queuectl_job_run_seconds default 1": 0, "queuectl_job_run_seconds default 10000": 1, "queuectl_job_run_seconds default +Inf": 2,
		"queuectl_job_wait_seconds default 0.005": 0, "queuectl_job_wait_seconds default 0.01": 1, "queuectl_job_wait_seconds default 25": 2,
		"queuectl_jobs_processed_total default done": 1, "queuectl_jobs_processed_total default dead": 1, "queuectl_jobs_processed_total default cancelled": 1,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	for _, name := range []string{"queuectl_spool_size_bytes", "queuectl_spool_free_bytes", "queuectl_oldest_due_age_seconds default"} {
		if got[name] <= 0 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if _, ok := got["queuectl_build_info a\"b\\c\nd "+runtime.Version()]; !ok {
		t.Errorf("a label that has to be escaped is not what it was: %v", got)
	}
	// The job that was just counted is deleted, one more ends, the history is torn.
	if err := os.Remove(done); err != nil {
		t.Fatal(err)
	}
	file(t, q, spool.Dead, "another", now, OutcomeFailed, 0, 0)
	again := look()
	for name, was := range got {
		counter := strings.Contains(name, "_total") || strings.Contains(name, "job_wait") || strings.Contains(name, "job_run")
		if counter && again[name] < was {
			t.Errorf("%s went down from %v to %v", name, was, again[name])
		}
	}
	if again["queuectl_jobs_processed_total default dead"] != 2 {
		t.Error("what ended since is not counted")
	}
	if err := os.WriteFile(filepath.Join(q.Dir(), spool.HistoryPath()), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	look()
}
