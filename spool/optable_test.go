package spool

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"
)

// inOrder ends the names of operations on a file system that keeps the order of changes.
const inOrder = ", in order"

// operations are all that change a spool.
func operations() []operation {
	all := append(append(putting(), working()...), keeping()...)
	for _, op := range putting() {
		if strings.HasPrefix(op.name, "Put") {
			op.name += inOrder
			all = append(all, op)
		}
	}
	return all
}

func settling(end func(c *Claim, w *scene) (Settled, error), to State) func(*scene) {
	return func(w *scene) {
		c := w.claim("job-1", string(to))
		settle := func() error {
			settled, err := end(c, w)
			if err == nil {
				w.settled = true
				err = w.x.SyncSettled(settled)
			}
			return err
		}
		w.op = settle
		// Whatever went wrong, a claim that is not settled can be settled again.
		w.again = func() error {
			if w.settled {
				return nil
			}
			return settle()
		}
	}
}

// element is settling for an element of an array, while another waits for its turn.
func element(end func(c *Claim, w *scene) (Settled, error), to State) func(*scene) {
	return func(w *scene) {
		it := w.element(0, true, string(to))
		w.element(1, false, pendingDir)
		w.register()
		c, err := w.lease.Claim(it.Name)
		mustDo(w.t, err)
		w.fates[string(it.Data)] = fate{string(Processing), string(to)}
		w.op = func() error {
			if w.settled {
				return nil
			}
			settled, err := end(c, w)
			if err == nil {
				w.settled = true
				err = w.x.SyncSettled(settled)
			}
			return err
		}
		w.again = w.op
	}
}

// element puts an element of an array, with a turn or waiting for one.
func (w *scene) element(index int, turn bool, to string) Item {
	w.t.Helper()
	it := w.item(ElementID("array", index), true)
	it.Name.Turn, it.Name.Queued = turn, !turn
	mustDo(w.t, w.s.Put(it))
	w.fates[string(it.Data)] = fate{pendingDir, to}
	return it
}

func putting() []operation {
	one := func(id string, chosen bool, in time.Duration) func(*scene) {
		return func(w *scene) {
			it := w.item(id, chosen)
			it.Name.Due = it.Name.Due.Add(in)
			w.fates[string(it.Data)] = fate{"", pendingDir}
			w.op = func() error { return w.x.Put(it) }
		}
	}
	batch := func(n int) func(*scene) {
		return func(w *scene) {
			var items []Item
			for i := range n {
				it := w.item(fmt.Sprintf("job-%d", i), true)
				if i%2 == 1 {
					w.ids = w.ids[:len(w.ids)-1]
					it = w.item("", false)
				}
				if i%5 == 2 {
					it.Name.Due = it.Name.Due.Add(5 * time.Hour)
				}
				w.fates[string(it.Data)] = fate{"", pendingDir}
				items = append(items, it)
			}
			w.op = func() error {
				errs := w.x.PutBatch(items)
				for i, it := range items {
					// A second call may say that a job is there already.
					if old, had := w.each[string(it.Data)]; !had || old != nil && !errors.Is(old, ErrUncertain) {
						w.each[string(it.Data)] = errs[i]
					}
				}
				return errors.Join(errs...)
			}
			w.again = func() error {
				for i, it := range items {
					if err := w.each[string(it.Data)]; err != nil && !errors.Is(err, ErrUncertain) {
						if err := w.x.Put(items[i]); err != nil {
							return err
						}
						w.each[string(it.Data)] = nil
					}
				}
				return nil
			}
		}
	}
	return []operation{
		{"Init", true, func(w *scene) {
			w.op = func() error {
				_, err := initialise(w.dir(), "", hooked(w.real(), w.root, hook{before: w.before, done: w.after}))
				return err
			}
		}},
		{"Put", true, one("", false, 0)},
		{"Put chosen", true, one("job-1", true, 0)},
		{"Put for later", true, one("job-1", true, 5*time.Hour)},
		{"Put on a stale id", true, func(w *scene) {
			it := w.job("job-1", pendingDir)
			mustDo(w.t, w.s.WriteLog("job-1", 1, "json", []byte("{}")), os.Remove(w.s.abs(pendingDir+"/"+w.s.file(it.Name))))
			w.fates[content("job-1")] = fate{"", pendingDir}
			w.op = func() error { return w.x.Put(it) }
		}},
		{"Put on a cancelled id", true, func(w *scene) {
			w.job("job-1", "")
			e := only(w.t, w.s)
			_, err := w.s.Cancel(e)
			mustDo(w.t, err, w.s.WriteLog("job-1", 1, "json", []byte("{}")))
			w.fates[content("job-1")] = fate{deadDir, ""}
			it := w.item("job-1", true)
			it.Data = []byte(content("its successor"))
			w.ids = w.ids[:1]
			delete(w.fates, "")
			w.fates[string(it.Data)] = fate{"", pendingDir}
			w.op = func() error { return w.x.Put(it) }
		}},
		{"PutBatch of 3", true, batch(3)},
		{"PutBatch of 20", true, batch(20)},
	}
}

