package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Two users without accounts: numbers are all that files need.
const (
	ann uint32 = 61001
	bob uint32 = 61002
)

// newBoxed is a spool of root's with boxes for ann and bob.
func newBoxed(t *testing.T) *Spool {
	t.Helper()
	needRoot(t)
	s := newSpool(t)
	for name, uid := range map[string]uint32{"ann": ann, "bob": bob} {
		rel, err := s.MakeBox(name, uid, uid)
		if mustDo(t, err); rel != "drop/"+name {
			t.Fatal(rel)
		}
	}
	return s
}

// put makes a file of a user's.
func putAs(t *testing.T, uid uint32, path, data string) {
	t.Helper()
	writeFile(t, path, data)
	mustDo(t, os.Chmod(path, 0o600), os.Chown(path, int(uid), int(uid)))
}

// byOwner accepts what its owner alone can have written, under the id of its name.
func byOwner(s *Spool) func(Drop) Adoption {
	return func(d Drop) Adoption {
		if d.Mode&othersWrite != 0 {
			return Adoption{Reject: "others may write it"}
		}
		if !strings.HasPrefix(string(d.Data), "{") {
			return Adoption{Reject: "not a JSON object"}
		}
		return Adoption{Name: Name{ID: d.Stem(), Due: Truncate(s.Now()), Allowed: 1}}
	}
}

// collectAll collects and adopts until nothing more happens, and returns what was set aside.
func collectAll(t *testing.T, s *Spool) (rejected map[string]string) {
	t.Helper()
	rejected = map[string]string{}
	step := func(rel string, adopt func(string, func(Drop) Adoption) (Adopted, error)) {
		got, err := adopt(rel, byOwner(s))
		if err != nil {
			t.Errorf("%s: %v", rel, err)
		}
		if got.Rejected != "" {
			rejected[rel] = got.Rejected
		}
	}
	for range 3 {
		var boxed, drops []string
		mustDo(t, s.Boxed(func(rel string) { boxed = append(boxed, rel) }))
		for _, rel := range boxed {
			step(rel, s.Collect)
		}
		mustDo(t, s.Waiting(func(Name) {}, func(base string) { drops = append(drops, base) }))
		for _, base := range drops {
			step(base, s.Adopt)
		}
	}
	return rejected
}

// waitingOf returns the owners of the jobs that wait, by id.
func waitingOf(t *testing.T, s *Spool) map[string]uint32 {
	t.Helper()
	owners := map[string]uint32{}
	mustDo(t, s.Each(func(e Entry) error {
		in, err := s.ops.look(s.abs(filepath.Dir(e.Path)), filepath.Base(e.Path))
		owners[e.Name.ID] = in.uid
		return err
	}, Pending))
	return owners
}

func TestBoxesAreCollected(t *testing.T) {
	t.Parallel()
	s := newBoxed(t)
	putAs(t, ann, s.abs("drop/ann/one.json"), `{"command":"a"}`)
	putAs(t, bob, s.abs("drop/bob/one.json"), `{"command":"b"}`)
	putAs(t, bob, s.abs("drop/bob/not.ready"), `{"command":"b"}`)
	putAs(t, bob, s.abs("drop/bob/20261123T084718123Z.p999.a0-9.forged.json"), `{"command":"b"}`)
	putAs(t, bob, s.abs("drop/bob/"+strings.Repeat("x", 250)+".json"), `{"command":"b"}`)
	before, err := os.Stat(s.abs("drop/ann/one.json"))
	mustDo(t, err)
	if bad := collectAll(t, s); len(bad) != 1 || !strings.Contains(fmt.Sprint(bad), "id") {
		t.Errorf("set aside: %v", bad) // the long one, whose name is no id
	}
	owners := waitingOf(t, s)
	forged := "20261123T084718123Z.p999.a0-9.forged"
	if len(owners) != 3 || owners["one"]+owners["one-2"] != ann+bob || owners[forged] != bob {
		t.Errorf("%v", owners)
	}
	if left := files(t, s, "drop/bob"); len(left) != 1 || left[0] != "not.ready" {
		t.Errorf("left: %q", left)
	}
	// Nobody has a descriptor or another name of what waits: it is another file.
	mustDo(t, s.Each(func(e Entry) error {
		now, err := os.Stat(s.abs(e.Path))
		if err == nil && os.SameFile(before, now) {
			t.Errorf("%s is the file that its user made", e.Path)
		}
		return err
	}, Pending))
	if names, _ := breaches(t, s); len(names) > 0 {
		t.Errorf("breaches: %q", names)
	}
}

