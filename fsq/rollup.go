package fsq

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// rollupFormat is the version of the history's file. One with another is left alone.
const rollupFormat = 1

var (
	errNewerHistory = errors.New("the history is of a newer version")
	errOddHistory   = errors.New("it is no history")
)

// rollup is the content of a queue's history: what ended in each span of time, and what
// was seen waiting. FORMAT.md, "History", has the fields.
type rollup struct {
	Format  int      `json:"format"`
	Since   int64    `json:"since"` // Unix seconds, as all times here: nothing is known of what was before
	Final   int64    `json:"final"` // the spans before are not counted again
	Before  bucket   `json:"before"`
	Buckets []bucket `json:"buckets"` // by time; none overlap
}

// bucket is a span of time.
type bucket struct {
	At      int64 `json:"at"`
	Minutes int64 `json:"minutes"`
	tally
	sightings
}

// tally counts what ended.
type tally struct {
	Done      int64     `json:"done,omitempty"`
	Dead      int64     `json:"dead,omitempty"`
	Cancelled int64     `json:"cancelled,omitempty"`
	Failed    int64     `json:"failed,omitempty"` // attempts
	Wait      histogram `json:"wait,omitzero"`
	Run       histogram `json:"run,omitzero"`
}

// sightings are sums over looks at what waits.
type sightings struct {
	Looks      int64 `json:"looks,omitempty"`
	Pending    int64 `json:"pending,omitempty"`
	Scheduled  int64 `json:"scheduled,omitempty"`
	Processing int64 `json:"processing,omitempty"`
	DeadJobs   int64 `json:"dead_jobs,omitempty"`
}

// histogram counts durations by the least of the bounds that they do not exceed: N[i] is of
// bounds[From+i].
type histogram struct {
	Sum  int64   `json:"ms"`
	From int     `json:"from"`
	N    []int64 `json:"n"`
}

// bounds of durations in milliseconds: ten to a decade (the series R10 of ISO 3), so that a
// quantile is off by less than an eighth, and 0.005, 0.01, 0.025 … 10 s, which graphs of
// Prometheus are made of, are among them. 12 days stand for all that is longer.
var bounds = func() []int64 {
	list := []int64{0, 1, 2, 3, 4, 5, 6, 8}
	r10 := []int64{100, 125, 160, 200, 250, 320, 400, 500, 630, 800}
	list = append(list, 10, 13, 16, 20, 25, 32, 40, 50, 63, 80)
	for scale := int64(1); scale <= 1e6; scale *= 10 {
		for _, v := range r10 {
			list = append(list, v*scale)
		}
	}
	return append(list, 1e9)
}()

// What is kept at which width, and how long: a minute for more than a day, ten for more
// than a week, an hour for more than a month. With the usual few dozen bounds for each span
// that is a third of spool.MaxHistoryBytes.
const (
	minutesKept = 25 * time.Hour
	tensKept    = 8 * 24 * time.Hour
	hoursKept   = 32 * 24 * time.Hour
	// settleMargin is how much later than its name says a job may appear in done/. A rename
	// that takes longer, by a server that is away, is not counted.
	settleMargin = 2 * time.Minute
	// Bounds of what a file may say, so that sums of it do not overflow. 17,000 years of
	// running time are within them.
	maxCount   = 1 << 40
	maxSum     = 1 << 49
	maxBuckets = 10000
)

func floorTo(t, seconds int64) int64 { return t - ((t%seconds)+seconds)%seconds }

// widthAt is how many minutes a span is long that began at t.
func widthAt(t int64, now time.Time) int64 {
	hour := func(ago time.Duration) int64 { return floorTo(now.Add(-ago).Unix(), 3600) }
	switch {
	case t >= hour(minutesKept):
		return 1
	case t >= hour(tensKept):
		return 10
	default:
		return 60
	}
}

