package spool

import (
	"testing"
	"time"
)

// Every listing reads as many names as jobs lie there: what one costs is what status and
// the start of a worker take.
func BenchmarkParseName(b *testing.B) {
	at := time.Date(2026, 11, 23, 8, 47, 18, 123e6, time.UTC)
	for what, n := range map[string]Name{
		"waits":   {Due: at, Priority: 5, Allowed: 4, ID: "01kb3q7m2x9v0t4h6r5w8e1cz4"},
		"changed": {Due: at, Attempt: 3, Allowed: 4, Lost: 2, Changed: 7, Held: true, ID: "backup-db.2026-11-23"},
		"done":    {Due: at, Attempt: 1, Allowed: 4, Outcome: "done", Wait: time.Second, Run: time.Minute, ID: "job-1"},
		"escaped": {Due: at, Allowed: 4, ID: "Größe 42"},
	} {
		b.Run(what, func(b *testing.B) {
			s := n.encode(false)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseName(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
