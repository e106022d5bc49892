package fsq

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkMany is what commands cost that look at a long queue, beside two listings.
func BenchmarkMany(b *testing.B) {
	q, err := Open(filepath.Join(b.TempDir(), "spool"), testConfig())
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	jobs := make([]Job, 1000)
	for i := range jobs {
		jobs[i] = Job{Command: Command{Shell: "true"}}
	}
	for range 40 {
		for _, r := range q.EnqueueBatch(ctx, jobs) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
	}
	pending := filepath.Join(q.Root(), "pending")
	for _, c := range []struct {
		what string
		do   func() error
	}{
		{"two listings", func() error {
			for range 2 {
				d, err := os.Open(pending)
				if err != nil {
					return err
				}
				_, err = d.Readdirnames(-1)
				if err := d.Close(); err != nil {
					return err
				}
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"status", func() error { _, err := q.Status(ctx); return err }},
		{"list", func() error { _, _, err := q.List(ctx, ListOptions{Limit: 20, Details: true}); return err }},
	} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