func working() []operation {
	adopt := func(base string, a Adoption, to string) func(*scene) {
		return func(w *scene) {
			drop(w.t, w.s, base, content(base))
			w.fates[content(base)] = fate{pendingDir, to}
			if a.Reserved {
				w.ids = append(w.ids, a.Name.ID)
			}
			a.Name.Allowed = 3
			if a.Name.Due.IsZero() {
				a.Name.Due = aDue
			} else {
				a.Name.Due = w.now.Add(5 * time.Hour)
			}
			w.decide = func(Drop) Adoption { return a }
			w.op = func() error {
				w.lieStill(base)
				got, err := w.x.Adopt(base, w.decide)
				if got.Rejected != "" {
					w.fates[content(base)] = fate{pendingDir, rejectedDir}
				}
				if err == nil && got.Again > 0 {
					return errors.New("somebody writes it")
				}
				return err
			}
			// It may have another name by then.
			w.again = func() error {
				return w.x.Drops(func(base string) {
					w.lieStill(base)
					got, err := w.x.Adopt(base, w.decide)
					mustDo(w.t, err)
					if got.Rejected != "" {
						w.fates[content("a.json")] = fate{pendingDir, rejectedDir}
					}
				})
			}
		}
	}
	return []operation{
		{"Claim", false, func(w *scene) {
			it := w.job("job-1", workDir)
			w.register()
			w.op = func() error { _, err := w.lease.Claim(it.Name); return err }
		}},
		{"Claim of a retry", true, func(w *scene) {
			c := w.claim("job-1", pendingDir)
			settled, err := c.Retry(w.now)
			mustDo(w.t, err)
			w.fates[content("job-1")] = fate{pendingDir, workDir}
			w.op = func() error { _, err := w.lease.Claim(settled.Name); return err }
		}},
		{"Done", true, settling(func(c *Claim, _ *scene) (Settled, error) { return c.Done(Ending{Outcome: "done"}) }, Done)},
		{"Bury", true, settling(func(c *Claim, _ *scene) (Settled, error) { return c.Bury(Ending{Outcome: "failed"}) }, Dead)},
		{"Retry", true, settling(func(c *Claim, w *scene) (Settled, error) { return c.Retry(w.now.Add(time.Minute)) }, Pending)},
		{"Retry far ahead", true, settling(func(c *Claim, w *scene) (Settled, error) { return c.Retry(w.now.Add(5 * time.Hour)) }, Pending)},
		{"Release", true, settling(func(c *Claim, w *scene) (Settled, error) { return c.Release(w.now) }, Pending)},
		{"Lose", true, settling(func(c *Claim, w *scene) (Settled, error) { return c.Lose(w.now) }, Pending)},
		{"Snooze", true, settling(func(c *Claim, w *scene) (Settled, error) { return c.Snooze(w.now) }, Pending)},
		{"Reject", true, settling(func(c *Claim, _ *scene) (Settled, error) { return c.Reject("no job") }, rejectedDir)},
		{"Done of an element", false, element(func(c *Claim, _ *scene) (Settled, error) { return c.Done(Ending{Outcome: "done"}) }, Done)},
		{"Retry of an element", false, element(func(c *Claim, w *scene) (Settled, error) { return c.Retry(w.now) }, Pending)},
		{"Reap", false, func(w *scene) {
			l, err := w.s.Register(1, "test", time.Minute)
			mustDo(w.t, err)
			for i, to := range []State{Pending, Dead} {
				it := w.job(fmt.Sprintf("job-%d", i), string(to))
				_, err := l.Claim(it.Name)
				mustDo(w.t, err, w.s.Ask(Drain, l.Worker()))
				w.fates[content(it.Name.ID)] = fate{workDir, string(to)}
			}
			writeFile(w.t, w.s.abs(claimsDir(l.Worker())+"/"+stray), "notes")
			w.fates["notes"] = fate{workDir, rejectedDir}
			mustDo(w.t, l.Close())
			w.op = func() error {
				_, err := w.x.Reap(l.Worker(), func(n Name) Fate {
					n.Lost++
					n.Allowed++
					if n.ID == "job-1" {
						n.Outcome = "lost"
					}
					return Fate{Dead: n.ID == "job-1", Name: n}
				})
				return err
			}
		}},
		{"Adopt chosen", false, adopt("a.json", Adoption{Name: Name{ID: "job-1"}, Reserved: true}, pendingDir)},
		{"Adopt by its name", false, adopt("a.json", Adoption{Name: Name{ID: "a"}}, pendingDir)},
		{"Adopt for later", false, adopt("a.json", Adoption{Name: Name{ID: "a", Due: time.Unix(1, 0)}}, pendingDir)},
		{"Adopt and reject", false, adopt("a.json", Adoption{Reject: "no job"}, rejectedDir)},
		{"Register", true, func(w *scene) {
			w.op = func() (err error) { w.lease, err = w.x.Register(1, "test", time.Minute); return err }
		}},
		{"Leave", false, func(w *scene) {
			w.register()
			mustDo(w.t, w.s.Ask(Drain, w.lease.Worker()), w.s.Ask(Interrupt, w.lease.Worker()))
			w.op = func() error { return w.lease.Leave() }
		}},
	}
}

