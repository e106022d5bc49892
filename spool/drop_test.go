package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// adoption reads a drop as the queue does, as far as this package is concerned.
func adoption(s *Spool) func(Drop) Adoption {
	return func(d Drop) Adoption {
		var doc map[string]any
		dec := json.NewDecoder(bytes.NewReader(d.Data))
		if err := dec.Decode(&doc); err != nil {
			incomplete := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
			return Adoption{Reject: "not a JSON object: " + err.Error(), Unparsed: true, Incomplete: incomplete}
		}
		if doc["command"] == nil {
			return Adoption{Reject: "it has no command"}
		}
		id, chosen := doc["id"].(string)
		if !chosen {
			id = d.Stem()
		}
		return Adoption{Name: Name{Due: Truncate(s.Now()), Allowed: 4, ID: id}, Reserved: chosen}
	}
}

// knowsWriters reports whether the file system can say that a file is being written.
func knowsWriters(t *testing.T, s *Spool) bool {
	t.Helper()
	writeFile(t, s.abs(tmpDir+"/probe"), "")
	defer os.Remove(s.abs(tmpDir + "/probe"))
	f, err := s.ops.open(s.abs(tmpDir + "/probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, known := f.beingWritten()
	return known
}

// adoptAll adopts what is dropped, as often as it says and no later than limit, on
// the test's clock.
func adoptAll(t *testing.T, s *Spool, clock *handClock, limit time.Duration) map[string]Adopted {
	t.Helper()
	got := map[string]Adopted{}
	for end := clock.now().Add(limit); ; {
		var drops []string
		mustDo(t, s.Waiting(func(Name) {}, func(base string) { drops = append(drops, base) }))
		wait, more := time.Duration(0), false
		for _, base := range drops {
			a, err := s.Adopt(base, adoption(s))
			if err != nil {
				t.Fatal(err)
			}
			if a.Done {
				got[base], more = a, true
			} else if a.Again > 0 && (wait == 0 || a.Again < wait) {
				wait = a.Again
			}
		}
		if more {
			continue // something may have been dropped meanwhile
		}
		if wait == 0 || clock.now().Add(wait).After(end) {
			return got
		}
		clock.add(wait)
	}
}

// Patience of adoptAll: long enough for the rule of quiet, too short for a
// rejection of what is half-written.
const soon = 3 * quietNetwork

func shell(t *testing.T, dir, script string, args ...string) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-euc", script, "sh"}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

const aJob = `{"command":"echo hello","tags":["a","b"]}` + "\n"

// What people and programs do to write a file: each ends as one job of these bytes.
var writers = map[string]string{
	"cp":             `cp ../../job.json nightly.json`,
	"cp -p":          `touch -d '2001-01-01' ../../job.json; cp -p ../../job.json nightly.json`,
	"mv":             `mv ../../job.json nightly.json`,
	"ln":             `ln ../../job.json nightly.json`,
	"install":        `install -m 600 ../../job.json nightly.json`,
	"redirection":    `cat ../../job.json > nightly.json`,
	"dd":             `dd if=../../job.json of=nightly.json bs=1 2>/dev/null`,
	"tee":            `tee nightly.json < ../../job.json > /dev/null`,
	"rsync":          `cp ../../job.json .nightly.json.AbC123; mv .nightly.json.AbC123 nightly.json`,
	"part":           `cp ../../job.json nightly.json.part; mv nightly.json.part nightly.json`,
	"vi":             `: > .nightly.json.swp; : > 4913; rm 4913; : > nightly.json; mv nightly.json nightly.json~; cat ../../job.json > nightly.json; rm nightly.json~ .nightly.json.swp`,
	"emacs":          `ln -s me@host.1:2 .#nightly.json; cat ../../job.json > '#nightly.json#'; cat ../../job.json > nightly.json; rm .#nightly.json '#nightly.json#'`,
	"sed -i":         `sed s/hello/goodbye/ ../../job.json > nightly.json; sed -i s/goodbye/hello/ nightly.json`,
	"two opens":      `head -c 10 ../../job.json > nightly.json; tail -c +11 ../../job.json >> nightly.json`,
	"truncate first": `echo '{"command":"somebody has thought better of this"}' > nightly.json; cat ../../job.json > nightly.json`,
	"preallocated":   `truncate -s 4096 nightly.json; cat ../../job.json > nightly.json`,
}

func TestEveryWayOfDroppingIsOneJob(t *testing.T) {
	t.Parallel()
	for name, script := range writers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			clock := driveClock(s)
			writeFile(t, filepath.Join(filepath.Dir(s.Dir()), "job.json"), aJob)
			shell(t, s.abs(pendingDir), script)
			got := adoptAll(t, s, clock, soon)
			if a := got["nightly.json"]; len(got) != 1 || a.Rejected != "" || a.Name.ID != "nightly" {
				t.Fatalf("want it adopted as nightly, have %+v", got)
			}
			e := only(t, s)
			if data := readString(t, s.abs(e.Path)); data != aJob || e.State != Pending || e.Name != got["nightly.json"].Name {
				t.Errorf("%+v holds %q", e, data)
			}
			if ref := readString(t, s.abs(s.idPath("nightly"))); ref != aJob {
				t.Errorf("its id is bound to %q", ref)
			}
			if script == writers["ln"] {
				return // a link count of three: check is content too
			}
			if b, _ := breaches(t, s); len(b) > 0 {
				t.Errorf("breaches: %q", b)
			}
		})
	}
}

