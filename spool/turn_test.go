package spool

import (
	"fmt"
	"testing"
	"time"
)

// Ahead counts what workers take first: a job's place in the order of Ready.
func TestAheadIsTheOrderOfTurns(t *testing.T) {
	s := newSpool(t)
	now := s.Now()
	var items []Item
	for i := range 40 {
		n := Name{ID: fmt.Sprintf("job-%02d", (i*17)%40), Due: Truncate(now.Add(-time.Duration(i%5) * time.Second)), Priority: i % 3, Allowed: 1}
		if i%4 == 0 {
			n.ID = s.NewID()
		}
		items = append(items, Item{Name: n, Data: []byte(`{"command":"true"}`), Reserved: i%4 != 0})
	}
	items = append(items,
		Item{Name: Name{ID: "later", Due: Truncate(now.Add(time.Hour)), Priority: 9, Allowed: 1}, Data: []byte("{}"), Reserved: true},
		Item{Name: Name{ID: "held", Due: Truncate(now.Add(-time.Hour)), Priority: 9, Allowed: 1, Held: true}, Data: []byte("{}"), Reserved: true})
	mustDo(t, s.PutBatch(items)...)

	r := Ready{Order: s.EnqueuedAt}
	mustDo(t, s.Waiting(func(n Name) { r.Add(n, now) }, nil))
	higher := map[int]int{}
	for place := 0; ; place++ {
		n, ok := r.Next(now)
		if !ok {
			if place != 40 {
				t.Errorf("%d jobs were due, want 40", place)
			}
			return
		}
		higher[n.Priority]++
		above := 0
		for p, count := range higher {
			if p > n.Priority {
				above += count
			}
		}
		ahead, first, err := s.Ahead(n, now)
		if err != nil || ahead != place || first != above {
			t.Errorf("%s: %d ahead, %d by priority, %v; want %d and %d", n, ahead, first, err, place, above)
		}
	}
}
