package spool

import (
	"io/fs"
	"path"
	"syscall"
	"testing"
	"time"
)

// btrfs keeps a removal only if its directory is synced: without that, a second cut finds
// the old name of a job whose other one has been removed for good, and it would run.
func TestResolvedNamesStayAway(t *testing.T) {
	t.Parallel()
	for what, clear := range map[string]func(*Spool) error{
		"recovery": func(s *Spool) error { _, err := s.Recover(); return err },
		"check": func(s *Spool) error {
			r, err := s.Check(func(Entry, []byte) error { return nil })
			for _, b := range r.Breaches {
				if b.Code == "duplicate-id" && b.Repair != nil && err == nil {
					err = b.Repair()
				}
			}
			return err
		},
	} {
		f := newSimFS(btree, "/sim", time.Now)
		_, err := initialise("/sim/spool", "", f.ops())
		mustDo(t, err)
		s, err := open("/sim/spool", f.ops())
		mustDo(t, err)
		s.network, s.host.BootID = false, "boot-1"
		it := item(s, "job-1")
		mustDo(t, s.Put(it))
		over := it.Name
		over.Attempt, over.Outcome = 1, "failed"
		dead := Entry{Name: over, State: Dead, Path: deadDir + "/" + s.file(over)}
		mustDo(t, s.ops.link(s.abs(pendingDir+"/"+s.file(it.Name)), s.abs(dead.Path)))
		f.cut(len(f.records))

		mustDo(t, clear(s), s.Remove(dead))
		f.cut(0)
		if left := all(t, s); len(left) > 0 {
			t.Errorf("%s: after a second cut there are %q", what, paths(left))
		}
	}
}

// Who clears a full disk by removing jobs must not need space for that.
func TestRecoverOnAFullDisk(t *testing.T) {
	t.Parallel()
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		recoverFull(t, full)
	}
}

func recoverFull(t *testing.T, full error) {
	t.Helper()
	s := newSpool(t)
	s.network, s.host.BootID = false, "boot-1"
	n := Name{Due: Truncate(s.Now()), Allowed: 3, ID: "job-1"}
	plant(t, s, pendingDir+"/"+s.file(n), deadDir+"/"+s.file(n))
	update := s.ops.update
	s.ops.update = func(p string, perm fs.FileMode) (file, error) {
		if path.Base(p) == "boot-1" {
			return nil, pathError("open", p, full)
		}
		return update(p, perm)
	}
	removed, err := s.Recover()
	if err != nil || len(removed) != 1 {
		t.Errorf("removed %v, %v", paths(removed), err)
	}
	if marks := files(t, s, bootedDir); len(marks) > 0 {
		t.Errorf("marks %q", marks)
	}
}