// A program that writes for as long as it likes before it closes: never half-read,
// never rejected.
func TestHeldOpenByItsWriter(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	sure := knowsWriters(t, s)
	f, err := os.Create(s.abs(pendingDir + "/slow.json"))
	mustDo(t, err)
	defer f.Close()
	for _, b := range []byte(aJob) {
		if _, err := f.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
		if sure {
			clock.add(20 * time.Minute)
		}
		a, err := s.Adopt("slow.json", func(d Drop) Adoption {
			if sure {
				t.Errorf("it is read while it is written: %q", d.Data)
			}
			return adoption(s)(d)
		})
		if err != nil || a.Done || a.Again <= 0 || a.Again > 10*time.Second {
			t.Fatalf("after %q: %+v, %v", b, a, err)
		}
	}
	mustDo(t, f.Close())
	if got := adoptAll(t, s, clock, soon); len(got) != 1 || got["slow.json"].Rejected != "" {
		t.Fatalf("when it is closed: %+v", got)
	}
	if data := readString(t, s.abs(only(t, s).Path)); data != aJob {
		t.Errorf("have %q", data)
	}
}

// A writer that opens the file anew has the time in between to do it.
func TestWriterInTwoGoes(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	drop := s.abs(pendingDir + "/goes.json")
	writeFile(t, drop, aJob[:9])
	if got := adoptAll(t, s, clock, rejectAfter-time.Second); len(got) != 0 {
		t.Fatalf("half a document is %+v", got)
	}
	shell(t, s.abs(pendingDir), `printf %s "$1" >> goes.json`, aJob[9:20])
	if got := adoptAll(t, s, clock, rejectAfter-time.Second); len(got) != 0 {
		t.Fatalf("more of a document is %+v: its patience did not begin anew", got)
	}
	shell(t, s.abs(pendingDir), `printf '%s\n' "$1" >> goes.json`, strings.TrimSpace(aJob[20:]))
	if got := adoptAll(t, s, clock, soon); len(got) != 1 || got["goes.json"].Rejected != "" {
		t.Fatalf("the whole document is %+v", got)
	}
	if data := readString(t, s.abs(only(t, s).Path)); data != aJob {
		t.Errorf("have %q", data)
	}
}

func TestEmptyIsNotBegun(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	drop(t, s, "touched.json", "")
	if got := adoptAll(t, s, clock, time.Hour); len(got) != 0 {
		t.Errorf("an empty file is %+v", got)
	}
	if got := files(t, s, pendingDir); len(got) != 1 {
		t.Errorf("have %q", got)
	}
}

func TestNamesThatAreLeftAlone(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	names := []string{
		"job.json.part", "job.json.tmp", "job.part", "job.tmp", ".job.json", ".json", "job.json~", "#job.json#", "#job.json", ".#job.json",
		".job.json.swp", "job.json.swp", ".~lock.job.json#", "job.json.bak", "job.JSON", "job", "job.yaml", "4913", ".job.json.AbC123", ".nfs0000000000000001.json",
	}
	for _, base := range names {
		if IsDrop(base) {
			t.Errorf("%s is taken for a drop", base)
		}
		drop(t, s, base, aJob)
	}
	if got := adoptAll(t, s, clock, time.Hour); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	left := files(t, s, pendingDir)
	slices.Sort(names)
	if !slices.Equal(left, names) {
		t.Errorf("left are %q", left)
	}
	for _, base := range []string{"job.json", "a.json", "job.part.json", "a b.json", "é.json", "-x.json", "~.json", "20261123T084718123Z.p5.a00-3.x.json", "x.json.json"} {
		if !IsDrop(base) {
			t.Errorf("%s is not taken for a drop", base)
		}
	}
}

