package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Breach is a place where a spool is not as FORMAT.md says.
type Breach struct {
	Code    string // a word or two with dashes, stable
	Path    string // relative to the spool
	Problem string
	Hint    string       // what to do about it
	Repair  func() error // nil: a person must decide
}

// Harmless reports whether it is only what a removal by hand, or a death, leaves over, or
// a history that was set aside: nothing depends on it, and FORMAT.md expects it.
func (b Breach) Harmless() bool {
	switch b.Code {
	case "stale-id", "stale-log", "stale-reason", "stale-request", "odd-history":
		return true
	}
	return false
}

// Report is what Check found.
type Report struct {
	Jobs     int // looked at
	Breaches []Breach
}

// Check verifies a spool's invariants and names every breach. It changes nothing.
// valid judges a job's content. It can run beside workers: what looks wrong because
// a job moves is looked at again.
func (s *Spool) Check(valid func(Entry, []byte) error) (Report, error) {
	c := &checker{s: s, valid: valid, jobs: map[string][]Entry{}}
	for _, step := range []func() error{
		c.topLevel, c.states, c.strays, c.queues, c.duplicates, c.staging, c.edits, c.bindings, c.logs, c.workers, c.rejects, c.history,
	} {
		// What lies in a directory that is missing cannot be looked at; the breach says so.
		if err := step(); err != nil && !(c.missing && errors.Is(err, fs.ErrNotExist)) {
			return c.report, fmt.Errorf("check %s: %w", s.dir, err)
		}
	}
	for _, entries := range c.jobs {
		c.report.Jobs += len(entries)
	}
	return c.report, nil
}

type checker struct {
	s       *Spool
	valid   func(Entry, []byte) error
	jobs    map[string][]Entry // by id
	missing bool               // a directory is not there
	report  Report
}

func (c *checker) add(b Breach) { c.report.Breaches = append(c.report.Breaches, b) }

func (c *checker) topLevel() error {
	known := map[string]bool{formatFile: true, configFile: true, lockFile: true, "lost+found": true, queuesDir: c.s.queue == DefaultQueue, boxesDir: true, statsDir: true}
	for _, d := range append([]string{"."}, skeleton...) {
		known[d] = true
		in, err := c.s.ops.look(c.s.abs(path.Dir(d)), path.Base(d))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.missing = true
			c.add(Breach{"missing-directory", d, "the directory is not there", "a repair makes it", func() error {
				if err := c.s.ops.mkdir(c.s.abs(d), c.s.dirPerm()); !errors.Is(err, fs.ErrExist) {
					return err
				}
				return nil
			}})
		case err != nil:
			return err
		case !in.mode.IsDir():
			c.add(Breach{"not-a-directory", d, "a directory should be here, not a " + kindName(in.mode), "move it away", nil})
		case in.mode.Perm()&0o002 != 0:
			c.add(Breach{"unsafe-mode", d, "anyone may write here, and so run commands as the worker's user", "chmod o-w", nil})
		}
	}
	return c.s.ops.names(c.s.dir, func(base string) error {
		if !known[base] && !strings.HasPrefix(base, ".nfs") {
			c.unknown(base)
		}
		return nil
	})
}

// queues names what lies among the named queues and is none: no worker ever looks there.
func (c *checker) queues() error {
	if c.s.queue != DefaultQueue {
		return nil
	}
	names, err := c.s.Queues()
	if err != nil {
		return err
	}
	err = c.s.ops.names(c.s.abs(queuesDir), func(base string) error {
		if !strings.HasPrefix(base, ".") && !slices.Contains(names, base) {
			c.add(Breach{"not-a-queue", queuesDir + "/" + base, "this is no queue's spool", "queuectl queue create makes one of an empty directory; else move it away", nil})
		}
		return nil
	})
	return ignoreNotExist(err)
}

func (c *checker) unknown(rel string) {
	c.add(Breach{"unknown-file", rel, "FORMAT.md knows no such name here; it is left alone", "move it away if it is yours", nil})
}

func (c *checker) notAFile(rel string, m fs.FileMode) {
	c.add(Breach{"not-a-file", rel, "a " + kindName(m) + " is never opened or run", "remove it, or move it away", nil})
}

