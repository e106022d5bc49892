package bench

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	var hundred []float64
	for i := range 100 {
		hundred = append(hundred, float64(100-i))
	}
	for _, c := range []struct {
		of   []float64
		p    float64
		want float64
	}{
		{nil, 0.5, 0}, {[]float64{7}, 0.99, 7}, {[]float64{3, 1, 2}, 0.5, 2}, {[]float64{3, 1, 2}, 1, 3},
		{hundred, 0.5, 51}, {hundred, 0.99, 100},
	} {
		if have := quantile(c.of, c.p); have != c.want {
			t.Errorf("quantile of %d values at %g: %g, want %g", len(c.of), c.p, have, c.want)
		}
	}
}

func TestResult(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		of    line
		ratio float64
		met   bool
	}{
		// The round in which both were slow counts like the others.
		{"a rate", line{floor: "x", want: 0.9, floors: []float64{100, 10, 100}, queues: []float64{95, 9.5, 80}}, 0.95, true},
		{"a rate too low", line{floor: "x", want: 0.9, floors: []float64{100}, queues: []float64{89}}, 0.89, false},
		{"a time", line{floor: "x", want: 2, most: true, floors: []float64{1}, queues: []float64{2}}, 2, true},
		{"a time too long", line{floor: "x", want: 2, most: true, floors: []float64{1}, queues: []float64{2.1}}, 2.1, false},
		{"a figure", line{want: 64, most: true, floors: []float64{0}, queues: []float64{64}}, 0, true},
		{"a figure too high", line{want: 64, most: true, floors: []float64{0}, queues: []float64{65}}, 0, false},
		{"nothing", line{floor: "x", want: 0, skipped: "why"}, 0, false},
	} {
		r := c.of.result()
		if math.Abs(r.Ratio-c.ratio) > 1e-9 || r.Met != c.met {
			t.Errorf("%s: ratio %g, met %v; want %g, %v", c.what, r.Ratio, r.Met, c.ratio, c.met)
		}
		if r.Floors == nil || r.Queues == nil {
			t.Errorf("%s: a program would be given null", c.what)
		}
	}
}

// What is left out for want of a program is so for all that asks.
func TestLines(t *testing.T) {
	t.Parallel()
	plain, all := Names(Options{}), Names(Options{Hello: "h", Spawn: "s"})
	if len(all) != len(plain)+2 {
		t.Errorf("%d lines, with two more programs %d", len(plain), len(all))
	}
	for i, n := range all {
		if slices.Index(all, n) != i {
			t.Errorf("two lines have the name %q", n)
		}
		if len(n) > 32 {
			t.Errorf("%q makes the table wider than 80 columns", n)
		}
	}
	for _, o := range []Options{{}, {Hello: "h", Spawn: "s"}} {
		if e := Estimate(o); e > enough {
			t.Errorf("all rounds take %v, and may take %v", e, enough)
		}
		o.Quick = true
		if e := Estimate(o); e.Minutes() > 1 {
			t.Errorf("the quick round takes %v", e)
		}
	}
}

func TestScaleFor(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]int{0: 20, enoughForAll: 20, 2 * enoughForAll: 10, time.Hour: 1} {
		if have := scaleFor(20, took); have != want {
			t.Errorf("a batch in %v: %d, want %d", took, have, want)
		}
	}
}

func TestAnother(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rounds int
		took   time.Duration
		want   bool
	}{{0, 0, true}, {1, enough / 2, true}, {1, enough/2 + 1, false}, {2, enough * 2 / 3, true}, {2, enough * 3 / 4, false}} {
		if have := another(c.rounds, c.took); have != c.want {
			t.Errorf("after %d rounds in %v: %v, want %v", c.rounds, c.took, have, c.want)
		}
	}
}

// What lines share is counted once.
func TestFilesOf(t *testing.T) {
	t.Parallel()
	quick := Options{Quick: true, Rounds: 3}
	for _, c := range []struct {
		of   []*line
		want uint64
	}{
		{[]*line{{files: 1}, {files: 2}}, 5 * 3 * 3},
		{[]*line{{bulk: true}, {bulk: true}}, 5 * 3 * streamJobs},
		{[]*line{{many: true}, {many: true, files: 1}}, 5 * (streamJobs + 3)},
	} {
		if have := filesOf(quick, c.of); have != c.want {
			t.Errorf("%d files, want %d", have, c.want)
		}
	}
}

func TestRoomFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := roomFor(Options{Dir: dir, Quick: true}, []*line{{files: 1}}); err != nil {
		t.Error(err)
	}
	var full *RoomError
	if err := roomFor(Options{Dir: dir}, []*line{{files: 1 << 30}}); !errors.As(err, &full) {
		t.Errorf("%v: want a RoomError", err)
	}
}

func TestBeside(t *testing.T) {
	t.Parallel()
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	real, linked := filepath.Join(top, "real"), filepath.Join(top, "linked")
	for _, d := range []string{real, linked, filepath.Join(real, "spool")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(real, "spool"), filepath.Join(linked, "spool")); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		filepath.Join(real, "spool"):        real,
		filepath.Join(linked, "spool"):      real, // where the files are
		filepath.Join(real, "no", "such"):   real,
		filepath.Join(real, "spool", "new"): filepath.Join(real, "spool"),
	} {
		if have, err := Beside(dir); err != nil || have != want {
			t.Errorf("%s: %s, %v; want %s", dir, have, err, want)
		}
	}
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	running, err := makePlace(dir)
	if err != nil {
		t.Fatal(err)
	}
	killed, err := makePlace(dir)
	if err != nil {
		t.Fatal(err)
	}
	_ = killed.lock.Close()
	if err := os.WriteFile(filepath.Join(dir, placePrefix+"file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(killed.dir, filepath.Join(dir, placePrefix+"link")); err != nil {
		t.Fatal(err)
	}
	if have := Leftovers(dir); !slices.Equal(have, []string{killed.dir}) {
		t.Errorf("%q, want %q", have, killed.dir)
	}
	for _, p := range []place{running, killed} {
		if err := p.remove(); err != nil {
			t.Error(err)
		}
	}
}