func TestWhatIsNoFileIsNeverOpened(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	opened := s.ops.open
	s.ops.open = func(path string) (file, error) {
		if strings.HasPrefix(path, s.abs(pendingDir)+"/") {
			t.Errorf("%s is opened", path)
		}
		return opened(path)
	}
	in := func(base string) string { return s.abs(pendingDir + "/" + base) }
	outside := filepath.Join(filepath.Dir(s.Dir()), "job.json")
	writeFile(t, outside, aJob)
	mustDo(t, os.Symlink(outside, in("link.json")), os.Symlink("nowhere", in("dangling.json")), os.Symlink("/dev/zero", in("zero.json")),
		syscall.Mkfifo(in("fifo.json"), 0o600), os.Mkdir(in("dir.json"), 0o700))
	before := tree(t, s)
	clock := driveClock(s)
	for range 2 {
		if got := adoptAll(t, s, clock, time.Hour); len(got) != 0 {
			t.Errorf("%+v", got)
		}
		clock.add(time.Hour)
	}
	if after := tree(t, s); !slices.Equal(before, after) {
		t.Errorf("before %q, after %q", before, after)
	}
	named, _ := breaches(t, s)
	want := []string{"not-a-file pending/dangling.json", "not-a-file pending/dir.json", "not-a-file pending/fifo.json", "not-a-file pending/link.json", "not-a-file pending/zero.json"}
	if !slices.Equal(named, want) {
		t.Errorf("check names %q, want %q", named, want)
	}
}

// A file that becomes a link between the look and the open is not followed.
func TestNoLinkIsFollowed(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	outside := filepath.Join(filepath.Dir(s.Dir()), "secret.json")
	writeFile(t, outside, aJob)
	drop := s.abs(pendingDir + "/job.json")
	writeFile(t, drop, aJob)
	open := s.ops.open
	s.ops.open = func(path string) (file, error) {
		if path == drop {
			mustDo(t, os.Remove(drop), os.Symlink(outside, drop))
		}
		return open(path)
	}
	a, err := s.Adopt("job.json", func(Drop) Adoption { t.Error("it is read"); return Adoption{} })
	if err != nil || a.Done {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestRejectedWithItsReason(t *testing.T) {
	t.Parallel()
	big := `{"command":"` + strings.Repeat("x", DefaultMaxJobBytes) + `"}`
	for name, c := range map[string]struct {
		content  string
		patience time.Duration // how long it is waited for where writers are known
		reason   string
	}{
		"not JSON":        {"#!/bin/sh\necho hello\n", quietLocal, "not a JSON object"},
		"binary":          {"\x00\x01\x02\xff", quietLocal, "not a JSON object"},
		"a bare array":    {`["command"]`, quietLocal, "not a JSON object"},
		"half a document": {aJob[:20], rejectAfter, "not a JSON object: unexpected EOF"},
		"no command":      {`{"priority":5}`, 0, "it has no command"},
		"too large":       {big, 0, fmt.Sprintf("too large: it has %d bytes, %d is the limit", len(big), DefaultMaxJobBytes)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			clock := driveClock(s)
			begin := clock.now()
			drop(t, s, "bad.json", c.content)
			if c.patience > 0 {
				if got := adoptAll(t, s, clock, c.patience-time.Millisecond); len(got) != 0 {
					t.Fatalf("before its patience is over: %+v", got)
				}
			}
			got := adoptAll(t, s, clock, rejectUnsure+soon)
			a := got["bad.json"]
			if len(got) != 1 || !strings.HasPrefix(a.Rejected, c.reason) {
				t.Fatalf("want it rejected with %q, have %+v", c.reason, got)
			}
			if took := clock.now().Sub(begin); knowsWriters(t, s) && took > c.patience+c.patience/10+time.Second {
				t.Errorf("it was waited for %s", took)
			}
			if left := files(t, s, pendingDir); len(left) > 0 {
				t.Errorf("left in pending: %q", left)
			}
			rejects, err := s.Rejects()
			mustDo(t, err)
			if len(rejects) != 1 || rejects[0].Name() != "bad.json" || rejects[0].Reason != a.Rejected || rejects[0].Size != int64(len(c.content)) || !rejects[0].At.Equal(Truncate(clock.now())) {
				t.Fatalf("have %+v", rejects)
			}
			if data := readString(t, s.abs(RejectedPath(rejects[0].Base))); data != c.content {
				t.Errorf("its bytes were changed to %q", data)
			}
			if b, _ := breaches(t, s); len(b) > 0 {
				t.Errorf("breaches: %q", b)
			}
		})
	}
}

func TestUnreadableIsRejected(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	open := s.ops.open
	s.ops.open = func(path string) (file, error) {
		if filepath.Base(path) == "theirs.json" {
			return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}
		}
		return open(path)
	}
	drop(t, s, "theirs.json", aJob)
	a, err := s.Adopt("theirs.json", adoption(s))
	if err != nil || !a.Done || a.Rejected != "it cannot be read: permission denied" {
		t.Fatalf("%+v, %v", a, err)
	}
	rejects, err := s.Rejects()
	mustDo(t, err)
	if len(rejects) != 1 || rejects[0].Reason != a.Rejected {
		t.Errorf("have %+v", rejects)
	}
}

