package spool

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestIDsGrowWhateverTheClockDoes(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	var ids []string
	for i := range 300 {
		ids = append(ids, s.NewID())
		switch i % 3 {
		case 1:
			clock.add(-time.Hour)
		case 2:
			clock.add(time.Hour)
		}
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("not each is greater than the one before: %v", ids)
	}
	for _, id := range ids {
		if err := ValidateID(id); err != nil || len(id) != ulidLen || id != strings.ToLower(id) {
			t.Errorf("%q cannot be an id: %v", id, err)
		}
	}
}

func TestIDsOfManyGoroutinesDiffer(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	const goroutines, each = 16, 500
	got := make([][]string, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for range each {
				got[g] = append(got[g], s.NewID())
			}
		})
	}
	wg.Wait()
	all := map[string]bool{}
	for _, ids := range got {
		if !slices.IsSorted(ids) {
			t.Error("one goroutine's ids do not grow")
		}
		for _, id := range ids {
			all[id] = true
		}
	}
	if len(all) != goroutines*each {
		t.Errorf("%d ids of %d differ", len(all), goroutines*each)
	}
}

func TestIDsCarry(t *testing.T) {
	t.Parallel()
	ulids.Lock()
	ulids.lo = math.MaxUint64
	before := encodeULID(ulids.ms, ulids.hi, ulids.lo)
	ulids.Unlock()
	if after := newULID(0); after <= before {
		t.Errorf("%s follows %s", after, before)
	}
}

func TestIDTellsItsTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Uint64Range(0, 1<<48-1)
		hi, lo := rapid.Uint64Range(0, 1<<16-1), rapid.Uint64()
		a := [3]uint64{ms.Draw(t, "ms"), hi.Draw(t, "hi"), lo.Draw(t, "lo")}
		b := [3]uint64{ms.Draw(t, "ms2"), hi.Draw(t, "hi2"), lo.Draw(t, "lo2")}
		x, y := encodeULID(a[0], a[1], a[2]), encodeULID(b[0], b[1], b[2])
		if strings.Compare(x, y) != slices.Compare(a[:], b[:]) {
			t.Fatalf("%s and %s sort otherwise than %v and %v", x, y, a, b)
		}
		at, ok := ulidTime(x)
		if !ok || at.UnixMilli() != int64(a[0]) {
			t.Fatalf("the time of %s is %v, %t; want %d", x, at, ok, a[0])
		}
		if got, err := unescapeID(x); err != nil || got != x {
			t.Fatalf("%s is escaped in a name: %q, %v", x, got, err)
		}
	})
}

func TestOtherIDsTellNoTime(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"", "job-1", strings.Repeat("z", 26), "8" + strings.Repeat("0", 25), strings.Repeat("0", 25), strings.Repeat("0", 27),
		strings.ToUpper("01kb3q7m2x9v0t4h6r5w8e1cz4"), "01kb3q7m2x9v0t4h6r5w8e1czi", "01kb3q7m2x9v0t4h6r5w8e1cz-",
	} {
		if at, ok := ulidTime(id); ok {
			t.Errorf("%q is taken for a generated id of %s", id, at)
		}
	}
	if _, ok := ulidTime("01kb3q7m2x9v0t4h6r5w8e1cz4"); !ok {
		t.Error("an id of FORMAT.md is not known")
	}
}