// Each trick by which a file of somebody else could be run as him, or root be made to
// open what is no file.
func TestTricksWithBoxes(t *testing.T) {
	t.Parallel()
	const job = `{"command":"id"}`
	for name, trick := range map[string]struct {
		do     func(t *testing.T, s *Spool)
		reason string // "": it is left where it is
	}{
		"a file of root's, moved here": {func(t *testing.T, s *Spool) {
			putAs(t, 0, s.abs("tmp/x"), job)
			mustDo(t, os.Rename(s.abs("tmp/x"), s.abs("drop/ann/x.json")))
		}, "belongs to user 0"},
		"a file of root's, linked here": {func(t *testing.T, s *Spool) {
			putAs(t, 0, s.dir+".root", job)
			mustDo(t, os.Link(s.dir+".root", s.abs("drop/ann/x.json")))
		}, "belongs to user 0"},
		"another user's, moved here": {func(t *testing.T, s *Spool) {
			putAs(t, bob, s.abs("drop/ann/x.json"), job)
		}, "belongs to user 61002"},
		"his own with another name": {func(t *testing.T, s *Spool) {
			putAs(t, ann, s.dir+".ann", job)
			mustDo(t, os.Link(s.dir+".ann", s.abs("drop/ann/x.json")))
		}, "hard link"},
		"one that all may write": {func(t *testing.T, s *Spool) {
			putAs(t, ann, s.abs("drop/ann/x.json"), job)
			mustDo(t, os.Chmod(s.abs("drop/ann/x.json"), 0o666))
		}, "others may write it"},
		"one too large": {func(t *testing.T, s *Spool) {
			putAs(t, ann, s.abs("drop/ann/x.json"), job)
			mustDo(t, os.Truncate(s.abs("drop/ann/x.json"), 1<<40))
		}, "too large"},
		"a symbolic link to a job of root's": {func(t *testing.T, s *Spool) {
			putAs(t, 0, s.dir+".root", job)
			mustDo(t, os.Symlink(s.dir+".root", s.abs("drop/ann/x.json")))
		}, ""},
		"a FIFO": {func(t *testing.T, s *Spool) { mustDo(t, unix.Mkfifo(s.abs("drop/ann/x.json"), 0o666)) }, ""},
		"a directory": {func(t *testing.T, s *Spool) {
			mustDo(t, os.Mkdir(s.abs("drop/ann/x.json"), 0o777))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newBoxed(t)
			trick.do(t, s)
			rejected := collectAll(t, s)
			if trick.reason != "" != (len(rejected) == 1) || !strings.Contains(rejected["drop/ann/x.json"], trick.reason) {
				t.Errorf("set aside: %v", rejected)
			}
			if owners := waitingOf(t, s); len(owners) > 0 {
				t.Errorf("it is a job: %v", owners)
			}
			// Given back, it is judged as what it was.
			rejects, err := s.Rejects()
			mustDo(t, err)
			for _, r := range rejects {
				mustDo(t, s.Readmit(r.Base))
			}
			if again := collectAll(t, s); len(again) != len(rejected) {
				t.Errorf("given back: %v", again)
			}
			if owners := waitingOf(t, s); len(owners) > 0 {
				t.Errorf("given back, it is a job: %v", owners)
			}
		})
	}
}