func (h *histogram) add(d time.Duration) {
	ms := min(max(d.Milliseconds(), 0), bounds[len(bounds)-1])
	h.Sum += ms
	i, _ := slices.BinarySearch(bounds, ms)
	*h.at(i)++
}

// at is the count of bounds[i].
func (h *histogram) at(i int) *int64 {
	switch {
	case len(h.N) == 0:
		h.From, h.N = i, []int64{0}
	case i < h.From:
		h.N = append(make([]int64, h.From-i, h.From-i+len(h.N)), h.N...)
		h.From = i
	case i >= h.From+len(h.N):
		h.N = append(h.N, make([]int64, i+1-h.From-len(h.N))...)
	}
	return &h.N[i-h.From]
}

func (h *histogram) plus(o histogram) {
	h.Sum += o.Sum
	for i, n := range o.N {
		*h.at(o.From + i) += n
	}
}

// atLeast raises each count to that of o and reports whether one was less.
func (h *histogram) atLeast(o histogram) (raised bool) {
	h.Sum = max(h.Sum, o.Sum)
	for i, n := range o.N {
		if c := h.at(o.From + i); *c < n {
			*c, raised = n, true
		}
	}
	return raised
}

func (h histogram) total() (n int64) {
	for _, c := range h.N {
		n += c
	}
	return n
}

// quantile is where the p-th part of the durations ends, in seconds: within the span that
// it falls into they are taken to be spread evenly, as Prometheus does.
func (h histogram) quantile(p float64) float64 {
	rank, before := p*float64(h.total()), 0.0
	for i, c := range h.N {
		n := float64(c)
		if c == 0 || before+n < rank {
			before += n
			continue
		}
		high, low := bounds[h.From+i], int64(0)
		if h.From+i > 0 {
			low = bounds[h.From+i-1]
		}
		return (float64(low) + float64(high-low)*max(rank-before, 0)/n) / 1000
	}
	return 0
}

// spread is nil if there is nothing in it.
func (h histogram) spread() *Spread {
	n := h.total()
	if n == 0 {
		return nil
	}
	return &Spread{Count: int(n), Avg: float64(h.Sum) / float64(n) / 1000, P50: h.quantile(0.50), P95: h.quantile(0.95), P99: h.quantile(0.99)}
}

func (t *tally) plus(o tally) {
	t.Done += o.Done
	t.Dead += o.Dead
	t.Cancelled += o.Cancelled
	t.Failed += o.Failed
	t.Wait.plus(o.Wait)
	t.Run.plus(o.Run)
}

// atLeast raises each figure to that of o and reports whether one was less.
func (t *tally) atLeast(o tally) bool {
	raised := o.Done > t.Done || o.Dead > t.Dead || o.Cancelled > t.Cancelled
	t.Done, t.Dead, t.Cancelled = max(t.Done, o.Done), max(t.Dead, o.Dead), max(t.Cancelled, o.Cancelled)
	waits, runs := t.Wait.atLeast(o.Wait), t.Run.atLeast(o.Run)
	return raised || waits || runs
}

// ended counts a job of done/ or dead/. Of one that was cancelled or lost nothing is known
// about how it ran.
func (t *tally) ended(e spool.Entry) {
	switch {
	case e.State == spool.Done:
		t.Done++
	case e.Outcome == string(OutcomeCancelled):
		t.Cancelled++
		return
	default:
		t.Dead++
		if e.Outcome == string(OutcomeLost) {
			return
		}
	}
	t.Wait.add(e.Wait)
	t.Run.add(e.Run)
}

func (s *sightings) plus(o sightings) {
	s.Looks += o.Looks
	s.Pending += o.Pending
	s.Scheduled += o.Scheduled
	s.Processing += o.Processing
	s.DeadJobs += o.DeadJobs
}

