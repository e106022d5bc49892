package spool

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"testing"
	"time"
)

func always(n int) func(Entry) (int, error) { return func(Entry) (int, error) { return n, nil } }

// putArray puts n elements, the first ones with a turn. They are put the last one first:
// the order of turns is that of the indices.
func putArray(t *testing.T, s *Spool, n, turns int) (names []Name) {
	t.Helper()
	for i := n - 1; i >= 0; i-- {
		it := item(s, ElementID("array", i))
		it.Name.Turn, it.Name.Queued = i < turns, i >= turns
		mustDo(t, s.Put(it))
		names = append(names, it.Name)
	}
	slices.Reverse(names)
	return names
}

// underWay lists the elements that have a turn.
func underWay(t *testing.T, s *Spool) (ids []string) {
	t.Helper()
	for _, e := range all(t, s) {
		if e.Turn {
			ids = append(ids, e.Name.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

func wantUnderWay(t *testing.T, s *Spool, when string, want ...string) {
	t.Helper()
	if have := underWay(t, s); !slices.Equal(have, want) {
		t.Errorf("%s: under way are %q, want %q", when, have, want)
	}
}

func TestElementID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id, array string
		index     int
		ok        bool
	}{
		{"a-0", "a", 0, true},
		{"a-b-17", "a-b", 17, true},
		{"a-2147483647", "a", MaxIndex, true},
		{"a-2147483648", "", 0, false},
		{"a-01", "", 0, false},
		{"a--1", "a-", 1, true},
		{"-1", "", 0, false},
		{"a-", "", 0, false},
		{"a", "", 0, false},
		{"a-x", "", 0, false},
	} {
		array, index, ok := SplitElement(c.id)
		if ok != c.ok || ok && (array != c.array || index != c.index || ElementID(array, index) != c.id) {
			t.Errorf("%q: %q, %d, %v", c.id, array, index, ok)
		}
	}
	for _, name := range []string{"20261123T084718123Z.p0.a0-4q.a.json", "20261123T084718123Z.p0.a0-4t.a-01.json", "20261123T084718123Z.p0.a0-4qt.a-1.json", "20261123T084718123Z.p0.a0-4qh.a-1.json"} {
		if n, err := ParseName(name); err == nil {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// What waits for its array is not claimed, and does not keep others from it.
func TestQueuedElementIsNotClaimed(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	names := putArray(t, s, 2, 1)
	l := mustRegister(t, s)
	if _, err := l.Claim(names[1]); !errors.Is(err, ErrUnclaimable) {
		t.Errorf("the claim of an element that waits: %v", err)
	}
	var r Ready
	for _, n := range names {
		r.Add(n, s.Now())
	}
	if n, ok := r.Next(s.Now().Add(time.Hour)); !ok || n != names[0] {
		t.Errorf("the next is %v", n)
	}
	if n, ok := r.Next(s.Now().Add(time.Hour)); ok {
		t.Errorf("then %v", n)
	}
}

// Whatever ends an element for good passes its turn on, lowest index first; what only
// puts it back does not.
func TestTurnIsPassedOn(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	names := putArray(t, s, 12, 2)
	l := mustRegister(t, s)
	take := func(n Name) *Claim {
		c, err := l.Claim(n)
		mustDo(t, err)
		return c
	}
	settled, err := take(names[1]).Done(Ending{Outcome: "done"})
	mustDo(t, err)
	if settled.Name.Turn || settled.Next.ID != "array-2" || !settled.Next.Turn {
		t.Errorf("%+v", settled)
	}
	wantUnderWay(t, s, "one is done", "array-0", "array-2")

	settled, err = take(names[0]).Retry(s.Now())
	mustDo(t, err)
	if settled.Next.ID != "" {
		t.Errorf("a retry has passed its turn on: %+v", settled)
	}
	wantUnderWay(t, s, "one is tried again", "array-0", "array-2")
	again, err := take(settled.Name).Bury(Ending{Outcome: "failed"})
	mustDo(t, err)
	wantUnderWay(t, s, "it is dead", "array-2", "array-3")

	_, err = take(nameOf(t, s, "array-2")).Reject("no job")
	mustDo(t, err)
	wantUnderWay(t, s, "one is no job", "array-3", "array-4")

	// A dead letter that comes back waits again, and before those behind it.
	e := Entry{Name: again.Name, State: Dead, Path: again.Path}
	e.Name.Queued = true
	_, err = s.Revive(e, 3)
	mustDo(t, err)
	wantUnderWay(t, s, "it is tried once more", "array-3", "array-4")
	given, waiting, err := s.ShareTurns(always(3))
	if err != nil || !waiting || len(given) != 1 || given[0].Name.ID != "array-0" {
		t.Errorf("%+v, %v, %v", given, waiting, err)
	}
}

// nameOf is the present name of a job.
func nameOf(t *testing.T, s *Spool, id string) Name {
	t.Helper()
	found, err := s.Find(id)
	mustDo(t, err)
	if len(found) != 1 {
		t.Fatalf("%s is at %v", id, paths(found))
	}
	return found[0].Name
}

// Two processes that both remember who is next do not pass two turns to one element, nor
// one to two.
func TestTwoProcessesPassTurnsOn(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	names := putArray(t, s, 30, 3)
	ready := names[:3]
	spools := []*Spool{s, reopen(t, s)}
	leases := []*Lease{mustRegister(t, spools[0]), mustRegister(t, spools[1])}
	for n := 0; len(ready) > 0; n++ {
		c, err := leases[n%2].Claim(ready[0])
		mustDo(t, err)
		settled, err := c.Done(Ending{Outcome: "done"})
		mustDo(t, err)
		if ready = ready[1:]; settled.Next.ID != "" {
			ready = append(ready, settled.Next)
		}
		if have := len(underWay(t, s)); have != min(3, 29-n) {
			t.Fatalf("after %d: %d are under way", n+1, have)
		}
	}
	if e := all(t, s); len(e) != 30 || e[0].State != Done {
		t.Errorf("%v", paths(e))
	}
}

// A count finds the turns that are missing, of each array by itself, and gives none to an
// element that a person holds.
func TestTurnsThatWereLost(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	putArray(t, s, 6, 1)
	for i, n := range []Name{{Turn: true}, {Queued: true, Held: true}, {Queued: true}, {Queued: true}} {
		n.Due, n.Allowed, n.ID = Truncate(s.Now().Add(5*time.Hour)), 1, ElementID("later", i)
		mustDo(t, s.Put(Item{Name: n, Data: []byte("{}"), Reserved: true}))
	}
	limits := map[string]int{"array": 3, "later": 2}
	limit := func(e Entry) (int, error) {
		array, _, _ := SplitElement(e.Name.ID)
		return limits[array], nil
	}
	given, waiting, err := s.ShareTurns(limit)
	if err != nil || !waiting || len(given) != 3 {
		t.Errorf("%v, %v, %v", paths(given), waiting, err)
	}
	want := []string{"array-0", "array-1", "array-2", "later-0", "later-2"}
	wantUnderWay(t, s, "counted", want...)
	given, _, err = s.ShareTurns(limit)
	if err != nil || len(given) != 0 {
		t.Errorf("a second count: %v, %v", paths(given), err)
	}
	// One whose document cannot be read holds up nobody else.
	limits["array"] = 4
	_, _, err = s.ShareTurns(func(e Entry) (int, error) {
		if n, _ := limit(e); n != 2 {
			return n, nil
		}
		return 0, errors.New("unreadable")
	})
	mustDo(t, err)
	wantUnderWay(t, s, "one more", "array-0", "array-1", "array-2", "array-3", "later-0", "later-2")
	if named, _ := breaches(t, s); len(named) > 0 {
		t.Errorf("%q", named)
	}
}

// A turn whose owner died between the end of its element and the next rename is found.
func TestTurnIsNotLostWithItsOwner(t *testing.T) {
	t.Parallel()
	dir := exploreDir(t)
	op := operation{"", false, element(func(c *Claim, _ *scene) (Settled, error) { return c.Done(Ending{Outcome: "done"}) }, Done)}
	lost := 0
	for k := 1; ; k++ {
		w := newScene(t, fmt.Sprintf("%s/turn-%d", dir, k), op)
		calls := 0
		w.hook = func(call) fault {
			if calls++; calls >= k {
				panic(crashed)
			}
			return fault{}
		}
		died := survive(func() { _ = w.op() })
		w.kill()
		s := w.opened(w.real())
		before := underWay(t, s)
		if len(before) > 1 {
			t.Errorf("stopped before call %d: %q are under way", k, before)
		}
		if len(before) == 0 {
			lost++
		}
		_, _, err := s.ShareTurns(always(1))
		mustDo(t, err)
		if have := underWay(t, s); len(have) != 1 {
			t.Errorf("stopped before call %d: %q are under way after a count", k, have)
		}
		w.end()
		if !died {
			break
		}
	}
	if lost == 0 {
		t.Error("no crash has lost a turn: the test tests nothing")
	}
}

// arrayScenario has elements 0 and 1 of four under way.
func arrayScenario(name string, procs ...proc) scenario {
	const limit = 2
	return scenario{
		name: "an array with two turns: " + name, procs: procs,
		setup: func(w *world) {
			for i := range 4 {
				w.seed(pendingDir, w.elementOf(i))
			}
			w.makeHour()
			for _, wid := range []string{ownerWID, otherWID} {
				w.enrol(wid)
			}
			w.turns = limit
		},
		after: func(w *world) {
			// The next count makes all turns good.
			s := w.open(realOps(), 22)
			if _, _, err := s.ShareTurns(always(limit)); err != nil {
				w.fail("the next count: %v", err)
			}
			w.look()
			turns, left := 0, 0
			for p := range w.present {
				if n, err := ParseName(path.Base(p)); err == nil && n.Outcome == "" {
					left++
					if n.Turn {
						turns++
					}
				}
			}
			if turns != min(limit, left) {
				w.fail("%d of %d elements are under way after the last count", turns, left)
			}
		},
	}
}

func (w *world) elementOf(i int) Name {
	n := w.theJob()
	n.ID, n.Turn, n.Queued = ElementID("array", i), i < 2, i >= 2
	return n
}

func elementOwner(wid string, i int, how string) proc {
	return proc{name: "owner", run: func(w *world, p *process) {
		w.knowHour(p)
		if c := w.claim(p, w.lease(p, wid), w.elementOf(i)); c != nil {
			w.settle(p, c, how)
		}
	}}
}

func sharer(limit int) proc {
	return proc{name: "sharer", run: func(w *world, p *process) {
		if _, _, err := p.ShareTurns(always(limit)); err != nil && w.plan == (plan{}) {
			w.fail("the count: %v", err)
		}
	}}
}

// In whatever order two owners end their elements, a reaper takes one for dead and a
// count looks for turns, and wherever one of them dies: never more than the limit are
// under way, and the next count finds each turn that was lost.
func TestEveryOrderOfTurns(t *testing.T) {
	b := bounds{crash: true, limit: 4000, perPlan: 60}
	var total count
	for _, sc := range []scenario{
		arrayScenario("two ends", elementOwner(ownerWID, 0, "done"), elementOwner(otherWID, 1, "bury")),
		arrayScenario("an end and a count", elementOwner(ownerWID, 0, "done"), sharer(2)),
		arrayScenario("a retry and a count", elementOwner(ownerWID, 0, "retry"), sharer(2)),
		arrayScenario("an end, a reaper and a count", elementOwner(ownerWID, 0, "done"), reaper("reaper"), sharer(2)),
		arrayScenario("two counts and an end", sharer(2), elementOwner(otherWID, 1, "done"), sharer(2)),
	} {
		total.add(prove(t, sc, b))
	}
	t.Logf("%d schedules", total.run)
}