// A box that others can write, that is root's, or no directory is not collected, and named.
func TestBoxesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, box string){
		"others may write it": func(t *testing.T, box string) { mustDo(t, os.Chmod(box, 0o1777)) },
		"belongs to root":     func(t *testing.T, box string) { mustDo(t, os.Chown(box, 0, 0)) },
		"symbolic link": func(t *testing.T, box string) {
			mustDo(t, os.Rename(box, filepath.Dir(filepath.Dir(box))+".elsewhere"), os.Symlink(filepath.Dir(filepath.Dir(box))+".elsewhere", box))
		},
	} {
		s := newBoxed(t)
		putAs(t, ann, s.abs("drop/ann/x.json"), `{"command":"id"}`)
		spoil(t, s.abs("drop/ann"))
		seen := 0
		err := s.Boxed(func(string) { seen++ })
		if err == nil || seen > 0 {
			t.Errorf("%s: %v, %d files", name, err, seen)
		}
		if got, err := s.Collect("drop/ann/x.json", byOwner(s)); err == nil || got.Done || len(waitingOf(t, s)) > 0 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// A file that is swapped between two calls, at each call there is: what becomes a job is
// what its owner wrote, under his number, whatever was put in its place and when.
func TestSwappedBetweenCheckAndUse(t *testing.T) {
	t.Parallel()
	const good, evil = `{"command":"good"}`, `{"command":"evil"}`
	swaps := map[string]func(s *Spool, path string) error{
		"for a file of root's": func(s *Spool, path string) error {
			return errors.Join(os.WriteFile(s.dir+".evil", []byte(evil), 0o600), os.Rename(s.dir+".evil", path))
		},
		"for a symbolic link": func(s *Spool, path string) error {
			return errors.Join(os.WriteFile(s.dir+".evil", []byte(evil), 0o600), os.Remove(path), os.Symlink(s.dir+".evil", path))
		},
		"for a FIFO":      func(_ *Spool, path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o666)) },
		"for a directory": func(_ *Spool, path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o777)) },
	}
	for name, swap := range swaps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// At the k-th call; the file may have left the box by then, which ends it.
			for k := 1; ; k++ {
				s := newBoxed(t)
				path, calls, swapped := s.abs("drop/ann/x.json"), 0, false
				putAs(t, ann, path, good)
				s.ops = hooked(s.ops, filepath.Dir(s.dir), hook{before: func(call) fault {
					if calls++; calls == k {
						if _, err := os.Lstat(path); err == nil {
							if err := swap(s, path); err != nil {
								t.Error(err)
							}
							swapped = true
						}
					}
					return fault{}
				}})
				if _, err := s.Collect("drop/ann/x.json", byOwner(s)); err != nil {
					t.Errorf("call %d: %v", k, err)
				}
				if !swapped {
					if k < 5 {
						t.Fatalf("the file was there for %d calls only", k-1)
					}
					break
				}
				collectAll(t, s)
				for id, owner := range waitingOf(t, s) {
					e := found(t, s, id)
					if data, err := s.Read(e); err != nil || owner != ann || string(data) != good {
						t.Errorf("call %d: a job of user %d: %s, %v", k, owner, data, err)
					}
				}
			}
		})
	}
}

// A producer that has kept a descriptor writes another command after his file was judged:
// the job is what was judged.
func TestRewrittenWhileCollected(t *testing.T) {
	t.Parallel()
	s := newBoxed(t)
	const good = `{"command":"good"}`
	// As another worker has left it, that had made sure that nobody had it open: here its
	// producer has.
	path := s.abs("drop/" + takenName(ann, "x.json"))
	putAs(t, ann, path, good)
	kept, err := os.OpenFile(path, os.O_WRONLY, 0)
	mustDo(t, err)
	rewritten := false
	s.ops = hooked(s.ops, filepath.Dir(s.dir), hook{before: func(c call) fault {
		if c.op == "create" { // the copy is about to be made
			_, err := kept.WriteAt([]byte(`{"command":"evil"}`), 0)
			mustDo(t, err)
			rewritten = true
		}
		return fault{}
	}})
	got, err := s.Collect("drop/"+takenName(ann, "x.json"), byOwner(s))
	mustDo(t, err)
	if !rewritten {
		t.Fatal("it was never rewritten")
	}
	_, err = kept.WriteAt([]byte(`{"command":"evil"}`), 0)
	mustDo(t, err, kept.Close())
	if data := readString(t, s.abs("pending/"+got.Base)); data != good {
		t.Errorf("put %s", data)
	}
}

