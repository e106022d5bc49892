package spool

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// This file runs several processes on one real directory in every order. They are
// goroutines that stop before each system call which another process can notice; a
// scheduler lets one go on at a time. The schedules are gone through depth first,
// each on a fresh directory, by replaying the choices that led to it.
//
// Two calls that touch different things have the same effect in either order. Of
// schedules that differ only in that, one is run ("sleep sets": Godefroid, 1996);
// no state is left out by it. With plain set, all are run.

// scenario is a set of processes on one spool.
type scenario struct {
	name    string
	network bool // replies can be lost, and so they are verified
	plain   bool
	setup   func(w *world)
	procs   []proc
	after   func(w *world)      // what must hold when all are over, before the clearing up
	alias   func(string) string // what a mutant makes of a path
}

type proc struct {
	name   string
	skew   time.Duration // of its clock
	run    func(w *world, p *process)
	mutate func(ops) ops // for tests of the tests
	slotOf int           // a goroutine of that process (from 1) rather than a process
}

// plan is what befalls a schedule: at most one crash and one lost reply, at the n-th
// call of a process (from 1; 0: neither).
type plan struct {
	crashProc, crashAt int
	lostProc, lostAt   int
	lostErr            error
}

func (p plan) String() string {
	s := "nothing befalls"
	if p.crashAt > 0 {
		s = fmt.Sprintf("process %d dies before its call %d", p.crashProc, p.crashAt)
	}
	if p.lostAt > 0 {
		s += fmt.Sprintf("; the reply to call %d of process %d is lost: %v", p.lostAt, p.lostProc, p.lostErr)
	}
	return s
}

// lossy are the calls whose reply makes a difference when it is lost, with what the
// caller is told instead: what a server says that executes the call a second time,
// and what a client says that gives up.
var lossy = map[string][]error{
	"rename": {syscall.ENOENT, syscall.EIO}, "unlink": {syscall.ENOENT, syscall.EIO}, "rmdir": {syscall.ENOENT, syscall.EIO},
	"link": {syscall.EEXIST, syscall.EIO}, "mkdir": {syscall.EEXIST, syscall.EIO},
}

// silent calls are noticed by nobody else, so nothing depends on when they happen.
var silent = map[string]bool{
	"write": true, "read": true, "fsync": true, "close": true, "fstat": true, "trylock": true, "stamp": true,
	"syncdir": true, "syncfs": true,
}

// process is one process of a schedule. Each has a Spool of its own.
type process struct {
	*Spool
	id         int
	name       string
	w          *world
	pending    call
	calls      int
	dead, over bool
	grant      chan bool // false: die
	executed   map[call]bool
}

// world is one schedule: its directory and what is known of it.
type world struct {
	*ledger
	root    string
	t0      time.Time
	plan    plan
	network bool
	alias   func(string) string
	procs   []*process
	current *process // the one that runs
	leases  map[*Spool]*Lease
	arrived chan struct{}
	locks   map[string]*process
	record  bool
	trace   []string
}

func (w *world) abs(rel string) string { return w.root + "/" + rel }

func (w *world) spawn(p proc) {
	x := &process{id: len(w.procs) + 1, name: p.name, w: w, grant: make(chan bool), executed: map[call]bool{}}
	base := realOps()
	base.now = func() time.Time { return w.t0.Add(p.skew) }
	// The call is that of whoever the scheduler has let go on.
	o := hooked(base, w.root, hook{
		before: func(c call) fault { return w.current.before(c) },
		done:   func(c call, err error) { w.current.done(c, err) },
	})
	if p.mutate != nil {
		o = p.mutate(o)
	}
	if x.Spool = w.open(o, x.id); p.slotOf > 0 {
		x.Spool = w.procs[p.slotOf-1].Spool
	}
	w.current = x
	w.procs = append(w.procs, x)
	go func() {
		survive(func() { p.run(w, x) })
		x.over = true
		w.arrived <- struct{}{}
	}()
	<-w.arrived
}

// open makes a Spool without any system call.
func (w *world) open(o ops, id int) *Spool {
	return &Spool{
		dir: w.abs("spool"), ops: o, network: w.network, processes: realProcesses(), host: Host{Name: "host", BootID: "boot"}, writer: fakeWID(id),
		format: format{Format: FormatVersion, MaxJobBytes: DefaultMaxJobBytes},
	}
}

// fakeWID is the name of a worker whose process does not exist.
func fakeWID(id int) string {
	return fmt.Sprintf("host.%d.%s", 1<<29+id, strings.Repeat(string(rune('a'+id)), 13))
}

