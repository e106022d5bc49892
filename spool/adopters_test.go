package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"testing"
)

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
