package fsq

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
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

// BenchmarkPage is what a page of a long list of done jobs costs, beside one listing of
// their names. They are a day's, as a dashboard shows them; with -short there are fewer.
func BenchmarkPage(b *testing.B) {
	q, err := Open(filepath.Join(b.TempDir(), "spool"), testConfig())
	if err != nil {
		b.Fatal(err)
	}
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	day := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	var dirs []string
	for hour := range 24 {
		dir := filepath.Join(q.Root(), "done", day.Format("20060102"), fmt.Sprintf("%02d", hour))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			b.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	for i := range n {
		at := day.Add(time.Duration(i) * (24 * time.Hour / time.Duration(n)))
		name := fmt.Sprintf("%s%03dZ.p%d.a1-4=done,w%d,r%d.job-%d.json", at.Format("20060102T150405"), at.Nanosecond()/1e6, i%3, i%1000, i%7919, i)
		if err := os.WriteFile(filepath.Join(dirs[at.Hour()], name), []byte(`{"command":"true"}`), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	qs := []*Queue{q}
	ctx := context.Background()
	page := func(opt ListOptions) func() error {
		return func() error {
			p, err := Page(ctx, qs, opt)
			if err == nil && len(p.Jobs) != 50 && !p.Partial {
				err = fmt.Errorf("%d jobs", len(p.Jobs))
			}
			return err
		}
	}
	last, err := Page(ctx, qs, ListOptions{Limit: n - 100})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		what string
		do   func() error
	}{
		{"one listing", func() error {
			for _, dir := range dirs {
				d, err := os.Open(dir)
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
		{"newest", page(ListOptions{Limit: 50, Details: true})},
		{"last but one", page(ListOptions{Limit: 50, Details: true, After: last.Next})},
		{"newest and count", page(ListOptions{Limit: 50, Details: true, Total: true})},
		{"longest", page(ListOptions{Limit: 50, Details: true, Sort: SortRun, Reverse: true})},
		{"last enqueued", page(ListOptions{Limit: 50, Details: true, Sort: SortEnqueued, Reverse: true})},
		{"first enqueued", page(ListOptions{Limit: 50, Details: true, Sort: SortEnqueued})},
		{"of a priority", page(ListOptions{Limit: 50, Details: true, Where: Selector{MinPriority: ptr(2)}})},
		{"of a command, none", page(ListOptions{Limit: 50, Details: true, Where: Selector{Contains: "nowhere"}, Reads: 5000})},
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