func (p *process) before(c call) fault {
	switch {
	case p.dead:
		return fault{err: errCrashed}
	case c.op == "close":
		if p.w.locks[c.path] == p {
			delete(p.w.locks, c.path)
		}
		return fault{}
	case silent[c.op] || strings.HasPrefix(c.path, "spool/"+ctlDir):
		return fault{} // requests to workers: none of these processes looks at them
	}
	p.pending = c
	p.w.arrived <- struct{}{}
	if !<-p.grant {
		p.dead = true
		for path, owner := range p.w.locks {
			if owner == p {
				delete(p.w.locks, path)
			}
		}
		panic(crashed)
	}
	if c.op == "lock" {
		p.w.locks[c.path] = p
		return fault{err: errGranted}
	}
	if p.loses(c) {
		return fault{err: p.w.plan.lostErr, after: true}
	}
	return fault{}
}

func (p *process) loses(c call) bool {
	l := p.w.plan
	return l.lostProc == p.id && l.lostAt == p.calls && slices.Contains(lossy[c.op], l.lostErr)
}

func (p *process) done(c call, err error) {
	if err == nil || p.loses(c) && err == p.w.plan.lostErr {
		p.executed[c] = true
		p.w.follow(c)
	}
	if p.w.record && !p.dead {
		p.w.trace = append(p.w.trace, fmt.Sprintf("%-8s %s: %v", p.name, c, err))
	}
}

// moved reports whether p has moved a file from one place to the other.
func (p *process) moved(from, to string) bool {
	return p.executed[call{"rename", "spool/" + p.w.alias(from), "spool/" + p.w.alias(to)}]
}

// step lets p make the call before which it stands.
func (p *process) step() {
	p.calls++
	p.w.current = p
	p.grant <- true
	<-p.w.arrived
}

func (p *process) kill() {
	if !p.over {
		p.w.current = p
		p.grant <- false
		<-p.w.arrived
	}
}

// touch is a thing that a call reads, writes or updates. Updates commute: two entries
// can be added to a directory in either order.
type touch struct {
	what string
	mode byte
}

func footprint(c call) (all []touch) {
	add := func(mode byte, kind string, paths ...string) {
		for _, p := range paths {
			all = append(all, touch{kind + p, mode})
		}
	}
	in, to := path.Dir(c.path), path.Dir(c.to)
	add('r', "entry ", in)
	switch c.op {
	case "open", "look", "refresh", "update", "touch":
		add('r', "entry ", c.path)
		if strings.Contains(c.path, "/"+idsDir+"/") || strings.Contains(c.path, "/"+editingDir+"/") {
			add('r', "inodes", "") // the link count and the change time are looked at
		}
		if c.op == "update" && !strings.HasSuffix(c.path, lockFile) {
			add('w', "entry ", c.path)
			add('u', "list ", in)
		}
	case "create", "mkdir":
		add('w', "entry ", c.path)
		add('u', "list ", in)
	case "unlink":
		add('w', "entry ", c.path)
		add('u', "list ", in)
		add('u', "inodes", "")
	case "link":
		add('r', "entry ", c.path, to)
		add('w', "entry ", c.to)
		add('u', "list ", to)
		add('u', "inodes", "")
	case "rename":
		add('w', "entry ", c.path, c.to)
		add('r', "entry ", to)
		add('u', "list ", in, to)
		add('u', "inodes", "")
	case "rmdir":
		add('w', "entry ", c.path)
		add('r', "list ", c.path)
		add('u', "list ", in)
	case "looks":
		add('r', "entry ", c.path)
		add('r', "list ", c.path)
		add('r', "inodes", "")
	case "names":
		add('r', "entry ", c.path)
		add('r', "list ", c.path)
	case "lock":
		add('w', "lock ", c.path)
	default:
		panic("footprint of " + c.op)
	}
	return all
}

// depends reports whether the order of two calls can matter.
func depends(a, b call) bool {
	for _, x := range footprint(a) {
		for _, y := range footprint(b) {
			if x.what == y.what && (x.mode != y.mode || x.mode == 'w') {
				return true
			}
		}
	}
	return false
}

// node is a choice on the way to the present schedule.
type node struct {
	able   []int
	asleep map[int]call // those whose turn here would only repeat a schedule
	chosen int
	call   call
}

func (n *node) choose() bool {
	for _, i := range n.able {
		if _, asleep := n.asleep[i]; !asleep {
			n.chosen = i
			return true
		}
	}
	return false
}

// explorer goes through the schedules of a scenario under one plan.
type explorer struct {
	sc        scenario
	plan      plan
	base      string
	t0        time.Time
	path      []node
	run, cut  int                        // schedules; those that were left half-way because they repeat another
	calls     map[int]int                // the most that a process made
	mutations map[[2]int]map[string]bool // by process and number of the call: what it was
	failed    []node                     // the path of the last schedule
	trace     []string

	// ends are outcomes that were found good: what clears up after a schedule depends
	// only on what the schedule left. Shared by the explorers of a scenario.
	ends *sync.Map
}

