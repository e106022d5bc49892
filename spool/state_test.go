package spool

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// mutant is a mistake that the machine must find.
type mutant string

const (
	noFsync   mutant = "no file is fsynced before it is renamed"
	noResolve mutant = "nobody resolves duplicates after a power cut"
	noVerify  mutant = "a lost reply is taken for a failure"
)

// machine is the machine: some processes on one spool, and what is known of its jobs.
type machine struct {
	t       *rapid.T
	fs      *simFS
	kind    durability
	mutant  mutant
	time    time.Time // the file server's, or on a local file system the host's
	skew    [2]time.Duration
	procs   [3]*player
	jobs    map[string]*sample // by content
	history map[string]bool    // names that jobs have had since the last power cut; whether they still have them
	boot    int
	serial  int
	picks   uint64
	dead    []string // workers that crashed and are not reaped yet
	depth   int
	faulty  bool // the present action had a fault
	cutting bool
	log     []string
	steps   map[string]int
}

// player is a process: a Spool, a worker, its claims.
type player struct {
	s      *Spool
	host   int
	l      *Lease
	reaped bool
	claims []*held
	before func(call) fault
	busy   bool
}

type held struct {
	*Claim
	data  string
	tried bool // a settlement ended in an error that says nothing
}

// sample is what is known of one job.
type sample struct {
	id      string
	acked   bool
	removed bool
	done    bool // done, synced, and told

	successors []string // documents that edits meant to put in its place
	replaced   bool     // one of them was told that it has
	refused    bool     // its edit was told that it has not replaced another
}

type violation string

func (w *machine) fail(format string, args ...any) {
	panic(violation(fmt.Sprintf(format, args...)))
}

// play runs the machine and returns what it found wrong.
func play(t *rapid.T, base string, kind durability, m mutant, steps map[string]int) (found string) {
	w := &machine{t: t, kind: kind, mutant: m, time: time.Date(2026, 11, 23, 8, 47, 0, 0, time.UTC), jobs: map[string]*sample{}, history: map[string]bool{}, steps: steps}
	defer func() {
		if p := recover(); p != nil {
			v, ok := p.(violation)
			if !ok {
				panic(p)
			}
			found = string(v) + "\n" + strings.Join(w.log[max(0, len(w.log)-60):], "\n")
		}
	}()
	w.fs = newSimFS(kind, base, func() time.Time { return w.time })
	w.fs.portion = rapid.IntRange(1, 4).Draw(t, "portion")
	if _, err := initialise(base+"/spool", "", w.fs.ops()); err != nil {
		w.fail("init: %v", err)
	}
	w.fs.commit(len(w.fs.records))
	w.fs.noSync = m == noFsync
	w.fs.unordered = rapid.Bool().Draw(t, "unordered")
	for i := range w.procs {
		w.start(i)
	}
	// Short histories, which rapid prefers, find 50 times less in the same time.
	for range rapid.IntRange(40, 80).Draw(t, "steps") {
		w.step()
	}
	return ""
}

func (w *machine) start(i int) {
	p := &player{host: i % 2}
	if w.kind != server {
		p.host = 0
	}
	o := w.fs.ops()
	o.now = func() time.Time { return w.time.Add(w.skew[p.host]) }
	s, err := open(w.fs.base+"/spool", hooked(o, w.fs.base, hook{
		before: func(c call) fault {
			if p.before != nil {
				return p.before(c)
			}
			return fault{}
		},
		done: w.observe,
	}))
	if err != nil {
		w.fail("open: %v", err)
	}
	p.s = s
	s.network = w.kind == server && w.mutant != noVerify
	s.host = Host{Name: fmt.Sprintf("h%d", p.host), BootID: fmt.Sprintf("boot-%d", w.boot)}
	w.procs[i] = p
	if err := s.Calibrate(); err != nil {
		w.fail("calibrate: %v", err)
	}
}

// pick chooses from 0 to n-1 with equal chances, where rapid prefers small numbers:
// most of a history would then be its first few actions and calls.
func (w *machine) pick(n int, label string) int {
	w.picks++
	h := (rapid.Uint64().Draw(w.t, label) + w.picks) * 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	return int((h ^ h>>31) % uint64(n))
}

// here is a job's name as it lies in the file system.
type here struct {
	path string
	name Name
	node *simNode
}

