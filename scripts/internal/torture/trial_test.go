package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A short trial, which shows that the torture itself works: scripts/torture is for
// long ones.
func TestTorture(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of killing workers: left out with -short")
	}
	var out, errs bytes.Buffer
	args := []string{"--seconds", "4", "--jobs", "300", "--dir", filepath.Join(t.TempDir(), "trial")}
	code := command(t.Context(), args, &out, &errs)
	t.Logf("%s%s", out.String(), errs.String())
	if code != 0 || !strings.Contains(out.String(), "verdict: every job ran") {
		t.Errorf("exit status %d", code)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--workers", "0"}, {"--jobs", "-1"}, {"more"}, {"--lease", "10ms"}, {"--colour"}} {
		var out, errs bytes.Buffer
		if code := command(t.Context(), args, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%q: exit status %d, %q", args, code, errs.String())
		}
	}
	var out, errs bytes.Buffer
	if code := command(t.Context(), []string{"--help"}, &out, &errs); code != 0 || !strings.Contains(errs.String(), "-seconds") {
		t.Errorf("--help: exit status %d, %q", code, errs.String())
	}
}

// Which registrations a hit excuses.
func TestExcused(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	w := &worker{
		names: []registration{{"first", at(0)}, {"second", at(10)}, {"third", at(20)}},
		hits:  []hit{{at(12), at(15)}},
	}
	got := make(map[string]bool)
	w.excused(got)
	if len(got) != 1 || !got["second"] {
		t.Errorf("excused: %v, want the second", got)
	}
	// It registers anew when it goes on: what came before is excused, what comes
	// afterwards is not.
	w.hits = []hit{{at(5), at(9)}}
	got = make(map[string]bool)
	w.excused(got)
	if len(got) != 1 || !got["first"] {
		t.Errorf("excused: %v, want the first", got)
	}
}
