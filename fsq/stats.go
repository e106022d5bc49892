package fsq

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Stats are figures about the jobs that the spool still holds.
type Stats struct {
	Queue           string       `json:"queue"` // "" for those of several
	Completed       int          `json:"completed"`
	Dead            int          `json:"dead"`
	Cancelled       int          `json:"cancelled"`
	FailedAttempts  int          `json:"failed_attempts"`  // of all jobs; timed out ones too
	LostAttempts    int          `json:"lost_attempts"`    // whose worker died
	SnoozedAttempts int          `json:"snoozed_attempts"` // that asked to be tried later
	Duration        Distribution `json:"duration"`         // of the last attempt of completed jobs
	Wait            Distribution `json:"wait"`             // from due to its start
	Throughput      Throughput   `json:"throughput"`
	OldestEndAt     *time.Time   `json:"oldest_end_at"`
	NewestEndAt     *time.Time   `json:"newest_end_at"`
}

// Throughput counts the jobs completed in the time before now.
type Throughput struct {
	LastMinute int `json:"last_minute"`
	LastHour   int `json:"last_hour"`
	LastDay    int `json:"last_day"`
}

// Distribution describes durations in seconds; all are 0 if Count is.
type Distribution struct {
	Count int     `json:"count"`
	Avg   float64 `json:"avg_seconds"`
	Min   float64 `json:"min_seconds"`
	Max   float64 `json:"max_seconds"`
	P50   float64 `json:"p50_seconds"`
	P95   float64 `json:"p95_seconds"`
	P99   float64 `json:"p99_seconds"`
}

// Stats reads names alone: the name of a settled job carries its outcome, wait and
// duration.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	s, err := StatsOf(ctx, q)
	s.Queue = q.Name()
	return s, err
}

// StatsOf are the figures of several queues taken together.
func StatsOf(ctx context.Context, qs ...*Queue) (Stats, error) {
	var s Stats
	var run, wait durations
	for _, q := range qs {
		now := q.now()
		err := q.s.Each(func(e spool.Entry) error {
			s.count(e, now)
			if e.State == spool.Done && e.Outcome != "" {
				run.add(e.Run)
				wait.add(e.Wait)
			}
			return ctx.Err()
		}, spool.Pending, spool.Processing, spool.Dead, spool.Done)
		if err != nil {
			return s, err
		}
	}
	s.Duration, s.Wait = run.distribution(), wait.distribution()
	return s, nil
}

func (s *Stats) count(e spool.Entry, now time.Time) {
	begun := e.Attempt
	s.LostAttempts += e.Lost
	s.SnoozedAttempts += e.Snoozed
	switch e.State {
	case spool.Done:
		s.Completed++
		begun--
		s.ended(e.Due, now)
	case spool.Dead:
		if stateOf(e, now) == Cancelled {
			s.Cancelled++
		} else {
			s.Dead++
		}
	case spool.Processing:
		begun--
	}
	s.FailedAttempts += max(begun-e.Lost-e.Given-e.Snoozed, 0)
}

func (s *Stats) ended(at, now time.Time) {
	if s.OldestEndAt == nil || at.Before(*s.OldestEndAt) {
		s.OldestEndAt = ptr(at)
	}
	if s.NewestEndAt == nil || at.After(*s.NewestEndAt) {
		s.NewestEndAt = ptr(at)
	}
	for _, c := range []struct {
		within time.Duration
		count  *int
	}{{time.Minute, &s.Throughput.LastMinute}, {time.Hour, &s.Throughput.LastHour}, {24 * time.Hour, &s.Throughput.LastDay}} {
		if now.Sub(at) <= c.within {
			*c.count++
		}
	}
}

// durations are kept as whole milliseconds, which is what names say: 4 bytes each
// hold 49 days, and what is longer counts as that.
type durations []uint32

func (d *durations) add(v time.Duration) {
	*d = append(*d, uint32(min(v.Milliseconds(), math.MaxUint32)))
}

func (d durations) distribution() Distribution {
	if len(d) == 0 {
		return Distribution{}
	}
	slices.Sort(d)
	var sum float64
	for _, v := range d {
		sum += float64(v)
	}
	at := func(p float64) float64 {
		// The nearest rank: the smallest value that p of all do not exceed.
		return float64(d[max(int(math.Ceil(p*float64(len(d))))-1, 0)]) / 1000
	}
	return Distribution{
		Count: len(d), Avg: sum / float64(len(d)) / 1000, Min: float64(d[0]) / 1000, Max: float64(d[len(d)-1]) / 1000,
		P50: at(0.50), P95: at(0.95), P99: at(0.99),
	}
}
