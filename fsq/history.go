package fsq

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// History is what became of a queue's jobs over a time: points of the same length, the
// oldest first. The last one has not ended yet.
type History struct {
	Queue       string         `json:"queue"` // "" for several
	Since       time.Time      `json:"since"` // when the first point begins
	Until       time.Time      `json:"until"` // when the last one ends
	StepSeconds int            `json:"step_seconds"`
	Points      []HistoryPoint `json:"points"`
}

// HistoryPoint is one of them.
type HistoryPoint struct {
	At    time.Time `json:"at"`    // when it begins
	Ended *Ended    `json:"ended"` // null: nothing is known of that time
	Depth *Depth    `json:"depth"` // null: nobody looked
	Wait  *Spread   `json:"wait"`  // from due to start, of the last attempt; null: no job ended
	Run   *Spread   `json:"run"`   // how long that ran
}

// Ended counts what came to an end.
type Ended struct {
	Done           int `json:"done"`
	Dead           int `json:"dead"`
	Cancelled      int `json:"cancelled"`
	FailedAttempts int `json:"failed_attempts"` // timed out ones too
}

// Depth is how many jobs were seen in a state, on average.
type Depth struct {
	Pending    float64 `json:"pending"`   // due
	Scheduled  float64 `json:"scheduled"` // due later, also to be tried again
	Processing float64 `json:"processing"`
	Dead       float64 `json:"dead"`
}

// Spread describes durations in seconds. The quantiles are off by an eighth at most.
type Spread struct {
	Count int     `json:"count"`
	Avg   float64 `json:"avg_seconds"`
	P50   float64 `json:"p50_seconds"`
	P95   float64 `json:"p95_seconds"`
	P99   float64 `json:"p99_seconds"`
}

// Depth is what a status tells of it.
func (s Status) Depth() Depth {
	return Depth{Pending: float64(s.Pending), Scheduled: float64(s.Scheduled + s.Retrying), Processing: float64(s.Processing), Dead: float64(s.Dead)}
}

// Depth is what a view tells of it.
func (v LiveView) Depth() Depth {
	n := func(s State) float64 { return float64(v.Counts[s]) }
	return Depth{Pending: n(Pending), Scheduled: n(Scheduled) + n(Retrying), Processing: n(Processing), Dead: n(Dead)}
}

// MaxHistory is how far back a history goes.
const MaxHistory = 31 * 24 * time.Hour

// HistoryStep is a step for a span that makes some hundred points of it.
func HistoryStep(span time.Duration) time.Duration {
	for _, s := range []struct{ upTo, step time.Duration }{
		{2 * time.Hour, time.Minute}, {12 * time.Hour, 5 * time.Minute}, {26 * time.Hour, 10 * time.Minute},
		{4 * 24 * time.Hour, time.Hour}, {8 * 24 * time.Hour, 2 * time.Hour},
	} {
		if span <= s.upTo {
			return s.step
		}
	}
	return 6 * time.Hour
}

// History tells of the time up to now, in points of the length step: whole minutes; of
// what is more than a day ago whole ten minutes, of more than a week whole hours. Other
// steps are lengthened, 0 or less stands for HistoryStep. The span is at most MaxHistory. It
// reads names since the history was last written, and writes nothing.
func (q *Queue) History(ctx context.Context, span, step time.Duration) (History, error) {
	h, err := HistoryOf(ctx, span, step, q)
	h.Queue = q.Name()
	return h, err
}

// HistoryOf is the history of several queues taken together. Of a queue that nobody looked
// at in a step the last look before that counts, if somebody looked at another.
func HistoryOf(ctx context.Context, span, step time.Duration, qs ...*Queue) (History, error) {
	p, err := ReadPast(ctx, qs...)
	if err != nil {
		return History{}, err
	}
	return p.History(span, step), nil
}

// Past is all that is known of what became of the jobs of some queues, up to the moment at
// which it was read. Any number of histories can be cut out of it; it is safe for
// concurrent use.
type Past struct {
	now     time.Time
	rollups []rollup
}