// lieStill lets a drop have lain there for an hour: on a network file system nothing else
// tells that nobody writes it.
func (w *scene) lieStill(base string) {
	if !w.x.network {
		return
	}
	if in, err := w.s.ops.look(w.s.abs(pendingDir), base); err == nil {
		w.x.drops.still(base, in, w.x.ops.now().Add(-time.Hour))
	}
}

func keeping() []operation {
	return []operation{
		{"Cancel", true, func(w *scene) {
			w.job("job-1", deadDir)
			e := only(w.t, w.s)
			w.op = func() error {
				_, err := w.x.Cancel(e)
				return err
			}
		}},
		{"Cancel what is due later", true, func(w *scene) {
			it := w.item("job-1", true)
			it.Name.Due = it.Name.Due.Add(5 * time.Hour)
			mustDo(w.t, w.s.Put(it))
			w.fates[string(it.Data)] = fate{pendingDir, deadDir}
			e := only(w.t, w.s)
			w.op = func() error {
				_, err := w.x.Cancel(e)
				return err
			}
		}},
		{"Hold", true, altering(false, 0, func(s *Spool, e Entry) (Entry, error) { return s.Hold(e) })},
		{"Release what is due later", true, altering(true, 5*time.Hour, func(s *Spool, e Entry) (Entry, error) { return s.Release(e) })},
		{"Reschedule for later", true, altering(false, 0, func(s *Spool, e Entry) (Entry, error) {
			return s.Reschedule(e, 5, s.Now().Add(5*time.Hour))
		})},
		{"Run now what is due later", true, altering(true, 5*time.Hour, func(s *Spool, e Entry) (Entry, error) { return s.RunNow(e) })},
		{"Edit", true, editingOp(true, 0, 0)},
		{"Edit without an id of its own", true, editingOp(false, 0, 0)},
		{"Edit from later to now", true, editingOp(true, 5*time.Hour, 0)},
		{"Edit from now to later", true, editingOp(true, 0, 5*time.Hour)},
		{"Pause", true, func(w *scene) {
			mustDo(w.t, w.s.Pause(Pause{Reason: "old"}))
			w.op = func() error { return w.x.Pause(Pause{Reason: "new"}) }
		}},
		{"Resume", true, func(w *scene) {
			mustDo(w.t, w.s.Pause(Pause{Reason: "old"}))
			w.op = func() error { _, err := w.x.Resume(); return err }
		}},
		{"Demand", false, func(w *scene) {
			w.job("job-1", pendingDir)
			w.op = func() error {
				return errors.Join(w.x.Demand(Demand{ID: "job-1"}), w.x.Demand(Demand{ID: "job-1", Signal: "USR1"}))
			}
		}},
		{"Revive", true, func(w *scene) {
			e := w.buried("job-1", pendingDir, func(c *Claim) (Settled, error) { return c.Bury(Ending{Outcome: "failed"}) }, Dead)
			w.op = func() error { _, err := w.x.Revive(e, 3); return err }
		}},
		{"Remove", true, func(w *scene) {
			e := w.buried("job-1", "", func(c *Claim) (Settled, error) { return c.Bury(Ending{Outcome: "failed"}) }, Dead)
			w.op = func() error { return w.x.Remove(e) }
		}},
		{"Prune", false, func(w *scene) {
			w.buried("job-1", "", func(c *Claim) (Settled, error) { return c.Bury(Ending{Outcome: "failed"}) }, Dead)
			w.buried("job-2", "", func(c *Claim) (Settled, error) { return c.Done(Ending{Outcome: "done"}) }, Done)
			w.job("job-3", pendingDir)
			w.op = func() error {
				before := w.now.Add(time.Hour)
				_, err := w.x.Prune(before, before, false, nil)
				return err
			}
		}},
		{"Sweep", true, func(w *scene) {
			for _, id := range []string{"bound", "unbound"} {
				p, err := w.s.stage(w.item(id, true), true)
				mustDo(w.t, err)
				if id == "bound" {
					mustDo(w.t, w.s.reserve(id, p.tmp))
				}
			}
			writeFile(w.t, w.s.abs(workersDir+"/."+w.s.host.newWID()), "{}")
			w.fates[content("bound")] = fate{tmpDir, pendingDir}
			w.fates[content("unbound")] = fate{tmpDir, ""}
			w.now = w.now.Add(tmpLimit + time.Hour)
			w.op = func() error { _, err := w.x.Sweep(0); return err }
		}},
		{"SweepIDs", false, func(w *scene) {
			it := w.job("job-1", "")
			mustDo(w.t, w.s.WriteLog("job-1", 1, "json", []byte("{}")), os.Remove(w.s.abs(pendingDir+"/"+w.s.file(it.Name))))
			w.job("job-2", pendingDir)
			replaced := w.s.abs(pendingDir + "/" + w.s.file(w.job("job-3", pendingDir).Name))
			writeFile(w.t, replaced+".part", content("job-3"))
			mustDo(w.t, os.Rename(replaced+".part", replaced))
			w.op = func() error { _, err := w.x.SweepIDs(); return err }
		}},
		{"Recover", false, func(w *scene) {
			w.twice = true
			for i, to := range []State{Done, Processing} {
				id := fmt.Sprintf("job-%d", i)
				it := w.job(id, string(to))
				old := w.s.abs(pendingDir + "/" + w.s.file(it.Name))
				mustDo(w.t, os.Link(old, old+"-kept"))
				l, err := w.s.Register(1, "test", time.Minute)
				mustDo(w.t, err)
				c, err := l.Claim(it.Name)
				mustDo(w.t, err)
				if to == Done {
					_, err = c.Done(Ending{Outcome: "done"})
				}
				mustDo(w.t, err, l.Close(), os.Rename(old+"-kept", old))
			}
			w.x.host.BootID = "this-boot"
			w.op = func() error { _, err := w.x.Recover(); return err }
		}},
		{"Promote", false, func(w *scene) {
			for i := range 2 {
				it := w.item(fmt.Sprintf("job-%d", i), true)
				it.Name.Due = it.Name.Due.Add(5 * time.Hour)
				mustDo(w.t, w.s.Put(it))
				w.fates[string(it.Data)] = fate{pendingDir, pendingDir}
			}
			w.now = w.now.Add(6 * time.Hour)
			w.op = func() error { _, err := w.x.Promote(); return err }
		}},
		{"ShareTurns", false, func(w *scene) {
			for i := range 3 {
				w.element(i, false, pendingDir)
			}
			w.op = func() error {
				_, _, err := w.x.ShareTurns(func(Entry) (int, error) { return 2, nil })
				return err
			}
		}},
		{"ChangeConfig", true, func(w *scene) {
			mustDo(w.t, w.s.ChangeConfig(func([]byte) ([]byte, error) { return []byte("old settings"), nil }))
			w.op = func() error {
				return w.x.ChangeConfig(func(old []byte) ([]byte, error) {
					if string(old) != "old settings" && string(old) != "new settings" {
						return nil, fmt.Errorf("the settings were %q", old)
					}
					return []byte("new settings"), nil
				})
			}
		}},
		{"Readmit", false, func(w *scene) {
			drop(w.t, w.s, "a.json", content("a"))
			_, err := w.s.Adopt("a.json", func(Drop) Adoption { return Adoption{Reject: "no job"} })
			mustDo(w.t, err)
			rejects, err := w.s.Rejects()
			mustDo(w.t, err)
			if len(rejects) != 1 || !strings.HasSuffix(rejects[0].Base, "a.json") {
				w.t.Fatalf("rejected: %v", rejects)
			}
			w.fates[content("a")] = fate{rejectedDir, pendingDir}
			w.twice = true
			w.op = func() error { return w.x.Readmit(rejects[0].Base) }
		}},
	}
}

