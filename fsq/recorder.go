package fsq

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// recorder keeps the history of what a worker does: about once a minute, if an attempt has
// ended since. An idle worker is not woken by it.
type recorder struct {
	w   *Worker
	any chan struct{} // receives when there is something to write

	mu     sync.Mutex
	failed unwritten
}

const (
	// rollEvery is how often a worker writes the history of a busy queue, up to a quarter of
	// that later: so that each minute has a look. It is some 100 kB, as much as the records of
	// a few dozen jobs.
	rollEvery = 45 * time.Second
	// rollRecently is how long one that another wrote is new enough: of many workers on a
	// queue about one a minute writes it. Failed attempts, which only their worker knows, do not
	// wait for that.
	rollRecently = rollEvery * 3 / 4
	// rollShare is the part of its time that a worker spends on it at most: it lists what
	// waits, and what ended within the hour.
	rollShare = 20
)

func newRecorder(w *Worker) *recorder {
	return &recorder{w: w, any: make(chan struct{}, 1), failed: unwritten{}}
}

// ended takes note of an attempt that ended at that time.
func (r *recorder) ended(at time.Time, failed bool) {
	if failed {
		r.mu.Lock()
		r.failed.at(at).Failed++
		r.mu.Unlock()
	}
	r.stir()
}

func (r *recorder) run(ctx context.Context) {
	took := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.any:
		}
		pause := max(rollEvery, rollShare*took)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause + time.Duration(rand.Int64N(int64(pause)/4))):
		}
		begun := time.Now()
		r.write(ctx, true)
		took = time.Since(begun)
	}
}

// lastWrite is how long the end of a worker may be put off by listing what has ended.
const lastWrite = 5 * time.Second

// close writes what would be lost with this worker. The rest anybody can read from names.
func (r *recorder) close() {
	ctx, cancel := context.WithTimeout(context.Background(), lastWrite)
	defer cancel()
	r.write(ctx, false)
}

// write writes what is new; look says that what waits is to be looked at, too.
func (r *recorder) write(ctx context.Context, look bool) {
	r.mu.Lock()
	u := r.failed
	r.failed = unwritten{}
	r.mu.Unlock()
	q := r.w.q
	now := q.s.Now()
	if len(u) == 0 {
		if at, err := q.s.HistoryWritten(); !look || err == nil && now.Sub(at).Abs() < rollRecently {
			return
		}
	}
	told := u.clone()
	if look {
		d, err := q.depth(ctx, now)
		if err != nil {
			r.w.problem(err)
		} else {
			told.look(now, d)
		}
	}
	_, err := q.roll(ctx, told, now)
	if err == nil {
		return
	}
	if ctx.Err() == nil && !errors.Is(err, errRolledMeanwhile) && !errors.Is(err, errNewerHistory) {
		r.w.problemAs("history: "+cause(err).Error(), err) // each try names another file
	}
	if errors.Is(err, spool.ErrUncertain) {
		return // once too few is better than twice
	}
	if len(u) == 0 {
		return
	}
	r.mu.Lock()
	for at, b := range u {
		r.failed.at(time.Unix(at, 0)).Failed += b.Failed
	}
	r.failed.bound()
	r.mu.Unlock()
	r.stir()
}

func (r *recorder) stir() {
	select {
	case r.any <- struct{}{}:
	default:
	}
}

// maxUnwritten bounds what a worker keeps that cannot write for long: a day of minutes.
const maxUnwritten = 24 * 60

// bound drops the oldest.
func (u unwritten) bound() {
	if len(u) <= maxUnwritten {
		return
	}
	minutes := slices.Sorted(maps.Keys(u))
	for _, at := range minutes[:len(u)-maxUnwritten] {
		delete(u, at)
	}
}

func (u unwritten) clone() unwritten {
	c := make(unwritten, len(u))
	for at, b := range u {
		x := *b
		c[at] = &x
	}
	return c
}

// depth counts what waits, runs and is dead, from names.
func (q *Queue) depth(ctx context.Context, now time.Time) (d Depth, err error) {
	err = q.s.Each(func(e spool.Entry) error {
		switch stateOf(e, now) {
		case Pending:
			d.Pending++
		case Scheduled, Retrying:
			d.Scheduled++
		case Processing:
			d.Processing++
		case Dead:
			d.Dead++
		}
		return ctx.Err()
	}, spool.Pending, spool.Processing, spool.Dead)
	return d, err
}
