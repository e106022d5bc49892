package fsq

import (
	"context"
	"path/filepath"
	"testing"
)

// BenchmarkWorker is what a job costs a worker from its claim to its settlement: with a
// handler that does nothing, and with a shell that does nothing.
func BenchmarkWorker(b *testing.B) {
	nothing := HandlerFunc(func(context.Context, *Run) error { return nil })
	for what, h := range map[string]Handler{"handler": nothing, "shell": CommandHandler{}} {
		b.Run(what, func(b *testing.B) {
			q, err := Open(filepath.Join(b.TempDir(), "spool"), testConfig())
			if err != nil {
				b.Fatal(err)
			}
			jobs := make([]Job, b.N)
			for i := range jobs {
				jobs[i] = Job{Command: Command{Shell: "true"}}
			}
			for _, r := range q.EnqueueBatch(context.Background(), jobs) {
				if r.Err != nil {
					b.Fatal(r.Err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := q.NewWorker(WorkerOptions{Slots: 2, Handler: h, Drain: true}).Run(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}
