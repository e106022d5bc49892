package spool

import (
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

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
