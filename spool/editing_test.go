package spool

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stopEdit has an edit of the only job die before the nth rename.
func stopEdit(t *testing.T, s *Spool, renames int) {
	t.Helper()
	e := only(t, s)
	x := reopen(t, s)
	n := 0
	x.ops = hooked(x.ops, path.Dir(s.dir), hook{before: func(c call) fault {
		if c.op == "rename" {
			if n++; n == renames {
				panic(crashed)
			}
		}
		return fault{}
	}})
	changed := e.Name
	changed.Priority = 7
	if !survive(func() { _, _ = x.Edit(e, changed, []byte(`{"command":"new"}`)) }) {
		t.Fatalf("the edit makes no %d renames", renames)
	}
}

// TestJobAmidAnEditIsThere: whoever looks for a job finds it at any time, under what
// counts at that moment; nobody moves it; and its id is taken.
func TestJobAmidAnEditIsThere(t *testing.T) {
	t.Parallel()
	for renames, want := range map[int]struct {
		priority int
		data     string
		amid     bool
	}{
		1: {0, `{"command":"true"}`, false}, // before the job is taken out
		2: {0, `{"command":"true"}`, true},  // before the id is bound
		3: {7, `{"command":"new"}`, true},   // before the new file goes to pending/
	} {
		s := newSpool(t)
		it := item(s, "job")
		it.Data = []byte(`{"command":"true"}`)
		mustDo(t, s.Put(it))
		stopEdit(t, s, renames)
		found, err := s.Find("job")
		mustDo(t, err)
		if len(found) != 1 || found[0].Editing() != want.amid || found[0].Priority != want.priority || found[0].State != Pending {
			t.Fatalf("%d renames: found %+v", renames, found)
		}
		data, err := s.Read(found[0])
		if err != nil || string(data) != want.data {
			t.Errorf("%d renames: it reads %q, %v", renames, data, err)
		}
		if err := s.Put(it); !errors.Is(err, ErrDuplicate) {
			t.Errorf("%d renames: a second job with its id: %v", renames, err)
		}
		if want.amid {
			_, holdErr := s.Hold(found[0])
			_, cancelErr := s.Cancel(found[0])
			_, editErr := s.Edit(found[0], found[0].Name, data)
			for _, err := range []error{holdErr, cancelErr, editErr, s.Remove(found[0])} {
				if !errors.Is(err, ErrLost) {
					t.Errorf("%d renames: it was moved from under its editor: %v", renames, err)
				}
			}
		}
		back, err := s.RecoverEdits(-time.Hour)
		if err != nil || (len(back) == 1) != want.amid {
			t.Errorf("%d renames: back %v, %v", renames, paths(back), err)
		}
		e := only(t, s)
		data, err = s.Read(e)
		if err != nil || string(data) != want.data || e.Priority != want.priority || e.Editing() {
			t.Errorf("%d renames: in the end %s %q, %v", renames, e.Path, data, err)
		}
		if named, _ := breaches(t, s); len(named) > 0 {
			t.Errorf("%d renames: %q", renames, named)
		}
	}
}

// TestEditAfterAPowerCut: where a power cut leaves the old name of a rename as well, the
// job is put back once.
func TestEditAfterAPowerCut(t *testing.T) {
	t.Parallel()
	for _, renames := range []int{2, 3} {
		for _, resolve := range []bool{false, true} {
			s := newSpool(t)
			mustPut(t, s, "job")
			stopEdit(t, s, renames)
			e := only(t, s)
			twin := pendingDir + "/" + s.file(e.Name)
			mustDo(t, os.Link(s.abs(e.Path), s.abs(twin)))
			if resolve {
				removed, err := s.Resolve()
				if err != nil || len(removed) != 1 || removed[0].Path != e.Path {
					t.Errorf("removed %v, %v", paths(removed), err)
				}
			}
			_, err := s.RecoverEdits(-time.Hour)
			mustDo(t, err)
			if e := only(t, s); e.Path != twin {
				t.Errorf("it is %s, want %s", e.Path, twin)
			}
			if named, _ := breaches(t, s); len(named) > 0 {
				t.Errorf("%q", named)
			}
		}
	}
}

