package spool

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// ledger is what is known of a spool from outside: which names there were, which jobs
// must be there, who had and who ended what. It looks at the directories itself.
type ledger struct {
	dir     string
	present map[string]bool
	seen    map[string]bool
	least   map[string]int    // by id: how many names the spool must hold; an acknowledged job has one
	final   map[string]int    // how many it must hold in the end
	claimed map[string]string // by id and attempt: by whom
	ended   map[string]string
	turns   int // of each array; 0: it has no limit
	limit   int // of the queue; 0: none
	problem string
	said    said // to editors
	fresh   info // the new file of an edit that is under way at the start
	acked   int  // puts and adoptions that were told to be done
	movedOn int  // settlements that were told to be lost, which took effect and were built on since
}

func newLedger(dir string) *ledger {
	return &ledger{
		dir: dir, present: map[string]bool{}, seen: map[string]bool{}, least: map[string]int{}, final: map[string]int{},
		claimed: map[string]string{}, ended: map[string]string{},
	}
}

func (l *ledger) fail(format string, args ...any) {
	if l.problem == "" {
		l.problem = fmt.Sprintf(format, args...)
	}
}

func list(dir string) []string {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	return names
}

// jobs lists the paths of all jobs in the four states.
func (l *ledger) jobs() (paths []string) {
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		for _, name := range list(l.dir + "/" + dir) {
			switch {
			case depth > 0:
				walk(dir+"/"+name, depth-1)
			case !IsDrop(name) && name != "later":
				paths = append(paths, dir+"/"+name)
			}
		}
	}
	walk(pendingDir, 0)
	walk(laterDir, 1)
	for _, dir := range list(l.dir + "/" + editingDir) {
		for _, name := range list(l.dir + "/" + editingDir + "/" + dir) {
			if rel := editingDir + "/" + dir + "/" + name; isJob(rel) {
				paths = append(paths, rel)
			}
		}
	}
	walk(workDir, 1)
	walk(doneDir, 2)
	walk(deadDir, 0)
	return paths
}

// look takes stock of the spool's directories.
func (l *ledger) look() {
	now := map[string]bool{}
	for _, p := range l.jobs() {
		now[p] = true
	}
	l.judge(now)
}

// follow is look for a spool whose calls are all known: it notes what one call has
// changed. Whoever uses it compares the outcome with the directories in the end.
func (l *ledger) follow(c call) {
	from, to := strings.TrimPrefix(c.path, "spool/"), strings.TrimPrefix(c.to, "spool/")
	now := maps.Clone(l.present)
	switch c.op {
	case "rename":
		delete(now, from)
		now[to] = isJob(to)
	case "link":
		now[to] = isJob(to)
	case "create":
		now[from] = isJob(from)
	case "unlink":
		delete(now, from)
	default:
		return
	}
	maps.DeleteFunc(now, func(_ string, job bool) bool { return !job })
	l.judge(now)
}

// isJob reports whether a path is that of a job in one of the states.
func isJob(rel string) bool {
	top, _, _ := strings.Cut(rel, "/")
	if top == editingDir {
		_, _, ok := parseEditFile(path.Base(rel))
		return ok
	}
	return (top == pendingDir || top == workDir || top == doneDir || top == deadDir) && !IsDrop(path.Base(rel))
}

// judge compares the jobs that are there with what must hold at every moment: each
// acknowledged job is there, none is there twice (I1, I7), and no name comes back
// (PROTOCOL.md, I6).
func (l *ledger) judge(now map[string]bool) {
	ids := map[string]int{}
	prepared := map[string]bool{}
	turns, running := 0, 0
	for p := range now {
		if strings.HasPrefix(p, workDir+"/") {
			running++
		}
		prefix, n, _ := parseEditFile(path.Base(p))
		var err error
		if prefix == "" {
			n, err = ParseName(path.Base(p))
		}
		if err != nil {
			l.fail("there is a name that is not a job's: %s", p)
			return
		}
		if prefix == newPrefix {
			prepared[n.ID] = true // the job only once the old one is gone
		} else {
			ids[n.ID]++
		}
		if n.Turn {
			turns++
		}
		if !l.present[p] && l.seen[p] {
			l.fail("a name came back: %s", p)
		}
		l.seen[p] = true
	}
	l.present = now
	for id := range prepared {
		ids[id] = max(ids[id], 1)
	}
	if l.turns > 0 && turns > l.turns {
		l.fail("%d elements of an array are under way, %d is the limit", turns, l.turns)
	}
	if l.limit > 0 && running > l.limit {
		l.fail("%d jobs run, %d is the limit", running, l.limit)
	}
	for id, n := range ids {
		if n > 1 {
			l.fail("job %s has %d names: %s", id, n, strings.Join(l.where(id), " "))
		}
	}
	for id, n := range l.least {
		if ids[id] < n {
			l.fail("job %s is lost", id)
		}
	}
}

func (l *ledger) where(id string) (paths []string) {
	for _, p := range slices.Sorted(maps.Keys(l.present)) {
		base := path.Base(p)
		if prefix, _, ok := parseEditFile(base); ok {
			base = strings.TrimPrefix(base, prefix)
		}
		if n, err := ParseName(base); err == nil && n.ID == id {
			paths = append(paths, p)
		}
	}
	return paths
}

