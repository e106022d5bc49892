package spool

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// Where two transitions that are sound alone meet.

func found(t *testing.T, s *Spool, id string) Entry {
	t.Helper()
	all, err := s.Find(id)
	mustDo(t, err)
	if len(all) != 1 {
		t.Fatalf("job %s is at %q", id, paths(all))
	}
	return all[0]
}

// TestTurnIsNotGivenAmidAnEdit: a turn renames its element, and the files of an edit are
// known by their names. Whoever gave one to an element amid an edit would lose the job.
func TestTurnIsNotGivenAmidAnEdit(t *testing.T) {
	t.Parallel()
	for _, committed := range []bool{false, true} {
		s := newSpool(t)
		putArray(t, s, 2, 1)
		e := found(t, s, "array-1")
		x, err := s.beginEdit(e, e.Name, []byte(`{"command":"new"}`))
		mustDo(t, err, x.takeOut())
		if committed {
			mustDo(t, s.ops.rename(s.abs(x.dir+"/"+bindFile), s.abs(s.idPath("array-1"))), s.ops.unlink(s.abs(x.dir+"/"+oldPrefix+s.file(e.Name))))
		}
		// The other element's turn is passed on, and then turns are counted.
		_, err = s.Cancel(found(t, s, "array-0"))
		mustDo(t, err)
		_, _, err = s.ShareTurns(always(2))
		mustDo(t, err)
		_, err = s.finishEdit(x.dir)
		mustDo(t, err)
		if e := found(t, s, "array-1"); e.Editing() || e.State != Pending || !e.Queued {
			t.Errorf("committed %t: it is at %s", committed, e.Path)
		}
		given, _, err := s.ShareTurns(always(1))
		if mustDo(t, err); len(given) != 1 || !found(t, s, "array-1").Turn {
			t.Errorf("committed %t: no turn is given to %s", committed, found(t, s, "array-1").Path)
		}
	}
}

// TestOneBadEditKeepsNoOtherBack: what cannot be finished is nobody else's trouble.
func TestOneBadEditKeepsNoOtherBack(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustPut(t, s, "job")
	e := found(t, s, "job")
	x, err := s.beginEdit(e, e.Name, []byte(`{"command":"new"}`))
	mustDo(t, err, x.takeOut(), os.MkdirAll(s.abs(editingDir+"/aaa/bind/x"), 0o700))
	if _, err := s.RecoverEdits(1); err == nil {
		t.Error("the bad one is not told of")
	}
	if e := found(t, s, "job"); e.Editing() {
		t.Errorf("it is still at %s", e.Path)
	}
}

// TestGeneratedIDThatIsChosen: an id that NewID made is bound nowhere, but it is taken.
func TestGeneratedIDThatIsChosen(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	it := item(s, s.NewID())
	it.Reserved = false
	mustDo(t, s.Put(it))
	if err := s.Put(item(s, it.Name.ID)); !errors.Is(err, ErrDuplicate) {
		t.Errorf("have %v, want ErrDuplicate", err)
	}
	if e := only(t, s); e.Name != it.Name {
		t.Errorf("%s has become %s", it.Name, e.Path)
	}
	mustDo(t, s.Remove(only(t, s)), s.Put(item(s, it.Name.ID)))
}

// TestLockWhoseFileIsGone: who has waited for a lock whose file is removed meanwhile has
// no lock that counts, and must get the new one.
func TestLockWhoseFileIsGone(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	first, err := s.lock()
	mustDo(t, err)
	got := make(chan func(), 1)
	opened := make(chan struct{}, bindTries)
	update := s.ops.update
	o := reopen(t, s)
	o.ops.update = func(path string, perm os.FileMode) (file, error) {
		f, err := update(path, perm)
		opened <- struct{}{}
		return f, err
	}
	go func() {
		second, err := o.lock()
		if err != nil {
			t.Error(err)
		}
		got <- second
	}()
	<-opened
	mustDo(t, s.ops.unlink(s.abs(lockFile)))
	first()
	second := <-got
	defer second()
	f, err := realOps().update(s.abs(lockFile), 0)
	mustDo(t, err)
	defer f.Close()
	if free, err := f.tryLock(); err != nil || free {
		t.Errorf("two hold the lock at once: %v", err)
	}
}