// TestEditsAreNamed: check names an edit that was cut short and what lies about among
// edits, and removes nothing that it does not know.
func TestEditsAreNamed(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustPut(t, s, "job")
	stopEdit(t, s, 2)
	dir := editingDir + "/" + mustNames(t, s, editingDir)[0]
	writeFile(t, s.abs(editingDir+"/mine"), "")
	writeFile(t, s.abs(dir+"/notes"), "mine")
	s.ops.now = func() time.Time { return time.Now().Add(2 * editGrace) }
	want := []string{"stale-edit " + dir, "unknown-file " + dir + "/notes", "unknown-file " + editingDir + "/mine"}
	slices.Sort(want)
	named, found := breaches(t, s)
	if !slices.Equal(named, want) {
		t.Fatalf("have %q, want %q", named, want)
	}
	for _, b := range found {
		if b.Repair != nil {
			mustDo(t, b.Repair())
		}
	}
	if e := only(t, s); e.Editing() || e.Changed != 2 {
		t.Errorf("after the repair it is %s", e.Path)
	}
	if got := readString(t, s.abs(dir+"/notes")); got != "mine" {
		t.Errorf("a file of somebody else's reads %q", got)
	}
}

func mustNames(t *testing.T, s *Spool, dir string) []string {
	t.Helper()
	names, err := s.sortedNames(dir)
	mustDo(t, err)
	return names
}

// TestEditStepsAreDurableInOrder: a power cut must leave what a crash does, so that each
// step is on the disk before the next one.
func TestEditStepsAreDurableInOrder(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustPut(t, s, "job")
	e := only(t, s)
	var calls []string
	s.ops = hooked(s.ops, path.Dir(s.dir), hook{done: func(c call, err error) {
		if err == nil {
			calls = append(calls, c.String())
		}
	}})
	_, err := s.Edit(e, e.Name, []byte(`{"command":"new"}`))
	mustDo(t, err)
	at := -1
	for _, step := range []string{
		"mkdir spool/editing/", "syncdir spool/editing", "create spool/editing/", "fsync spool/editing/", "link spool/editing/", "syncdir spool/editing/",
		"rename spool/pending/", "syncdir spool/editing/", "syncdir spool/pending", "rename spool/editing/", "syncdir spool/ids/",
		"unlink spool/editing/", "syncdir spool/editing/", "rename spool/editing/", "syncdir spool/pending", "syncdir spool/editing/", "rmdir spool/editing/",
	} {
		next := slices.IndexFunc(calls[at+1:], func(c string) bool { return strings.HasPrefix(c, step) })
		if next < 0 {
			t.Fatalf("no %q after call %d of\n%s", step, at+1, strings.Join(calls, "\n"))
		}
		at += 1 + next
	}
}

// TestEditOfAnOlderSpool: a spool that was made before there were edits lacks their
// directory.
func TestEditOfAnOlderSpool(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustDo(t, os.Remove(s.abs(editingDir)))
	mustPut(t, s, "job")
	_, err := s.Find("job")
	mustDo(t, err)
	e := only(t, s)
	_, err = s.Edit(e, e.Name, []byte(`{"command":"new"}`))
	mustDo(t, err)
	if data := readString(t, s.abs(only(t, s).Path)); data != `{"command":"new"}` {
		t.Errorf("it reads %q", data)
	}
}

// TestEditOfAJobWhoseFileWasReplaced: after sed -i the id is bound to the file that is
// gone; it is bound to the one that is there before that is edited.
func TestEditOfAJobWhoseFileWasReplaced(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustPut(t, s, "job")
	e := only(t, s)
	writeFile(t, s.abs(pendingDir+"/new"), `{"command":"by hand"}`)
	mustDo(t, os.Rename(s.abs(pendingDir+"/new"), s.abs(e.Path)))
	_, err := s.Edit(e, e.Name, []byte(`{"command":"new"}`))
	mustDo(t, err)
	if err := s.Put(item(s, "job")); !errors.Is(err, ErrDuplicate) {
		t.Errorf("a second job with its id: %v", err)
	}
	if named, _ := breaches(t, s); len(named) > 0 {
		t.Errorf("%q", named)
	}
}

// TestEditThatNobodyAnswers: if no call after the commit comes through, the edit is not
// acknowledged and not denied, and it is made.
func TestEditThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.network = true
	mustPut(t, s, "job")
	e := only(t, s)
	down := false
	x := reopen(t, s)
	x.network = true
	x.ops = hooked(x.ops, path.Dir(s.dir), hook{before: func(c call) fault {
		if c.op == "rename" && strings.HasSuffix(c.path, "/"+bindFile) {
			down = true
			return fault{err: syscall.EIO, after: true}
		}
		if down && c.op != "close" {
			return fault{err: syscall.EIO}
		}
		return fault{}
	}})
	if _, err := x.Edit(e, e.Name, []byte(`{"command":"new"}`)); !errors.Is(err, ErrUncertain) {
		t.Errorf("have %v, want %v", err, ErrUncertain)
	}
	_, err := s.RecoverEdits(-time.Hour)
	mustDo(t, err)
	if data := readString(t, s.abs(only(t, s).Path)); data != `{"command":"new"}` {
		t.Errorf("it reads %q", data)
	}
}
