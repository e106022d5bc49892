package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestOneWinnerAmongGoroutines(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	for round := range 10 {
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for range 32 {
			wg.Go(func() {
				<-begin
				err := s.Put(item(s, fmt.Sprintf("job-%d", round)))
				switch {
				case err == nil:
					won.Add(1)
				case errors.Is(err, ErrDuplicate):
					lost.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		close(begin)
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 31 {
			t.Errorf("round %d: %d won, %d were told", round, won.Load(), lost.Load())
		}
	}
	if n := len(all(t, s)); n != 10 {
		t.Errorf("%d jobs", n)
	}
	if b, _ := breaches(t, s); len(b) > 0 || len(files(t, s, tmpDir)) > 0 {
		t.Errorf("breaches: %q, tmp: %q", b, files(t, s, tmpDir))
	}
}

func TestOneWinnerAmongProcesses(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	won := map[string]int{}
	actors := []*actor{start(t, "put "+s.Dir()), start(t, "put "+s.Dir())}
	for _, a := range actors {
		for _, line := range a.rest(t) {
			if id, ok := strings.CutPrefix(line, "won "); ok {
				won[id]++
			}
		}
	}
	for i := range 50 {
		if id := fmt.Sprintf("job-%d", i); won[id] != 1 {
			t.Errorf("%s has %d winners", id, won[id])
		}
	}
	if n := len(all(t, s)); n != 50 {
		t.Errorf("%d jobs", n)
	}
}

// An id is free again when its job is gone, however it went; and again only one of
// many gets it.
func TestStaleIDs(t *testing.T) {
	t.Parallel()
	for what, take := range map[string]func(s *Spool, p string) error{
		"rm": func(_ *Spool, p string) error { return os.Remove(p) },
		"mv out of the spool": func(s *Spool, p string) error {
			return os.Rename(p, filepath.Join(filepath.Dir(s.Dir()), "taken.json"))
		},
		"cp -l and rm": func(s *Spool, p string) error {
			return errors.Join(os.Link(p, filepath.Join(filepath.Dir(s.Dir()), "link.json")), os.Remove(p))
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			for range 3 {
				var won atomic.Int32
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						if err := s.Put(item(s, "job-1")); err == nil {
							won.Add(1)
						} else if !errors.Is(err, ErrDuplicate) {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if won.Load() != 1 {
					t.Fatalf("%d won", won.Load())
				}
				mustDo(t, take(s, s.abs(only(t, s).Path)))
				_ = os.Remove(filepath.Join(filepath.Dir(s.Dir()), "link.json"))
			}
		})
	}
}

// Wherever the job is, its id is taken.
func TestTakenInEveryState(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	refused := func(where string) {
		t.Helper()
		if err := s.Put(item(s, "job-1")); !errors.Is(err, ErrDuplicate) {
			t.Errorf("%s: %v", where, err)
		}
		// The same with a link outside of the spool, where the count says nothing.
		extra := filepath.Join(filepath.Dir(s.Dir()), "extra")
		mustDo(t, os.Link(s.abs(only(t, s).Path), extra))
		if err := s.Put(item(s, "job-1")); !errors.Is(err, ErrDuplicate) {
			t.Errorf("%s, and linked elsewhere: %v", where, err)
		}
		mustDo(t, os.Remove(extra))
	}
	mustPut(t, s, "job-1")
	refused("pending")
	c, err := l.Claim(only(t, s).Name)
	mustDo(t, err)
	refused("processing")
	_, err = c.Bury(Ending{Outcome: "failed"})
	mustDo(t, err)
	refused("dead")
	_, err = s.Revive(only(t, s), 1)
	mustDo(t, err)
	c, err = l.Claim(only(t, s).Name)
	mustDo(t, err)
	_, err = c.Done(Ending{Outcome: "done"})
	mustDo(t, err)
	refused("done")
	if len(files(t, s, tmpDir)) > 0 {
		t.Errorf("left in tmp: %q", files(t, s, tmpDir))
	}
}

// While another has written its file and bound its id, at every step of its way.
func TestTakenOnItsWayIn(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	other := reopen(t, s)
	asked := 0
	before(s, "rename", func(string) {
		asked++
		if err := other.Put(item(other, "job-1")); !errors.Is(err, ErrDuplicate) {
			t.Errorf("%v", err)
		}
	})
	mustPut(t, s, "job-1")
	if asked == 0 || len(all(t, s)) != 1 {
		t.Errorf("asked %d times, jobs %v", asked, paths(all(t, s)))
	}
}

func TestRecordsOfAnEarlierJobAreGone(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	for what, remove := range map[string]func(Entry) error{
		"Remove": s.Remove,
		"rm":     func(e Entry) error { return os.Remove(s.abs(e.Path)) },
	} {
		c := mustClaim(t, s, l, "job-1")
		mustDo(t, s.WriteLog("job-1", 1, "json", []byte("old")), s.WriteLog("job-1", 1, "out", []byte("old")))
		settled, err := c.Bury(Ending{Outcome: "failed"})
		mustDo(t, err, remove(Entry{Name: settled.Name, State: Dead, Path: settled.Path}))
		c = mustClaim(t, s, l, "job-1")
		if err := s.WriteLog("job-1", 1, "json", []byte("new")); err != nil {
			t.Errorf("after %s of a job of the same id: %v", what, err)
		}
		if s.LogSize("job-1", 1, "out") != 0 {
			t.Errorf("after %s another job's output is shown", what)
		}
		settled, err = c.Bury(Ending{Outcome: "failed"})
		mustDo(t, err, s.Remove(Entry{Name: settled.Name, State: Dead, Path: settled.Path}))
	}
}

// TestReplacedFileKeepsItsID: sed -i, an editor or a backup that is played back puts
// another file under a job's name, and the one that is bound has no other name. The job
// is there all the same: it keeps its id and its records, in every state.
func TestReplacedFileKeepsItsID(t *testing.T) {
	t.Parallel()
	for what, keep := range map[string]func(s *Spool) error{
		"a sweep": func(s *Spool) error { _, err := s.SweepIDs(); return err },
		"a put":   func(*Spool) error { return nil }, // the one at the end
		"a repair": func(s *Spool) error {
			named, found := breaches(t, s)
			if len(found) != 1 || found[0].Code != "unbound-id" || found[0].Harmless() {
				t.Errorf("the check says %q", named)
				return nil
			}
			return found[0].Repair()
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			l := mustRegister(t, s)
			c := mustClaim(t, s, l, "x")
			mustDo(t, s.WriteLog("x", 1, "out", []byte("precious")))
			look := func(st State) {
				t.Helper()
				p := s.abs(only(t, s).Path)
				data := readString(t, p)
				writeFile(t, s.abs(tmpDir+"/new"), data)
				mustDo(t, os.Rename(s.abs(tmpDir+"/new"), p), keep(s))
				if got, err := s.ReadLog("x", 1, "out"); err != nil || string(got) != "precious" {
					t.Errorf("%s: its output is %q, %v", st, got, err)
				}
				if err := s.Put(item(s, "x")); !errors.Is(err, ErrDuplicate) {
					t.Errorf("%s: a second job of its id: %v", st, err)
				}
				if what == "a put" {
					return
				}
				if inode(t, p) != inode(t, s.abs(s.idPath("x"))) {
					t.Errorf("%s: its id is not bound to it", st)
				}
				if named, _ := breaches(t, s); len(named) > 0 {
					t.Errorf("%s: breaches: %q", st, named)
				}
			}
			look(Processing)
			_, err := c.Bury(Ending{Outcome: "failed"})
			mustDo(t, err)
			look(Dead)
			_, err = s.Revive(only(t, s), 1)
			mustDo(t, err)
			look(Pending)
			mustDo(t, s.Remove(only(t, s)))
			if named, _ := breaches(t, s); len(named) > 0 || len(files(t, s, tmpDir)) > 0 {
				t.Errorf("in the end: %q, in tmp %q", named, files(t, s, tmpDir))
			}
			mustPut(t, s, "x")
		})
	}
}

// TestRemovalOfABindingWithoutALock: where the lock excludes nobody (a mount with
// nolock), a remover does not take the binding that another has made and acknowledged
// since it looked: whatever it has moved away, it gives back.
func TestRemovalOfABindingWithoutALock(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustPut(t, s, "x")
	mustDo(t, os.Remove(s.abs(only(t, s).Path)))
	h1, h2 := reopen(t, s), reopen(t, s)
	came := false
	for _, h := range []*Spool{h1, h2} {
		h.network = true
		h.ops = hooked(h.ops, filepath.Dir(h.dir), hook{before: func(c call) fault {
			if c.op == "lock" {
				return fault{err: errGranted}
			}
			ref := "spool/" + h.idPath("x")
			if h == h1 && !came && (c.op == "unlink" || c.op == "rename") && c.path == ref {
				came = true
				mustDo(t, h2.Put(item(h2, "x"))) // frees, binds and acknowledges
			}
			return fault{}
		}})
	}
	if err := h1.Put(item(h1, "x")); !came || !errors.Is(err, ErrDuplicate) {
		t.Errorf("came %t: %v", came, err)
	}
	if e := only(t, s); inode(t, s.abs(e.Path)) != inode(t, s.abs(s.idPath("x"))) {
		t.Error("the job is not bound")
	}
	if left := files(t, s, tmpDir); len(left) > 0 {
		t.Errorf("left in tmp/: %q", left)
	}
}
