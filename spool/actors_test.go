package spool

import (
	"errors"
	"os"
	"path"
	"strings"
	"time"
)

// This file has the processes of the explored scenarios: what each does, and what it
// is told held against what was done.

// lease is what Register makes, without its file, which does not matter to claims.
func (w *world) lease(p *process, wid string) *Lease {
	l := w.leases[p.Spool]
	if l == nil {
		l = &Lease{s: p.Spool, holder: Holder{Worker: wid}}
		w.leases[p.Spool] = l
	}
	return l
}

// enrol makes a worker's directory and its registry entry.
func (w *world) enrol(wid string) {
	if err := os.Mkdir(w.abs("spool/"+claimsDir(wid)), 0o700); err != nil {
		panic(err)
	}
	if err := os.WriteFile(w.abs("spool/"+workerPath(wid)), []byte("{}"), 0o600); err != nil {
		panic(err)
	}
}

// claim claims and holds what the caller is told against what was done.
func (w *world) claim(p *process, l *Lease, n Name) *Claim {
	c, err := l.Claim(n)
	if err == nil {
		if !p.moved(pendingDir+"/"+n.String(), c.path()) {
			w.fail("%s was told that it has claimed %s and has not", p.name, n)
		}
		w.tookClaim(p.name, c.Name())
		return c
	}
	to := n
	to.Attempt++
	to.Allowed = max(to.Allowed, to.Attempt)
	mine := claimsDir(l.Worker()) + "/" + to.String()
	if errors.Is(err, ErrLost) && p.moved(pendingDir+"/"+n.String(), mine) && w.has(mine) {
		w.fail("%s was told that its claim of %s is lost, and it lies there", p.name, n)
	}
	return nil
}

// settle ends a claim as a worker does: until it is done or lost.
func (w *world) settle(p *process, c *Claim, how string) {
	from := c.path()
	for range 3 {
		var s Settled
		var err error
		due := w.t0.Add(-time.Second)
		switch how {
		case "done":
			s, err = c.Done(Ending{Outcome: "done"})
		case "bury":
			s, err = c.Bury(Ending{Outcome: "failed"})
		case "retry":
			s, err = c.Retry(due)
		case "retry later":
			s, err = c.Retry(w.t0.Add(61 * time.Minute))
		case "release":
			s, err = c.Release(due)
		default:
			panic(how)
		}
		to, did := "", false
		for done := range p.executed {
			if done.op == "rename" && done.path == "spool/"+w.alias(from) {
				to, did = strings.TrimPrefix(done.to, "spool/"), true
			}
		}
		switch {
		case err == nil && (!did || to != w.alias(s.Path)):
			w.fail("%s was told that %s of %s is done, and it is not", p.name, how, from)
		case err == nil:
			if other, twice := w.ended[key(c.Name())]; twice {
				w.fail("attempt %s was ended by %s and by %s", key(c.Name()), other, p.name)
			}
			w.ended[key(c.Name())] = p.name
		case did && (w.has(to) || how == "done" || how == "bury"):
			w.fail("%s was told that %s of %s failed (%v), and it did not", p.name, how, from, err)
		case did:
			// The job has gone on from where this settlement put it, before it could be
			// seen there. Nobody is misled: the record of the attempt was written before.
			w.movedOn++
		}
		if err == nil || errors.Is(err, ErrLost) {
			return
		}
	}
}

// seed puts a job into a state before the schedule begins.
func (w *world) seed(dir string, n Name) Name {
	w.write(dir+"/"+n.String(), `{"command":"true"}`)
	w.bind(n.ID, dir+"/"+n.String())
	w.least[n.ID] = 1
	return n
}

func (w *world) bind(id, rel string) {
	ref := idsDir + "/" + bucket(id)
	if err := os.MkdirAll(w.abs("spool/"+ref), 0o700); err != nil {
		panic(err)
	}
	if err := os.Link(w.abs("spool/"+rel), w.abs("spool/"+ref+"/"+id+suffix)); err != nil {
		panic(err)
	}
}

func (w *world) write(rel, data string) {
	if err := os.MkdirAll(path.Dir(w.abs("spool/"+rel)), 0o700); err != nil {
		panic(err)
	}
	if err := os.WriteFile(w.abs("spool/"+rel), []byte(data), 0o600); err != nil {
		panic(err)
	}
}

// theJob waits at the start of most scenarios.
func (w *world) theJob() Name {
	return Name{Due: Truncate(w.t0.Add(-time.Minute)), Allowed: 3, ID: "job"}
}

