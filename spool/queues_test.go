package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestQueueNames(t *testing.T) {
	t.Parallel()
	for name, good := range map[string]bool{
		"mail": true, "default": true, "0": true, "a.b-c_d": true, strings.Repeat("x", 63): true,
		"": false, strings.Repeat("x", 64): false, "Mail": false, ".mail": false, "-mail": false, "_x": false, "a/b": false,
		"..": false, "ä": false, "a b": false, "a\n": false, "*": false, "a\x00": false,
	} {
		if err := ValidateQueue(name); (err == nil) != good || err != nil && !errors.Is(err, ErrInvalidQueue) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func mustQueue(t *testing.T, s *Spool, name string) *Spool {
	t.Helper()
	q, err := InitQueue(s.Dir(), name, "")
	mustDo(t, err)
	return q
}

func TestQueueIsASpool(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	q := mustQueue(t, s, "mail")
	if q.Queue() != "mail" || q.Root() != s.Dir() || s.Queue() != DefaultQueue || s.Root() != s.Dir() {
		t.Errorf("%s of %s, %s of %s", q.Queue(), q.Root(), s.Queue(), s.Root())
	}
	mustDo(t, q.Put(item(q, "job-1")), s.Put(item(s, "job-1")))
	for _, x := range []*Spool{q, s} {
		if e := only(t, x); e.Name.ID != "job-1" {
			t.Errorf("%s holds %v", x.Queue(), e)
		}
	}
	mustQueue(t, s, "mail") // again
	names, err := Queues(s.Dir())
	if mustDo(t, err); !slices.Equal(names, []string{"mail"}) {
		t.Errorf("queues: %v", names)
	}
	if root, name := QueueOf(q.Dir()); root != s.Dir() || name != "mail" {
		t.Errorf("%s is %s of %s", q.Dir(), name, root)
	}
	if _, err := InitQueue(q.Dir(), "inner", ""); !errors.Is(err, ErrInvalidQueue) {
		t.Errorf("a queue within a queue: %v", err)
	}
	if _, err := OpenQueue(q.Dir(), "inner"); !errors.Is(err, ErrInvalidQueue) {
		t.Errorf("a queue within a queue: %v", err)
	}
	if _, err := OpenQueue(s.Dir(), "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a queue that is not there: %v", err)
	}
}

// A directory called queues that is no spool's has no named queues in it.
func TestSpoolInADirectoryCalledQueues(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testDir(t), "queues", "mail")
	s, err := Init(dir, "")
	mustDo(t, err)
	if s.Queue() != DefaultQueue || s.Root() != dir {
		t.Errorf("%s of %s", s.Queue(), s.Root())
	}
}

func TestQueueHasTheModesOfItsSpool(t *testing.T) {
	t.Parallel()
	group := fmt.Sprint(os.Getgid())
	s, err := Init(filepath.Join(testDir(t), "spool"), group)
	mustDo(t, err)
	q := mustQueue(t, s, "mail")
	if q.Group() != group {
		t.Errorf("it is for group %q", q.Group())
	}
	for _, dir := range []string{filepath.Dir(q.Dir()), q.Dir(), q.abs(pendingDir)} {
		in, err := os.Stat(dir)
		if mustDo(t, err); in.Mode().Perm() != 0o770 || in.Mode()&fs.ModeSetgid == 0 {
			t.Errorf("%s has mode %v", dir, in.Mode())
		}
	}
	if _, err := InitQueue(s.Dir(), "mail", "root-or-somebody-else"); err == nil {
		t.Error("a queue that is there is for another group")
	}
}

// Links lead to what others may have made; what is no spool is named and left alone.
func TestWhatIsNoQueue(t *testing.T) {
	t.Parallel()
	s, other := newSpool(t), newSpool(t)
	mustQueue(t, s, "mail")
	mustDo(t, os.Symlink(other.Dir(), s.abs(queuesDir+"/link")), os.Mkdir(s.abs(queuesDir+"/empty"), 0o700), os.Mkdir(s.abs(queuesDir+"/Upper"), 0o700))
	writeFile(t, s.abs(queuesDir+"/file"), "")
	names, err := s.Queues()
	if mustDo(t, err); !slices.Equal(names, []string{"mail"}) {
		t.Errorf("queues: %v", names)
	}
	if _, err := OpenQueue(s.Dir(), "link"); !errors.Is(err, ErrNotSpool) {
		t.Errorf("a link: %v", err)
	}
	r, err := s.Check(func(Entry, []byte) error { return nil })
	mustDo(t, err)
	var found []string
	for _, b := range r.Breaches {
		found = append(found, b.Code+" "+b.Path)
	}
	slices.Sort(found)
	want := []string{"not-a-queue queues/Upper", "not-a-queue queues/empty", "not-a-queue queues/file", "not-a-queue queues/link"}
	if !slices.Equal(found, want) {
		t.Errorf("check found %q, want %q", found, want)
	}
}

