package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

// unsynced makes fsync free.
func unsynced(s *Spool) {
	open := s.ops.open
	s.ops.open = func(path string) (file, error) {
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		return noSync{f}, nil
	}
	create := s.ops.create
	s.ops.create = func(path string, perm fs.FileMode) (file, error) {
		f, err := create(path, perm)
		if err != nil {
			return nil, err
		}
		return noSync{f}, nil
	}
	s.ops.syncDir = func(string) error { return nil }
}

type noSync struct{ file }

func (noSync) Sync() error { return nil }

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Sys().(*syscall.Stat_t).Ino
}

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

// Two workers on one file: whoever comes last finds nothing to do, at whatever
// moment the first one is through.
func TestTwoAdoptersOfOneFile(t *testing.T) {
	t.Parallel()
	for _, content := range []string{aJob, `{"command":"x","id":"chosen"}`, `{}`} {
		for _, at := range []string{"open", "link", "rename", "update", "create"} {
			t.Run(at+" "+content, func(t *testing.T) {
				t.Parallel()
				s := newSpool(t)
				other := reopen(t, s)
				other.ops.now = driveClock(s).now // one clock, one millisecond
				drop(t, s, "job.json", content)
				if !knowsWriters(t, s) {
					t.Skip("this file system cannot say who is writing")
				}
				var first Adopted
				var once sync.Once
				meanwhile := func(path string) {
					if !strings.HasSuffix(path, "job.json") && !strings.Contains(path, "job.json.") {
						return
					}
					once.Do(func() {
						var err error
						if first, err = other.Adopt("job.json", adoption(s)); err != nil {
							t.Error(err)
						}
					})
				}
				before(s, at, meanwhile)
				second, err := s.Adopt("job.json", adoption(s))
				if err != nil {
					t.Fatal(err)
				}
				if first == (Adopted{}) {
					if !second.Done {
						t.Fatalf("neither did it: %+v", second)
					}
				} else if !first.Done || second.Done {
					t.Errorf("first %+v, second %+v: want it done once", first, second)
				}
				rejects, err := s.Rejects()
				mustDo(t, err)
				if n := len(all(t, s)) + len(rejects); n != 1 || len(rejects) == 1 && rejects[0].Reason == "" {
					t.Errorf("have %q", tree(t, s))
				}
				if b, _ := breaches(t, s); len(b) > 0 {
					t.Errorf("breaches: %q", b)
				}
			})
		}
	}
}

// before calls do before each call of the operation, with its last path.
func before(s *Spool, op string, do func(path string)) {
	two := func(call func(a, b string) error) func(a, b string) error {
		return func(a, b string) error { do(a); return call(a, b) }
	}
	switch op {
	case "open":
		call := s.ops.open
		s.ops.open = func(p string) (file, error) { do(p); return call(p) }
	case "create":
		call := s.ops.create
		s.ops.create = func(p string, perm fs.FileMode) (file, error) { do(p); return call(p, perm) }
	case "update":
		call := s.ops.update
		s.ops.update = func(p string, perm fs.FileMode) (file, error) { do(p); return call(p, perm) }
	case "mkdir":
		call := s.ops.mkdir
		s.ops.mkdir = func(p string, perm fs.FileMode) error { do(p); return call(p, perm) }
	case "link":
		s.ops.link = two(s.ops.link)
	case "rename":
		s.ops.rename = two(s.ops.rename)
	default:
		panic(op)
	}
}

// The first is through, and its job gone again: nothing is left to take.
func TestAdopterComesMuchTooLate(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	other := reopen(t, s)
	drop(t, s, "job.json", aJob)
	if !knowsWriters(t, s) {
		t.Skip("this file system cannot say who is writing")
	}
	renames := 0
	before(s, "rename", func(string) {
		if renames++; renames == 1 {
			if _, err := other.Adopt("job.json", adoption(other)); err != nil {
				t.Error(err)
			}
			mustDo(t, other.Remove(only(t, other)))
		}
	})
	a, err := s.Adopt("job.json", adoption(s))
	if err != nil || a != (Adopted{}) || renames != 1 {
		t.Errorf("%+v, %v after %d renames", a, err, renames)
	}
	if got := append(all(t, s), Entry{}); len(got) != 1 || len(files(t, s, rejectedDir)) > 0 {
		t.Errorf("have %q", tree(t, s))
	}
}

