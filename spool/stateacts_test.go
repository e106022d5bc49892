package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// The actions of the machine in state_test.go.

func (w *machine) newJob(id string) *sample {
	w.serial++
	j := &sample{id: id}
	w.jobs[fmt.Sprintf(`{"command":"true","n":%d}`, w.serial)] = j
	return j
}

func (w *machine) holder(id string) bool {
	for _, found := range w.states() {
		if found[0].name.ID == id {
			return true
		}
	}
	return false
}

func (w *machine) put(p *player) {
	chosen := rapid.Bool().Draw(w.t, "chosen")
	id := fmt.Sprintf("c%d", w.pick(4, "id"))
	if !chosen {
		id = fmt.Sprintf("g%d", w.serial)
	}
	due := p.s.Now().Add(rapid.SampledFrom([]time.Duration{0, 0, time.Minute, 3 * time.Hour}).Draw(w.t, "due"))
	held := w.holder(id)
	j := w.newJob(id)
	data := fmt.Sprintf(`{"command":"true","n":%d}`, w.serial)
	err := p.s.Put(Item{Name: Name{Due: Truncate(due), Allowed: 2, ID: id}, Data: []byte(data), Reserved: chosen})
	switch {
	case err == nil:
		j.acked = true
		if held && chosen && w.depth == 0 && !w.faulty && w.holder(id) && len(w.states()[data]) == 0 {
			w.fail("I7: a second job %s was taken", id)
		}
		w.check(false)
	case errors.Is(err, ErrUncertain):
	case len(w.states()[data]) > 0:
		w.fail("put said %v, but the job is there", err)
	}
}

func (w *machine) drop(p *player) {
	id := fmt.Sprintf("d%d", w.serial)
	w.newJob(id)
	f, err := w.fs.ops().create(p.s.abs(DropPath(id+suffix)), 0o600)
	if err != nil {
		w.fail("drop: %v", err)
	}
	_, _ = fmt.Fprintf(f, `{"command":"true","n":%d}`, w.serial)
	_ = f.Close()
}

func (w *machine) adopt(p *player) {
	_ = p.s.Drops(func(base string) {
		_, _ = p.s.Adopt(base, func(d Drop) Adoption {
			return Adoption{Name: Name{Due: Truncate(p.s.Now()), Allowed: 2, ID: d.Stem()}}
		})
	})
}

func (w *machine) claim(p *player) {
	if p.l == nil || p.l.Lost() {
		l, err := p.s.Register(1, "test", time.Minute)
		if err != nil {
			return
		}
		p.l, p.reaped, p.claims = l, false, nil
	}
	var ready []Name
	seen := map[string]int{}
	_ = p.s.Waiting(func(n Name) {
		if !n.Due.After(p.s.Now()) {
			ready = append(ready, n)
		}
		seen[n.ID]++
	}, func(string) {})
	if len(ready) == 0 {
		return
	}
	slices.SortFunc(ready, func(a, b Name) int { return strings.Compare(a.String(), b.String()) })
	n := ready[w.pick(len(ready), "job")]
	c, err := p.l.Claim(n)
	if err != nil {
		return
	}
	content, err := c.Read()
	if err != nil {
		return // another reaped it at once
	}
	data := string(content.Data)
	j := w.jobs[data]
	if j == nil {
		w.fail("I6: a job with the content %q is run", data)
	}
	if j.done && !j.removed {
		w.fail("I5: %s runs again after it was durably done", c.Name())
	}
	w.steps["run"]++
	p.claims = append(p.claims, &held{Claim: c, data: data})
}

func (w *machine) settle(p *player) {
	if len(p.claims) == 0 {
		return
	}
	i := w.pick(len(p.claims), "claim")
	h := p.claims[i]
	before := outline(w.fs.ops(), w.fs.base+"/spool/processing", "")
	depth, in := w.depth, w.steps["in between"]
	var settled Settled
	var err error
	how := []string{"done", "done", "retry", "bury", "release", "lose"}[w.pick(6, "how")]
	switch how {
	case "done":
		settled, err = h.Done(Ending{Outcome: "done"})
	case "bury":
		settled, err = h.Bury(Ending{Outcome: "failed"})
	case "retry":
		settled, err = h.Retry(p.s.Now().Add(rapid.SampledFrom([]time.Duration{0, 2 * time.Hour}).Draw(w.t, "backoff")))
	case "lose":
		settled, err = h.Lose(p.s.Now())
	default:
		settled, err = h.Release(p.s.Now())
	}
	if err != nil && !errors.Is(err, ErrLost) {
		h.tried = true
		return
	}
	p.claims = slices.Delete(p.claims, i, i+1)
	if err != nil {
		if after := outline(w.fs.ops(), w.fs.base+"/spool/processing", ""); depth == 0 && in == w.steps["in between"] && !w.faulty && !slices.Equal(before, after) {
			w.fail("I3: a refused settlement changed %q to %q", before, after)
		}
		if !p.reaped && !h.tried && !w.faulty {
			w.fail("I3: the settlement of a living worker was refused: %v", err)
		}
		w.steps["refused"]++
		return
	}
	if how != "done" && how != "bury" {
		return
	}
	if err := p.s.SyncSettled(settled); err == nil && how == "done" {
		w.jobs[h.data].done = true
	}
}