// states are all names in the four states, by content.
func (w *machine) states() map[string][]here {
	all := map[string][]here{}
	spool := w.fs.root.entries["spool"]
	var walk func(d *simNode, rel string)
	walk = func(d *simNode, rel string) {
		for base, n := range d.entries {
			if n.dir {
				walk(n, rel+"/"+base)
			} else if name, err := ParseName(base); err == nil {
				all[string(n.data)] = append(all[string(n.data)], here{rel + "/" + base, name, n})
			}
		}
	}
	for _, st := range []State{Pending, Processing, Done, Dead} {
		walk(spool.entries[string(st)], string(st))
	}
	return all
}

// observe checks what must hold at every instant, after each call that names files.
func (w *machine) observe(c call, err error) {
	w.log = append(w.log, fmt.Sprintf("%*s%s: %v", 2*w.depth, "", c, err))
	switch c.op {
	case "rename", "unlink", "link":
		w.check(false)
	}
}

func (w *machine) check(quiet bool) {
	all := w.states()
	ids := map[string]*simNode{}
	names := map[string]bool{}
	for data, found := range all {
		if data == "" {
			w.fail("I6: %s is an empty file under a job's name", found[0].path)
		}
		if len(found) > 1 && !w.cutting {
			w.fail("I1, I2: one job has the names %s and %s", found[0].path, found[1].path)
		}
		for _, h := range found {
			names[h.path+" "+data] = true // an id that is free again, put in the same millisecond, is another job
			if n := ids[h.name.ID]; n != nil && n != h.node {
				w.fail("I7: two jobs have the id %s", h.name.ID)
			}
			ids[h.name.ID] = h.node
		}
		if j := w.jobs[data]; j != nil && j.replaced && !w.cutting {
			w.fail("I4: an edit that was acknowledged is undone: %s", found[0].path)
		} else if j != nil && j.refused {
			w.fail("an edit was told that it has failed, but it has not: %s", found[0].path)
		}
		if j := w.jobs[data]; j == nil {
			w.fail("I6: nobody ever wrote %q of %s", data, found[0].path)
		} else if j.done && !j.removed && !w.cutting && !strings.HasPrefix(found[0].path, "done/") {
			w.fail("I5: a job that was durably done is %s", found[0].path)
		}
	}
	amid := w.amidEdits()
	for data, j := range w.jobs {
		if j.acked && !j.removed && !w.alive(data, all, amid) {
			w.fail("I1, I4: the acknowledged job %s of %q has no name", j.id, data)
		}
	}
	if !w.cutting { // a second name that a cut left, and that recovery removed, nobody has seen
		for _, name := range slices.Sorted(maps.Keys(w.history)) {
			if w.history[name] && !names[name] {
				w.history[name] = false // it is history now
			}
		}
		for name := range names {
			if present, known := w.history[name]; known && !present {
				w.fail("I6: the name %s is used a second time", name)
			}
			w.history[name] = true
		}
	}
	if quiet && !w.faulty {
		for _, p := range w.procs {
			for _, h := range p.claims {
				if !p.reaped && !h.tried && !slices.ContainsFunc(all[h.data], func(x here) bool { return "spool/"+x.path == "spool/"+h.path() }) {
					w.fail("I2: a living worker's claim %s is gone", h.path())
				}
			}
		}
	}
}

// alive reports whether a job is there, or what an edit has put in its place.
func (w *machine) alive(data string, all map[string][]here, amid map[string]bool) bool {
	j := w.jobs[data]
	return len(all[data]) > 0 || amid[data] || j.removed || slices.ContainsFunc(j.successors, func(next string) bool { return w.alive(next, all, amid) })
}

// amidEdits are the documents that lie in the directories of edits.
func (w *machine) amidEdits() map[string]bool {
	amid := map[string]bool{}
	w.fs.each(w.fs.root.entries["spool"].entries[editingDir], func(n *simNode) { amid[string(n.data)] = true })
	return amid
}

// step is one action of one process, perhaps with a fault in one of its calls, or
// with a whole action of another process in the middle of it.
func (w *machine) step() {
	i := w.pick(len(w.procs), "process")
	w.act(i)
	w.fs.between = nil
	w.check(true)
}