func TestRejectedIsGivenBack(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	drop(t, s, "bad.json", `{}`)
	adoptAll(t, s, clock, soon)
	rejects, err := s.Rejects()
	mustDo(t, err)
	base := rejects[0].Base
	drop(t, s, "bad.json", aJob)
	if err := s.Readmit(base); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("over a file that is there: %v", err)
	}
	if got := readString(t, s.abs(pendingDir+"/bad.json")); got != aJob {
		t.Errorf("the file that was there is now %q", got)
	}
	if got := adoptAll(t, s, clock, soon); got["bad.json"].Name.ID != "bad" {
		t.Fatalf("%+v", got)
	}
	writeFile(t, s.abs(RejectedPath(base)), `{"command":"true"}`) // mended
	mustDo(t, s.Readmit(base))
	if got := adoptAll(t, s, clock, soon); got["bad.json"].Name.ID != "bad-2" {
		t.Errorf("%+v", got)
	}
	if left := files(t, s, rejectedDir); len(left) > 0 {
		t.Errorf("left in rejected: %q", left)
	}
	for _, base := range []string{base, "../pending/x", "x", ".", base + whySuffix} {
		if err := s.Readmit(base); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Readmit(%q): %v", base, err)
		}
		if err := s.RemoveRejected(base); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("RemoveRejected(%q): %v", base, err)
		}
	}
	drop(t, s, "worse.json", `{}`)
	adoptAll(t, s, clock, soon)
	rejects, err = s.Rejects()
	mustDo(t, err, s.RemoveRejected(rejects[0].Base))
	if left := files(t, s, rejectedDir); len(left) > 0 {
		t.Errorf("left in rejected: %q", left)
	}
}

// Files of one name, rejected within one millisecond, keep all their bytes.
func TestRejectedAtOnceKeepTheirBytes(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	driveClock(s)
	for i := range 5 {
		drop(t, s, "bad.json", fmt.Sprintf(`{"i":%d}`, i))
		for range 2 { // twice for the rule of quiet
			if _, err := s.Adopt("bad.json", adoption(s)); err != nil {
				t.Fatal(err)
			}
		}
	}
	rejects, err := s.Rejects()
	mustDo(t, err)
	var got []string
	for _, r := range rejects {
		got = append(got, readString(t, s.abs(RejectedPath(r.Base))))
		if r.Reason != "it has no command" || r.Name() != "bad.json" {
			t.Errorf("%+v", r)
		}
	}
	want := []string{`{"i":0}`, `{"i":1}`, `{"i":2}`, `{"i":3}`, `{"i":4}`}
	if !slices.Equal(got, want) && knowsWriters(t, s) {
		t.Errorf("want %q, have %q", want, got)
	}
}