func TestAdoptersInParallel(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	const drops, adopters = 60, 4
	var bases []string
	for i := range drops {
		base := fmt.Sprintf("job-%02d.json", i)
		content := fmt.Sprintf(`{"command":"x","n":%d}`, i)
		if i%3 == 0 {
			content = fmt.Sprintf(`{"n":%d}`, i)
		}
		bases = append(bases, base)
		drop(t, s, base, content)
	}
	var mu sync.Mutex
	done := map[string]int{}
	var wg sync.WaitGroup
	for range adopters {
		o := reopen(t, s)
		clock := driveClock(o)
		wg.Go(func() {
			for range 3 { // more than once for the rule of quiet, and for leases of the others
				for _, base := range bases {
					a, err := o.Adopt(base, adoption(o))
					mu.Lock()
					if err != nil {
						t.Error(err)
					} else if a.Done {
						done[base]++
					}
					mu.Unlock()
				}
				clock.add(quietNetwork)
			}
		})
	}
	wg.Wait()
	for _, base := range bases {
		if done[base] != 1 {
			t.Errorf("%s was done with %d times", base, done[base])
		}
	}
	jobs, rejects := all(t, s), files(t, s, rejectedDir)
	if len(jobs) != drops*2/3 || len(rejects) != 2*drops/3 {
		t.Errorf("%d jobs and rejects %q", len(jobs), rejects)
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
}

// An adopter that dies, or is stopped, between binding the id and the rename: the
// id is the drop's, and whoever comes next goes on.
func TestAdopterStoppedBeforeTheRename(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	drop(t, s, "drop.json", `{"command":"x","id":"chosen"}`)
	other := reopen(t, s)
	rename := s.ops.rename
	var taken error
	stopped := false
	s.ops.rename = func(old, new string) error {
		if _, err := ParseName(path.Base(new)); err == nil && !stopped {
			stopped = true
			taken = other.Put(item(other, "chosen"))
			return errors.New("stopped here")
		}
		return rename(old, new)
	}
	for range 2 {
		if _, err := s.Adopt("drop.json", adoption(s)); err != nil && !strings.Contains(err.Error(), "stopped here") {
			t.Fatal(err)
		}
		clock.add(quietNetwork)
	}
	if !errors.Is(taken, ErrDuplicate) {
		t.Fatalf("another takes the id meanwhile: want ErrDuplicate, have %v", taken)
	}
	s.ops.rename = rename
	if got := adoptAll(t, s, clock, soon); got["drop.json"].Rejected != "" && len(got) > 0 {
		t.Errorf("the next adopter: %+v", got)
	}
	if e := only(t, s); e.Name.ID != "chosen" {
		t.Errorf("have %+v", e)
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

// TestDropNameIsUsedAgain: a file name is its producer's. At each call of an adopter,
// another adopter takes the file, and the producer drops the next one under the name
// that has become free: both become jobs, each with its bytes and its id.
func TestDropNameIsUsedAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, first, second, ids string }{
		{"chosen ids", `{"command":"first","id":"one"}`, `{"command":"second","id":"two"}`, "one two"},
		{"the file's name", `{"command":"first"}`, `{"command":"second"}`, "x x-2"},
		{"the second is no job", `{"command":"first","id":"one"}`, `{"no":"command"}`, "one"},
		{"the first is no job", `{"no":"command"}`, `{"command":"second","id":"two"}`, "two"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			for at, more := 1, true; more; at++ {
				s := newSpool(t)
				other, clock := reopen(t, s), driveClock(s)
				other.ops.now = clock.now // one due time: the names of the jobs differ by id alone
				drop(t, s, "x.json", c.first)
				if !knowsWriters(t, s) {
					t.Skip("this file system cannot say who is writing")
				}
				calls := 0
				more = false
				s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(made call) fault {
					if calls++; calls != at {
						return fault{}
					}
					more = true
					for base := range adoptAll(t, other, clock, 0) {
						t.Logf("call %d, %s: the other takes %s", at, made, base)
					}
					writeFile(t, other.abs(DropPath("next.part")), c.second)
					if err := os.Link(other.abs(DropPath("next.part")), other.abs(DropPath("x.json"))); err != nil {
						more = false // the name is not free
					}
					mustDo(t, os.Remove(other.abs(DropPath("next.part"))))
					return fault{}
				}})
				_, err := s.Adopt("x.json", adoption(s))
				mustDo(t, err)
				if calls < at {
					return
				}
				if !more {
					more = true
					continue
				}
				adoptAll(t, other, clock, 2*ownedFor)
				left := map[string]bool{}
				var ids []string
				for _, e := range all(t, other) {
					left[readString(t, s.abs(e.Path))] = true
					ids = append(ids, e.Name.ID)
				}
				rejects, err := other.Rejects()
				mustDo(t, err)
				for _, r := range rejects {
					left[readString(t, s.abs(RejectedPath(r.Base)))] = true
				}
				slices.Sort(ids)
				if len(ids)+len(rejects) != 2 || !left[c.first] || !left[c.second] || strings.Join(ids, " ") != c.ids {
					t.Errorf("call %d: jobs %q; spool %q", at, ids, tree(t, s))
				}
			}
		})
	}
}