// ReadPast reads it: for each queue the file of its history, and the names of what has
// ended since that was written, which for the hour that is not over are all of it.
func ReadPast(ctx context.Context, qs ...*Queue) (*Past, error) {
	p := &Past{now: time.Now()}
	if len(qs) > 0 {
		p.now = qs[0].now()
	}
	for _, q := range qs {
		r, err := q.rollupNow(ctx, p.now)
		if err != nil {
			return nil, err
		}
		p.rollups = append(p.rollups, r)
	}
	return p, nil
}

// History is the part of it that HistoryOf tells of.
func (p *Past) History(span, step time.Duration) History {
	span = min(max(span, time.Minute), MaxHistory)
	if step <= 0 {
		step = HistoryStep(span)
	}
	seconds := wholeStep(span, step)
	until := floorTo(p.now.Unix(), seconds) + seconds
	n := int(max((int64(span/time.Second)+seconds-1)/seconds, 1))
	from := until - int64(n)*seconds
	merged := make([]point, n)
	for _, r := range p.rollups {
		merge(merged, r.points(from, seconds, n))
	}
	h := History{Since: time.Unix(from, 0).UTC(), Until: time.Unix(until, 0).UTC(), StepSeconds: int(seconds), Points: make([]HistoryPoint, n)}
	for i, p := range merged {
		at := time.Unix(from+int64(i)*seconds, 0).UTC()
		h.Points[i] = HistoryPoint{At: at, Depth: p.depth, Wait: p.Wait.spread(), Run: p.Run.spread()}
		if p.known {
			h.Points[i].Ended = &Ended{Done: int(p.Done), Dead: int(p.Dead), Cancelled: int(p.Cancelled), FailedAttempts: int(p.Failed)}
		}
	}
	return h
}

// wholeStep lengthens a step to what the oldest part of the span is kept by.
func wholeStep(span, step time.Duration) int64 {
	unit := int64(60)
	switch {
	case span > tensKept-time.Hour:
		unit = 3600
	case span > minutesKept:
		unit = 600
	}
	return max((int64(step/time.Second)+unit-1)/unit, 1) * unit
}

// point is a step of one queue or several.
type point struct {
	tally
	known bool
	depth *Depth
}

func (r rollup) points(from, seconds int64, n int) []point {
	list, seen := make([]point, n), make([]sightings, n)
	for _, b := range r.Buckets {
		if i := (b.At - from) / seconds; b.At >= from && i < int64(n) {
			list[i].plus(b.tally)
			seen[i].plus(b.sightings)
		}
	}
	for i := range list {
		list[i].known = from+int64(i+1)*seconds > r.Since
		list[i].depth = seen[i].depth()
	}
	return list
}

// merge adds another queue's points.
func merge(sum, other []point) {
	var last, lastOther *Depth
	for i := range sum {
		s, o := &sum[i], other[i]
		s.plus(o.tally)
		s.known = s.known || o.known
		seen, seenOther := s.depth, o.depth
		if seen != nil {
			last = seen
		}
		if seenOther != nil {
			lastOther = seenOther
		}
		if seen == nil && seenOther == nil {
			continue
		}
		d := Depth{}
		for _, x := range []*Depth{last, lastOther} {
			if x != nil {
				d = Depth{d.Pending + x.Pending, d.Scheduled + x.Scheduled, d.Processing + x.Processing, d.Dead + x.Dead}
			}
		}
		s.depth = &d
	}
}

// rollupNow is the history up to now, of which the last part is not written.
func (q *Queue) rollupNow(ctx context.Context, now time.Time) (rollup, error) {
	r, _, err := q.readRollup(q.s.ReadHistory())
	if err != nil && !errors.Is(err, errNewerHistory) {
		return r, err
	}
	r.openAt(now)
	d, err := q.endings(ctx, r.Final, now)
	if err != nil {
		return r, err
	}
	r.take(d, now)
	return r, nil
}

