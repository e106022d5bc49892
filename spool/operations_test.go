package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// scene is a spool in which one process makes one operation.
type scene struct {
	t       *testing.T
	root    string
	ordered bool   // see operation
	s       *Spool // of the process that prepared it
	x       *Spool // of the process that is tested
	now     time.Time
	files   []file // open in either: a kernel closes them

	hook func(call) fault // nil: all calls are let be
	done func(call, error)
	torn bool // the next write is cut short, and its process with it

	op      func() error
	each    map[string]error // what a batch says of each content
	again   func() error     // nil: op
	decide  func(Drop) Adoption
	fates   map[string]fate // by content
	ids     []string        // chosen ones, which are to be taken or free in the end
	twice   bool            // a job has two names until somebody has cleared up
	edited  string          // the id of a job that is to be found once, whichever document it has
	settled bool
	lease   *Lease
}

// fate is where a content comes from and where it is once the operation says that it
// has succeeded; "" is nowhere.
type fate struct{ from, to string }

// stray is a file that lies among the claims of a dead worker.
const stray = "notes.txt"

func content(id string) string { return fmt.Sprintf(`{"command":"true","of":%q}`, id) }

// operation is one that a process can be stopped in. durable says that what it has
// moved is on the disk when it returns.
type operation struct {
	name    string
	durable bool
	prepare func(w *scene)
}

// tracked is a file of a process that may be stopped while it has it open.
type tracked struct {
	file
	w *scene
}

func (f tracked) Write(p []byte) (int, error) {
	if f.w.torn {
		_, _ = f.file.Write(p[:len(p)/2])
		panic(crashed)
	}
	return f.file.Write(p)
}

func newScene(t *testing.T, root string, op operation) *scene {
	t.Helper()
	w := &scene{
		t: t, ordered: strings.HasSuffix(op.name, inOrder), root: root, now: time.Now(), each: map[string]error{}, fates: map[string]fate{},
		decide: func(d Drop) Adoption {
			return Adoption{Name: Name{Due: aDue, Allowed: 3, ID: d.Stem()}}
		},
	}
	mustDo(t, os.Mkdir(root, 0o700))
	if op.name == "Init" {
		op.prepare(w)
		return w
	}
	var err error
	w.s, err = initialise(w.dir(), "", w.real())
	mustDo(t, err)
	w.x = w.opened(hooked(w.real(), root, hook{before: w.before, done: w.after}))
	op.prepare(w)
	return w
}

func (w *scene) dir() string { return w.root + "/spool" }

func (w *scene) opened(o ops) *Spool {
	w.t.Helper()
	s, err := open(w.dir(), o)
	mustDo(w.t, err)
	return s
}

// real are the system calls of a process of the scene. No power is cut: fsync is free.
func (w *scene) real() ops {
	o := testOps()
	if *spoolDir == "" {
		o.syncFS = func(string) error { return nil }
	}
	o.ordered = func(string) bool { return w.ordered }
	o.now = func() time.Time { return w.now }
	track := func(f file, err error) (file, error) {
		if err != nil {
			return nil, err
		}
		w.files = append(w.files, f)
		return tracked{f, w}, nil
	}
	create, update, opens := o.create, o.update, o.open
	o.create = func(p string, perm fs.FileMode) (file, error) { return track(create(p, perm)) }
	o.update = func(p string, perm fs.FileMode) (file, error) { return track(update(p, perm)) }
	o.open = func(p string) (file, error) { return track(opens(p)) }
	return o
}

func (w *scene) before(c call) fault {
	if w.hook == nil {
		return fault{}
	}
	return w.hook(c)
}

func (w *scene) after(c call, err error) {
	if w.hook != nil && w.done != nil {
		w.done(c, err)
	}
}

// kill is what the kernel does when the processes are gone.
func (w *scene) kill() {
	// The processes of a scene are one; what that remembers goes with it, too.
	if entries, err := os.ReadDir(w.dir() + "/" + workersDir); err == nil {
		for _, e := range entries {
			ownLeases.Delete(strings.TrimSuffix(strings.TrimPrefix(e.Name(), "."), suffix))
		}
	}
	for _, f := range w.files {
		_ = f.Close()
	}
	w.files, w.hook, w.torn = nil, nil, false
}

