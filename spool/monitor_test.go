package spool

import (
	"os"
	"path"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// seen collects what a monitor tells of until it is enough.
func seen(t *testing.T, m *Monitor, what string, enough func(Changes) bool) {
	t.Helper()
	var got Changes
	guard := time.After(hangGuard)
	for {
		c := m.Take()
		got.Entries, got.Rescan = append(got.Entries, c.Entries...), got.Rescan || c.Rescan
		if c.Broken != nil {
			got.Broken = c.Broken
		}
		if enough(got) {
			return
		}
		select {
		case <-m.C:
		case <-guard:
			t.Fatalf("no news of %s; have %+v", what, got)
		}
	}
}

func at(state State, base string) func(Changes) bool {
	return func(c Changes) bool {
		return slices.ContainsFunc(c.Entries, func(e Entry) bool { return e.State == state && path.Base(e.Path) == base })
	}
}

// TestMonitorFollowsAJob: each state that a job comes to is told, or a rescan asked for
// where its directory is new.
func TestMonitorFollowsAJob(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	old := mustRegister(t, s)
	m, err := s.Monitor()
	mustDo(t, err)
	defer m.Close()
	it := item(s, "job")
	mustDo(t, s.Put(it))
	seen(t, m, "the job", at(Pending, s.file(it.Name)))
	c, err := old.Claim(it.Name)
	mustDo(t, err)
	seen(t, m, "the claim", at(Processing, s.file(c.Name())))
	settled, err := c.Retry(s.Now().Add(-time.Second))
	mustDo(t, err)
	seen(t, m, "the retry", at(Pending, s.file(settled.Name)))

	young := mustRegister(t, s)
	seen(t, m, "a new worker", func(c Changes) bool { return c.Rescan })
	c, err = young.Claim(settled.Name)
	mustDo(t, err)
	seen(t, m, "a claim of a new worker", at(Processing, s.file(c.Name())))
	_, err = c.Done(Ending{Outcome: "done"})
	mustDo(t, err)
	seen(t, m, "a new hour", func(c Changes) bool { return c.Rescan })
	c = mustClaim(t, s, young, "another")
	settled, err = c.Done(Ending{Outcome: "done"})
	mustDo(t, err)
	if doneHour(settled.Name.Due, 0) == path.Dir(settled.Path) {
		seen(t, m, "a job that is done, or a new hour", func(c Changes) bool { return c.Rescan || at(Done, path.Base(settled.Path))(c) })
	}
	mustPut(t, s, "unwanted")
	var e Entry
	for _, f := range all(t, s) {
		if f.Name.ID == "unwanted" {
			e = f
		}
	}
	dead, err := s.Cancel(e)
	mustDo(t, err)
	seen(t, m, "a cancelled job", at(Dead, path.Base(dead.Path)))
	mustDo(t, os.Rename(s.abs(pendingDir), s.abs(tmpDir)+"/gone"))
	seen(t, m, "the end of pending/", func(c Changes) bool { return c.Broken != nil })
}

func TestMonitorLeavesNothingRunning(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	s := newSpool(t)
	m, err := s.Monitor()
	mustDo(t, err, m.Close(), os.Remove(s.abs(laterDir)), os.Remove(s.abs(pendingDir)))
	if _, err := s.Monitor(); err == nil {
		t.Error("a directory that is not there can be watched")
	}
	goleak.VerifyNone(t, ignore)
}

func TestEntryAt(t *testing.T) {
	t.Parallel()
	n := Name{Due: aDue, ID: "a"}.String()
	for rel, want := range map[string]Entry{
		"pending/" + n:                   {State: Pending},
		"pending/later/20261123T08/" + n: {State: Pending},
		"processing/w/" + n:              {State: Processing, Worker: "w"},
		"done/20261123/08/" + n:          {State: Done},
		"dead/" + n:                      {State: Dead},
		"pending/x.json":                 {},
		"pending/later/" + n:             {},
		"processing/" + n:                {},
		"processing/w/x/" + n:            {},
		"done/" + n:                      {},
		"done/20261123/" + n:             {},
		"dead/x/" + n:                    {},
		"rejected/" + n:                  {},
		"tmp/" + n:                       {},
	} {
		e, ok := entryAt(rel)
		if ok != (want.State != "") || ok && (e.State != want.State || e.Worker != want.Worker || e.Path != rel || e.Name.ID != "a") {
			t.Errorf("%s: %+v, %t", rel, e, ok)
		}
	}
}
