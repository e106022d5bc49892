package spool

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// executed is a call and whether it took effect.
type executed struct {
	call
	err error
}

// trace runs the operation of a fresh scene and returns its calls.
func trace(t *testing.T, root string, op operation) []executed {
	t.Helper()
	w := newScene(t, root, op)
	defer w.end()
	return w.record(w.op)
}

func (w *scene) record(f func() error) (calls []executed) {
	w.t.Helper()
	w.hook = func(call) fault { return fault{} }
	w.done = func(c call, err error) { calls = append(calls, executed{c, err}) }
	err := f()
	w.hook = nil
	mustDo(w.t, err)
	return calls
}

// eachTrace hands the trace of each operation to a test.
func eachTrace(t *testing.T, visit func(t *testing.T, op operation, calls []executed)) {
	dir := exploreDir(t)
	for i, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			visit(t, op, trace(t, filepath.Join(dir, fmt.Sprint(i)), op))
		})
	}
}

// unsyncedContent returns the calls that give a new name to a file whose content
// might not be on the disk.
func unsyncedContent(calls []executed) (bad []string) {
	dirty := map[string]bool{}
	for _, c := range calls {
		if c.err != nil {
			continue
		}
		switch c.op {
		case "write":
			dirty[c.path] = true
		case "fsync", "writeout":
			delete(dirty, c.path)
		case "syncfs":
			clear(dirty)
		case "link", "rename":
			if dirty[c.path] && !strings.HasPrefix(c.path, "spool/"+rejectedDir) {
				bad = append(bad, c.String())
			}
		}
	}
	return bad
}

// unsyncedNames follows which directories have changed since they were synced. It
// returns what is put into a directory that is itself not on the disk yet, and what
// is not on the disk in the end.
func unsyncedNames(calls []executed) (early, late []string) {
	dirty := map[string]bool{}
	made := map[string]bool{} // directories whose parent is not synced
	ordered := slices.ContainsFunc(calls, func(c executed) bool { return c.op == "writeout" })
	for _, c := range calls {
		if c.err != nil {
			continue
		}
		switch c.op {
		case "mkdir":
			made[c.path] = true
		case "link", "rename":
			for d := path.Dir(c.to); d != "."; d = path.Dir(d) {
				if made[d] {
					early = append(early, c.String())
				}
			}
			dirty[path.Dir(c.to)] = true
			// A file in tmp/ or an entry under its dot name is nobody's yet: both names
			// after a power cut are harmless.
			if from := path.Dir(c.path); c.op == "rename" && from != "spool/"+tmpDir && from != "spool/"+workersDir {
				dirty[from] = true
			}
		case "syncdir", "syncfs":
			delete(dirty, c.path)
			if ordered {
				clear(dirty) // all that came before is in the same journal
			}
			for d := range made {
				// The spool's own parent is the only directory that is spelled in full.
				if path.Dir(d) == c.path || path.Dir(d) == "." && path.IsAbs(c.path) || c.op == "syncfs" {
					delete(made, d)
				}
			}
		}
	}
	return early, append(slices.Sorted(maps.Keys(dirty)), slices.Sorted(maps.Keys(made))...)
}

// A power cut must not leave a job's name with nothing behind it: the content is
// synced before anybody can see the file.
func TestSyncedBeforeItIsVisible(t *testing.T) {
	t.Parallel()
	eachTrace(t, func(t *testing.T, op operation, calls []executed) {
		if bad := unsyncedContent(calls); len(bad) > 0 {
			t.Errorf("not synced when it got its name: %q", bad)
		}
		if strings.HasPrefix(op.name, "Adopt") && !strings.HasSuffix(op.name, "reject") {
			synced := slices.IndexFunc(calls, func(c executed) bool { return c.op == "fsync" })
			named := slices.IndexFunc(calls, func(c executed) bool { return c.op == "link" })
			if synced < 0 || synced > named {
				t.Errorf("a dropped file is bound by call %d and synced by call %d", named, synced)
			}
		}
	})
}

