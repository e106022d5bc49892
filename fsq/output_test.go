package fsq

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var cutLine = regexp.MustCompile(`(?m)^\[queuectl: (\d+) bytes cut here\]\n`)

func newOutput(t *testing.T, limit int64) *output {
	t.Helper()
	o, err := openOutput(filepath.Join(t.TempDir(), "out"), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = o.finish() })
	return o
}

func content(t *testing.T, o *output) string {
	t.Helper()
	text, err := os.ReadFile(o.path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, o *output, text string) {
	t.Helper()
	if _, err := o.file().WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// splitCut returns what is before and behind the one marker, and its count.
func splitCut(t *testing.T, text string) (head, tail string, cut int64) {
	t.Helper()
	at := cutLine.FindAllStringSubmatchIndex(text, -1)
	if len(at) != 1 {
		t.Fatalf("%d markers in %.300q", len(at), text)
	}
	cut, err := strconv.ParseInt(text[at[0][2]:at[0][3]], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return text[:at[0][0]], text[at[0][1]:], cut
}

func TestOutputIsExclusive(t *testing.T) {
	o := newOutput(t, 0)
	write(t, o, "first")
	if err := o.enforce(); err != nil {
		t.Fatal(err)
	}
	if _, err := openOutput(o.path, 0); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v", err)
	}
}

// A file whose name something has taken is not lost, and takes it over from nobody.
func TestOutputWhoseNameIsTaken(t *testing.T) {
	if !canName() {
		t.Skip("files have their names from the beginning here")
	}
	o := newOutput(t, 0)
	write(t, o, "mine")
	if err := os.WriteFile(o.path, []byte("another's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.keep(); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v", err)
	}
	if got := content(t, o); got != "another's" {
		t.Errorf("%q", got)
	}
	if err := os.Remove(o.path); err != nil {
		t.Fatal(err)
	}
	if err := o.keep(); err != nil || content(t, o) != "mine" {
		t.Errorf("%v, %q", err, content(t, o))
	}
}

func TestOutputBelowItsLimitIsLeftAlone(t *testing.T) {
	for _, limit := range []int64{0, -1, 2000} {
		o := newOutput(t, limit)
		text := strings.Repeat("x", 2000)
		write(t, o, text)
		if err := o.enforce(); err != nil {
			t.Error(err)
		}
		size, cut, err := o.finish()
		if size != 2000 || cut != 0 || err != nil || content(t, o) != text {
			t.Errorf("limit %d: size %d, cut %d, %v", limit, size, cut, err)
		}
	}
}

func TestEmptyOutputIsRemoved(t *testing.T) {
	for range 2 { // the second time somebody else was faster
		o := newOutput(t, 1000)
		if size, cut, err := o.finish(); size != 0 || cut != 0 || err != nil {
			t.Errorf("size %d, cut %d, %v", size, cut, err)
		}
		if exists(o.path) {
			t.Error("it is still there")
		}
		if _, _, err := o.finish(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("finished twice: %v", err)
		}
		if err := o.enforce(); err != nil {
			t.Errorf("a tick that comes late: %v", err)
		}
	}
	o := newOutput(t, 1000)
	write(t, o, "x")
	if err := errors.Join(o.enforce(), os.Remove(o.path), o.file().Truncate(0)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.finish(); err != nil {
		t.Error(err)
	}
}

// TestOutputCutsAddUp writes known text and compares every byte.
func TestOutputCutsAddUp(t *testing.T) {
	lines := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "line %d\n", i)
		}
		return b.String()
	}
	for _, c := range []struct {
		name         string
		limit        int64
		chunk        int
		text         string
		wholeAtStart bool // the head ends where a line does
	}{
		{"lines", 8 << 10, 3000, lines(5000), true},
		{"lines, at once", 8 << 10, 1 << 30, lines(5000), true},
		{"a small limit", 1, 100, lines(1000), true},
		{"no lines", 8 << 10, 5000, strings.Repeat("0123456789", 20000), false},
		{"one byte too many", 8 << 10, 1 << 30, strings.Repeat("x", 8<<10) + "\n", false},
		{"long lines", 1 << 20, 1 << 19, strings.Repeat(strings.Repeat("x", 100000)+"\n", 50), false},
	} {
		o := newOutput(t, c.limit)
		for rest := c.text; rest != ""; {
			n := min(c.chunk, len(rest))
			write(t, o, rest[:n])
			rest = rest[n:]
			if err := o.enforce(); err != nil {
				t.Fatal(err)
			}
			if n := int64(len(content(t, o))); n > max(c.limit, minOutputLimit) {
				t.Errorf("%s: %d bytes after a cut", c.name, n)
			}
		}
		size, cut, err := o.finish()
		text := content(t, o)
		head, tail, count := splitCut(t, text)
		if !c.wholeAtStart {
			head = strings.TrimSuffix(head, "\n") // added to set the marker apart
		}
		if err != nil || size != int64(len(text)) || cut != count || cut != int64(len(c.text)-len(head)-len(tail)) {
			t.Errorf("%s: size %d of %d, cut %d, says %d, is %d, %v", c.name,
				size, len(text), cut, count, len(c.text)-len(head)-len(tail), err)
		}
		limit := max(c.limit, minOutputLimit)
		if !strings.HasPrefix(c.text, head) || int64(len(head)) < limit/3 || c.wholeAtStart && !strings.HasSuffix(head, "\n") {
			t.Errorf("%s: head %.50q…, %d bytes", c.name, head, len(head))
		}
		if !strings.HasSuffix(c.text, tail) || int64(len(tail)) < limit/8 || c.wholeAtStart && !strings.HasPrefix(tail, "line ") {
			t.Errorf("%s: tail %.50q…, %d bytes", c.name, tail, len(tail))
		}
	}
}

