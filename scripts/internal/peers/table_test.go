package main

import (
	"context"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{2, 1}, 2},
	} {
		before := slices.Clone(c.of)
		if got := median(c.of); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.of, got, c.want)
		}
		if !slices.Equal(before, c.of) {
			t.Errorf("median has changed %v to %v", before, c.of)
		}
	}
}

func TestFigure(t *testing.T) {
	for v, want := range map[float64]string{0.954: "0.95", 12.34: "12.3", 99.96: "100.0", 999.6: "1,000", 25460: "25,460", 1234567: "1,234,567", 100002: "100,002"} {
		if got := figure(v); got != want {
			t.Errorf("figure(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestRedisVersion(t *testing.T) {
	for out, want := range map[string]string{
		"Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1": "7.0.15",
		"": "of unknown version",
	} {
		if got := redisVersion(out); got != want {
			t.Errorf("redisVersion(%q) = %q, want %q", out, got, want)
		}
	}
}

// gives is a measure that gives the same figures each time.
func gives(v ...float64) measure {
	return func(context.Context, *env, string) ([]float64, error) { return v, nil }
}

func fails(context.Context, *env, string) ([]float64, error) { return nil, errors.New("it broke") }

func measured(t *testing.T, only string, all ...candidate) (*table, string) {
	t.Helper()
	tab := newTable(full, regexp.MustCompile(only), all)
	e := &env{dir: t.TempDir(), size: full}
	for r := range 2 {
		if err := tab.round(t.Context(), e, r, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	tab.print(&b)
	return tab, b.String()
}

func TestThePeerThatWinsIsShownWinning(t *testing.T) {
	ours := candidate{name: "ours", synced: true, measures: map[work]measure{putMany: gives(100), startIdle: gives(1), claimAmongMany: gives(5, 9)}}
	peer := candidate{name: "peer", measures: map[work]measure{putMany: gives(300), startIdle: gives(2), claimAmongMany: gives(4, 8)}}
	tab, out := measured(t, "", ours, peer)
	for _, want := range []string{
		"| | ours (synced) | peer (not synced) | best |",
		"| bulk enqueue, per s | 100 | **300** | peer; of the synced ours |",
		"| enqueue to start when idle, p50 ms | **1.00** | 2.00 | ours |",
		"with 100,000 waiting, per s | **5.00** | 4.00 | ours |",
		"ms | 9.00 | **8.00** | peer; of the synced ours |",
		"| enqueue by one process start each, per s | – | – | – |",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	if err := tab.failed(); err != nil {
		t.Error(err)
	}
}

func TestNoCandidateIsAbsentInSilence(t *testing.T) {
	tab, out := measured(t, "bulk",
		candidate{name: "ours", synced: true, measures: map[work]measure{putMany: gives(100)}},
		candidate{name: "gone", missing: "nobody has it", measures: map[work]measure{putMany: fails}},
		candidate{name: "broken", measures: map[work]measure{putMany: fails}})
	for _, want := range []string{
		"| bulk enqueue, per s | **100** | failed | ours |",
		"gone: not measured: nobody has it\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "idle") {
		t.Errorf("a row that does not match is in it:\n%s", out)
	}
	if err := tab.failed(); err == nil || !strings.Contains(err.Error(), "broken: it broke") {
		t.Errorf("failed() = %v, want what broke", err)
	}
}

func TestLoadHandsOutEachJobOnce(t *testing.T) {
	l := &load{jobs: 3, handle: func(string) error { return nil }}
	last := 0
	for l.take() {
		if err := l.run(""); err != nil {
			t.Fatal(err)
		}
		if l.completed() {
			last++
		}
	}
	if l.taken != 3 || l.ended != 3 || last != 1 || l.firstJob.IsZero() || l.lastEnd.Before(l.firstJob) {
		t.Errorf("%d taken, %d ended, %d times the last, from %v to %v", l.taken, l.ended, last, l.firstJob, l.lastEnd)
	}
	if err := l.whole(); err != nil {
		t.Error(err)
	}
	if err := (&load{jobs: 4, ended: 3}).whole(); err == nil {
		t.Error("3 of 4 jobs are all")
	}
}

func TestTwiceWaitsForBothSides(t *testing.T) {
	var puts, waits [2]int
	v, err := twice(10, func(lane int, last bool) error {
		if last {
			waits[lane]++
		} else {
			puts[lane]++
		}
		return nil
	})
	if err != nil || len(v) != 1 || v[0] <= 0 || puts != [2]int{5, 5} || waits != [2]int{1, 1} {
		t.Errorf("twice = %v, %v after %v puts and %v waits", v, err, puts, waits)
	}
	broken := errors.New("broken")
	if _, err := twice(10, func(int, bool) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("twice = %v, want what broke", err)
	}
}

func TestRateEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	_, err := rate(ctx, time.Hour, func() error {
		stop()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("rate = %v, want its context's error", err)
	}
}