func (w *machine) act(i int) {
	p := w.procs[i]
	if w.depth == 0 {
		w.faulty = false
	}
	verbs := map[string]func(*player){
		"put": w.put, "put more": w.put, "drop": w.drop, "adopt": w.adopt, "claim": w.claim, "claim more": w.claim, "settle": w.settle,
		"settle another": w.settle, "reap": w.reap, "revive": w.revive, "remove": w.remove, "promote": w.promote,
		"change": w.change, "edit": w.edit, "beat": w.beat, "time": w.pass, "sweep": w.sweep,
	}
	verb := slices.Sorted(maps.Keys(verbs))[w.pick(len(verbs), "action")]
	if w.depth == 0 && w.pick(25, "cut") == 0 {
		w.cut()
		return
	}
	w.steps[verb]++
	w.log = append(w.log, fmt.Sprintf("%*s%s by %d", 2*w.depth, "", verb, i))
	what := []string{"", "", "", "crash", "crash after", "power cut", "power cut", "lost", "other", "other"}[w.pick(10, "fault")]
	at := w.pick(25, "at")
	if w.depth > 0 {
		what = ""
	}
	calls, mutes := -1, map[string]error{"rename": syscall.ENOENT, "link": syscall.EEXIST, "unlink": syscall.ENOENT, "mkdir": syscall.EEXIST, "rmdir": syscall.ENOENT}
	afterwards := false
	p.before = func(c call) fault {
		if afterwards && c.op != "close" {
			panic(crashed)
		}
		if what == "lost" && mutes[c.op] == nil {
			return fault{}
		}
		if calls++; calls != at && (what != "lost" || calls != at%6) {
			return fault{}
		}
		switch what {
		case "crash", "power cut":
			w.faulty = true
			panic(crashed)
		case "crash after":
			w.faulty, afterwards = true, true
		case "lost":
			if w.kind != server {
				return fault{}
			}
			w.faulty = true
			w.steps["lost reply"]++
			return fault{err: mutes[c.op], after: true}
		case "other":
			w.other(i)
		}
		return fault{}
	}
	p.busy = true
	died := survive(func() { verbs[verb](p) })
	p.busy, p.before = false, nil
	if died {
		w.steps["crash"]++
		w.crash(i)
		if what == "power cut" {
			w.cut()
		}
	}
}

// other lets another process do something, unless it would wait for a lock.
func (w *machine) other(i int) {
	j := (i + 1 + w.pick(2, "other")) % len(w.procs)
	if w.fs.blocked > 0 || w.procs[j].busy {
		return
	}
	w.depth++
	w.steps["in between"]++
	w.act(j)
	w.depth--
}

func (w *machine) crash(i int) {
	p := w.procs[i]
	if p.l != nil {
		p.l.Close()
		if !p.reaped {
			w.dead = append(w.dead, p.l.Worker())
		}
	}
	w.fs.blocked = 0
	w.fs.each(w.fs.root, func(n *simNode) {
		if n.locked != nil && n.locked.waits {
			n.locked = nil
		}
	})
	w.start(i)
}

// cut turns the power off, of all hosts and of the file server.
func (w *machine) cut() {
	w.steps["power cut"]++
	w.log = append(w.log, "power cut")
	for _, p := range w.procs {
		if p.l != nil && !p.reaped {
			w.dead = append(w.dead, p.l.Worker())
		}
	}
	w.cutting = true
	w.fs.cut(rapid.IntRange(0, len(w.fs.records)).Draw(w.t, "committed"))
	w.boot++
	w.history = map[string]bool{}
	w.check(false)
	for i := range w.procs {
		w.start(i)
	}
	if w.mutant != noResolve {
		if _, err := w.procs[0].s.Recover(); err != nil {
			w.fail("recover: %v", err)
		}
	}
	w.cutting = false
	w.check(true)
	for data := range w.states() {
		if j := w.jobs[data]; j.removed && j.acked {
			j.removed = false // some come back and are removed again
		}
	}
}

var kinds = map[string]durability{"journal": journal, "btrfs": btree, "network": server}

// Any order of actions, crashes, power cuts and lost replies leaves the invariants of
// FORMAT.md, section 11, as they are. More histories: -rapid.checks 10000.
func TestStateMachine(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			steps, base := map[string]int{}, testDir(t)
			rapid.Check(t, func(rt *rapid.T) {
				if found := play(rt, base, kind, "", steps); found != "" {
					rt.Fatal(found)
				}
			})
			t.Log(steps)
		})
	}
}

// A machine that finds nothing might be blind: with these mistakes it must see.
func TestStateMachineFindsMutants(t *testing.T) {
	const within = 1000
	for m, kind := range map[mutant]durability{noFsync: journal, noResolve: btree, noVerify: server} {
		t.Run(path.Base(string(m)), func(t *testing.T) {
			base := testDir(t)
			run := rapid.Custom(func(rt *rapid.T) string { return play(rt, base, kind, m, map[string]int{}) })
			for seed := range within {
				if found := run.Example(seed); found != "" {
					t.Logf("history %d: %s", seed, strings.SplitN(found, "\n", 2)[0])
					return
				}
			}
			t.Errorf("%d histories found nothing", within)
		})
	}
}