// Nothing is acknowledged that a power cut could undo: when an operation that
// promises that returns, each directory that it moved something into or out of has
// been synced since, and a new directory before anything was put into it.
func TestSyncedBeforeItIsAcknowledged(t *testing.T) {
	t.Parallel()
	eachTrace(t, func(t *testing.T, op operation, calls []executed) {
		early, late := unsyncedNames(calls)
		// An Init that is cut short is completed by the next.
		if op.name != "Init" && len(early) > 0 {
			t.Errorf("put into a directory that a power cut could take: %q", early)
		}
		// A registry entry that a power cut takes is that of a worker that it killed.
		late = slices.DeleteFunc(late, func(d string) bool { return d == "spool/"+workersDir })
		if op.durable && len(late) > 0 {
			t.Errorf("not synced when it returned: %q", late)
		}
	})
}

// TestBindingsAreSyncedBeforeTheirJobs: what becomes a job without being acknowledged
// must not be on the disk without its binding, or a second job could get its id; and an
// hour's directory must not be gone before its jobs are elsewhere.
func TestBindingsAreSyncedBeforeTheirJobs(t *testing.T) {
	t.Parallel()
	eachTrace(t, func(t *testing.T, op operation, calls []executed) {
		dirty := map[string]bool{}
		for _, c := range calls {
			switch {
			case c.err != nil:
			case c.op == "link":
				dirty[path.Dir(c.to)] = true
			case c.op == "syncdir":
				delete(dirty, c.path)
			case c.op == "rename":
				for d := range dirty {
					if strings.HasPrefix(op.name, "Adopt") && strings.HasPrefix(d, "spool/"+idsDir+"/") {
						t.Errorf("%s before the sync of %s", c, d)
					}
				}
				dirty[path.Dir(c.to)] = true
			case c.op == "rmdir" && op.name == "Promote" && dirty["spool/"+pendingDir]:
				t.Errorf("%s before the sync of %s", c, pendingDir)
			}
		}
		if bound := slices.ContainsFunc(calls, func(c executed) bool { return c.op == "syncdir" && strings.HasPrefix(c.path, "spool/"+idsDir+"/") }); op.name == "Sweep" && !bound {
			t.Error("what is rolled forward is acknowledged before its binding is synced")
		}
	})
}

// On btrfs, a target that is synced after its source could be the one that is lost.
func TestTargetsAreSyncedBeforeSources(t *testing.T) {
	t.Parallel()
	eachTrace(t, func(t *testing.T, op operation, calls []executed) {
		for i, c := range calls {
			if c.op != "rename" || c.err != nil || !strings.HasPrefix(c.path, "spool/"+workDir+"/") {
				continue
			}
			at := func(dir string) int {
				return slices.IndexFunc(calls[i:], func(c executed) bool { return c.op == "syncdir" && c.path == dir })
			}
			target, source := at(path.Dir(c.to)), at(path.Dir(c.path))
			if op.durable && (target < 0 || source < target) {
				t.Errorf("%s: its target is synced %d calls later, its source %d", c, target, source)
			}
		}
	})
}

// The checks above must be able to fail.
func TestOrderChecksSeeWhatTheyShould(t *testing.T) {
	t.Parallel()
	of := func(lines ...string) (calls []executed) {
		for _, l := range lines {
			f := append(strings.Fields(l), "", "")
			calls = append(calls, executed{call: call{f[0], f[1], f[2]}})
		}
		return calls
	}
	if unsyncedContent(of("write spool/tmp/a", "rename spool/tmp/a spool/pending/a", "fsync spool/pending/a")) == nil {
		t.Error("a job is visible before its content is synced")
	}
	for _, sync := range []string{"fsync", "writeout"} {
		if unsyncedContent(of("write spool/tmp/a", sync+" spool/tmp/a", "rename spool/tmp/a spool/pending/a")) != nil {
			t.Errorf("a job is on its way by %s", sync)
		}
	}
	if _, late := unsyncedNames(of("writeout spool/tmp/a", "syncdir spool/pending", "rename spool/tmp/a spool/pending/a")); len(late) != 1 {
		t.Errorf("a sync before the rename, where the order is kept: %q", late)
	}
	if _, late := unsyncedNames(of("syncdir spool/pending", "rename spool/tmp/a spool/pending/a")); len(late) != 1 {
		t.Errorf("a sync before the rename: %q", late)
	}
	if early, _ := unsyncedNames(of("mkdir spool/done/d", "rename spool/processing/w/a spool/done/d/a", "syncdir spool/done")); len(early) != 1 {
		t.Errorf("a directory that is synced too late: %q", early)
	}
}

