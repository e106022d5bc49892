package spool

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// left lists what a probe has left behind.
func left(t *testing.T, s *Spool) []string {
	t.Helper()
	all := files(t, s, tmpDir)
	for _, n := range files(t, s, workersDir) {
		if strings.Contains(n, "probe") {
			all = append(all, n)
		}
	}
	return all
}

func mustProbe(t *testing.T, s *Spool) *Tried {
	t.Helper()
	p, err := s.Probe(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if names := left(t, s); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
	return p.Tried
}

// The file system of the tests keeps what the protocol asks of it.
func TestProbe(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.ops = realOps()
	tried := mustProbe(t, s)
	for name, r := range map[string]Race{"claims": tried.Claims, "replace": tried.Replace, "links": tried.Links, "creates": tried.Creates} {
		if r.Err != nil || r.Broken > 0 || r.Rounds == 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if tried.Err != nil || tried.LockErr != nil || tried.SyncDirErr != nil || tried.FoldsCase != s.format.FoldCase {
		t.Errorf("%+v", tried)
	}
	p, err := s.Probe(t.Context(), true)
	if err != nil || p.Tried != nil || p.Strangers != nil || p.Format != FormatVersion || len(p.Apart) > 0 {
		t.Errorf("without trying: %+v, %v", p, err)
	}
}

// A file system that does not keep a promise is found out.
func TestProbeOfBrokenFileSystems(t *testing.T) {
	t.Parallel()
	copyFile := func(old, new string) error {
		b, err := os.ReadFile(old)
		if err != nil {
			return err
		}
		return os.WriteFile(new, b, 0o600)
	}
	for _, c := range []struct {
		name  string
		spoil func(o *ops)
		found func(*Tried) bool
	}{
		{
			"a rename of what has been renamed already", func(o *ops) {
				real := o.rename
				var gone sync.Map
				o.rename = func(old, new string) error {
					if _, again := gone.LoadOrStore(old, true); again {
						return os.WriteFile(new, nil, 0o600) // from a stale cache
					}
					return real(old, new)
				}
			}, func(tr *Tried) bool { return tr.Claims.Broken > 0 },
		},
		{
			"a rename that unlinks its target first", func(o *ops) {
				real := o.rename
				look := o.look
				var looks atomic.Int64
				o.look = func(dir, name string) (info, error) { defer looks.Add(1); return look(dir, name) }
				o.rename = func(old, new string) error {
					if os.Remove(new) == nil { // until somebody has looked
						for n := looks.Load(); looks.Load() < n+2; {
						}
					}
					return real(old, new)
				}
			}, func(tr *Tried) bool { return tr.Replace.Broken > 0 },
		},
		{
			"no hard links", func(o *ops) {
				o.link = func(old, new string) error { return &os.LinkError{Op: "link", Old: old, New: new, Err: syscall.EPERM} }
			}, func(tr *Tried) bool { return errors.Is(tr.Links.Err, syscall.EPERM) },
		},
		{
			"a link that replaces", func(o *ops) { o.link = copyFile },
			func(tr *Tried) bool { return tr.Links.Broken > 0 },
		},
		{
			"O_EXCL that is passed over", func(o *ops) {
				o.create = func(path string, perm fs.FileMode) (file, error) { return o.update(path, perm) }
			}, func(tr *Tried) bool { return tr.Creates.Broken > 0 },
		},
		{
			"a rename that goes nowhere between directories", func(o *ops) {
				real := o.rename
				o.rename = func(old, new string) error {
					if filepath.Dir(old) != filepath.Dir(new) {
						return &os.LinkError{Op: "rename", Old: old, New: new, Err: syscall.EXDEV}
					}
					return real(old, new)
				}
			}, func(tr *Tried) bool { return errors.Is(tr.Claims.Err, syscall.EXDEV) },
		},
		{
			"no room", func(o *ops) {
				o.create = func(path string, _ fs.FileMode) (file, error) {
					return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.ENOSPC}
				}
			}, func(tr *Tried) bool { return errors.Is(tr.Err, syscall.ENOSPC) && tr.Claims.Rounds == 0 },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			s.ops = realOps()
			c.spoil(&s.ops)
			if tried := mustProbe(t, s); !c.found(tried) {
				t.Errorf("not found out: %+v", tried)
			}
		})
	}
}

// A probe that is told to stop removes what it has made; one that is killed leaves it to
// the sweep.
func TestProbeCutShort(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.ops = realOps()
	ctx, cancel := context.WithCancel(t.Context())
	real := s.ops.link
	s.ops.link = func(old, new string) error { cancel(); return real(old, new) }
	if _, err := s.Probe(ctx, false); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if names := left(t, s); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}

	kept := s.ops.unlink
	s.ops.link = real
	s.ops.unlink = func(string) error { return nil } // as if it were killed
	if _, err := s.Probe(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	s.ops.unlink = kept
	if names := left(t, s); len(names) < 100 {
		t.Fatalf("it left %d files", len(names))
	}
	clock := driveClock(s)
	clock.add(tmpLimit + hangGuard)
	if _, err := s.Sweep(0); err != nil {
		t.Fatal(err)
	}
	if names := left(t, s); len(names) > 0 {
		t.Errorf("the sweep leaves %q", names)
	}
}

// Without a spool the nearest directory is tried, and stays as it is.
func TestProbePlan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := ProbePlan(t.Context(), filepath.Join(dir, "not", "yet"))
	if err != nil || !p.Planned || p.Dir != dir || p.Tried == nil || p.Tried.Err != nil || p.Tried.Claims.Rounds == 0 {
		t.Errorf("%+v, %v", p, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