// TestFileDroppedTwice: two links of one file in pending/ are one file, to which the id
// is bound, and still two drops: one becomes the job, the other is a duplicate of it,
// at whatever moment of its adoption the other one is adopted.
func TestFileDroppedTwice(t *testing.T) {
	t.Parallel()
	for _, content := range []string{`{"command":"x","id":"chosen"}`, aJob} {
		for at, more := 0, true; more; at++ {
			s := newSpool(t)
			other, clock := reopen(t, s), driveClock(s)
			other.ops.now = clock.now
			drop(t, s, "a.json", content)
			if !knowsWriters(t, s) {
				t.Skip("this file system cannot say who is writing")
			}
			mustDo(t, os.Link(s.abs(DropPath("a.json")), s.abs(DropPath("b.json"))))
			calls := 0
			s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(made call) fault {
				if calls++; calls == at && made.op != "lock" && !s.locked(t) {
					clock.add(time.Millisecond) // or the two would have one name
					_, err := other.Adopt("b.json", adoption(other))
					mustDo(t, err)
				}
				return fault{}
			}})
			_, err := s.Adopt("a.json", adoption(s))
			mustDo(t, err)
			more = calls >= at
			adoptAll(t, other, clock, 2*ownedFor)
			ids := map[string]int{}
			for _, e := range all(t, s) {
				ids[e.Name.ID]++
			}
			rejects, err := s.Rejects()
			mustDo(t, err)
			want := map[string]int{"chosen": 1}
			if content == aJob {
				want = map[string]int{"a": 1, "b": 1}
			}
			if !maps.Equal(ids, want) || len(ids)+len(rejects) != 2 {
				t.Errorf("call %d: jobs %v, rejected %+v", at, ids, rejects)
			}
		}
	}
}

// TestDropThatAnotherOwns: a process that may still be at a file keeps it, for a while.
func TestDropThatAnotherOwns(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		writer func(s *Spool) string
		wait   time.Duration
	}{
		"a living process":       {func(s *Spool) string { return reopen(t, s).writer }, ownedFor},
		"another host's":         {func(*Spool) string { return Host{Name: "elsewhere-2"}.newWID() }, ownedFor},
		"a process that is gone": {gone, 0},
		"this process":           {func(s *Spool) string { return s.writer }, 0},
	} {
		s := newSpool(t)
		clock := driveClock(s)
		base := "nightly~" + c.writer(s) + "-1a.json"
		drop(t, s, base, aJob)
		if c.wait > 0 {
			a, err := s.Adopt(base, adoption(s))
			if err != nil || a.Done || a.Again <= c.wait-time.Second || a.Again > c.wait || a.Base != base {
				t.Errorf("%s: %+v, %v", what, a, err)
			}
		}
		begun := clock.now()
		got := adoptAll(t, s, clock, 2*ownedFor)
		if a := got[base]; a.Name.ID != "nightly" || clock.now().Sub(begun) > c.wait+soon {
			t.Errorf("%s: after %s %+v", what, clock.now().Sub(begun), a)
		}
	}
}

