package fsq

import (
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestExitCodes(t *testing.T) {
	set := Codes(255, 1, 75, 75, 0, 256, -1)
	if got, want := set.List(), []int{1, 75, 255}; !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
	for code, want := range map[int]bool{-1: false, 0: false, 1: true, 2: false, 64: false, 75: true, 255: true, 256: false, 331: false} {
		if set.Has(code) != want {
			t.Errorf("Has(%d) is %v", code, !want)
		}
	}
	if got := (ExitCodes{}).String(); got != "none" {
		t.Errorf("the empty set is %q", got)
	}
	var empty ExitCodes
	for _, bad := range []string{`[0]`, `[256]`, `"75"`, `[7.5]`, `{}`} {
		if err := json.Unmarshal([]byte(bad), &empty); err == nil || empty != (ExitCodes{}) {
			t.Errorf("%s gives %v, %v", bad, empty, err)
		}
	}
}

// TestExitCodesSurvive: a set survives its way through a setting and through JSON.
func TestExitCodesSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set := Codes(rapid.SliceOf(rapid.IntRange(-1, 300)).Draw(t, "codes")...)
		if again, err := parseCodes(set.String()); err != nil || again != set {
			t.Fatalf("%q is read as %v, %v", set.String(), again, err)
		}
		data, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		var again ExitCodes
		if err := json.Unmarshal(data, &again); err != nil || again != set {
			t.Fatalf("%s is read as %v, %v", data, again, err)
		}
	})
}
