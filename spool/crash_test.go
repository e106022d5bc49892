package spool

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mutates reports whether a call changes anything that another process could see.
func mutates(c call) bool {
	switch c.op {
	case "open", "names", "look", "looks", "refresh", "read", "fstat", "lock", "trylock", "close":
		return false
	}
	return true
}

// A process may be killed at any system call of any operation. What it had
// acknowledged is kept, once; what it had not is there once or not at all; and the
// next worker, or check --repair, leaves nothing half-done.
func TestCrashAtEveryCall(t *testing.T) {
	t.Parallel()
	dir := exploreDir(t)
	for i, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			base := filepath.Join(dir, fmt.Sprint(i))
			cases := 0
			for _, repairOnly := range []bool{false, true} {
				for _, reads := range []bool{false, true} {
					if reads && (sampled() || repairOnly) {
						continue // what is on the disk is what it was after the last change
					}
					step := 1
					if sampled() && strings.HasSuffix(op.name, "of 20") {
						step = stride(1000)
					}
					for k := 1; crashAt(t, fmt.Sprintf("%s-%v-%v-%d", base, repairOnly, reads, k), op, k, reads, repairOnly); k += step {
						cases++
					}
				}
			}
			t.Logf("%d crashes", cases)
		})
	}
}

// crashAt reports whether the operation was not over before its kth call.
func crashAt(t *testing.T, root string, op operation, k int, reads, repairOnly bool) bool {
	t.Helper()
	w := newScene(t, root, op)
	defer w.end()
	var trace []call
	stopped := false
	w.hook = func(c call) fault {
		if stopped {
			return fault{err: errCrashed}
		}
		if reads || mutates(c) {
			trace = append(trace, c)
		}
		if len(trace) < k {
			return fault{}
		}
		stopped = true
		if c.op == "write" && !reads {
			w.torn = true
			return fault{}
		}
		panic(crashed)
	}
	var err error
	died := survive(func() { err = w.op() })
	if !died && err != nil {
		t.Fatalf("without a crash: %v", err)
	}
	var problems []string
	look := func(when string, found []string) {
		for _, p := range found {
			problems = append(problems, when+": "+p)
		}
	}
	if died {
		look("after the crash", w.conserved())
	} else {
		look("after it", w.truthful(nil))
	}
	w.kill()
	s := w.later()
	if repairOnly {
		look("check", w.mended(s))
		look("after check", w.conserved())
	}
	w.next(s)
	look("check", w.mended(s))
	look("in the end", w.settledDown(s))
	if len(problems) > 0 {
		last := "-"
		if died {
			last = trace[len(trace)-1].String()
		}
		t.Errorf("stopped before call %d, %s:\n%s", k, last, strings.Join(slices.Compact(problems), "\n"))
	}
	return died
}
