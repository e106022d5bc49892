package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// outline lists everything below dir through o: names, sizes, link counts.
func outline(o ops, dir, rel string) (lines []string) {
	_ = o.names(dir, func(name string) error {
		in, err := o.look(dir, name)
		if err != nil {
			lines = append(lines, rel+name+" "+err.Error())
			return nil
		}
		if in.mode.IsDir() {
			lines = append(lines, rel+name+"/")
			lines = append(lines, outline(o, dir+"/"+name, rel+name+"/")...)
			return nil
		}
		lines = append(lines, fmt.Sprintf("%s%s %d bytes, %d links", rel, name, in.size, in.nlink))
		return nil
	})
	slices.Sort(lines)
	return lines
}

// What the protocol is tested on in memory must behave as what it runs on.
func TestSimulatedFileSystemIsLikeTheReal(t *testing.T) {
	rounds := 0
	rapid.Check(t, func(rt *rapid.T) {
		rounds++
		dir := filepath.Join(testDir(t), fmt.Sprint(rounds))
		real, sim := realOps(), newSimFS(journal, dir, time.Now).ops()
		if err := real.mkdir(dir, 0o700); err != nil {
			rt.Fatal(err)
		}
		p := func(label string) string {
			return dir + "/" + rapid.SampledFrom([]string{"a", "b", "d", "e", "d/a", "d/b", "d/e", "e/a", "e/b", "d/e/a"}).Draw(rt, label)
		}
		for range rapid.IntRange(5, 40).Draw(rt, "steps") {
			verb := rapid.SampledFrom([]string{"create", "open", "update", "link", "rename", "rename", "unlink", "mkdir", "mkdir", "rmdir", "write", "look", "looks", "refresh", "touch", "lock"}).Draw(rt, "verb")
			from, to := p("path"), p("to")
			if (verb == "rename" || verb == "link") && (strings.HasPrefix(to, from+"/") || strings.HasPrefix(from, to+"/")) {
				continue // a directory into itself: the protocol moves files
			}
			have, want := attempt(sim, verb, from, to), attempt(real, verb, from, to)
			if have != want {
				rt.Fatalf("%s %s %s: simulated %s, real %s", verb, from, to, have, want)
			}
			if a, b := outline(sim, dir, ""), outline(real, dir, ""); !slices.Equal(a, b) {
				rt.Fatalf("after %s %s %s:\nsimulated %q\nreal      %q", verb, from, to, a, b)
			}
		}
	})
}