// end leaves nothing of the scene.
func (w *scene) end() {
	w.kill()
	_ = os.RemoveAll(w.root)
}

// item is a job that is not in the spool yet.
func (w *scene) item(id string, chosen bool) Item {
	if id == "" {
		id = w.x.NewID()
	}
	if chosen {
		w.ids = append(w.ids, id)
	}
	return Item{Name: Name{Due: Truncate(w.now), Allowed: 3, ID: id}, Data: []byte(content(id)), Reserved: chosen}
}

// job puts one that is acknowledged before the operation begins.
func (w *scene) job(id, to string) Item {
	w.t.Helper()
	it := w.item(id, true)
	mustDo(w.t, w.s.Put(it))
	w.fates[content(id)] = fate{string(Pending), to}
	return it
}

// claim makes the tested process a worker with a claim of the job.
func (w *scene) claim(id, to string) *Claim {
	w.t.Helper()
	it := w.job(id, to)
	w.register()
	c, err := w.lease.Claim(it.Name)
	mustDo(w.t, err)
	w.fates[content(id)] = fate{string(Processing), to}
	return c
}

func (w *scene) register() {
	w.t.Helper()
	var err error
	w.lease, err = w.x.Register(1, "test", time.Minute)
	mustDo(w.t, err)
}

// buried puts a job that is dead before the operation begins, with a record.
func (w *scene) buried(id, to string, end func(*Claim) (Settled, error), from State) Entry {
	w.t.Helper()
	it := w.job(id, to)
	l, err := w.s.Register(1, "test", time.Minute)
	mustDo(w.t, err)
	c, err := l.Claim(it.Name)
	mustDo(w.t, err, w.s.WriteLog(id, 1, "json", []byte("{}")))
	settled, err := end(c)
	mustDo(w.t, err, w.s.SyncSettled(settled), l.Leave())
	w.fates[content(id)] = fate{string(from), to}
	return Entry{Name: settled.Name, State: settled.State, Path: settled.Path}
}