// What each step costs, exactly: a call more is to be argued for.
func TestCallBudgets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		prepare    func(w *scene) func() error
	}{
		{"Put", "close 1, create 1, fsync 1, rename 1, syncdir 1, write 1", func(w *scene) func() error {
			it := w.item("", false)
			return func() error { return w.x.Put(it) }
		}},
		{"Put chosen", "close 1, create 1, fsync 1, link 1, rename 1, stamp 1, syncdir 2, write 1", func(w *scene) func() error {
			it := w.item("job-1", true)
			mustDo(w.t, w.x.mkdirs(path.Dir(w.x.idPath("job-1"))))
			return func() error { return w.x.Put(it) }
		}},
		{"Put in order", "close 1, create 1, rename 1, syncdir 1, write 1, writeout 1", func(w *scene) func() error {
			w.ordered = true
			it := w.item("", false)
			return func() error { return w.x.Put(it) }
		}},
		{"Put chosen in order", "close 1, create 1, link 1, rename 1, stamp 1, syncdir 1, write 1, writeout 1", func(w *scene) func() error {
			w.ordered = true
			it := w.item("job-1", true)
			mustDo(w.t, w.x.mkdirs(path.Dir(w.x.idPath("job-1"))))
			return func() error { return w.x.Put(it) }
		}},
		{"Put chosen, the first of its kind", "close 1, create 1, fsync 1, link 1, mkdir 1, rename 1, stamp 1, syncdir 3, write 1", func(w *scene) func() error {
			it := w.item("job-1", true)
			return func() error { return w.x.Put(it) }
		}},
		// 4 calls a job and 2 for all.
		{"PutBatch of 20", "close 20, create 20, rename 20, syncdir 1, syncfs 1, write 20", func(w *scene) func() error {
			var items []Item
			for range 20 {
				items = append(items, w.item("", false))
			}
			return func() error { return errors.Join(w.x.PutBatch(items)...) }
		}},
		{"PutBatch of 3", "close 3, create 3, fsync 3, rename 3, syncdir 1, write 3", func(w *scene) func() error {
			items := []Item{w.item("", false), w.item("", false), w.item("", false)}
			return func() error { return errors.Join(w.x.PutBatch(items)...) }
		}},
		{"Claim", "rename 1", func(w *scene) func() error {
			it := w.job("job-1", workDir)
			w.register()
			return func() error { _, err := w.lease.Claim(it.Name); return err }
		}},
		{"Claim of a retry", "rename 1, syncdir 2", func(w *scene) func() error {
			c := w.claim("job-1", workDir)
			settled, err := c.Retry(w.now)
			mustDo(w.t, err)
			return func() error { _, err := w.lease.Claim(settled.Name); return err }
		}},
		{"Read of a claim", "close 1, fstat 2, open 1, read 2", func(w *scene) func() error {
			c := w.claim("job-1", workDir)
			return func() error { _, err := c.Read(); return err }
		}},
		{"Done, not yet synced", "rename 1", func(w *scene) func() error {
			c := w.claim("job-0", doneDir)
			_, err := c.Done(Ending{Outcome: "done"})
			mustDo(w.t, err)
			it := w.job("job-1", doneDir)
			c, err = w.lease.Claim(it.Name)
			mustDo(w.t, err)
			return func() error { _, err := c.Done(Ending{Outcome: "done"}); return err }
		}},
		{"Done, the first of its hour", "mkdir 2, rename 1, syncdir 2", func(w *scene) func() error {
			c := w.claim("job-1", doneDir)
			return func() error { _, err := c.Done(Ending{Outcome: "done"}); return err }
		}},
		{"Bury, not yet synced", "rename 1", func(w *scene) func() error {
			c := w.claim("job-1", deadDir)
			return func() error { _, err := c.Bury(Ending{Outcome: "failed"}); return err }
		}},
		{"Retry", "rename 1", func(w *scene) func() error {
			c := w.claim("job-1", pendingDir)
			return func() error { _, err := c.Retry(w.now.Add(time.Minute)); return err }
		}},
		{"Sync of 20 settled", "syncdir 2", func(w *scene) func() error {
			w.register()
			var all []Settled
			for i := range 20 {
				c, err := w.lease.Claim(w.job(fmt.Sprint("job-", i), doneDir).Name)
				mustDo(w.t, err)
				settled, err := c.Done(Ending{Outcome: "done"})
				mustDo(w.t, err)
				all = append(all, settled)
			}
			return func() error { return w.x.SyncSettled(all...) }
		}},
		{"Beat", "look 2, touch 1", func(w *scene) func() error {
			w.register()
			return func() error { return w.lease.Beat() }
		}},
		{"Register", "create 1, fstat 1, fsync 1, mkdir 1, rename 1, syncdir 1, trylock 1, write 1", func(w *scene) func() error {
			return func() (err error) { w.lease, err = w.x.Register(1, "test", time.Minute); return err }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newScene(t, filepath.Join(exploreDir(t), "scene"), operation{prepare: func(*scene) {}})
			defer w.end()
			count := map[string]int{}
			for _, made := range w.record(c.prepare(w)) {
				count[made.op]++
			}
			var have []string
			for _, op := range slices.Sorted(maps.Keys(count)) {
				have = append(have, fmt.Sprintf("%s %d", op, count[op]))
			}
			if got := strings.Join(have, ", "); got != c.want {
				t.Errorf("it makes the calls\n%s, want\n%s", got, c.want)
			}
		})
	}
}