// readRollup makes an empty history of what is none; odd says so.
func (q *Queue) readRollup(data []byte, err error) (r rollup, odd bool, _ error) {
	if errors.Is(err, spool.ErrNotRegular) || errors.Is(err, spool.ErrTooLarge) {
		return rollup{}, true, nil
	}
	if err != nil || data == nil {
		return rollup{}, false, err
	}
	r, err = parseRollup(data)
	if errors.Is(err, errOddHistory) {
		return rollup{}, true, nil
	}
	return r, false, err
}

// endings counts what has ended since the history was final.
func (q *Queue) endings(ctx context.Context, final int64, now time.Time) (*endings, error) {
	d := endedSince(final)
	err := q.s.EachEndedSince(time.Unix(final, 0), func(e spool.Entry) error {
		d.add(e, now)
		return ctx.Err()
	})
	return d, err
}

// unwritten is what no name tells and is still to be written: failed attempts, and looks
// at what waits, by minute.
type unwritten map[int64]*bucket

func (u unwritten) at(t time.Time) *bucket {
	at := floorTo(t.Unix(), 60)
	if u[at] == nil {
		u[at] = &bucket{At: at, Minutes: 1}
	}
	return u[at]
}

func (u unwritten) look(t time.Time, d Depth) {
	u.at(t).sightings.plus(sightings{Looks: 1, Pending: int64(d.Pending), Scheduled: int64(d.Scheduled), Processing: int64(d.Processing), DeadJobs: int64(d.Dead)})
}

// Roll writes down what has ended since the history was last written, and what was seen
// waiting, if seen is not nil. It writes nothing if there is nothing new. Any number of
// processes may call it at any time: nothing is counted twice. It reads the names of
// done/ of the hours since the last time, and waits for the spool's lock; once a minute is
// often enough.
func (q *Queue) Roll(ctx context.Context, seen *Depth) error {
	if err := q.calibrate(); err != nil {
		return err
	}
	now, u := q.s.Now(), unwritten{}
	if seen != nil {
		u.look(now, *seen)
	}
	_, err := q.roll(ctx, u, now)
	return err
}

// rollTries is how often the names are read again because another has written a history
// since. He has read the same ones.
const rollTries = 3

var errRolledMeanwhile = errors.New("others keep writing the history")

// roll is Roll with what no name tells.
func (q *Queue) roll(ctx context.Context, u unwritten, now time.Time) (rollup, error) {
	for range rollTries {
		r, done, err := q.rollOnce(ctx, u, now)
		if done || err != nil {
			return r, err
		}
	}
	return rollup{}, errRolledMeanwhile
}

// rollOnce says done unless another has written meanwhile. The names are read before the
// lock is taken, for which others may wait.
func (q *Queue) rollOnce(ctx context.Context, u unwritten, now time.Time) (r rollup, done bool, err error) {
	before, readErr := q.s.ReadHistory()
	r, odd, err := q.readRollup(before, readErr)
	if err != nil {
		return r, false, err
	}
	r.openAt(now)
	d, err := q.endings(ctx, r.Final, now)
	if err != nil {
		return r, false, err
	}
	if before != nil && !odd && len(d.buckets)+len(u) == 0 {
		return r, true, nil
	}
	err = q.s.ChangeHistory(func(old []byte, readErr error) ([]byte, bool, error) {
		if readErr != nil || !bytes.Equal(old, before) {
			if r, odd, err = q.readRollup(old, readErr); err != nil {
				return nil, false, err
			}
			r.openAt(now)
		}
		raised, ok := r.take(d, now)
		if done = ok; !done {
			return nil, false, nil
		}
		for at, b := range u {
			x := r.bucket(at, 1)
			x.Failed += b.Failed
			x.sightings.plus(b.sightings)
		}
		if !r.close(now) && !raised && !odd && len(u) == 0 {
			return nil, false, nil
		}
		data, err := r.file(now)
		return data, odd, err
	})
	return r, done, err
}
