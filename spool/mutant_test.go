package spool

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMutantsAreCaught breaks the protocol in one place at a time and demands that the
// exploration finds out. A proof that cannot fail proves nothing.
func TestMutantsAreCaught(t *testing.T) {
	find := func(name string, network bool) scenario {
		for _, sc := range scenarios(network) {
			if sc.name == name {
				return sc
			}
		}
		t.Fatalf("no scenario %q", name)
		return scenario{}
	}
	mutate := func(sc scenario, m func(ops) ops) scenario {
		for i := range sc.procs {
			sc.procs[i].mutate = m
		}
		return sc
	}
	trusting := ownerScenario("done", 1, true)
	believe := trusting.procs[0].run
	trusting.procs[0].run = func(w *world, p *process) { p.network = false; believe(w, p) }

	counting := mutate(find("two slots of a worker that is taken for dead", false), sameNames)
	counting.alias = sameName

	// Who gives up goes first, so that the first schedule finds it.
	impatient := scenario{name: "who finishes an edit, and its editor that wakes up", setup: abandoned(1), procs: []proc{recoverer("recoverer"), waker()}}
	impatient.procs[0].mutate = leaveBind
	unexclusive := edits(false)[0]
	unexclusive.procs[0].mutate = linkThenUnlink

	for _, m := range []struct {
		name string
		sc   scenario
		b    bounds
		says string
	}{
		{"a settlement whose lost reply is not verified", trusting, bounds{lost: true}, "was told that"},
		{"names that do not count the attempts", counting, bounds{}, "was given to"},
		{"a reaper that removes what is left", mutate(ownerScenario("done", 1, false), removeAll), bounds{}, "is lost"},
		{"a transition in two steps", mutate(ownerScenario("done", 1, false), linkThenUnlink), bounds{}, "has 2 names"},
		{"a transition that rewrites the file", mutate(ownerScenario("retry", 1, false), rewrite), bounds{}, "has 2 names|is lost"},
		{"a settlement that does not mind who has the claim", mutate(ownerScenario("done", 1, false), careless), bounds{}, "was told that"},
		{"bindings freed without the lock", mutate(find("two putters of one id, a stale reservation", false), unlocked), bounds{}, "has 2 names"},
		{"an id that is looked for and then taken", mutate(find("two putters of one id, nothing there", false), lookThenTake), bounds{}, "has 2 names|told that the id is theirs"},
		{"who gives an edit up and leaves its editor the means to go on", impatient, bounds{}, "has replaced the document, and it has not"},
		{"an edit that does not take the job out by one rename", unexclusive, bounds{}, "has 2 names"},
	} {
		t.Run(m.name, func(t *testing.T) {
			c, problem := explore(t, m.sc, m.b)
			if problem == "" {
				t.Fatalf("%d schedules under %d plans have not caught it", c.run, c.plans)
			}
			first, _, _ := strings.Cut(problem, "\n")
			if !regexp.MustCompile(m.says).MatchString(first) {
				t.Fatalf("caught, but not for what it is: %s", problem)
			}
			t.Logf("caught by schedule %d: %s", c.run, first)
		})
	}
}

// attempts is where a name counts.
var attempts = regexp.MustCompile(`\.a\d+-\d+(x\d+)?([.=])`)

func sameName(p string) string { return attempts.ReplaceAllString(p, ".a0-3$2") }

// sameNames makes a spool whose names do not count.
func sameNames(o ops) ops {
	same := sameName
	rename, names := o.rename, o.names
	o.rename = func(from, to string) error { return rename(same(from), same(to)) }
	o.names = func(dir string, visit func(string) error) error {
		return names(dir, func(name string) error { return visit(same(name)) })
	}
	return o
}

func removeAll(o ops) ops {
	rmdir := o.rmdir
	o.rmdir = func(dir string) error {
		if err := rmdir(dir); err == nil || !isNotEmpty(err) {
			return err
		}
		_ = o.names(dir, func(name string) error { return o.unlink(dir + "/" + name) })
		return rmdir(dir)
	}
	return o
}

func linkThenUnlink(o ops) ops {
	o.rename = func(from, to string) error {
		if err := o.link(from, to); err != nil {
			return err
		}
		return o.unlink(from)
	}
	return o
}

// rewrite is what most queues do: the new state is written, then the old one removed.
func rewrite(o ops) ops {
	o.rename = func(from, to string) error {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		f, err := o.create(to, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
		if err := o.unlink(from); err != nil {
			return nil // somebody was faster, and the new state is written all the same
		}
		return nil
	}
	return o
}

func careless(o ops) ops {
	rename := o.rename
	o.rename = func(from, to string) error {
		err := rename(from, to)
		if os.IsNotExist(err) && strings.Contains(from, "/"+workDir+"/") {
			return nil
		}
		return err
	}
	return o
}

// leaveBind does not take away what an editor binds the id with.
func leaveBind(o ops) ops {
	unlink := o.unlink
	o.unlink = func(p string) error {
		if strings.HasSuffix(p, "/"+bindFile) {
			return nil
		}
		return unlink(p)
	}
	return o
}

type unlockedFile struct{ file }

func (unlockedFile) lock(bool, time.Duration) error { return nil }

func unlocked(o ops) ops {
	update := o.update
	o.update = func(path string, perm fs.FileMode) (file, error) {
		f, err := update(path, perm)
		return unlockedFile{f}, err
	}
	return o
}

// lookThenTake replaces link(2), which refuses a name that is taken, by a look and a
// rename, which does not.
func lookThenTake(o ops) ops {
	link, unlink := o.link, o.unlink
	o.link = func(from, to string) error {
		if _, err := o.look(to[:strings.LastIndexByte(to, '/')], to[strings.LastIndexByte(to, '/')+1:]); err == nil {
			return link(from, to) // says what is the matter
		}
		if err := link(from, to); err != nil {
			_ = unlink(to)
			return link(from, to)
		}
		return nil
	}
	return o
}
