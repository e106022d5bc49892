package spool

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever is dropped ends as one job or one rejected file, with its bytes.
func TestManyDrops(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	random := rand.New(rand.NewPCG(1, 2))
	want := map[uint64]string{}
	const drops = 1000
	adopted, rejected := 0, 0
	for i := range drops {
		var content string
		switch random.IntN(6) {
		case 0:
			content = fmt.Sprintf(`{"command":"x","id":"id-%d","n":%d}`, random.IntN(300), i)
		case 1, 2:
			content = fmt.Sprintf(`{"command":"x","n":%d}`, i)
		case 3:
			content = fmt.Sprintf(`{"n":%d}`, i)
		case 4:
			content = strings.Repeat(string(rune('a'+random.IntN(26))), 1+random.IntN(100))
		case 5:
			content = fmt.Sprintf(`{"command":"x","n":%d`, i)
		}
		// Few stems, so that they collide with each other and with ids.
		base := fmt.Sprintf("id-%d.json", random.IntN(300))
		if _, err := os.Lstat(s.abs(pendingDir + "/" + base)); err == nil {
			base = fmt.Sprintf("other-%d.json", i)
		}
		drop(t, s, base, content)
		want[inode(t, s.abs(pendingDir+"/"+base))] = content
		if i%100 != 99 {
			continue
		}
		for base, a := range adoptAll(t, s, clock, 2*rejectUnsure) {
			if a.Rejected != "" {
				rejected++
			} else if adopted++; a.Name.ID == "" {
				t.Errorf("%s: %+v", base, a)
			}
		}
	}
	if len(want) != drops || adopted+rejected != drops || adopted == 0 || rejected == 0 {
		t.Errorf("%d dropped, %d adopted, %d rejected", len(want), adopted, rejected)
	}
	ids := map[string]bool{}
	got := map[uint64]string{}
	for _, e := range all(t, s) {
		ids[e.Name.ID] = true
		got[inode(t, s.abs(e.Path))] = readString(t, s.abs(e.Path))
	}
	if len(got) != adopted || len(ids) != adopted {
		t.Errorf("%d adopted, %d jobs with %d ids", adopted, len(got), len(ids))
	}
	rejects, err := s.Rejects()
	mustDo(t, err)
	if len(rejects) != rejected {
		t.Errorf("%d rejected, %d in the directory", rejected, len(rejects))
	}
	for _, r := range rejects {
		if r.Reason == "" {
			t.Errorf("%s has no reason", r.Base)
		}
		got[inode(t, s.abs(RejectedPath(r.Base)))] = readString(t, s.abs(RejectedPath(r.Base)))
	}
	if !maps.Equal(got, want) {
		t.Error("not all bytes are as they were dropped")
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
}

// Where nobody can say who is writing, a file must have been still.
func TestRuleOfQuiet(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.network = true
	open := s.ops.open
	s.ops.open = func(path string) (file, error) {
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		return unknownWriter{f}, nil
	}
	clock := driveClock(s)
	drop := s.abs(pendingDir + "/quiet.json")
	writeFile(t, drop, aJob[:5])
	try := func(want time.Duration) {
		t.Helper()
		a, err := s.Adopt("quiet.json", adoption(s))
		if err != nil || a.Done != (want == 0) || a.Again != want {
			t.Fatalf("want it again after %s, have %+v, %v", want, a, err)
		}
	}
	try(quietNetwork)
	clock.add(quietNetwork - 1)
	try(quietNetwork)
	clock.add(1)
	try(rejectUnsure - quietNetwork) // quiet, but half a document
	clock.add(rejectUnsure - quietNetwork - 1)
	try(1)
	writeFile(t, drop, aJob)
	clock.add(rejectUnsure)
	try(quietNetwork) // it has changed: all over again
	// The same size and time, which only the inode and its change time tell.
	st, err := os.Stat(drop)
	mustDo(t, err, os.Rename(drop, drop+".old"))
	writeFile(t, drop, aJob)
	mustDo(t, os.Chtimes(drop, st.ModTime(), st.ModTime()))
	clock.add(quietNetwork)
	try(quietNetwork)
	clock.add(quietNetwork)
	try(0)
	if len(s.drops.seen) != 0 {
		t.Errorf("it remembers %v", slices.Collect(maps.Keys(s.drops.seen)))
	}
}

type unknownWriter struct{ file }

func (unknownWriter) beingWritten() (yes, known bool) { return false, false }

// Over NFS no lease is asked for: one that is refused tells nothing, and one that is granted
// keeps the file from being renamed. A file is taken when it has been still.
func TestNoLeaseIsAskedForOverANetwork(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.network = true
	open := s.ops.open
	s.ops.open = func(path string) (file, error) {
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		return noLease{f, t}, nil
	}
	clock := driveClock(s)
	drop(t, s, "one.json", aJob)
	if a, err := s.Adopt("one.json", adoption(s)); err != nil || a.Done || a.Again != quietNetwork {
		t.Errorf("at first %+v, %v", a, err)
	}
	clock.add(quietNetwork)
	if a, err := s.Adopt("one.json", adoption(s)); err != nil || !a.Done {
		t.Errorf("when it has been still %+v, %v", a, err)
	}
}

type noLease struct {
	file
	t *testing.T
}

func (f noLease) beingWritten() (yes, known bool) {
	f.t.Error("a lease is asked for")
	return true, true
}

func TestADropThatIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	if a, err := s.Adopt("gone.json", adoption(s)); err != nil || a != (Adopted{}) {
		t.Errorf("%+v, %v", a, err)
	}
	drop(t, s, "half.json", aJob[:5])
	if a, err := s.Adopt("half.json", adoption(s)); err != nil || a.Again == 0 {
		t.Errorf("%+v, %v", a, err)
	}
	mustDo(t, os.Remove(s.abs(pendingDir+"/half.json")))
	if a, err := s.Adopt("half.json", adoption(s)); err != nil || a != (Adopted{}) || len(s.drops.seen) != 0 {
		t.Errorf("%+v, %v, %v", a, err, s.drops.seen)
	}
}