func (l *ledger) has(rel string) bool {
	_, err := os.Lstat(l.dir + "/" + rel)
	return err == nil
}

func key(n Name) string { return fmt.Sprintf("%s#%d", n.ID, n.Attempt) }

// tookClaim notes a claim: each attempt has one worker (PROTOCOL.md, I3).
func (l *ledger) tookClaim(who string, n Name) {
	if other, taken := l.claimed[key(n)]; taken {
		l.fail("attempt %s was given to %s and to %s", key(n), other, who)
	}
	l.claimed[key(n)] = who
}

// lostFate is what fsq makes of a dead worker's claim.
func lostFate(due time.Time) func(Name) Fate {
	return func(n Name) Fate {
		n.Due, n.Allowed, n.Lost = Truncate(due), n.Allowed+1, n.Lost+1
		if n.Lost > 3 {
			n.Outcome = "lost"
			return Fate{Dead: true, Name: n}
		}
		return Fate{Name: n}
	}
}

// finish is what the next worker finds: it clears up and works off everything. Then
// each acknowledged job must have come to its end, once, and nothing may be left that
// FORMAT.md does not explain.
func (w *world) finish() {
	if w.problem != "" {
		return
	}
	o := realOps()
	o.now = func() time.Time { return w.t0.Add(48 * time.Hour) }
	w.complete()
	w.turns = 0
	followed := w.present
	if w.look(); !maps.Equal(followed, w.present) {
		w.fail("the directories hold %v, and by the calls that were made they should hold %v", w.present, followed)
		return
	}
	s := w.open(o, 20)
	s.network = false
	if err := workOff(s, w.ledger); err != nil {
		w.fail("the next worker: %v", err)
		return
	}
	w.look()
	maps.Copy(w.final, w.least)
	for id, n := range w.final {
		if at := w.where(id); n > 0 && (len(at) != 1 || !strings.HasPrefix(at[0], doneDir) && !strings.HasPrefix(at[0], deadDir)) {
			w.fail("job %s has not come to an end: it is at %v", id, at)
		}
	}
	w.said.truthful(w)
}

// workOff does what workers do on a spool whose other workers are all dead, until
// nothing waits, and then checks it.
func workOff(s *Spool, l *ledger) error {
	if _, err := s.Resolve(); err != nil {
		return err
	}
	for _, wid := range append(list(s.abs(workDir)), list(s.abs(workersDir))...) {
		wid = strings.TrimSuffix(wid, suffix)
		if strings.HasPrefix(wid, ".") {
			continue
		}
		if _, err := s.Reap(wid, lostFate(s.Now())); err != nil {
			return err
		}
		if l != nil {
			l.look()
		}
	}
	if _, err := s.Sweep(time.Nanosecond); err != nil {
		return err
	}
	wid := fakeWID(21)
	if err := s.ops.mkdir(s.abs(claimsDir(wid)), 0o700); err != nil {
		return err
	}
	lease := &Lease{s: s, holder: Holder{Worker: wid}}
	for range 3 { // a drop that is adopted is worked off in the next round
		if _, err := s.Promote(); err != nil {
			return err
		}
		if _, _, err := s.ShareTurns(func(Entry) (int, error) { return MaxIndex, nil }); err != nil {
			return err
		}
		if l != nil {
			l.look()
		}
		var names []Name
		var drops []string
		if err := s.Waiting(func(n Name) { names = append(names, n) }, func(base string) { drops = append(drops, base) }); err != nil {
			return err
		}
		for _, base := range drops {
			if _, err := s.Adopt(base, adoptAs(s, "")); err != nil {
				return err
			}
		}
		for _, n := range names {
			if n.Held {
				e, err := s.Release(Entry{Name: n, State: Pending, Path: pendingDir + "/" + n.String()})
				if err != nil {
					return err
				}
				n = e.Name
			}
			c, err := lease.Claim(n)
			if err != nil {
				return err
			}
			if l != nil {
				l.tookClaim("the next worker", c.Name())
			}
			if _, err := c.Done(Ending{Outcome: "done"}); err != nil {
				return err
			}
		}
	}
	if err := s.ops.rmdir(s.abs(claimsDir(wid))); err != nil {
		return err
	}
	if _, err := s.SweepIDs(); err != nil {
		return err
	}
	return leftovers(s)
}

// leftovers says what Check finds.
func leftovers(s *Spool) error {
	r, err := s.Check(func(Entry, []byte) error { return nil })
	if err != nil {
		return err
	}
	var all []error
	for _, b := range r.Breaches {
		all = append(all, fmt.Errorf("%s: %s: %s", b.Code, b.Path, b.Problem))
	}
	return errors.Join(all...)
}

// adoptAs takes every drop as a job under the given id, or under its stem.
func adoptAs(s *Spool, id string) func(Drop) Adoption {
	return func(d Drop) Adoption {
		a := Adoption{Name: Name{Due: Truncate(s.Now()), Allowed: 3, ID: id}, Reserved: id != ""}
		if id == "" {
			a.Name.ID = d.Stem()
		}
		return a
	}
}