func isGone(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

func TestRemoveQueue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		fill     func(t *testing.T, q *Spool)
		keeps    bool // without force
		evenThen bool // and with it
	}{
		{"empty", func(*testing.T, *Spool) {}, false, false},
		{"with settings", func(t *testing.T, q *Spool) {
			mustDo(t, q.ChangeConfig(func([]byte) ([]byte, error) { return []byte("{}"), nil }))
		}, false, false},
		{"a job waits", func(t *testing.T, q *Spool) { mustDo(t, q.Put(item(q, "a"))) }, true, true},
		{"a job waits for long", func(t *testing.T, q *Spool) {
			it := item(q, "a")
			it.Name.Due = it.Name.Due.Add(3 * LaterAfter)
			mustDo(t, q.Put(it))
		}, true, true},
		{"a dropped file", func(t *testing.T, q *Spool) { writeFile(t, q.abs(DropPath("x.json")), "{}") }, true, true},
		{"a file that may become one", func(t *testing.T, q *Spool) { writeFile(t, q.abs(pendingDir+"/x.part"), "{}") }, true, true},
		{"a copy on its way", func(t *testing.T, q *Spool) { writeFile(t, q.abs(pendingDir+"/.x.json.Ab3"), "{}") }, true, true},
		{"somebody's file", func(t *testing.T, q *Spool) { writeFile(t, q.abs("README"), "mine") }, true, true},
		{"a worker", func(t *testing.T, q *Spool) { mustRegister(t, q) }, true, true},
		{"a done job", func(t *testing.T, q *Spool) {
			l := mustRegister(t, q)
			it := item(q, "a")
			mustDo(t, q.Put(it))
			c, err := l.Claim(it.Name)
			mustDo(t, err, q.WriteLog("a", 1, "json", []byte("{}")))
			_, err = c.Done(Ending{Outcome: "done"})
			mustDo(t, err, l.Leave())
		}, true, false},
		{"a rejected file", func(t *testing.T, q *Spool) {
			writeFile(t, q.abs(DropPath("x.json")), "{}")
			_, err := q.Adopt("x.json", func(Drop) Adoption { return Adoption{Reject: "no"} })
			mustDo(t, err)
		}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			q := mustQueue(t, s, "mail")
			c.fill(t, q)
			for _, try := range []struct{ force, keeps bool }{{false, c.keeps}, {true, c.evenThen}} {
				before := tree(t, q)
				err := RemoveQueue(s.Dir(), "mail", try.force)
				if try.keeps {
					if !errors.Is(err, ErrQueueInUse) {
						t.Errorf("force %v: %v", try.force, err)
					}
					if after := tree(t, q); !slices.Equal(before, after) {
						t.Errorf("it had %q, it has %q", before, after)
					}
					continue
				}
				if err != nil {
					t.Errorf("force %v: %v", try.force, err)
				}
				isGone(t, q.Dir())
				break
			}
		})
	}
	s := newSpool(t)
	if err := RemoveQueue(s.Dir(), DefaultQueue, true); !errors.Is(err, ErrQueueInUse) {
		t.Errorf("the spool itself: %v", err)
	}
	if err := RemoveQueue(s.Dir(), "none", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a queue that is not there: %v", err)
	}
}

// everyCall is the step from one system call to the next one that is tried.
func everyCall() int {
	if sampled() {
		return 5
	}
	return 1
}

// putAnew puts as a writer does that finds its queue removed.
func putAnew(q *Spool, it Item) error {
	err := q.Put(it)
	for i := 0; i < 3 && errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrUncertain); i++ {
		if _, err := InitQueue(q.Root(), q.Queue(), ""); err != nil {
			return err
		}
		err = q.Put(it)
	}
	return err
}

// endedQueue is a queue that has one job, which is done.
func endedQueue(t *testing.T, s *Spool) *Spool {
	t.Helper()
	q := mustQueue(t, s, "mail")
	l := mustRegister(t, q)
	it := item(q, "old")
	mustDo(t, q.Put(it), q.ChangeConfig(func([]byte) ([]byte, error) { return []byte(`{"max-retries":1}`), nil }))
	c, err := l.Claim(it.Name)
	mustDo(t, err, q.WriteLog("old", 1, "json", []byte("{}")))
	_, err = c.Done(Ending{Outcome: "done"})
	mustDo(t, err, l.Leave())
	return q
}