func (x *explorer) known(end string) bool { _, known := x.ends.Load(end); return known }
func (x *explorer) learn(end string)      { x.ends.Store(end, true) }

// outcome is all that the schedule has left: each entry with its file, and who had
// which attempt.
func (w *world) outcome() string {
	var b strings.Builder
	inodes := map[uint64]int{}
	_ = filepath.WalkDir(w.abs("spool"), func(p string, d fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err != nil || unix.Lstat(p, &st) != nil {
			return err
		}
		if d.Type().IsRegular() && inodes[st.Ino] == 0 {
			inodes[st.Ino] = len(inodes) + 1
		}
		fmt.Fprintln(&b, strings.TrimPrefix(p, w.root), inodes[st.Ino])
		return nil
	})
	fmt.Fprint(&b, w.claimed, w.least, w.final)
	return b.String()
}

// next runs a schedule; more is false after the last.
func (x *explorer) next(record bool) (problem string, more bool) {
	w := x.world(record)
	defer os.RemoveAll(w.root)
	for _, p := range x.sc.procs {
		w.spawn(p)
	}
	repeats := false
	for depth := 0; w.problem == ""; depth++ {
		able := w.able()
		if len(able) == 0 {
			break
		}
		if depth == len(x.path) {
			n := node{able: able, asleep: map[int]call{}}
			if depth > 0 && !x.sc.plain {
				last := x.path[depth-1]
				for i, c := range last.asleep {
					if !depends(c, last.call) {
						n.asleep[i] = c
					}
				}
			}
			if !n.choose() {
				repeats = true
				break
			}
			x.path = append(x.path, n)
		}
		n := &x.path[depth]
		if !slices.Equal(n.able, able) {
			w.fail("the replay went another way: %v were able to go on, now %v", n.able, able)
			break
		}
		p := w.procs[n.chosen]
		n.call = p.pending
		x.note(p)
		p.step()
	}
	for _, p := range w.procs {
		p.kill()
	}
	if repeats {
		x.cut++
	} else {
		x.run++
		if x.sc.after != nil {
			x.sc.after(w)
		}
		if at := w.outcome(); !x.known(at) {
			w.finish()
			x.learn(at)
		}
	}
	x.trace, x.failed = w.trace, slices.Clone(x.path)
	return w.problem, x.back()
}

func (x *explorer) note(p *process) {
	n := p.calls + 1
	x.calls[p.id] = max(x.calls[p.id], n)
	if len(lossy[p.pending.op]) > 0 {
		k := [2]int{p.id, n}
		if x.mutations[k] == nil {
			x.mutations[k] = map[string]bool{}
		}
		x.mutations[k][p.pending.op] = true
	}
}

// able lists the processes that can go on, after the one whose time has come died.
func (w *world) able() (able []int) {
	for i, p := range w.procs {
		if w.plan.crashProc == p.id && w.plan.crashAt == p.calls+1 {
			p.kill()
		}
		if !p.over && (p.pending.op != "lock" || w.locks[p.pending.path] == nil) {
			able = append(able, i)
		}
	}
	return able
}

// complete makes what a spool has beside what the scenarios need.
func (w *world) complete() {
	for _, d := range skeleton {
		if err := os.MkdirAll(w.abs("spool/"+d), 0o700); err != nil {
			panic(err)
		}
	}
	w.write(formatFile, `{"format":1}`)
}

// back returns to the last choice at which another can be made.
func (x *explorer) back() bool {
	for len(x.path) > 0 {
		n := &x.path[len(x.path)-1]
		n.asleep[n.chosen] = n.call
		if n.choose() {
			return true
		}
		x.path = x.path[:len(x.path)-1]
	}
	return false
}

func (x *explorer) world(record bool) *world {
	w := &world{
		root: filepath.Join(x.base, fmt.Sprint(x.run+x.cut)), t0: x.t0, plan: x.plan, network: x.sc.network,
		arrived: make(chan struct{}), locks: map[string]*process{}, leases: map[*Spool]*Lease{}, record: record,
	}
	if w.alias = x.sc.alias; w.alias == nil {
		w.alias = func(path string) string { return path }
	}
	w.ledger = newLedger(w.abs("spool"))
	// No more than the scenarios need: making and removing these is most of the time
	// that a schedule takes. complete makes the rest.
	for _, d := range []string{"", "spool", "spool/" + tmpDir, "spool/" + pendingDir, "spool/" + laterDir, "spool/" + workDir, "spool/" + doneDir, "spool/" + deadDir, "spool/" + idsDir, "spool/" + workersDir} {
		if err := os.Mkdir(w.abs(d), 0o700); err != nil {
			panic(err)
		}
	}
	w.write(lockFile, "")
	x.sc.setup(w)
	w.look()
	return w
}
