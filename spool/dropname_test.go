package spool

import (
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

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