// where lists the paths of the files in the spool that have this content, drops and
// rejected files among them.
func (w *scene) where() map[string][]string {
	w.t.Helper()
	at := map[string][]string{}
	for _, top := range []string{tmpDir, pendingDir, workDir, doneDir, deadDir, rejectedDir} {
		err := filepath.WalkDir(w.dir()+"/"+top, func(p string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(p, whySuffix) {
				return err
			}
			data, err := os.ReadFile(p)
			at[string(data)] = append(at[string(data)], strings.TrimPrefix(p, w.dir()+"/"))
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			w.t.Fatal(err)
		}
	}
	return at
}

// visible are those that are no longer, or not yet, on their way in.
func visible(paths []string) (seen []string) {
	for _, p := range paths {
		if !strings.HasPrefix(p, tmpDir+"/") {
			seen = append(seen, p)
		}
	}
	return seen
}

// conserved is what must hold whenever somebody looks. It returns what does not.
func (w *scene) conserved() (problems []string) {
	w.t.Helper()
	at := w.where()
	if w.edited != "" {
		found, err := w.s.Find(w.edited)
		mustDo(w.t, err)
		if len(found) != 1 {
			problems = append(problems, fmt.Sprintf("the job that is edited is found as %q; there is %q", paths(found), at))
		}
	}
	for c, f := range w.fates {
		n := len(visible(at[c]))
		if f.from == tmpDir && f.to != "" {
			n = len(at[c])
		}
		most := 1
		if w.twice {
			most = 2
		}
		if n > most || n < 1 && f.from != "" && f.to != "" {
			problems = append(problems, fmt.Sprintf("%s: %d times in the spool: %q", c, n, at[c]))
		}
	}
	return problems
}

// truthful is what must hold once the operation has said how it ended.
func (w *scene) truthful(err error) (problems []string) {
	w.t.Helper()
	at := w.where()
	for c, f := range w.fates {
		said := err
		if e, ok := w.each[c]; ok {
			said = e
		}
		seen := visible(at[c])
		switch {
		case said == nil && f.to == "" && len(seen) > 0:
			problems = append(problems, fmt.Sprintf("%s: said to be removed, but it is %q", c, seen))
		case said == nil && f.to != "" && (len(seen) != 1 || !strings.HasPrefix(seen[0], f.to+"/")):
			problems = append(problems, fmt.Sprintf("%s: said to be in %s/, but it is %q", c, f.to, seen))
		case f.from != "" || said == nil:
		case errors.Is(said, ErrUncertain) && w.edited != "": // a worker finishes it, or has
		case errors.Is(said, ErrUncertain) && len(seen) != 1:
			problems = append(problems, fmt.Sprintf("%s: not known to be durable, but it should be there: %q (%v)", c, seen, said))
		case !errors.Is(said, ErrUncertain) && len(seen) != 0:
			problems = append(problems, fmt.Sprintf("%s: said not to be there, but it is %q (%v)", c, seen, said))
		}
	}
	return append(problems, w.conserved()...)
}

// later opens the spool as a process of the next boot does, when everything that was
// left half-done is old.
func (w *scene) later() *Spool {
	w.t.Helper()
	w.now = w.now.Add(100 * time.Hour)
	if w.s == nil {
		s, err := initialise(w.dir(), "", w.real())
		mustDo(w.t, err)
		return s
	}
	s := w.opened(w.real())
	s.host.BootID = "the-next-boot"
	return s
}

// next does what the next worker does before it works.
func (w *scene) next(s *Spool) {
	w.t.Helper()
	_, err := s.Recover()
	mustDo(w.t, err)
	_, err = s.Promote()
	mustDo(w.t, err)
	verdicts, err := s.NewCensus().Look(time.Second, time.Hour)
	mustDo(w.t, err)
	for _, v := range verdicts {
		if !v.Dead {
			w.t.Errorf("worker %s is dead, but it is not found so", v.Worker)
		}
		_, err := s.Reap(v.Worker, lostFate(s.Now()))
		mustDo(w.t, err)
	}
	_, err = s.Sweep(0)
	mustDo(w.t, err)
	_, err = s.SweepIDs()
	mustDo(w.t, err)
	var drops []string
	mustDo(w.t, s.Drops(func(base string) { drops = append(drops, base) }))
	for _, base := range drops {
		eventually(w.t, base+" is judged", func() bool {
			a, err := s.Adopt(base, w.decide)
			mustDo(w.t, err)
			return a.Done
		})
	}
}

// mended has Check repair everything and returns what it cannot.
func (w *scene) mended(s *Spool) (problems []string) {
	w.t.Helper()
	for range 3 {
		_, found := breaches(w.t, s)
		if len(found) == 0 {
			return nil
		}
		problems = nil
		for _, b := range found {
			problems = append(problems, fmt.Sprintf("%s %s: %s", b.Code, b.Path, b.Problem))
			if b.Repair == nil && strings.HasSuffix(b.Path, "/"+stray) {
				problems = problems[:len(problems)-1] // a person's, until a reaper sets it aside
				continue
			}
			if b.Repair == nil {
				return problems
			}
			if err := b.Repair(); err != nil {
				return append(problems, err.Error())
			}
		}
	}
	return problems
}

// settledDown is what must hold when all is cleared up: each content at most once,
// nothing half-done, and each chosen id taken if its job is there and free if not.
func (w *scene) settledDown(s *Spool) (problems []string) {
	w.t.Helper()
	w.twice = false
	problems = w.conserved()
	for _, dir := range []string{tmpDir} {
		if left := files(w.t, s, dir); len(left) > 0 {
			problems = append(problems, fmt.Sprintf("left in %s/: %q", dir, left))
		}
	}
	for _, id := range w.ids {
		found, err := s.Find(id)
		mustDo(w.t, err)
		err = s.Put(Item{Name: Name{Due: aDue, Allowed: 1, ID: id}, Data: []byte(`{"command":"another"}`), Reserved: true})
		free := len(found) == 0 || found[0].Outcome == OutcomeCancelled
		if free && err != nil || !free && !errors.Is(err, ErrDuplicate) {
			problems = append(problems, fmt.Sprintf("id %q is of %q, but a second job is told %v", id, paths(found), err))
		}
	}
	return problems
}
