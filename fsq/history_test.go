package fsq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// file puts a job into done/ or dead/ that ended at that time.
func file(t *testing.T, q *Queue, st spool.State, id string, at time.Time, outcome Outcome, wait, run time.Duration) string {
	t.Helper()
	n := spool.Name{Due: at.UTC().Truncate(time.Millisecond), Attempt: 1, Allowed: 4, Outcome: string(outcome), Wait: wait, Run: run, ID: id}
	dir := filepath.Join(q.Dir(), string(st))
	if st == spool.Done {
		dir = filepath.Join(dir, at.UTC().Format("20060102/15"))
	}
	path := filepath.Join(dir, n.String())
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(path, []byte(`{"command":"true"}`), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func rollAt(t *testing.T, q *Queue, now time.Time, u unwritten) rollup {
	t.Helper()
	r, err := q.roll(t.Context(), u, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func storedRollup(t *testing.T, q *Queue) rollup {
	t.Helper()
	data, err := q.s.ReadHistory()
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseRollup(data)
	if err != nil {
		t.Fatalf("%v: %.200s", err, data)
	}
	return r
}

// A simulated month: jobs end all the time, somebody rolls now and then, and what is old
// is pruned. Nothing is counted twice or lost, spans grow with age, and none overlap.
func TestHistoryOverAMonth(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	rnd := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 3, 1, 10, 17, 23, 0, time.UTC)
	end := start.Add(40 * 24 * time.Hour)
	var want Ended
	var files []string
	n, prunings := 0, 0
	for now := start; now.Before(end); {
		step := time.Duration(1+rnd.IntN(90)) * time.Minute
		if rnd.IntN(10) == 0 {
			step = time.Duration(rnd.IntN(60)) * time.Hour // nobody is there
		}
		for range rnd.IntN(6) {
			n++
			at := now.Add(time.Duration(rnd.Int64N(int64(step))))
			ran := time.Duration(rnd.Int64N(int64(time.Minute)))
			id := fmt.Sprint("job-", n)
			switch rnd.IntN(4) {
			case 0:
				files = append(files, file(t, q, spool.Dead, id, at, OutcomeFailed, time.Second, ran))
				want.Dead++
			case 1:
				files = append(files, file(t, q, spool.Dead, id, at, OutcomeCancelled, 0, 0))
				want.Cancelled++
			default:
				files = append(files, file(t, q, spool.Done, id, at, OutcomeDone, time.Second, ran))
				want.Done++
			}
		}
		now = now.Add(step)
		u := unwritten{}
		u.at(now).Failed = 1
		want.FailedAttempts++
		rollAt(t, q, now, u)
		if rnd.IntN(3) == 0 {
			rollAt(t, q, now, nil) // it counts nothing again
		}
		if rnd.IntN(8) == 0 { // pruning comes right after a roll
			for _, f := range files {
				_ = os.Remove(f)
			}
			files, prunings = nil, prunings+1
		}
		r := storedRollup(t, q)
		total := r.totals()
		if got := (Ended{int(total.Done), int(total.Dead), int(total.Cancelled), int(total.Failed)}); got != want {
			t.Fatalf("at %s, after %d prunings: %+v, want %+v", now, prunings, got, want)
		}
		if runs := total.Run.total(); runs != int64(want.Done+want.Dead) {
			t.Fatalf("%d durations, want %d", runs, want.Done+want.Dead)
		}
	}
	r := storedRollup(t, q)
	widths := map[int64]int{}
	for _, b := range r.Buckets {
		widths[b.Minutes]++
	}
	if len(widths) != 3 || r.Before.Done == 0 || prunings == 0 {
		t.Errorf("spans of %v, %d done before: the test has not seen all of it", widths, r.Before.Done)
	}
}

// What a point tells: counts, the last look, quantiles; and null where nobody knows.
func TestHistoryPoints(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	now := q.s.Now().UTC().Truncate(time.Hour).Add(30*time.Minute + 30*time.Second)
	for i := range 100 {
		file(t, q, spool.Done, fmt.Sprint("a", i), now.Add(-10*time.Minute), OutcomeDone, time.Duration(i+1)*10*time.Millisecond, time.Second)
	}
	file(t, q, spool.Dead, "lost", now.Add(-5*time.Minute), OutcomeLost, 0, 0)
	file(t, q, spool.Done, "moved", now.Add(-4*time.Minute), "", 0, 0) // somebody moved it: nobody knows when it ended
	u := unwritten{}
	u.look(now.Add(-5*time.Minute), Depth{Pending: 3, Processing: 1})
	u.look(now.Add(-5*time.Minute), Depth{Pending: 6, Processing: 2})
	rollAt(t, q, now, u)
	r, err := q.rollupNow(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	from := floorTo(now.Add(-19*time.Minute).Unix(), 60)
	p := r.points(from, 60, 20)
	if p[0].known || !p[9].known || !p[19].known {
		t.Errorf("it is known from %s, which begins at %d", time.Unix(r.Since, 0), from)
	}
	s := p[9].Wait.spread()
	if s == nil || s.Count != 100 || s.Avg != 0.505 {
		t.Fatalf("waits: %+v", s)
	}
	for _, c := range []struct{ got, want float64 }{{s.P50, 0.5}, {s.P95, 0.95}, {s.P99, 0.99}} {
		if c.got < c.want/1.13 || c.got > c.want*1.13 {
			t.Errorf("a quantile of %.3f, want %.3f", c.got, c.want)
		}
	}
	if p[14].Dead != 1 || p[14].Run.spread() != nil || p[15].Done != 0 {
		t.Errorf("a lost and a moved job: %+v, %+v", p[14], p[15])
	}
	if d := p[14].depth; d == nil || *d != (Depth{Pending: 4.5, Processing: 1.5}) || p[13].depth != nil {
		t.Errorf("looks: %+v, %+v", p[14].depth, p[13].depth)
	}
	// Of two queues, the one that nobody looked at keeps what was seen last.
	sum := make([]point, 20)
	merge(sum, p)
	other := make([]point, 20)
	other[16].depth = &Depth{Pending: 10}
	merge(sum, other)
	if d := sum[16].depth; d == nil || d.Pending != 14.5 || sum[15].depth != nil || sum[14].depth.Pending != 4.5 {
		t.Errorf("looks at two queues: %+v", d)
	}
	h, err := q.History(t.Context(), time.Hour, 0)
	if err != nil || len(h.Points) != 60 || h.StepSeconds != 60 || h.Until.Sub(h.Since) != time.Hour {
		t.Errorf("%d points of %d s, %v", len(h.Points), h.StepSeconds, err)
	}
	for span, want := range map[time.Duration]struct{ points, step int }{
		time.Minute: {1, 60}, 24 * time.Hour: {144, 600}, 7 * 24 * time.Hour: {84, 7200}, 30 * 24 * time.Hour: {120, 21600}, 365 * 24 * time.Hour: {124, 21600},
	} {
		h, err := q.History(t.Context(), span, 0)
		if err != nil || len(h.Points) != want.points || h.StepSeconds != want.step {
			t.Errorf("%s: %d points of %d s, %v; want %+v", span, len(h.Points), h.StepSeconds, err, want)
		}
	}
	for span, want := range map[time.Duration]int64{25 * time.Hour: 60, 26 * time.Hour: 600, 7 * 24 * time.Hour: 600, 30 * 24 * time.Hour: 3600} {
		if got := wholeStep(span, time.Second); got != want {
			t.Errorf("the least step of %s is %d s, want %d", span, got, want)
		}
	}
}

// Several processes that write at once neither lose nor double what only they know.
func TestHistoryOfManyWriters(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	now := q.s.Now().UTC()
	const writers, rounds = 4, 10
	var all sync.WaitGroup
	for w := range writers {
		own, err := OpenExisting(q.Dir(), testConfig())
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for i := range rounds {
				at := now.Add(time.Duration(i) * 3 * time.Minute)
				file(t, own, spool.Done, fmt.Sprintf("w%d-%d", w, i), at.Add(-time.Second), OutcomeDone, 0, time.Second)
				u := unwritten{}
				u.at(at).Failed++
				for {
					_, err := own.roll(t.Context(), u, at)
					if err == nil {
						break
					}
					if !errors.Is(err, errRolledMeanwhile) {
						t.Error(err)
						break
					}
				}
			}
		})
	}
	all.Wait()
	r := rollAt(t, q, now.Add(time.Hour), nil)
	if total := r.totals(); total.Failed != writers*rounds || total.Done > writers*rounds {
		t.Errorf("%d failed and %d done, want %d of each", total.Failed, total.Done, writers*rounds)
	}
}

// Whatever lies where the history should be is set aside, and a new one is made of what is
// in the spool. One of a newer version is left alone.
func TestHistoryOfStrangers(t *testing.T) {
	t.Parallel()
	bad := func(b bucket) string {
		data, _ := json.Marshal(rollup{Format: 1, Buckets: []bucket{b}})
		return string(data)
	}
	many := tally{Done: -1}
	for name, make := range map[string]func(path string) error{
		"torn":        func(path string) error { return os.WriteFile(path, []byte(`{"format":1,"since":17`), 0o600) },
		"empty":       func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"huge":        func(path string) error { return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 1<<40)) },
		"a FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a link":      func(path string) error { return os.Symlink("/etc/passwd", path) },
		"a directory": func(path string) error { return os.MkdirAll(path+"/x", 0o700) },
		"no object":   func(path string) error { return os.WriteFile(path, []byte(`[1,2]`), 0o600) },
		"negative": func(path string) error {
			return os.WriteFile(path, []byte(bad(bucket{Minutes: 1, tally: many})), 0o600)
		},
		"odd span": func(path string) error { return os.WriteFile(path, []byte(bad(bucket{Minutes: 7})), 0o600) },
		"odd time": func(path string) error { return os.WriteFile(path, []byte(bad(bucket{At: 1, Minutes: 1})), 0o600) },
		"odd bounds": func(path string) error {
			return os.WriteFile(path, []byte(bad(bucket{Minutes: 1, tally: tally{Run: histogram{From: len(bounds), N: []int64{1}}}})), 0o600)
		},
	} {
		q := openQueue(t, testConfig())
		now := q.s.Now()
		file(t, q, spool.Done, "one", now.Add(-time.Hour), OutcomeDone, 0, time.Second)
		path := filepath.Join(q.Dir(), spool.HistoryPath())
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), make(path)); err != nil {
			t.Fatal(err)
		}
		if h, err := q.History(t.Context(), 2*time.Hour, 0); err != nil || countDone(h) != 1 {
			t.Errorf("%s, before it is written: %d done, %v", name, countDone(h), err)
		}
		rollAt(t, q, now, nil)
		if got := storedRollup(t, q).totals().Done; got != 1 {
			t.Errorf("%s: %d done after it was made anew", name, got)
		}
		report, err := q.Check(t.Context(), CheckOptions{})
		if err != nil || !strings.Contains(fmt.Sprint(report.Breaches), "odd-history") {
			t.Errorf("%s: check says %+v, %v", name, report.Breaches, err)
		}
	}
	q := openQueue(t, testConfig())
	path := filepath.Join(q.Dir(), spool.HistoryPath())
	newer := []byte(`{"format":2,"buckets":"of another kind"}`)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, newer, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := q.roll(t.Context(), nil, q.s.Now()); !errors.Is(err, errNewerHistory) {
		t.Errorf("a newer one: %v", err)
	}
	if data, err := os.ReadFile(path); string(data) != string(newer) {
		t.Errorf("a newer one became %q, %v", data, err)
	}
	if _, err := q.History(t.Context(), time.Hour, 0); err != nil {
		t.Errorf("a newer one: %v", err)
	}
}

