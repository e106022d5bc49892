package spool

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func newSpool(t *testing.T) *Spool {
	t.Helper()
	s, err := initialise(filepath.Join(testDir(t), "spool"), "", testOps())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustRegister(t *testing.T, s *Spool) *Lease {
	t.Helper()
	l, err := s.Register(1, "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func item(s *Spool, id string) Item {
	return Item{Name: Name{Due: Truncate(s.Now()), Allowed: 3, ID: id}, Data: []byte(`{"command":"true"}`), Reserved: true}
}

// all lists every job of the spool as STATE NAME.
func all(t *testing.T, s *Spool) (entries []Entry) {
	t.Helper()
	if err := s.Each(func(e Entry) error { entries = append(entries, e); return nil }, Pending, Processing, Done, Dead); err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestLifeOfAJob(t *testing.T) {
	s := newSpool(t)
	if err := s.Put(item(s, "job-1")); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(item(s, "job-1")); !errors.Is(err, ErrDuplicate) {
		t.Fatalf("a second job of the same id: want ErrDuplicate, have %v", err)
	}
	l := mustRegister(t, s)
	e := all(t, s)
	if len(e) != 1 || e[0].State != Pending {
		t.Fatalf("want one pending job, have %v", e)
	}
	c, err := l.Claim(e[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Claim(e[0].Name); !errors.Is(err, ErrLost) {
		t.Fatalf("a second claim: want ErrLost, have %v", err)
	}
	content, err := c.Read()
	if err != nil || string(content.Data) != `{"command":"true"}` || content.Unfinished {
		t.Fatalf("content %+v, %v", content, err)
	}
	if _, err := c.Retry(s.Now()); err != nil {
		t.Fatal(err)
	}
	e = all(t, s)
	c, err = l.Claim(e[0].Name)
	if err != nil || c.Name().Attempt != 2 {
		t.Fatalf("second attempt: %v %v", c, err)
	}
	done, err := c.Done(Ending{Outcome: "done", Wait: time.Second, Run: 1500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SyncSettled(done); err != nil {
		t.Fatal(err)
	}
	e = all(t, s)
	if len(e) != 1 || e[0].State != Done || e[0].Outcome != "done" || e[0].Run != 1500*time.Millisecond {
		t.Fatalf("want it done, have %+v", e)
	}
	if err := l.Leave(); err != nil {
		t.Fatal(err)
	}
	r, err := s.Check(func(Entry, []byte) error { return nil })
	if err != nil || len(r.Breaches) > 0 || r.Jobs != 1 {
		t.Fatalf("check: %+v, %v", r, err)
	}
	if err := s.Remove(e[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(item(s, "job-1")); err != nil {
		t.Fatalf("the id of a removed job is free again: %v", err)
	}
	if err := os.Remove(s.abs(all(t, s)[0].Path)); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(item(s, "job-1")); err != nil {
		t.Fatalf("the id of a job removed by hand is free again: %v", err)
	}
	elsewhere := filepath.Join(filepath.Dir(s.Dir()), "mine.json")
	if err := os.Rename(s.abs(all(t, s)[0].Path), elsewhere); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(item(s, "job-1")); err != nil {
		t.Fatalf("the id of a job taken back by mv is free again: %v", err)
	}
}

func TestReapGivesBack(t *testing.T) {
	s := newSpool(t)
	if err := s.Put(item(s, "job-1")); err != nil {
		t.Fatal(err)
	}
	l := mustRegister(t, s)
	c, err := l.Claim(all(t, s)[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	census := s.NewCensus()
	look := func() Verdict {
		t.Helper()
		v, err := census.Look(time.Second, time.Hour)
		if err != nil || len(v) != 1 {
			t.Fatalf("want one worker, have %v, %v", v, err)
		}
		return v[0]
	}
	if v := look(); v.Dead {
		t.Fatalf("a living worker was taken for dead: %s", v.Reason)
	}
	l.Close()
	if v := look(); !v.Dead {
		t.Fatal("a worker whose lock is free was not found dead")
	}
	moved, err := s.Reap(l.Worker(), func(n Name) Fate { n.Allowed++; n.Lost++; return Fate{Name: n} })
	if err != nil || len(moved) != 1 {
		t.Fatalf("reap: %v %v", moved, err)
	}
	if _, err := c.Done(Ending{Outcome: "done"}); !errors.Is(err, ErrLost) {
		t.Fatalf("a settle after the reap: want ErrLost, have %v", err)
	}
	e := all(t, s)
	if len(e) != 1 || e[0].State != Pending || e[0].Attempt != 1 || e[0].Lost != 1 || e[0].Allowed != 4 {
		t.Fatalf("want it pending again, have %+v", e)
	}
	if _, err := l.Claim(e[0].Name); !errors.Is(err, ErrLost) {
		t.Fatalf("a claim by a reaped worker: want ErrLost, have %v", err)
	}
	if got := all(t, s); len(got) != 1 || got[0].State != Pending {
		t.Fatalf("want it still pending, have %+v", got)
	}
}