func TestNamesOfOwnedDrops(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.host.Name = "web-1"
	s.writer = s.host.newWID()
	for _, stem := range []string{"x", "a~b", "x.json", "é", "20261123T084718123Z.p5.a0-3.x", strings.Repeat("n", 200), strings.Repeat("é", 125)} {
		own := s.ownName(stem + suffix)
		got, writer, ok := ownedDrop(own)
		if !ok || writer != s.writer || len(own) > maxBase || !IsDrop(own) {
			t.Errorf("%q becomes %q: %q of %q", stem, own, got, writer)
		}
		if got != stem && (len(stem) <= MaxIDLength || len(got) <= MaxIDLength || !utf8.ValidString(got)) {
			t.Errorf("%q becomes %q, which is of %q", stem, own, got)
		}
		if again := s.ownName(own); again == own || (Drop{Base: again}).Stem() != got {
			t.Errorf("%q becomes %q", own, again)
		}
	}
	for _, base := range []string{"x.json", "x~.json", "x~y-1.json", "x~" + s.writer + ".json", "x~" + s.writer + "-.json", "x~" + s.writer + "-A.json", "x~" + s.writer + "-1.txt", s.writer + "-1.json"} {
		if stem, _, ok := ownedDrop(base); ok {
			t.Errorf("%q is taken for a drop that somebody owns: %q", base, stem)
		}
	}
}

// TestDropOfAnotherMember: the kernel refuses a link to a file that this user may not
// write (protected_hardlinks). The job is ours then, with the same bytes, and if another
// file comes under the drop's name meanwhile, that one is not lost.
func TestDropOfAnotherMember(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	const member = 12345
	for _, c := range []struct {
		what     string
		newcomer bool
	}{{"alone", false}, {"and a newcomer", true}} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			clock := driveClock(s)
			const old, late = `{"id":"job","command":"old"}`, `{"id":"late","command":"late"}`
			drop(t, s, "x.json", old)
			mustDo(t, os.Chown(s.abs(DropPath("x.json")), member, -1))
			real, came := s.ops, false
			s.ops.link = func(from, to string) error {
				if in, err := real.look(path.Dir(from), path.Base(from)); err == nil && in.uid == member {
					return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EPERM}
				}
				return real.link(from, to)
			}
			s.ops.create = func(p string, perm fs.FileMode) (file, error) {
				if c.newcomer && !came && strings.HasSuffix(p, "!x.json") {
					came = true
					writeFile(t, s.abs(tmpDir+"/late"), late)
					mustDo(t, os.Rename(s.abs(tmpDir+"/late"), s.abs(DropPath("x.json"))))
				}
				return real.create(p, perm)
			}
			adoptAll(t, s, clock, time.Hour)
			want := map[string]string{"job": old}
			if c.newcomer {
				want["late"] = late
			}
			for _, e := range all(t, s) {
				data, err := s.Read(e)
				mustDo(t, err)
				in, err := real.look(s.abs(pendingDir), path.Base(e.Path))
				mustDo(t, err)
				if string(data) != want[e.Name.ID] || int(in.uid) != os.Geteuid() || in.nlink != 2 {
					t.Errorf("%s of user %d with %d links: %s", e.Path, in.uid, in.nlink, data)
				}
				delete(want, e.Name.ID)
			}
			if len(want) > 0 {
				t.Errorf("missing: %v", want)
			}
			if left := files(t, s, tmpDir); len(left) > 0 {
				t.Errorf("left in tmp: %q", left)
			}
		})
	}
}
