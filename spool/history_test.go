package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// replaceBy makes a change of it.
func replaceBy(data string, aside bool) func([]byte, error) ([]byte, bool, error) {
	return func([]byte, error) ([]byte, bool, error) { return []byte(data), aside, nil }
}

// At every call the history is the old one or the new one, whole: when its writer dies
// there, and when the call fails; and who is told that it was written finds the new one.
func TestHistoryIsOldOrNew(t *testing.T) {
	t.Parallel()
	const was, new = "old", "newer"
	for _, c := range []struct {
		name  string
		fault func() fault
		first bool // there was none
		aside bool
	}{
		{"killed", func() fault { panic(crashed) }, false, false},
		{"killed at the first one", func() fault { panic(crashed) }, true, false},
		{"killed as it sets one aside", func() fault { panic(crashed) }, false, true},
		{"EIO", func() fault { return fault{err: syscall.EIO} }, false, false},
		{"EIO at the first one", func() fault { return fault{err: syscall.EIO} }, true, false},
		{"a lost reply", func() fault { return fault{err: syscall.EIO, after: true} }, false, false},
	} {
		for k, more := 1, true; more; k++ {
			s := newSpool(t)
			if !c.first {
				mustDo(t, s.ChangeHistory(replaceBy(was, false)))
			}
			s.network = c.name == "a lost reply"
			n, at := 0, call{}
			s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(x call) fault {
				if !mutates(x) {
					return fault{}
				}
				if n++; n == k {
					at = x
					return c.fault()
				}
				return fault{}
			}})
			var err error
			died := survive(func() { err = s.ChangeHistory(replaceBy(new, c.aside)) })
			more = n >= k
			got, readErr := reopen(t, s).ReadHistory()
			wrong := readErr != nil || string(got) != new && (string(got) != was || c.first) && (got != nil || !c.first && !c.aside)
			if !died && err == nil {
				wrong = string(got) != new
			}
			if wrong {
				t.Errorf("%s at %s: %q, %v; told %v", c.name, at, got, readErr, err)
			}
			if c.name == "a lost reply" && at.op == "rename" && err != nil {
				t.Errorf("the rename was made, and told is %v", err)
			}
		}
	}
}

// Those who change it at the same time come one after the other.
func TestHistoryIsChangedByOneAtATime(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	const writers, rounds = 4, 15
	failed := make(chan error, writers)
	for range writers {
		o := reopen(t, s)
		go func() {
			var err error
			for range rounds {
				err = errors.Join(err, o.ChangeHistory(func(old []byte, err error) ([]byte, bool, error) { return append(old, 'x'), false, err }))
			}
			failed <- err
		}()
	}
	for range writers {
		mustDo(t, <-failed)
	}
	data, err := s.ReadHistory()
	if err != nil || len(data) != writers*rounds {
		t.Errorf("%d changes are left of %d, %v", len(data), writers*rounds, err)
	}
}

// What ended since is found by names, and directories that have not changed since are not
// listed.
func TestEachEndedSince(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	now := time.Now().UTC()
	put := func(dir string, at time.Time, outcome, id string) {
		n := Name{Due: Truncate(at), Attempt: 1, Allowed: 1, Outcome: outcome, ID: id}
		mustDo(t, os.MkdirAll(s.abs(dir), 0o700))
		writeFile(t, s.abs(dir+"/"+n.String()), "{}")
	}
	put(doneHour(now, 0), now.Add(-time.Second), "done", "new")
	put(doneHour(now, 3), now.Add(-time.Second), "done", "overflow")
	put(doneHour(now, 0), now.Add(-2*time.Hour), "done", "misfiled")
	put(doneHour(now.Add(-26*time.Hour), 0), now.Add(-26*time.Hour), "done", "old")
	put(deadDir, now.Add(-time.Second), "failed", "dead")
	put(deadDir, now.Add(-time.Second), "", "moved")
	put(deadDir, now.Add(-48*time.Hour), "failed", "long-dead")
	writeFile(t, s.abs(deadDir+"/junk"), "")
	writeFile(t, s.abs(doneDir+"/junk"), "")
	var listed []string
	s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(c call) fault {
		if c.op == "names" {
			listed = append(listed, strings.TrimPrefix(c.path, "spool/"))
		}
		return fault{}
	}})
	find := func(since time.Time) string {
		var ids []string
		listed = nil
		mustDo(t, s.EachEndedSince(since, func(e Entry) error { ids = append(ids, e.Name.ID); return nil }))
		slices.Sort(ids)
		return strings.Join(ids, " ")
	}
	if got := find(now.Add(-time.Minute)); got != "dead new overflow" {
		t.Errorf("since a minute ago: %s", got)
	}
	if slices.Contains(listed, doneHour(now.Add(-26*time.Hour), 0)) {
		t.Errorf("an hour that is over was listed: %v", listed)
	}
	if got := find(time.Time{}); got != "dead long-dead misfiled new old overflow" {
		t.Errorf("ever: %s", got)
	}
	if got := find(now.Add(time.Minute)); got != "" || slices.Contains(listed, deadDir) {
		t.Errorf("since a minute to come: %s, with listings of %v", got, listed)
	}
}

// check knows what is in stats/, and names what is not to be there; a queue is removed with
// its history.
func TestHistoryInCheckAndRemove(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	q := reopen(t, mustQueue(t, s, "mail"))
	mustDo(t, q.ChangeHistory(replaceBy("bad", false)))
	codes := func() string {
		report, err := q.Check(func(Entry, []byte) error { return nil })
		mustDo(t, err)
		var found []string
		for _, b := range report.Breaches {
			found = append(found, fmt.Sprint(b.Code, " ", b.Path, " ", b.Harmless()))
		}
		slices.Sort(found)
		return strings.Join(found, ", ")
	}
	if got := codes(); got != "" {
		t.Errorf("a history is taken for %s", got)
	}
	mustDo(t, q.ChangeHistory(replaceBy("good", true)))
	if odd := readString(t, q.abs(oddHistory)); odd != "bad" {
		t.Errorf("%q was set aside", odd)
	}
	writeFile(t, q.abs(statsDir+"/mine"), "")
	if got, want := codes(), "odd-history stats/history.odd true, unknown-file stats/mine false"; got != want {
		t.Errorf("check says %q, want %q", got, want)
	}
	mustDo(t, os.Remove(q.abs(statsDir+"/mine")), RemoveQueue(s.Dir(), "mail", false))
	if _, err := os.Lstat(q.Dir()); err == nil {
		t.Error("the queue is still there")
	}
	// A history that is too long, or no file, is not read.
	mustDo(t, s.ChangeHistory(replaceBy("x", false)), os.Truncate(s.abs(historyFile), MaxHistoryBytes+1))
	if _, err := s.ReadHistory(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a long one: %v", err)
	}
	mustDo(t, os.Remove(s.abs(historyFile)), os.Symlink("/etc/passwd", s.abs(historyFile)))
	if data, err := s.ReadHistory(); !errors.Is(err, ErrNotRegular) || bytes.Contains(data, []byte("root")) {
		t.Errorf("a link: %v", err)
	}
}