// A job that is enqueued while its queue is removed is acknowledged and there, whichever
// system call of the removal it comes before.
func TestPutWhileTheQueueIsRemoved(t *testing.T) {
	t.Parallel()
	removed, kept := 0, 0
	for k := 1; ; k += everyCall() {
		s := newSpool(t)
		q := endedQueue(t, s)
		n, came := 0, false
		var putErr error
		o := hooked(realOps(), filepath.Dir(s.Dir()), hook{before: func(call) fault {
			if n++; n == k {
				came, putErr = true, putAnew(q, item(q, "new"))
			}
			return fault{}
		}})
		err := removeQueue(s.Dir(), "mail", true, o)
		if !came {
			break
		}
		if putErr != nil {
			t.Fatalf("before call %d: put: %v (the removal: %v)", k, putErr, err)
		}
		if err == nil {
			removed++ // and then made anew
		} else if kept++; !errors.Is(err, ErrQueueInUse) {
			t.Fatalf("before call %d: the removal: %v", k, err)
		}
		mustHoldOne(t, s, k, "new")
	}
	t.Logf("of %d removals %d gave up", removed+kept, kept)
	if kept == 0 {
		t.Error("no removal found the job")
	}
}

// mustHoldOne requires that the queue is whole and has this job waiting, once.
func mustHoldOne(t *testing.T, s *Spool, k int, id string) {
	t.Helper()
	q, err := OpenQueue(s.Dir(), "mail")
	if err != nil {
		t.Fatalf("before call %d: the queue is gone: %v", k, err)
	}
	found := 0
	for _, e := range all(t, q) {
		if e.Name.ID == id && e.State == Pending {
			found++
		}
	}
	if found != 1 {
		t.Fatalf("before call %d: the job is there %d times: %v", k, found, tree(t, q))
	}
	r, err := q.Check(func(Entry, []byte) error { return nil })
	mustDo(t, err)
	for _, b := range r.Breaches {
		if !b.Harmless() {
			t.Errorf("before call %d: %s %s: %s", k, b.Code, b.Path, b.Problem)
		}
	}
}

// The other way round: a queue that is removed before any call of a put.
func TestRemovalWhileAJobIsPut(t *testing.T) {
	t.Parallel()
	for k := 1; ; k += everyCall() {
		s := newSpool(t)
		mustQueue(t, s, "mail")
		n, came := 0, false
		var removeErr error
		q, err := openQueue(s.Dir(), "mail", hooked(realOps(), filepath.Dir(s.Dir()), hook{before: func(call) fault {
			if n++; n == k {
				came, removeErr = true, RemoveQueue(s.Dir(), "mail", true)
			}
			return fault{}
		}}))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed while it was opened
		}
		mustDo(t, err)
		err = putAnew(q, item(q, "new"))
		if !came {
			break
		}
		if err != nil {
			t.Fatalf("removed before call %d (%v): put: %v", k, removeErr, err)
		}
		mustHoldOne(t, s, k, "new")
	}
}

// removedUntil removes the queue mail of a new spool and is cut short before call k, if
// there are as many.
func removedUntil(t *testing.T, k int) (s *Spool, q *Spool, cut bool) {
	t.Helper()
	s = newSpool(t)
	q = endedQueue(t, s)
	// The kernel closes what a dead process had open, and with it goes its lock.
	real, open := realOps(), []file{}
	update := real.update
	real.update = func(path string, perm fs.FileMode) (file, error) {
		f, err := update(path, perm)
		if err == nil {
			open = append(open, f)
		}
		return f, err
	}
	n := 0
	o := hooked(real, filepath.Dir(s.Dir()), hook{before: func(call) fault {
		if n++; n == k {
			panic(crashed)
		}
		return fault{}
	}})
	cut = survive(func() { _ = removeQueue(s.Dir(), "mail", true, o) })
	for _, f := range open {
		_ = f.Close() // or it was closed
	}
	return s, q, cut
}

// A removal that is cut short at any call leaves a queue that takes jobs again, and that
// can be removed.
func TestRemovalCutShort(t *testing.T) {
	t.Parallel()
	for k := 1; ; k += everyCall() {
		s, q, cut := removedUntil(t, k)
		if !cut {
			break
		}
		err := RemoveQueue(s.Dir(), "mail", true)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("cut short at call %d: removed again: %v", k, err)
		}
		mustDo(t, putAnew(q, item(q, "new")))
		mustHoldOne(t, s, k, "new")
	}
}

// A job that is put into a half-removed queue completes it.
func TestPutAfterARemovalThatWasCutShort(t *testing.T) {
	t.Parallel()
	for k := 1; ; k += everyCall() {
		s, q, cut := removedUntil(t, k)
		if !cut {
			break
		}
		if !q.Whole() {
			mustQueue(t, s, "mail")
		}
		if err := putAnew(q, item(q, "new")); err != nil {
			t.Fatalf("cut short at call %d: %v", k, err)
		}
		mustHoldOne(t, s, k, "new")
	}
}