// reap takes a crashed worker's claims away; on a network, also a living one's, which
// the observer takes for dead.
func (w *machine) reap(p *player) {
	victims := slices.Clone(w.dead)
	if w.kind == server {
		for _, q := range w.procs {
			if q.l != nil && !q.reaped {
				victims = append(victims, q.l.Worker())
			}
		}
	}
	if len(victims) == 0 {
		return
	}
	wid := victims[w.pick(len(victims), "victim")]
	for _, q := range w.procs {
		if q.l != nil && q.l.Worker() == wid {
			q.reaped = true
		}
	}
	_, err := p.s.Reap(wid, func(n Name) Fate {
		n.Due, n.Allowed, n.Lost = Truncate(p.s.Now()), n.Allowed+1, n.Lost+1
		if n.Lost > 2 {
			n.Outcome = "lost"
			return Fate{Dead: true, Name: n}
		}
		return Fate{Name: n}
	})
	if err == nil {
		w.dead = slices.DeleteFunc(w.dead, func(d string) bool { return d == wid })
	}
}

// one is a job of the given states, as a scan sees it.
func (w *machine) one(p *player, states ...State) (Entry, string, bool) {
	var all []Entry
	_ = p.s.Each(func(e Entry) error { all = append(all, e); return nil }, states...)
	if len(all) == 0 {
		return Entry{}, "", false
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	e := all[w.pick(len(all), "entry")]
	n, err := w.fs.get(p.s.abs(e.Path))
	if err != nil {
		return e, "", false
	}
	return e, string(n.data), true
}

func (w *machine) revive(p *player) {
	if e, _, ok := w.one(p, Dead); ok {
		_, _ = p.s.Revive(e, 2)
	}
}

func (w *machine) remove(p *player) {
	e, data, ok := w.one(p, Pending, Done, Dead)
	if !ok {
		return
	}
	j := w.jobs[data]
	was := j.removed
	j.removed = true // from now on it may be gone
	err := p.s.Remove(e)
	if err != nil && (len(w.states()[data]) > 0 || e.Editing()) {
		j.removed = was
	}
}

// change makes one of the changes that are one rename of a job that waits.
func (w *machine) change(p *player) {
	e, _, ok := w.one(p, Pending)
	if !ok {
		return
	}
	switch w.pick(4, "change") {
	case 0:
		_, _ = p.s.Hold(e)
	case 1:
		_, _ = p.s.Release(e)
	case 2:
		due := p.s.Now().Add(rapid.SampledFrom([]time.Duration{0, 3 * time.Hour}).Draw(w.t, "due"))
		_, _ = p.s.Reschedule(e, rapid.IntRange(-1, 1).Draw(w.t, "priority"), due)
	default:
		_, _ = p.s.RunNow(e)
	}
}

// edit gives a job that waits another document.
func (w *machine) edit(p *player) {
	e, data, ok := w.one(p, Pending)
	if !ok {
		return
	}
	next := w.newJob(e.Name.ID)
	document := fmt.Sprintf(`{"command":"true","n":%d}`, w.serial)
	old := w.jobs[data]
	old.successors = append(old.successors, document)
	_, err := p.s.Edit(e, e.Name, []byte(document))
	switch {
	case err == nil:
		next.acked, old.replaced = true, true
		w.steps["edited"]++
	case !errors.Is(err, ErrUncertain):
		next.refused = true
	}
	w.check(false)
}

func (w *machine) promote(p *player) {
	if _, err := p.s.Promote(); err != nil && !w.faulty && !errors.Is(err, fs.ErrNotExist) {
		w.fail("promote: %v", err)
	}
}

func (w *machine) sweep(p *player) { _, _ = p.s.Sweep(time.Minute) }

func (w *machine) beat(p *player) {
	if p.l == nil {
		return
	}
	between := w.steps["in between"]
	err := p.l.Beat()
	if errors.Is(err, ErrLost) && !p.reaped && !w.faulty {
		w.fail("I9: a living worker was told that it is dead")
	}
	// A call that takes a minute tells the time only to half a minute.
	if off := p.s.Now().Sub(w.time).Abs(); err == nil && p.s.network && between == w.steps["in between"] && off > time.Second {
		w.fail("after a heartbeat the spool's time is off by %s", off)
	}
}

// pass lets time pass, or on a network steps the clock of one host.
func (w *machine) pass(p *player) {
	if w.kind == server && rapid.Bool().Draw(w.t, "step") {
		w.skew[p.host] += time.Duration(rapid.IntRange(-5, 5).Draw(w.t, "hours")) * time.Hour
		return
	}
	w.time = w.time.Add(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 10 * time.Second, time.Minute, 2 * time.Hour}).Draw(w.t, "time"))
}