// Another file comes under the name between the reading and the rename: what was
// decided about the first is not done to the second.
func TestADropThatIsReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	const good, other, bad = `{"command":"good"}`, `{"command":"other","id":"other"}`, `{"no":"command"}`
	for what, c := range map[string]struct {
		first, second string
		again         bool // a third comes while the second is taken
	}{
		"adopted, another job":     {good, other, false},
		"adopted, no job":          {good, bad, false},
		"rejected, a job":          {bad, other, false},
		"rejected, and once more":  {bad, other, true},
		"adopted, and once more":   {good, other, true},
		"rejected, another no job": {bad, `{"also":"none"}`, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			clock := driveClock(s)
			replace := func(content string) {
				writeFile(t, s.abs(DropPath("x.json.part")), content)
				mustDo(t, os.Rename(s.abs(DropPath("x.json.part")), s.abs(DropPath("x.json"))))
				closed(t, s, "x.json")
			}
			drop(t, s, "x.json", c.first)
			replaced := false
			before(s, "rename", func(string) {
				if !replaced {
					replaced = true
					replace(c.second)
				}
			})
			third := c.again
			before(s, "link", func(from string) {
				if third && filepath.Base(from) != "x.json" { // it has another name now
					third = false
					replace(good)
				}
			})
			for range 2 { // twice for the rule of quiet
				if a, err := s.Adopt("x.json", adoption(s)); err != nil || a.Done {
					t.Fatalf("%+v, %v", a, err)
				}
				clock.add(quietNetwork)
				if replaced {
					break
				}
			}
			want := []string{c.second}
			if c.again {
				want = append(want, good)
			}
			got := adoptAll(t, s, clock, soon)
			if len(got) != len(want) {
				t.Fatalf("in the end %+v", got)
			}
			var left []string
			for _, e := range all(t, s) {
				left = append(left, readString(t, s.abs(e.Path)))
			}
			rejects, err := s.Rejects()
			mustDo(t, err)
			for _, r := range rejects {
				left = append(left, readString(t, s.abs(RejectedPath(r.Base))))
				if r.Reason == "" {
					t.Errorf("%s has no reason", r.Base)
				}
			}
			slices.Sort(left)
			slices.Sort(want)
			if !slices.Equal(left, want) {
				t.Errorf("want %q, have %q", want, left)
			}
			for _, e := range all(t, s) {
				if strings.Contains(readString(t, s.abs(e.Path)), "other") != (e.Name.ID == "other") {
					t.Errorf("%s holds %s", e.Path, readString(t, s.abs(e.Path)))
				}
			}
		})
	}
}

func TestDropsAreRegularFiles(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	drop(t, s, "a.json", aJob)
	mustDo(t, os.Mkdir(s.abs(DropPath("b.json")), 0o700), os.Symlink("a.json", s.abs(DropPath("c.json"))))
	var got []string
	mustDo(t, s.Drops(func(base string) { got = append(got, base) }))
	if !slices.Equal(got, []string{"a.json"}) {
		t.Errorf("have %q", got)
	}
}