// TestLockThatHangs: one who hangs in the lock of a file server that is away keeps the
// others of its process waiting for no longer than those of another, and in their order.
func TestLockThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // its clock goes on when all wait
		s := newSpool(t)
		back := make(chan struct{})
		var patience []time.Duration
		s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(c call) fault {
			if c.op == "lock" {
				<-back
			}
			return fault{}
		}})
		update := s.ops.update
		s.ops.update = func(p string, perm os.FileMode) (file, error) {
			f, err := update(p, perm)
			return patientFile{f, &patience}, err
		}
		begun := time.Now()
		have := make(chan string, 10)
		take := func(who string) {
			unlock, err := s.lock()
			if err != nil {
				if !errors.Is(err, syscall.EAGAIN) || !strings.Contains(err.Error(), lockFile) {
					t.Errorf("%s: %v", who, err)
				}
				have <- fmt.Sprintf("%s gives up after %s", who, time.Since(begun))
				return
			}
			have <- who + " has it"
			unlock()
		}
		go take("first")
		synctest.Wait()
		go take("second")
		synctest.Wait()
		if got := <-have; got != "second gives up after 30s" {
			t.Error(got)
		}
		go take("third")
		synctest.Wait()
		<-time.After(lockPatience - time.Second) // of the test's clock
		go take("fourth")
		synctest.Wait()
		close(back)
		synctest.Wait()
		for _, want := range []string{"first has it", "third has it", "fourth has it"} {
			if got := <-have; got != want {
				t.Errorf("%s, not: %s", got, want)
			}
		}
		// What they have waited for each other is of their patience.
		if want := []time.Duration{lockPatience, time.Second, lockPatience}; !slices.Equal(patience, want) {
			t.Errorf("%v, want %v", patience, want)
		}
	})
}

// patientFile notes how long one waits for its lock.
type patientFile struct {
	file
	patience *[]time.Duration
}

func (f patientFile) lock(network bool, patience time.Duration) error {
	*f.patience = append(*f.patience, patience)
	return f.file.lock(network, patience)
}

// TestPauseSurvivesARemoval: a queue whose removal is given up is as paused as before.
func TestPauseSurvivesARemoval(t *testing.T) {
	t.Parallel()
	root := filepath.Join(testDir(t), "spool")
	q, err := InitQueue(root, "nightly", "")
	mustDo(t, err, q.Pause(Pause{Reason: "why"}))
	o, put := realOps(), false
	rmdir := o.rmdir
	o.rmdir = func(p string) error {
		if !put && filepath.Base(p) == doneDir {
			put = true
			s, err := InitQueue(root, "nightly", "")
			mustDo(t, err, s.Put(item(s, "job")))
		}
		return rmdir(p)
	}
	if err := removeQueue(root, "nightly", false, o); !errors.Is(err, ErrQueueInUse) {
		t.Fatalf("have %v, want ErrQueueInUse", err)
	}
	s, err := OpenQueue(root, "nightly")
	mustDo(t, err)
	if p, err := s.Paused(); err != nil || p == nil || p.Reason != "why" {
		t.Errorf("%+v, %v", p, err)
	}
	found(t, s, "job")
}

// TestReviveForgetsDemands: what was asked of a job's last attempt, and came too late for
// it, is not asked of the next one; nor is a demand for an earlier job asked of a drop
// that is older.
func TestReviveForgetsDemands(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	c := mustClaim(t, s, mustRegister(t, s), "job")
	_, err := c.Bury(Ending{Outcome: "failed"})
	mustDo(t, err, s.Demand(Demand{ID: "job"}))
	_, err = s.Revive(found(t, s, "job"), 1)
	mustDo(t, err)
	drop(t, s, "dropped.json", `{"command":"true"}`)
	mustDo(t, os.Chtimes(s.abs(DropPath("dropped.json")), aDue, aDue), s.Demand(Demand{ID: "dropped"}))
	clock := driveClock(s)
	adoptAll(t, s, clock, time.Minute)
	if left, err := s.Demands(); err != nil || len(left) > 0 {
		t.Errorf("left: %+v, %v", left, err)
	}
}

// TestNothingWaitsForAFIFO: one where a directory is expected must stop nobody.
func TestNothingWaitsForAFIFO(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustDo(t, os.MkdirAll(s.abs(doneDir+"/20260101"), 0o700), os.MkdirAll(s.abs(editingDir), 0o700))
	for _, rel := range []string{
		editingDir + "/fifo", workDir + "/web1.4711.k3x5w2mz7q4ra", doneDir + "/fifo", doneDir + "/20260101/fifo", laterDir + "/20260101T00",
		idsDir + "/00", logsDir + "/00", deadDir + "/fifo.json", pendingDir + "/fifo.json",
	} {
		mustDo(t, unix.Mkfifo(s.abs(rel), 0o600))
	}
	over := make(chan error, 1)
	go func() {
		_, err := s.Find("nobody")
		_, promoteErr := s.Promote()
		_, sweepErr := s.Sweep(0)
		_, idsErr := s.SweepIDs()
		_, lookErr := s.NewCensus().Look(time.Second, time.Minute)
		over <- errors.Join(err, promoteErr, sweepErr, idsErr, lookErr)
	}()
	select {
	case err := <-over:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(hangGuard):
		t.Fatal("it waits for a writer")
	}
	breaches(t, s)
}