// Workers of the scenarios.
var ownerWID, otherWID = fakeWID(1), fakeWID(3)

// knowHour spares a process the making of the present hour's directory, which has
// scenarios of its own.
func (w *world) knowHour(p *process) { p.hours.Store(doneHour(p.Now(), 0), true) }

func (w *world) makeHour() {
	if err := os.MkdirAll(w.abs("spool/"+doneHour(w.t0, 0)), 0o700); err != nil {
		panic(err)
	}
}

// owner claims the job that is there at the start, and ends it.
func owner(how string) proc {
	return proc{name: "owner", run: func(w *world, p *process) {
		w.knowHour(p)
		if c := w.claim(p, w.lease(p, ownerWID), w.theJob()); c != nil {
			w.settle(p, c, how)
		}
	}}
}

// reaper takes the owner for dead. If that fails half-way it tries again.
func reaper(name string) proc {
	return proc{name: name, run: func(_ *world, p *process) {
		for range 2 {
			if _, err := p.Reap(ownerWID, lostFate(p.Now())); err == nil {
				return
			}
		}
	}}
}

// second looks for work a number of times, and ends what it finds.
func second(wid string, looks int, how string) proc {
	return proc{name: "second", run: func(w *world, p *process) {
		w.knowHour(p)
		l := w.lease(p, wid)
		for range looks {
			var names []Name
			if err := p.Waiting(func(n Name) { names = append(names, n) }, func(string) {}); err != nil {
				continue
			}
			for _, n := range names {
				if c := w.claim(p, l, n); c != nil {
					w.settle(p, c, how)
				}
			}
		}
	}}
}

// putter puts a job and holds the answer against what was done.
func putter(name, id string, reserved bool, ahead time.Duration) proc {
	return proc{name: name, run: func(w *world, p *process) {
		n := Name{Due: Truncate(p.Now().Add(ahead)), Allowed: 3, ID: id}
		if ahead <= 0 {
			n.Due = n.Due.Add(-time.Duration(p.id) * time.Second) // two putters' names differ
		}
		err := p.Put(Item{Name: n, Data: []byte(name), Reserved: reserved})
		published := false
		for c := range p.executed {
			published = published || c.op == "rename" && strings.HasPrefix(c.path, "spool/"+tmpDir)
		}
		switch {
		case err == nil && !published:
			w.fail("%s was told that its job is in the spool, and it is not", name)
		case err == nil:
			w.least[id]++
			w.acked++
			w.judge(w.present)
		case !errors.Is(err, ErrUncertain) && published:
			w.fail("%s was told that its job is not in the spool (%v), and it is", name, err)
		case w.plan == plan{} && !errors.Is(err, ErrDuplicate):
			w.fail("%s could not put its job, although nothing was in its way: %v", name, err)
		}
	}}
}

// adopter takes a drop in, as a job under the given id or under its stem.
func adopter(name, base, id string) proc {
	return proc{name: name, run: func(w *world, p *process) {
		a, err := p.Adopt(base, adoptAs(p.Spool, id))
		switch {
		case a.Rejected != "":
			w.fail("%s rejected the drop: %s", name, a.Rejected)
		case a.Done && err == nil:
			w.acked++
		}
	}}
}

// producer drops another file under a name as soon as that is free, by link(2).
func producer(base, id string) proc {
	return proc{name: "producer", run: func(w *world, p *process) {
		w.write(tmpDir+"/next", `{"command":"next"}`)
		if p.ops.link(p.abs(tmpDir+"/next"), p.abs(DropPath(base))) == nil {
			w.final[id] = 1
		}
		_ = os.Remove(w.abs("spool/" + tmpDir + "/next"))
	}}
}

func promoter(name string) proc {
	return proc{name: name, run: func(w *world, p *process) {
		if _, err := p.Promote(); err != nil && w.plan == (plan{}) {
			w.fail("%s: %v", name, err)
		}
	}}
}

// remover deletes a done job, whose removal its user has asked for.
func remover(n func(w *world) Name) proc {
	return proc{name: "remover", run: func(w *world, p *process) {
		name := n(w)
		err := p.Remove(Entry{Name: name, State: Done, Path: doneHour(w.t0, 0) + "/" + name.String()})
		if err != nil && w.plan == (plan{}) {
			w.fail("the removal: %v", err)
		}
	}}
}