// states looks at each job's name and content.
func (c *checker) states() error {
	for _, st := range []State{Pending, Processing, Done, Dead} {
		if err := c.s.walk(st, func(f Found) error { return c.entry(f) }); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) entry(f Found) error {
	dir := path.Dir(f.Path)
	in, err := c.s.ops.look(c.s.abs(dir), f.Base)
	if errors.Is(err, fs.ErrNotExist) {
		// It moved on between the listing and the look.
		if f.Err == nil {
			c.jobs[f.Name.ID] = append(c.jobs[f.Name.ID], f.Entry)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if !in.mode.IsRegular() {
		c.notAFile(f.Path, in.mode)
		return nil
	}
	if f.Err != nil {
		if f.State == Pending && (IsDrop(f.Base) && dir == pendingDir || notReady(f.Base)) {
			return nil // a drop that no worker has adopted yet, or one that is not ready
		}
		c.unknown(f.Path)
		return nil
	}
	c.jobs[f.Name.ID] = append(c.jobs[f.Name.ID], f.Entry)
	if f.State == Done {
		return nil // it will not run again
	}
	data, err := c.s.Read(f.Entry)
	if err == nil {
		err = c.valid(f.Entry, data)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrChanging) {
		c.add(Breach{"bad-content", f.Path, plainError(err), "a worker will set it aside in rejected/ when its turn comes", nil})
	}
	return nil
}

// notReady are the names under which programs write what they will rename.
func notReady(base string) bool {
	for _, end := range []string{".part", ".tmp", ".swp", "~"} {
		if strings.HasSuffix(base, end) {
			return true
		}
	}
	return strings.HasPrefix(base, ".") || strings.HasPrefix(base, "#")
}

func (c *checker) duplicates() error {
	for id, entries := range c.jobs {
		if len(entries) < 2 {
			continue
		}
		var here []Entry
		var inodes []info
		for _, e := range entries {
			in, err := c.s.ops.look(c.s.abs(path.Dir(e.Path)), path.Base(e.Path))
			if err == nil {
				here, inodes = append(here, e), append(inodes, in)
			}
		}
		if len(here) < 2 {
			continue
		}
		same := true
		for _, in := range inodes {
			same = same && in.same(inodes[0])
		}
		b := Breach{"duplicate-id", here[0].Path, fmt.Sprintf("%d jobs have the id %q, another is %s", len(here), id, here[1].Path), "remove all but one", nil}
		if same {
			b.Problem = fmt.Sprintf("one job has two names, the other is %s", here[1].Path)
			b.Hint = "a repair keeps the latest"
			b.Repair = func() error { _, err := c.s.resolveAll([][]Entry{here}); return err }
		}
		c.add(b)
	}
	return nil
}

// staging looks for what dead writers left.
func (c *checker) staging() error {
	for _, dir := range []string{tmpDir, workersDir} {
		err := c.s.ops.names(c.s.abs(dir), func(base string) error {
			if dir == workersDir && !strings.HasPrefix(base, ".") {
				return nil
			}
			rel := dir + "/" + base
			in, err := c.s.ops.look(c.s.abs(dir), base)
			if err != nil {
				return nil
			}
			writer := writerOf(base)
			age := c.s.Now().Sub(in.ctime)
			if c.s.running(writer) && age < tmpLimit || age < time.Second {
				return nil
			}
			if _, _, ok := parseWID(writer); !ok && age < tmpLimit {
				return nil
			}
			c.add(Breach{"stale-tmp", rel, "its writer is gone; no job was acknowledged from it", "a repair finishes or removes it", func() error {
				_, err := c.s.sweepFile(rel, 0)
				return ignoreNotExist(err)
			}})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// bindings looks at ids/: each must belong to a job, and each chosen id be bound.
func (c *checker) bindings() error {
	bound := map[string]info{}
	err := c.s.walkEach(idsDir, func(xx string) error {
		dir := idsDir + "/" + xx
		err := c.s.ops.names(c.s.abs(dir), func(base string) error {
			escaped, ok := strings.CutSuffix(base, suffix)
			id, err := unescapeID(escaped)
			if !ok || err != nil || bucket(id) != xx {
				c.unknown(dir + "/" + base)
				return nil
			}
			in, err := c.s.ops.look(c.s.abs(dir), base)
			switch {
			case err == nil && in.mode.IsRegular():
				bound[id] = in
			case err == nil:
				c.notAFile(dir+"/"+base, in.mode)
			}
			return nil
		})
		if notDir(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for id, in := range bound {
		if in.nlink > 1 {
			continue
		}
		if entries := c.jobs[id]; len(entries) > 0 {
			e := entries[0]
			c.add(Breach{"unbound-id", e.Path, fmt.Sprintf("its file was replaced by another: the id %q is still bound to the old one", id), "workers bind it anew, and so does a repair", func() error {
				return c.s.rebind(id, in, e)
			}})
			continue
		}
		c.add(Breach{"stale-id", c.s.idPath(id), "its job is gone", "nothing needs to be done: the next job with this id takes it over", func() error {
			_, err := c.s.freeIfStale(id, in)
			return err
		}})
	}
	for id, entries := range c.jobs {
		if _, ok := bound[id]; ok {
			continue
		}
		if _, generated := ulidTime(id); generated {
			continue
		}
		e := entries[0]
		if _, err := c.s.ops.look(c.s.abs(path.Dir(e.Path)), path.Base(e.Path)); err != nil {
			continue
		}
		c.add(Breach{"unbound-id", e.Path, fmt.Sprintf("nothing keeps a second job from taking the id %q", id), "a repair binds it", func() error {
			return ignoreNotExist(c.s.reserve(id, e.Path))
		}})
	}
	return nil
}

// logs looks for records of jobs that are gone.
func (c *checker) logs() error {
	type orphan struct {
		rel string
		in  info
	}
	orphans := map[string][]orphan{}
	err := c.s.walkEach(logsDir, func(xx string) error {
		if strings.HasPrefix(xx, "worker-") {
			return nil // what --detach writes
		}
		dir := logsDir + "/" + xx
		err := c.s.ops.names(c.s.abs(dir), func(base string) error {
			rel := dir + "/" + base
			id, err := jobOf(base)
			if err != nil || bucket(id) != xx {
				c.unknown(rel)
			} else if len(c.jobs[id]) == 0 {
				if in, err := c.s.ops.look(c.s.abs(dir), base); err == nil {
					orphans[id] = append(orphans[id], orphan{rel, in})
				}
			}
			return nil
		})
		if notDir(err) {
			return nil
		}
		return err
	})
	if err != nil || len(orphans) == 0 {
		return err
	}
	// One scan that did not see a job proves nothing.
	if err := c.s.Each(func(e Entry) error { delete(orphans, e.Name.ID); return nil }, Pending, Processing, Done, Dead, Pending); err != nil {
		return err
	}
	for id, all := range orphans {
		for _, o := range all {
			c.add(Breach{"stale-log", o.rel, "its job is gone", "a repair removes it", func() error {
				// Since then, another job may have come that has the same id.
				found, err := c.s.Find(id)
				if err != nil || len(found) > 0 {
					return err
				}
				if now, err := c.s.ops.look(c.s.abs(path.Dir(o.rel)), path.Base(o.rel)); err != nil || !now.same(o.in) {
					return ignoreNotExist(err)
				}
				return c.s.unlinkLog(c.s.abs(o.rel))
			}})
		}
	}
	return nil
}

// workers looks at requests to workers that are gone. Dead workers with claims are
// for who can decide what becomes of the claims.
func (c *checker) workers() error {
	for _, r := range []Request{Drain, Interrupt} {
		err := c.s.ops.names(c.s.abs(ctlDir+"/"+string(r)), func(base string) error {
			if alive, err := c.s.Alive(base); err != nil || alive {
				return err
			}
			c.add(Breach{"stale-request", r.path(base), "there is no such worker", "workers remove it after a day, and so does a repair", func() error {
				return c.s.Withdraw(r, base)
			}})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return c.demands()
}

// demands looks at demands for jobs that neither wait nor run.
func (c *checker) demands() error {
	all, err := c.s.Demands()
	if err != nil {
		return err
	}
	for _, d := range all {
		if slices.ContainsFunc(c.jobs[d.ID], func(e Entry) bool { return e.State == Pending || e.State == Processing }) {
			continue
		}
		c.add(Breach{"stale-request", c.s.demandPath(d), "there is no such job, or it has ended", "workers remove it after a day, and so does a repair", func() error {
			return c.s.WithdrawDemand(d)
		}})
	}
	return nil
}

func (c *checker) rejects() error {
	var files []string
	err := c.s.ops.names(c.s.abs(rejectedDir), func(base string) error {
		if strings.HasPrefix(base, ".") {
			return nil
		}
		rel := rejectedDir + "/" + base
		stamp, _, _ := strings.Cut(base, ".")
		if _, err := parseStamp(stamp); err != nil {
			c.unknown(rel)
			return nil
		}
		file, isReason := strings.CutSuffix(base, whySuffix)
		if !isReason {
			files = append(files, rel)
			return nil
		}
		if _, err := c.s.ops.look(c.s.abs(rejectedDir), file); errors.Is(err, fs.ErrNotExist) {
			c.staleReason(rel, file)
		}
		return nil
	})
	if err != nil {
		return err
	}
	back, err := c.s.givenBack(files...)
	for rel := range back {
		c.add(Breach{"stale-reject", rel, "it has been given back: it is a job or a dropped file again", "a repair removes it here", func() error {
			return ignoreNotExist(c.s.dropRejected(rel))
		}})
	}
	return err
}

// staleReason names a reason without its file, unless it is so new that the file may be
// on its way: the reason comes first.
func (c *checker) staleReason(rel, file string) {
	in, err := c.s.ops.look(c.s.abs(rejectedDir), path.Base(rel))
	if err != nil || c.s.Now().Sub(in.ctime) < reasonGrace {
		return
	}
	c.add(Breach{"stale-reason", rel, "the file that it is about is gone", "a repair removes it", func() error {
		if _, err := c.s.ops.look(c.s.abs(rejectedDir), file); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return ignoreNotExist(c.s.ops.unlink(c.s.abs(rel)))
	}})
}

// reasonGrace is for how long a reason may be without its file: far longer than the one
// rename that is between the two.
const reasonGrace = time.Minute

func kindName(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeSymlink != 0:
		return "symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "FIFO"
	case m.IsRegular():
		return "file"
	default:
		return "device or socket"
	}
}