func countDone(h History) (n int) {
	for _, p := range h.Points {
		if p.Ended != nil {
			n += p.Ended.Done
		}
	}
	return n
}

// A clock that was ahead for a while, by minutes or a month, does not stop the history.
func TestHistoryOfAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{time.Minute, time.Hour, 48 * time.Hour, 60 * 24 * time.Hour} {
		q := openQueue(t, testConfig())
		now := time.Date(2026, 3, 1, 10, 17, 23, 0, time.UTC)
		file(t, q, spool.Done, "one", now.Add(-10*time.Second), OutcomeDone, 0, time.Second)
		rollAt(t, q, now, nil)
		rollAt(t, q, now.Add(ahead), nil)
		file(t, q, spool.Done, "ahead", now.Add(ahead), OutcomeDone, 0, time.Second)
		rollAt(t, q, now.Add(ahead+time.Second), nil)
		file(t, q, spool.Done, "two", now.Add(5*time.Minute), OutcomeDone, 0, time.Second)
		r := rollAt(t, q, now.Add(6*time.Minute), nil)
		if got := r.totals().Done; got < 2 || got > 3 {
			t.Errorf("%s ahead: %d done, want 3", ahead, got)
		}
		storedRollup(t, q)
	}
}

// A clock that stands at 1970, as on a board without a battery until it is set, neither
// makes a history of decades nor forgets what there is of today.
func TestHistoryOfAClockAtZero(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	zero, now := time.Unix(90, 0), time.Date(2026, 3, 1, 10, 17, 23, 0, time.UTC)
	file(t, q, spool.Done, "early", zero.Add(-10*time.Second), OutcomeDone, 0, time.Second)
	rollAt(t, q, zero, nil)
	file(t, q, spool.Done, "one", now.Add(-10*time.Second), OutcomeDone, 0, time.Second)
	rollAt(t, q, now, nil)
	r := rollAt(t, q, zero.Add(time.Hour), nil)
	if n := len(r.Buckets); n > 70*24 {
		t.Errorf("%d spans", n)
	}
	file(t, q, spool.Done, "two", now.Add(5*time.Minute), OutcomeDone, 0, time.Second)
	if r = rollAt(t, q, now.Add(6*time.Minute), nil); r.totals().Done != 3 {
		t.Errorf("%d done, want 3", r.totals().Done)
	}
	storedRollup(t, q)
}