// attempt makes one call and says what came of it: the error's number, or what was read.
func attempt(o ops, verb, from, to string) string {
	var err error
	said := "ok"
	var f file
	switch verb {
	case "create":
		f, err = o.create(from, 0o600)
	case "open":
		if f, err = o.open(from); err == nil {
			if in, _ := f.info(); in.mode.IsRegular() {
				data, readErr := io.ReadAll(f)
				said, err = string(data), readErr
			}
		}
	case "update", "write":
		var perm fs.FileMode
		if verb == "write" {
			perm = 0o600
		}
		if f, err = o.update(from, perm); err == nil && verb == "write" {
			_, err = f.Write([]byte(to))
		}
	case "lock":
		var g file
		if f, err = o.update(from, 0); err != nil {
			break
		}
		if g, err = o.update(from, 0); err == nil {
			a, _ := f.tryLock()
			b, _ := g.tryLock()
			said = fmt.Sprint(a, b)
			_ = g.Close()
		}
	case "link":
		err = o.link(from, to)
	case "rename":
		err = o.rename(from, to)
	case "unlink":
		err = o.unlink(from)
	case "mkdir":
		err = o.mkdir(from, 0o700)
	case "rmdir":
		err = o.rmdir(from)
	case "touch":
		err = o.touch(from)
	case "looks":
		var all []string
		err = o.looks(from, func(name string, in info) error {
			if in.mode.IsDir() {
				in.size = 0 // has no meaning
			}
			all = append(all, fmt.Sprint(name, in.mode, in.size, in.nlink))
			return nil
		})
		slices.Sort(all)
		said = strings.Join(all, " ")
	case "look", "refresh":
		var in info
		if in, err = o.look(filepath.Dir(from), filepath.Base(from)); verb == "refresh" {
			in, err = o.refresh(from)
		}
		if err == nil {
			said = in.mode.String()
			if in.mode.IsRegular() {
				said = fmt.Sprint(in.mode, in.size, in.nlink)
			}
		}
	}
	if f != nil {
		_ = f.Close()
	}
	if err == nil {
		return said
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	return err.Error()
}

// The patterns of power cuts that were measured on real file systems; the names are
// those of the rows. The simulation has to end as they did.
func TestPowerCutTable(t *testing.T) {
	const (
		none    = ""
		pending = "pending"
		work    = "processing"
		done    = "done"
	)
	for _, row := range []struct{ name, moves, syncs, ext4, btrfs string }{
		{"c", "", "pending", pending, pending},
		{"f", "claim", none, pending, pending},
		{"g", "claim", work, work, "pending processing"},
		{"p", "claim", pending, work, work},
		{"h", "claim commit done", done, done, "done processing"},
		{"j", "claim done", done, done, "done pending"},
		{"k", "claim commit done", "done processing", done, done},
		{"n", "claim commit done", "processing done", done, done},
		{"r", "claim done", "done processing", done, done},
		{"q", "claim commit done", "file", done, done},
		{"s", "claim done", "file", done, done},
		{"o", "within", pending, "pending", "pending"},
	} {
		for kind, want := range map[durability]string{journal: row.ext4, btree: row.btrfs} {
			f := newSimFS(kind, "/sim", time.Now)
			o := f.ops()
			for _, d := range []string{"tmp", pending, work, done} {
				mustDo(t, o.mkdir("/sim/"+d, 0o700))
			}
			f.commit(len(f.records))
			job, err := o.create("/sim/tmp/job", 0o600)
			mustDo(t, err)
			_, err = job.Write([]byte("x"))
			mustDo(t, err, job.Sync(), o.rename("/sim/tmp/job", "/sim/pending/job"))
			if row.name != "c" {
				f.commit(len(f.records))
			}
			at := "/sim/pending/job"
			for _, m := range strings.Fields(row.moves) {
				to := map[string]string{"claim": "/sim/processing/job", "done": "/sim/done/job", "within": "/sim/pending/new"}[m]
				if m == "commit" {
					f.commit(len(f.records))
					continue
				}
				mustDo(t, o.rename(at, to))
				at = to
			}
			for _, d := range strings.Fields(row.syncs) {
				if d == "file" {
					mustDo(t, job.Sync())
				} else {
					mustDo(t, o.syncDir("/sim/"+d))
				}
			}
			f.cut(0)
			var have []string
			for _, d := range []string{done, pending, work} {
				for name, n := range f.root.entries[d].entries {
					have = append(have, d)
					if string(n.data) != "x" || row.name == "o" && name != "new" {
						t.Errorf("row %s: %s has %q", row.name, name, n.data)
					}
				}
			}
			if strings.Join(have, " ") != want {
				t.Errorf("row %s, mode %d: the job is in %v, measured was %q", row.name, kind, have, want)
			}
		}
	}
}

// Row a: without an fsync of the file, a durable name has no content.
func TestPowerCutEmptiesWhatWasNotSynced(t *testing.T) {
	f := newSimFS(journal, "/sim", time.Now)
	o := f.ops()
	job, err := o.create("/sim/tmp", 0o600)
	mustDo(t, err)
	_, err = job.Write([]byte("x"))
	mustDo(t, err, o.rename("/sim/tmp", "/sim/job"))
	other, err := o.create("/sim/other", 0o600)
	mustDo(t, err, other.Sync())
	f.cut(0)
	if n := f.root.entries["job"]; n == nil || len(n.data) != 0 {
		t.Fatalf("want an empty job, have %+v", n)
	}
}
