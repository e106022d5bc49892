package spool

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
)

// limitedScenario has two jobs, of which one may run at a time.
func limitedScenario(name string, network bool, procs ...proc) scenario {
	return scenario{
		name: "a queue with a limit of one: " + name, network: network, procs: procs,
		setup: func(w *world) {
			for i := range 2 {
				w.seed(pendingDir, w.oneOf(i))
			}
			w.makeHour()
			for _, wid := range []string{ownerWID, otherWID} {
				w.enrol(wid)
			}
			if err := os.Mkdir(w.abs("spool/"+ctlDir), 0o700); err != nil {
				panic(err)
			}
			w.write(limitLock, "")
			w.limit = 1
		},
		after: func(w *world) { w.limit = 0 }, // the next worker knows of none
	}
}

func (w *world) oneOf(i int) Name {
	n := w.theJob()
	n.ID = []string{"one", "two"}[i]
	return n
}

// within claims a job if the limit lets it, and ends it.
func within(wid string, i int, how string) proc {
	return proc{name: "owner", run: func(w *world, p *process) {
		w.knowHour(p)
		c, err := w.lease(p, wid).ClaimWithin(w.oneOf(i), 1)
		if err != nil {
			return
		}
		w.tookClaim(p.name, c.Name())
		w.settle(p, c, how)
	}}
}

// In whatever order two workers claim and end their jobs, and a reaper takes one of them for
// dead, and wherever one of them dies or a reply is lost: never more than one has a job.
func TestEveryOrderUnderALimit(t *testing.T) {
	var total count
	for _, network := range []bool{false, true} {
		b := bounds{crash: !network, lost: network, limit: 4000, perPlan: 20}
		for _, sc := range []scenario{
			limitedScenario("two claims", network, within(ownerWID, 0, "done"), within(otherWID, 1, "retry")),
			limitedScenario("two claims and a reaper", network, within(ownerWID, 0, "release"), within(otherWID, 1, "done"), reaper("reaper")),
		} {
			total.add(prove(t, sc, b))
		}
	}
	t.Logf("%d schedules", total.run)

	broken := limitedScenario("without the lock", false, within(ownerWID, 0, "done"), within(otherWID, 1, "done"))
	for i := range broken.procs {
		broken.procs[i].mutate = unlocked
	}
	if _, problem := explore(t, broken, bounds{}); !strings.Contains(problem, "2 jobs run, 1 is the limit") {
		t.Errorf("claims without the lock are not found out: %q", problem)
	}
}

// Many that claim at once are never more than the limit, and as many as it.
func TestClaimWithin(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	const jobs, limit = 12, 3
	var names []Name
	for range jobs {
		it := item(s, s.NewID())
		mustDo(t, s.Put(it))
		names = append(names, it.Name)
	}
	a, b := mustRegister(t, s), mustRegister(t, s)
	var mu sync.Mutex
	var claims []*Claim
	take := func() (full int) {
		var all sync.WaitGroup
		for i, n := range names {
			l := []*Lease{a, b}[i%2]
			all.Go(func() {
				c, err := l.ClaimWithin(n, limit)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					claims = append(claims, c)
				case errors.Is(err, ErrFull):
					full++
				case !errors.Is(err, ErrLost):
					t.Error(err)
				}
			})
		}
		all.Wait()
		return full
	}
	take()
	for range 3 { // who found others claiming had no turn
		take()
	}
	if n, err := s.Running(0); err != nil || n != limit || len(claims) != limit {
		t.Fatalf("%d run, %d were told so, %v; the limit is %d", n, len(claims), err, limit)
	}
	if n, err := s.Running(2); err != nil || n != 2 {
		t.Errorf("counted to 2: %d, %v", n, err)
	}
	_, err := claims[0].Release(s.Now())
	mustDo(t, err)
	names = []Name{nameOf(t, s, claims[0].Name().ID)}
	if full := take(); full != 0 || len(claims) != limit+1 {
		t.Errorf("there is room, and nothing was claimed")
	}
}

// The limit is a number in a file that people write, too: what cannot be read is one that
// nobody can keep, and not none.
func TestLimitFile(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	want := func(when string, limit int, bad bool) {
		t.Helper()
		if n, err := s.Limit(); n != limit || errors.Is(err, ErrBadLimit) != bad || !bad && err != nil {
			t.Errorf("%s: %d, %v", when, n, err)
		}
	}
	want("at first", 0, false)
	for _, n := range []int{1, 7, MaxLimit} {
		mustDo(t, s.SetLimit(n))
		want("set", n, false)
	}
	for _, n := range []int{-1, MaxLimit + 1} {
		if s.SetLimit(n) == nil {
			t.Errorf("%d was taken", n)
		}
		want("refused", MaxLimit, false)
	}
	mustDo(t, s.SetLimit(0))
	mustDo(t, s.SetLimit(0))
	want("taken away", 0, false)
	for _, c := range []struct {
		data  string
		limit int
	}{{"3", 3}, {" 3 \n\n", 3}, {"", 0}, {"0", 0}, {"-1", 0}, {"three", 0}, {"3 4", 0}, {"1000001", 0}, {strings.Repeat("1", 100), 0}} {
		mustDo(t, os.WriteFile(s.abs(limitFile), []byte(c.data), 0o600))
		want("by hand: "+c.data, c.limit, c.limit == 0)
	}
	mustDo(t, os.Remove(s.abs(limitFile)))
	mustDo(t, os.Symlink("/etc/hostname", s.abs(limitFile)))
	want("a link", 0, true)
	mustDo(t, os.Remove(s.abs(limitFile)))
	mustDo(t, os.Mkdir(s.abs(limitFile), 0o700))
	want("a directory", 0, true)
	if s.SetLimit(0) == nil {
		t.Error("a directory in its place was removed")
	}
}