// depth is the mean of the looks; nil if there was none.
func (s sightings) depth() *Depth {
	if s.Looks == 0 {
		return nil
	}
	n := float64(s.Looks)
	return &Depth{Pending: float64(s.Pending) / n, Scheduled: float64(s.Scheduled) / n, Processing: float64(s.Processing) / n, Dead: float64(s.DeadJobs) / n}
}

// valid refuses figures that no program of this version writes: who may write the spool
// may have put anything there.
func (b bucket) valid() bool {
	figures := []int64{b.Done, b.Dead, b.Cancelled, b.Failed, b.Looks, b.Pending, b.Scheduled, b.Processing, b.DeadJobs}
	for _, h := range []histogram{b.Wait, b.Run} {
		if h.Sum < 0 || h.Sum > maxSum || h.From < 0 || h.From > len(bounds)-len(h.N) {
			return false
		}
		figures = append(figures, h.N...)
	}
	return !slices.ContainsFunc(figures, func(n int64) bool { return n < 0 || n > maxCount })
}

// parseRollup reads a history's file. The error wraps errOddHistory of what is none, and
// errNewerHistory of one that this program does not know.
func parseRollup(data []byte) (rollup, error) {
	var r rollup
	err := json.Unmarshal(data, &r)
	switch {
	case r.Format > rollupFormat:
		return rollup{}, fmt.Errorf("%w: it has format %d, this program knows %d", errNewerHistory, r.Format, rollupFormat)
	case err != nil || r.Format != rollupFormat:
		return rollup{}, errOddHistory
	case len(r.Buckets) > maxBuckets || !r.Before.valid():
		return rollup{}, fmt.Errorf("%w: its figures cannot be", errOddHistory)
	}
	end := int64(math.MinInt64)
	for _, b := range r.Buckets {
		known := b.Minutes == 1 || b.Minutes == 10 || b.Minutes == 60
		if !known || b.At < end || floorTo(b.At, b.Minutes*60) != b.At || !b.valid() {
			return rollup{}, fmt.Errorf("%w: its figures cannot be", errOddHistory)
		}
		end = b.At + b.Minutes*60
	}
	return r, nil
}

func (r rollup) encode() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write the history: %w", err)
	}
	return append(data, '\n'), nil
}

// bucket is the span that begins at t, which is made if it is not there. By a clock that
// was ahead it may be part of a longer one already.
func (r *rollup) bucket(t, minutes int64) *bucket {
	i, found := slices.BinarySearchFunc(r.Buckets, t, func(b bucket, t int64) int { return cmp.Compare(b.At, t) })
	if !found && i > 0 && t < r.Buckets[i-1].At+60*r.Buckets[i-1].Minutes {
		return &r.Buckets[i-1]
	}
	if !found {
		r.Buckets = slices.Insert(r.Buckets, i, bucket{At: t, Minutes: minutes})
	}
	return &r.Buckets[i]
}

// totals are all that was ever counted.
func (r rollup) totals() tally {
	t := tally{}
	t.plus(r.Before.tally)
	for _, b := range r.Buckets {
		t.plus(b.tally)
	}
	return t
}

// fold makes one of spans that are old enough for that, and totals of what is older than
// all that is kept.
func (r *rollup) fold(now time.Time) { r.foldBy(func(t int64) int64 { return widthAt(t, now) }, now) }

func (r *rollup) foldBy(width func(t int64) int64, now time.Time) {
	old := r.Buckets
	r.Buckets = make([]bucket, 0, len(old))
	oldest := floorTo(now.Add(-hoursKept).Unix(), 3600)
	for _, b := range old {
		if b.At < oldest {
			r.Before.tally.plus(b.tally)
			continue
		}
		w := max(b.Minutes, width(b.At))
		at := floorTo(b.At, w*60)
		if last := len(r.Buckets) - 1; last >= 0 && at < r.Buckets[last].At+r.Buckets[last].Minutes*60 {
			r.Buckets[last].tally.plus(b.tally)
			r.Buckets[last].sightings.plus(b.sightings)
			continue
		}
		b.At, b.Minutes = at, w
		r.Buckets = append(r.Buckets, b)
	}
	r.Since = max(r.Since, oldest)
}

