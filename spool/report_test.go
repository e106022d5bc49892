package spool

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
)

// ReadReport reads a bounded part of a regular file, and nothing else.
func TestReadReport(t *testing.T) {
	s := newSpool(t)
	mustDo(t, s.PrepareLogs("x"))
	if _, _, err := s.ReadReport("x", 1, "result", 10, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	writeFile(t, s.LogPath("x", 1, "result"), "0123456789"+strings.Repeat("x", 5)+"abcde")
	for _, tc := range []struct {
		limit int64
		tail  bool
		want  string
	}{
		{10, false, "0123456789"}, {5, true, "abcde"}, {100, true, "0123456789xxxxxabcde"}, {100, false, "0123456789xxxxxabcde"},
	} {
		data, size, err := s.ReadReport("x", 1, "result", tc.limit, tc.tail)
		if string(data) != tc.want || size != 20 || err != nil {
			t.Errorf("%+v: %q of %d bytes, %v", tc, data, size, err)
		}
	}
	mustDo(t, os.Link(s.LogPath("x", 1, "result"), s.LogPath("x", 1, "progress")))
	for _, kind := range []string{"result", "progress"} {
		if _, _, err := s.ReadReport("x", 1, kind, 10, false); !errors.Is(err, ErrShared) {
			t.Errorf("of two names: %v", err)
		}
	}
	mustDo(t, os.Remove(s.LogPath("x", 1, "progress")), os.Symlink(s.LogPath("x", 1, "result"), s.LogPath("x", 1, "progress")))
	if _, _, err := s.ReadReport("x", 1, "progress", 10, false); !IsLink(err) {
		t.Errorf("a link: %v", err)
	}
}

// A directory in the place of such a file does not keep its job from being removed.
func TestRemoveJobWithDirectories(t *testing.T) {
	s := newSpool(t)
	done, err := mustClaim(t, s, mustRegister(t, s), "x").Done(Ending{Outcome: "done"})
	mustDo(t, err, s.PrepareLogs("x"))
	mustDo(t, os.Mkdir(s.LogPath("x", 1, "result"), 0o700), os.MkdirAll(s.LogPath("x", 1, "progress")+"/full", 0o700))
	mustDo(t, s.Remove(Entry{Name: done.Name, State: done.State, Path: done.Path}))
	if s.HasLog("x", 1, "result") {
		t.Error("the empty directory is still there")
	}
	want := []string{"stale-log " + strings.TrimPrefix(s.LogPath("x", 1, "progress"), s.Dir()+"/")}
	if named, _ := breaches(t, s); !slices.Equal(named, want) {
		t.Errorf("want %q, have %q", want, named)
	}
}