func TestOutputOfARunawayCommand(t *testing.T) {
	const limit = 64 << 10
	o := newOutput(t, limit)
	r := newRun(t, shell("echo first; exec yes 0123456789"))
	r.Stdout = o.file()
	b := handleInBackground(t, r)
	waitUntil(t, "many cuts", func() bool {
		if err := o.enforce(); err != nil {
			t.Fatal(err)
		}
		return o.cut > 100*limit
	})
	b.stop(ErrTimeout)
	if err := b.wait(t); !errors.Is(err, ErrTimeout) {
		t.Error(err)
	}
	size, cut, err := o.finish()
	text := content(t, o)
	head, tail, count := splitCut(t, text)
	if err != nil || size != int64(len(text)) || size > limit || cut != count {
		t.Errorf("size %d of %d, cut %d, says %d, %v", size, len(text), cut, count, err)
	}
	if !strings.HasPrefix(head, "first\n0123456789\n") || !strings.HasSuffix(head, "\n0123456789\n") {
		t.Errorf("head %.50q", head)
	}
	if strings.Trim(tail, "0123456789\n") != "" || !strings.Contains(tail, "\n0123456789\n") {
		t.Errorf("tail %.50q", tail)
	}
}

func TestOutputThatItsWriterTruncates(t *testing.T) {
	o := newOutput(t, 4<<10)
	write(t, o, strings.Repeat("old\n", 2000))
	if err := o.enforce(); err != nil {
		t.Fatal(err)
	}
	before := o.cut
	// As "cmd >/dev/stdout" does.
	if err := os.Truncate(o.path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, o, strings.Repeat("new\n", 2000))
	size, cut, err := o.finish()
	text := content(t, o)
	head, tail, count := splitCut(t, text)
	if err != nil || cut != count || cut <= before || size > 4<<10 || strings.Contains(head+tail, "old") {
		t.Errorf("size %d, cut %d after %d, says %d, %v, %q", size, cut, before, count, err, text)
	}
}

func TestOutputThatWasReplacedIsNotTouched(t *testing.T) {
	o := newOutput(t, 1<<10)
	write(t, o, strings.Repeat("x\n", 2000))
	if err := errors.Join(o.keep(), os.Rename(o.path, o.path+".old")); err != nil {
		t.Fatal(err)
	}
	other := bytes.Repeat([]byte("y"), 5000)
	if err := os.WriteFile(o.path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := o.enforce(); err == nil {
		t.Error("no error")
	}
	if content(t, o) != string(other) {
		t.Error("another file was cut")
	}
}
