package main

import (
	"os"
	"path/filepath"
	"testing"
)

// Without a cut each order does what is wanted of it after one.
func TestOrdersWithoutACut(t *testing.T) {
	t.Parallel()
	for _, o := range orders {
		dir, out := t.TempDir(), filepath.Join(t.TempDir(), "names")
		if err := prepare(dir, o.begin); err != nil {
			t.Errorf("%s: %v", o.name, err)
			continue
		}
		if err := act(dir, o.then); err != nil {
			t.Errorf("%s: %v", o.name, err)
			continue
		}
		if err := namesHere(dir, out); err != nil {
			t.Fatal(err)
		}
		names, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if !o.holds(string(names)) {
			t.Errorf("%s: the job has the names %q, want %s", o.name, names, o.want)
		}
	}
	for _, bad := range []string{"put", "push a", "mv a b"} {
		if err := act(t.TempDir(), bad); err == nil {
			t.Errorf("%q is a step", bad)
		}
	}
}

func TestOrdersThatDoNotHold(t *testing.T) {
	t.Parallel()
	for want, names := range map[string]string{
		"kept":            "",
		"gone":            "pending/J0",
		"pending/J0":      empty + "pending/J0",
		"ids/J done/J1":   "done/J1",
		"processing/W/J1": "pending/J0 processing/W/J11",
	} {
		if (order{want: want}).holds(names) {
			t.Errorf("%q is taken for %s", names, want)
		}
	}
	if !(order{want: "processing/W/J1"}).holds("pending/J0 processing/W/J1") {
		t.Error("one of two names is enough for a claim")
	}
}
