package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// watching begins to watch and ends it with the test.
func watching(t *testing.T, s *Spool) *Watch {
	t.Helper()
	w, err := s.Watch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// until collects hints until they satisfy.
func until(t *testing.T, w *Watch, what string, enough func(Hints) bool) Hints {
	t.Helper()
	var got Hints
	guard := time.After(hangGuard)
	for {
		h := w.Take()
		got.Names = append(got.Names, h.Names...)
		got.Rescan = got.Rescan || h.Rescan
		got.Asked = got.Asked || h.Asked
		got.Peers = got.Peers || h.Peers
		if h.Broken != nil {
			got.Broken = h.Broken
		}
		if enough(got) {
			return got
		}
		select {
		case <-w.C:
		case <-guard:
			t.Fatalf("no hint of %s; have %+v", what, got)
		}
	}
}

func named(base string) func(Hints) bool {
	return func(h Hints) bool { return slices.Contains(h.Names, base) }
}

func TestWatchHintsAtWhatComes(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	outside := filepath.Join(filepath.Dir(s.Dir()), "outside.json")
	writeFile(t, outside, aJob)
	w := watching(t, s)
	if h := w.Take(); h.Rescan || h.Asked || h.Broken != nil || len(h.Names) > 0 {
		t.Errorf("before anything happens: %+v", h)
	}
	it := item(s, "put")
	for _, c := range []struct {
		what, base string
		do         func() error
	}{
		{"a job that is put", s.file(it.Name), func() error { return s.Put(it) }},
		{"a file that is created", "created.json", func() error { return os.WriteFile(s.abs(DropPath("created.json")), nil, 0o600) }},
		{"a file that is written", "created.json", func() error { return os.WriteFile(s.abs(DropPath("created.json")), []byte(aJob), 0o600) }},
		{"a file that is moved in", "moved.json", func() error { return os.Rename(outside, s.abs(DropPath("moved.json"))) }},
		{"a file that is linked", "linked.json", func() error { return os.Link(s.abs(DropPath("moved.json")), s.abs(DropPath("linked.json"))) }},
		{"a file that is renamed within", "renamed.json", func() error { return os.Rename(s.abs(DropPath("linked.json")), s.abs(DropPath("renamed.json"))) }},
		{"a mode that changes", "renamed.json", func() error { return os.Chmod(s.abs(DropPath("renamed.json")), 0o644) }},
	} {
		mustDo(t, c.do())
		if h := until(t, w, c.what, named(c.base)); h.Rescan || h.Broken != nil {
			t.Errorf("%s: %+v", c.what, h)
		}
	}
}

func TestWatchHintsAtRequests(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	w := watching(t, s)
	l := mustRegister(t, s)
	asked := func(h Hints) bool { return h.Asked }
	mustDo(t, s.Ask(Drain, l.Worker()))
	until(t, w, "a request to drain", asked)
	mustDo(t, s.Ask(Interrupt, l.Worker()))
	until(t, w, "a request to interrupt", asked)
	mustDo(t, s.Withdraw(Drain, l.Worker()))
	until(t, w, "a request that is withdrawn", asked)
}

func TestWatchHintsAtPeers(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	w := watching(t, s)
	peers := func(h Hints) bool { return h.Peers }
	mustRegister(t, s)
	until(t, w, "a worker", peers)
	mustDo(t, os.Mkdir(s.abs(editingDir+"/"+s.writer+"-1"), 0o700))
	until(t, w, "an editor", peers)
}

// Heartbeats, claims and results are no news: a watch that saw them would wake
// every worker at every one of them.
func TestWatchIsQuietAboutTheRest(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	it := item(s, "job-1")
	mustDo(t, s.Put(it))
	w := watching(t, s)
	c, err := l.Claim(it.Name)
	mustDo(t, err, l.Beat(), s.WriteLog("job-1", 1, "json", nil))
	_, err = c.Done(Ending{Outcome: "done"})
	mustDo(t, err)
	mustPut(t, s, "fence") // events come in order: after this one there is none of the others
	h := until(t, w, "the last job", func(h Hints) bool { return len(h.Names) > 0 })
	if len(h.Names) != 1 || h.Names[0] != filepath.Base(all(t, s)[0].Path) || h.Asked || h.Rescan || h.Peers {
		t.Errorf("have %+v", h)
	}
}

func TestTooManyNamesAreAScan(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	w := watching(t, s)
	for i := range maxHints + 10 {
		mustDo(t, os.WriteFile(s.abs(DropPath(fmt.Sprintf("%d.json", i))), nil, 0o600))
	}
	last := fmt.Sprintf("%d.json", maxHints+9)
	// Without a Take in between, which would begin anew.
	eventually(t, "it asks for a scan", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.hints.Rescan
	})
	h := w.Take()
	if !h.Rescan || len(h.Names) > maxHints || h.Broken != nil {
		t.Errorf("rescan %t, %d names, %v", h.Rescan, len(h.Names), h.Broken)
	}
	mustDo(t, os.WriteFile(s.abs(DropPath(last)), []byte("x"), 0o600))
	until(t, w, "what comes after it", named(last))
}

func TestWatchSaysThatItHasEnded(t *testing.T) {
	t.Parallel()
	for what, end := range map[string]func(pending string) error{
		"removed": os.RemoveAll,
		"moved":   func(p string) error { return os.Rename(p, p+".old") },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			w := watching(t, s)
			mustDo(t, end(s.abs(pendingDir)))
			if h := until(t, w, "the end", func(h Hints) bool { return h.Broken != nil }); !h.Rescan {
				t.Errorf("%+v", h)
			}
			if _, err := s.Watch(); err == nil {
				t.Error("what is not there can be watched")
			}
		})
	}
}

// Not parallel: other tests' goroutines would be taken for its own.
func TestWatchLeavesNothingRunning(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s := newSpool(t)
	for range 3 {
		w, err := s.Watch()
		mustDo(t, err)
		mustPut(t, s, s.NewID())
		mustDo(t, w.Close())
	}
	w, err := s.Watch()
	mustDo(t, err, w.Close())
	if err := w.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	mustDo(t, os.RemoveAll(s.abs(ctlDir)))
	if _, err := s.Watch(); err == nil {
		t.Error("a directory that is not there can be watched")
	}
}