// Cut short at each call, a file is a job once, or still there to go on with.
func TestCollectCutShort(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		s := newBoxed(t)
		putAs(t, ann, s.abs("drop/ann/x.json"), `{"command":"id"}`)
		real, calls := s.ops, 0
		s.ops = hooked(s.ops, filepath.Dir(s.dir), hook{before: func(call) fault {
			if calls++; calls == k {
				panic(crashed)
			}
			return fault{}
		}})
		dead := survive(func() { _, _ = s.Collect("drop/ann/x.json", byOwner(s)) })
		s.ops = real
		// The next one is another process, which knows that this one is gone.
		next := reopen(t, s)
		next.processes.kill = func(int) error { return unix.ESRCH }
		collectAll(t, next)
		if owners := waitingOf(t, next); len(owners) != 1 || owners["x"] != ann {
			t.Errorf("cut short at call %d: %v; there are %q", k, owners, tree(t, next))
		}
		if !dead {
			break
		}
	}
}

// The file of a claim is opened once, without following a link, and its owner and what it
// says are of that one descriptor.
func TestClaimIsReadByOneDescriptor(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l, err := s.Register(1, "t", 0)
	mustDo(t, err)
	c := mustClaim(t, s, l, "job")
	file := s.abs(c.path())
	opened := 0
	s.ops = hooked(s.ops, filepath.Dir(s.dir), hook{before: func(x call) fault {
		if strings.HasSuffix(x.path, filepath.Base(file)) && x.op == "open" {
			opened++
		} else if opened == 1 && x.op == "fstat" {
			// Whatever lies under its name by now.
			mustDo(t, os.WriteFile(s.dir+".evil", []byte("evil"), 0o600), os.Rename(s.dir+".evil", file))
			opened++
		}
		return fault{}
	}})
	content, err := c.Read()
	if mustDo(t, err); string(content.Data) == "evil" || opened != 2 {
		t.Errorf("read %s", content.Data)
	}
	mustDo(t, os.Remove(file), os.Symlink(s.dir+".evil", file))
	if _, err := c.Read(); !IsLink(err) {
		t.Errorf("a link was followed: %v", err)
	}
}

// Names that the job's file has beside its own and its binding are counted.
func TestStrangeLinks(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustPut(t, s, "bound")
	n := found(t, s, "bound")
	l, err := s.Register(1, "t", 0)
	mustDo(t, err)
	for _, linked := range []bool{false, true} {
		if linked {
			mustDo(t, os.Link(s.abs(n.Path), s.dir+".another"))
		}
		in, err := s.ops.look(s.abs(filepath.Dir(n.Path)), filepath.Base(n.Path))
		mustDo(t, err)
		if got := s.strangeLinks("bound", in); got > 0 != linked {
			t.Errorf("linked %t: %d strange names of %d", linked, got, in.nlink)
		}
	}
	c, err := l.Claim(n.Name)
	mustDo(t, err)
	if content, err := c.Read(); err != nil || !c.Linked(content) {
		t.Errorf("%+v, %v", content, err)
	}
}

// An edit by root leaves the job its owner's.
func TestEditKeepsTheOwner(t *testing.T) {
	t.Parallel()
	s := newBoxed(t)
	putAs(t, ann, s.abs("drop/ann/x.json"), `{"command":"id"}`)
	collectAll(t, s)
	e := found(t, s, "x")
	x, err := s.beginEdit(e, e.Name, []byte(`{"command":"new"}`))
	mustDo(t, err, x.takeOut(), x.commit())
	if owners := waitingOf(t, s); owners["x"] != ann {
		t.Errorf("%v", owners)
	}
}

// Only a spool that is root's alone can have boxes.
func TestWhoCanHaveBoxes(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if _, err := newSpool(t).MakeBox("ann", ann, ann); !errors.Is(err, ErrNoBoxes) {
			t.Errorf("not root: %v", err)
		}
		return
	}
	s := newBoxed(t)
	for name, want := range map[string]error{"ann": fs.ErrExist, "../ann": fs.ErrInvalid, "": fs.ErrInvalid, ".x": fs.ErrInvalid} {
		if _, err := s.MakeBox(name, bob, bob); !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := s.MakeBox("root", 0, 0); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("root's: %v", err)
	}
	group, err := Init(filepath.Join(testDir(t), "group"), "1")
	mustDo(t, err)
	if _, err := group.MakeBox("ann", ann, ann); !errors.Is(err, ErrNoBoxes) {
		t.Errorf("a group's: %v", err)
	}
}