// altering changes a job that waits, and is due in a while.
func altering(held bool, in time.Duration, change func(*Spool, Entry) (Entry, error)) func(*scene) {
	return func(w *scene) {
		it := w.item("job-1", true)
		it.Name.Due = it.Name.Due.Add(in)
		it.Name.Held = held
		mustDo(w.t, w.s.Put(it))
		w.fates[string(it.Data)] = fate{pendingDir, pendingDir}
		e := only(w.t, w.s)
		w.op = func() error { _, err := change(w.x, e); return err }
		w.again = func() error {
			now := only(w.t, w.s)
			if now.Changed > e.Changed {
				return w.x.Sync(path.Dir(now.Path)) // it was done
			}
			_, err := change(w.x, now)
			return err
		}
	}
}

// editingOp replaces a job's document.
func editingOp(chosen bool, from, to time.Duration) func(*scene) {
	return func(w *scene) {
		id := "job-1"
		if !chosen {
			id = ""
		}
		it := w.item(id, chosen)
		it.Name.Due = it.Name.Due.Add(from)
		mustDo(w.t, w.s.Put(it))
		e := only(w.t, w.s)
		n := it.Name
		n.Due = Truncate(w.now).Add(to)
		w.edited = n.ID
		after := content("the edited " + n.ID)
		w.fates[string(it.Data)] = fate{pendingDir, ""}
		w.fates[after] = fate{"", pendingDir}
		edit := func(e Entry) error { _, err := w.x.Edit(e, n, []byte(after)); return err }
		w.op = func() error { return edit(e) }
		w.again = func() error {
			// What the first try has left half-done, others finish.
			if _, err := w.s.RecoverEdits(-time.Hour); err != nil {
				return err
			}
			now := only(w.t, w.s)
			data, err := w.s.Read(now)
			if err != nil || string(data) == after {
				return err
			}
			return edit(now)
		}
	}
}
