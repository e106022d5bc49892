package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRecordIsReadBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "record")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r := &recorder{out: out}
	r.note(begins, "put", "a", "-")
	r.note(acked, "put", "a", "01a")
	r.note(ran, "job", "a", "1", "2", "01a")
	data, err := os.ReadFile(path)
	if err != nil || r.err != nil {
		t.Fatal(err, r.err)
	}
	notes, err := parseRecord(append(data, "ack done a"...)) // the power went while it was written
	if err != nil || len(notes) != 3 {
		t.Fatalf("%v, %v", notes, err)
	}
	if n := notes[2]; n.kind != ran || n.key != "a" || n.arg(1) != "2" || n.arg(3) != "" {
		t.Errorf("%+v", n)
	}
	for _, bad := range []string{"ack put\n", "what put a\n", "\n"} {
		if notes, err := parseRecord([]byte(bad)); err == nil {
			t.Errorf("%q is read as %v", bad, notes)
		}
	}
}

// What is acknowledged while the disk is copied may be on the copy or not: it proves
// nothing, but what began may have happened.
func TestAcknowledgedAmidACutProvesNothing(t *testing.T) {
	t.Parallel()
	before, amid, after := "begin put a a\nack put a a\n", "begin put b b\nack put b b\nack done a 1\n", "begin put c c\n"
	all := []byte(before + amid + after)
	got := string(cutAt(all, int64(len(before)), int64(len(before+amid))))
	if want := before + "begin put b b\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestAJobProvesWhatItRan(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ran")
	t.Setenv("POWERCUT_RAN", path)
	t.Setenv("QUEUECTL_JOB_ID", "01a")
	for _, c := range []struct {
		arg, stdin, attempt, want string
		code                      int
	}{
		{newSpec("a", 3, 2, "in").String(), "in", "1", "ran job a 1 3 01a", 1},
		{newSpec("a", 3, 2, "in").String(), "in", "2", "ran job a 2 3 01a", 0},
		{newSpec("a", 3, 2, "in").String(), "", "1", "torn job - 01a 1", 0},
		{newSpec("a", 3, 2, "in").String(), "inn", "1", "torn job - 01a 1", 0},
		{strings.Replace(newSpec("a", 3, 2, "in").String(), "v3", "v4", 1), "in", "1", "torn job - 01a 1", 0},
		{"", "in", "1", "torn job - 01a 1", 0},
		{"a/3/2/x", "in", "1", "torn job - 01a 1", 0},
	} {
		t.Setenv("QUEUECTL_ATTEMPT", c.attempt)
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		code, err := runJob(c.arg, strings.NewReader(c.stdin))
		if err != nil || code != c.code {
			t.Errorf("%q, attempt %s: status %d, %v", c.arg, c.attempt, code, err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != c.want+"\n" {
			t.Errorf("%q, attempt %s: noted %q, %v", c.arg, c.attempt, got, err)
		}
	}
}
