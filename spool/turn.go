package spool

import (
	"slices"
	"time"
)

// Ahead counts the due jobs that have their turn before a job that waits, and those of
// them that are of higher priority, in the order in which workers take jobs. It reads
// names alone, unless jobs tie whose ids do not tell when they were enqueued. A job that
// moves meanwhile may be missed or counted.
func (s *Spool) Ahead(n Name, now time.Time) (ahead, higher int, err error) {
	var tied []Name
	err = s.Each(func(e Entry) error {
		o := e.Name
		if o.ID == n.ID || o.Held || o.Due.After(now) {
			return nil
		}
		switch order := tieOrder(o, n); {
		case o.Priority > n.Priority:
			ahead++
			higher++
		case order < 0:
			ahead++
		case order == 0:
			tied = append(tied, o)
		}
		return nil
	}, Pending)
	if err != nil {
		return 0, 0, err
	}
	earlier := func(a, b Name) bool { return a.ID < b.ID }
	if slices.ContainsFunc(append(tied, n), func(n Name) bool { _, generated := ulidTime(n.ID); return !generated }) {
		mine := s.EnqueuedAt(n)
		byID := earlier
		earlier = func(a, b Name) bool {
			at := s.EnqueuedAt(a)
			return at.Before(mine) || at.Equal(mine) && byID(a, b)
		}
	}
	for _, o := range tied {
		if earlier(o, n) {
			ahead++
		}
	}
	return ahead, higher, nil
}