// TestDirectoryThatAnotherHasMade: a directory that is there may not be on the disk yet:
// whoever made it is slow, or dead, before it has synced the parent. Nothing is
// acknowledged that lies in it before that is done.
func TestDirectoryThatAnotherHasMade(t *testing.T) {
	t.Parallel()
	for _, op := range operations() {
		if op.name != "Put chosen" && op.name != "Put for later" && op.name != "Done" && op.name != "Retry far ahead" && op.name != "PutBatch of 20" {
			continue
		}
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			w := newScene(t, filepath.Join(exploreDir(t), "scene"), op)
			defer w.end()
			var calls []executed
			// The directories that the operation makes are there, and none is synced.
			for _, dir := range w.made() {
				if err := w.s.ops.mkdir(w.root+"/"+dir, 0o700); err == nil {
					calls = append(calls, executed{call{op: "mkdir", path: dir}, nil})
				}
			}
			if len(calls) == 0 {
				t.Fatal("it makes no directory")
			}
			if early, _ := unsyncedNames(append(calls, w.record(w.op)...)); len(early) > 0 {
				t.Errorf("put into a directory that a power cut could take: %q", early)
			}
		})
	}
}

// made are the directories that the operations above make, parents first.
func (w *scene) made() (dirs []string) {
	at := w.now.Add(5 * time.Hour)
	dirs = []string{"spool/" + laterDir + "/" + laterHour(at), "spool/" + path.Dir(doneHour(w.now, 0)), "spool/" + doneHour(w.now, 0)}
	for i := range 256 {
		dirs = append(dirs, fmt.Sprintf("spool/%s/%02x", idsDir, i))
	}
	return dirs
}
