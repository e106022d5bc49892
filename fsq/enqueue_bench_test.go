package fsq

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"
)

// BenchmarkEnqueue is what a durable job costs its caller, alone and among 32 who share
// fsyncs.
func BenchmarkEnqueue(b *testing.B) {
	for what, callers := range map[string]int{"alone": 1, "by 8": 8, "by 32": 32} {
		b.Run(what, func(b *testing.B) {
			q, err := Open(filepath.Join(b.TempDir(), "spool"), testConfig())
			if err != nil {
				b.Fatal(err)
			}
			if callers > 1 {
				b.SetParallelism(max(callers/runtime.GOMAXPROCS(0), 1))
			}
			b.ReportAllocs()
			b.ResetTimer()
			put := func() {
				if _, err := q.Enqueue(context.Background(), Job{Command: Command{Shell: "true"}}); err != nil {
					b.Error(err)
				}
			}
			if callers == 1 {
				for b.Loop() {
					put()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					put()
				}
			})
		})
	}
}
