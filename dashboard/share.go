package dashboard

import (
	"context"
	"sync"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// shared keeps what was found out for one who looks for the others who look at the same:
// a hundred pages cost the spool what one costs. The zero value is ready.
type shared struct {
	mu   sync.Mutex
	kept map[string]*sharing
}

type sharing struct {
	mu      sync.Mutex // of who finds it out; the others wait
	version uint64
	at      time.Time
	cost    time.Duration // of finding it out
	value   any
}

const (
	// maxShared bounds how many answers are kept: of those who look at something else each.
	maxShared = 64
	// shareFor is how long an answer holds without a change of the queues: nothing tells of
	// what is only in the files of a job.
	shareFor = 2 * time.Second
	// shareCost bounds the part of the time that goes into one answer, whatever changes: it
	// holds for so many times as long as it took.
	shareCost = 5
	// pastCost is the same for what ended in the past: a graph may be older than a list.
	pastCost = 20
)

// share returns what find has returned for this key and version of the snapshot, or calls
// it. Errors are not kept.
func share[T any](s *shared, key string, version uint64, now time.Time, find func() (T, error)) (T, error) {
	return shareAt(s, key, version, now, shareCost, find)
}

// shareAt is share of what holds for times as long as it took.
func shareAt[T any](s *shared, key string, version uint64, now time.Time, times int, find func() (T, error)) (T, error) {
	e := s.of(key)
	e.mu.Lock()
	defer e.mu.Unlock()
	if age := now.Sub(e.at); e.value != nil && age >= 0 && (age < time.Duration(times)*e.cost || e.version == version && age < shareFor) {
		return e.value.(T), nil
	}
	began := time.Now()
	v, err := find()
	if err == nil {
		e.value, e.version, e.at, e.cost = v, version, now, time.Since(began)
	}
	return v, err
}

// past is what ended in some queues, read once for all histories and all who look.
func (d *Dashboard) past(ctx context.Context, now time.Time, qs []*fsq.Queue) (*fsq.Past, error) {
	key := "past"
	for _, q := range qs {
		key += " " + q.Name()
	}
	return shareAt(&d.shared, key, 0, now, pastCost, func() (*fsq.Past, error) { return fsq.ReadPast(ctx, qs...) })
}

func (s *shared) of(key string) *sharing {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.kept[key]; e != nil {
		return e
	}
	if s.kept == nil || len(s.kept) >= maxShared {
		s.kept = map[string]*sharing{}
	}
	e := &sharing{}
	s.kept[key] = e
	return e
}

// forget is for when somebody has changed something here: he is to see it.
func (s *shared) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = nil
}