func TestTheIDOfADrop(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	mustPut(t, s, "taken", "nightly", "nightly-2")
	for base, want := range map[string]string{
		`a.json {"command":"x","id":"mine"}`: "mine",
		`nightly.json {"command":"x"}`:       "nightly-3",
		`plain.json {"command":"x"}`:         "plain",
	} {
		name, content, _ := strings.Cut(base, " ")
		drop(t, s, name, content)
		if got := adoptAll(t, s, clock, soon); got[name].Name.ID != want || got[name].Rejected != "" {
			t.Errorf("%s: want %s, have %+v", base, want, got)
		}
	}
	drop(t, s, "b.json", `{"command":"x","id":"taken"}`)
	if got := adoptAll(t, s, clock, soon); !strings.Contains(got["b.json"].Rejected, `duplicate id: the spool holds a job "taken" already`) {
		t.Errorf("%+v", got)
	}
	// With -2 it would be too long: then it gets an id of its own.
	long := strings.Repeat("n", MaxIDLength)
	mustPut(t, s, long)
	drop(t, s, long+".json", aJob)
	if got := adoptAll(t, s, clock, soon); got[long+".json"].Rejected != "" || len(got[long+".json"].Name.ID) != ulidLen {
		t.Errorf("%+v", got)
	}
}

func TestADropForTheFarFuture(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	drop(t, s, "far.json", aJob)
	due := Truncate(s.Now().Add(26 * time.Hour))
	clock := driveClock(s)
	for range 2 {
		a, err := s.Adopt("far.json", func(Drop) Adoption { return Adoption{Name: Name{Due: due, ID: "far"}} })
		mustDo(t, err)
		if !a.Done {
			clock.add(a.Again)
		}
	}
	if e := only(t, s); filepath.Dir(e.Path) != laterDir+"/"+laterHour(due) {
		t.Errorf("it is in %s", e.Path)
	}
}

// TestManyDropsOfOneName: a program that always drops the same file name costs no more
// for the thousandth job than for the second, and is never refused.
func TestManyDropsOfOneName(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	listings := 0
	s.ops = hooked(s.ops, filepath.Dir(s.dir), hook{before: func(c call) fault {
		if c.op == "names" {
			listings++
		}
		return fault{}
	}})
	cost := func(nth int) int {
		t.Helper()
		drop(t, s, "nightly.json", aJob)
		before := listings
		got := adoptAll(t, s, clock, soon)
		a := got["nightly.json"]
		ok := a.Name.ID == fmt.Sprintf("nightly-%d", nth)
		if nth > maxNumbered {
			ok = strings.HasPrefix(a.Name.ID, "nightly-") && len(a.Name.ID) == len("nightly-")+ulidLen
		}
		if len(got) != 1 || !ok {
			t.Fatalf("drop %d: %+v", nth, got)
		}
		return listings - before
	}
	mustPut(t, s, "nightly")
	second := cost(2)
	for nth := 3; nth <= 30; nth++ {
		if n := cost(nth); n > second {
			t.Errorf("drop %d costs %d listings, the second cost %d", nth, n, second)
		}
	}
}

// TestRejectedJobWhoseIDIsTaken: what was rejected under a job's name becomes a job by
// its name alone, past the binding of its id, if nobody looks.
func TestRejectedJobWhoseIDIsTaken(t *testing.T) {
	t.Parallel()
	for _, taken := range []bool{true, false} {
		s := newSpool(t)
		l := mustRegister(t, s)
		_, err := mustClaim(t, s, l, "x").Reject("its file belongs to user 1001")
		mustDo(t, err)
		if taken {
			mustPut(t, s, "x")
		} else {
			mustDo(t, os.Remove(s.abs(s.idPath("x")))) // as after a put and a removal
		}
		rejects, err := s.Rejects()
		mustDo(t, err)
		if err := s.Readmit(rejects[0].Base); errors.Is(err, ErrDuplicate) != taken || !taken && err != nil {
			t.Errorf("taken %t: %v", taken, err)
		}
		only(t, s)
		if left := files(t, s, rejectedDir); (len(left) > 0) != taken {
			t.Errorf("taken %t: in rejected/ %q", taken, left)
		}
		if err := s.Put(item(s, "x")); !errors.Is(err, ErrDuplicate) {
			t.Errorf("taken %t: a second job of the id: %v", taken, err)
		}
		if named, _ := breaches(t, s); len(named) > 0 {
			t.Errorf("taken %t: breaches: %q", taken, named)
		}
	}
}