// endings are what lies in the spool of what ended at from or later.
type endings struct {
	from    int64
	oldest  int64 // the earliest end; 0 if there is none
	buckets map[int64]*bucket
	minutes int64 // those before are of the last write or later, and are kept apart by minutes
}

// endedSince begins to count what ended since the history was final. Minutes that have been
// counted and were not final then are counted as minutes again.
func endedSince(final int64) *endings {
	return &endings{from: final, buckets: map[int64]*bucket{}, minutes: floorTo(final+3600+3599, 3600)}
}

func (d *endings) add(e spool.Entry, now time.Time) {
	t := e.Due.Unix()
	if t < d.from || e.Due.After(now) {
		return // by a clock that was set back it is still to come: its time is looked at then
	}
	width := int64(1)
	if d.from == 0 || t >= d.minutes {
		width = widthAt(t, now)
	}
	at := floorTo(t, width*60)
	b := d.buckets[at]
	if b == nil {
		b = &bucket{At: at, Minutes: width}
		d.buckets[at] = b
	}
	b.ended(e)
	if d.oldest == 0 || t < d.oldest {
		d.oldest = t
	}
}

// take counts what was found, if it is what ended since the history was final: else another
// has written one since, and false says so. raised says that there was something new.
func (r *rollup) take(d *endings, now time.Time) (raised, ok bool) {
	if r.Final != d.from {
		return false, false
	}
	fresh, oldest := r.Since == 0, floorTo(now.Add(-hoursKept).Unix(), 3600)
	if fresh {
		r.Since = floorTo(now.Unix(), 60)
		if d.oldest > 0 {
			r.Since = min(r.Since, floorTo(d.oldest, 60))
		}
		raised = true
	}
	for _, at := range slices.Sorted(maps.Keys(d.buckets)) { // in order, so that each is put at the end
		b := d.buckets[at]
		if !fresh && at < oldest {
			continue // it is in Before: by a clock that was set back it is looked at again
		}
		if r.bucket(at, b.Minutes).atLeast(b.tally) {
			raised = true
		}
	}
	return raised, true
}

// close makes final what is over, and reports whether that is more than before.
func (r *rollup) close(now time.Time) bool {
	was := r.Final
	r.Final = max(r.Final, floorTo(now.Add(-settleMargin).Unix(), 60))
	return r.Final > was
}

// openAt is from when on names are to be counted: a history of a clock that was ahead would
// pass over all until then.
func (r *rollup) openAt(now time.Time) {
	if r.Final > now.Unix() {
		r.Final = floorTo(now.Add(-settleMargin).Unix(), 60)
	}
	if r.Since > now.Unix() {
		r.Since = r.Final
	}
}

// file is the history as bytes, within spool.MaxHistoryBytes: what would be longer keeps
// fewer minutes apart.
func (r *rollup) file(now time.Time) ([]byte, error) {
	r.Format = rollupFormat
	r.fold(now)
	data, err := r.encode()
	for _, least := range []int64{10, 60} {
		if err != nil || len(data) <= spool.MaxHistoryBytes {
			break
		}
		r.foldBy(func(t int64) int64 {
			if t >= floorTo(r.Final, 3600) {
				return 1
			}
			return max(least, widthAt(t, now))
		}, now)
		data, err = r.encode()
	}
	// Durations of all lengths in each hour of a month: nothing but forgetting helps.
	for err == nil && len(data) > spool.MaxHistoryBytes && len(r.Buckets) > 0 {
		n := (len(r.Buckets) + 7) / 8
		for _, b := range r.Buckets[:n] {
			r.Before.tally.plus(b.tally)
			r.Since = b.At + b.Minutes*60
		}
		r.Buckets = r.Buckets[n:]
		data, err = r.encode()
	}
	return data, err
}
