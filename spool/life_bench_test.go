package spool

import (
	"testing"
	"time"
)

// BenchmarkLife is what a job costs that is claimed and done, unsynced.
func BenchmarkLife(b *testing.B) {
	s, err := Init(b.TempDir()+"/spool", "")
	if err != nil {
		b.Fatal(err)
	}
	items := make([]Item, b.N)
	for i := range items {
		items[i] = Item{Name: Name{ID: s.NewID(), Due: Truncate(s.Now()), Allowed: 4}, Data: []byte(`{"command":"true"}`)}
	}
	for _, err := range s.PutBatch(items) {
		if err != nil {
			b.Fatal(err)
		}
	}
	l, err := s.Register(1, "bench", time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for _, it := range items {
		c, err := l.Claim(it.Name)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Done(Ending{Outcome: "done"}); err != nil {
			b.Fatal(err)
		}
	}
}