// However many bounds each span has, the file stays below its limit, and totals stay true.
func TestHistoryHasALimit(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 10, 17, 23, 0, time.UTC)
	r := rollup{Final: now.Unix()}
	for at := floorTo(now.Add(-hoursKept).Unix(), 3600); at < now.Unix(); {
		w := widthAt(at, now)
		b := bucket{At: at, Minutes: w}
		for i := range bounds {
			*b.Wait.at(i), *b.Run.at(i) = 1e6, 1e6
		}
		b.Done = 1
		r.Buckets = append(r.Buckets, b)
		at += w * 60
	}
	want := r.totals().Done
	data, err := r.file(now)
	if err != nil || len(data) > spool.MaxHistoryBytes {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	got, err := parseRollup(data)
	if err != nil || got.totals().Done != want {
		t.Errorf("%d done, want %d: %v", got.totals().Done, want, err)
	}
}

// A worker writes the history of what failed before it ends, and pruning writes it first.
func TestHistorySurvivesPruning(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.MaxRetries = 1
	cfg.BackoffMax = 0
	q := openQueue(t, cfg)
	enqueue(t, q, `{"id":"good","command":"true"}`)
	enqueue(t, q, `{"id":"bad","command":"exit 3"}`)
	if err := q.Work(t.Context(), WorkerOptions{Drain: true}); err != nil {
		t.Fatal(err)
	}
	if got := storedRollup(t, q).totals(); got.Failed != 2 {
		t.Errorf("%d failed attempts were written, want 2", got.Failed)
	}
	enqueue(t, q, `{"id":"late","command":"true"}`)
	if err := q.Work(t.Context(), WorkerOptions{Drain: true}); err != nil {
		t.Fatal(err)
	}
	all := time.Duration(0)
	if p, err := q.Prune(t.Context(), PruneOptions{DoneOlder: &all, DeadOlder: &all}); err != nil || p.Done+p.Dead != 3 {
		t.Fatalf("%+v, %v", p, err)
	}
	h, err := q.History(t.Context(), time.Hour, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	sum := Ended{}
	for _, p := range h.Points {
		if p.Ended != nil {
			sum = Ended{sum.Done + p.Ended.Done, sum.Dead + p.Ended.Dead, sum.Cancelled + p.Ended.Cancelled, sum.FailedAttempts + p.Ended.FailedAttempts}
		}
	}
	if want := (Ended{Done: 2, Dead: 1, FailedAttempts: 2}); sum != want {
		t.Errorf("after pruning: %+v, want %+v", sum, want)
	}
	report, err := q.Check(t.Context(), CheckOptions{})
	if err != nil || len(report.Breaches) > 0 {
		t.Errorf("check: %+v, %v", report, err)
	}
}

// Who only looks, and may not write, sees the same history.
func TestHistoryOfWhoMayNotWrite(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	now := q.s.Now()
	file(t, q, spool.Done, "one", now.Add(-time.Hour), OutcomeDone, 0, time.Second)
	want, err := q.rollupNow(t.Context(), now)
	if err != nil || want.totals().Done != 1 {
		t.Fatalf("%+v, %v", want, err)
	}
	if _, err := os.Stat(filepath.Dir(filepath.Join(q.Dir(), spool.HistoryPath()))); err == nil {
		t.Error("a look has written something")
	}
	rollAt(t, q, now, nil)
	got, err := q.rollupNow(t.Context(), now)
	if err != nil || !reflect.DeepEqual(got.totals(), want.totals()) {
		t.Errorf("written %+v, only looked at %+v: %v", got, want, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openQueue(t, testConfig()).History(ctx, time.Hour, 0); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}
