package spool

import (
	"flag"
	"os"
	"testing"
	"time"
)

// ended is a job in the done directory of this hour.
func ended(w *world) Name {
	n := w.theJob()
	n.Attempt, n.Outcome = 1, "done"
	return n
}

func waiting(w *world) {
	w.seed(pendingDir, w.theJob())
	w.makeHour()
	w.enrol(ownerWID)
	w.enrol(otherWID)
}

func ownerScenario(how string, looks int, network bool) scenario {
	return scenario{
		name: "owner, reaper, second worker: " + how, network: network, setup: waiting,
		procs: []proc{owner(how), reaper("reaper"), second(otherWID, looks, "done")},
	}
}

// scenarios are the encounters beside that of owner, reaper and second worker.
func scenarios(network bool) []scenario {
	stale := func(w *world) {
		w.write(tmpDir+"/x", "an earlier job's")
		w.bind("job", tmpDir+"/x")
		_ = os.Remove(w.abs("spool/" + tmpDir + "/x"))
		w.enrol(otherWID)
		w.makeHour()
	}
	nothing := func(w *world) { w.makeHour(); w.enrol(otherWID) }
	oneAccepted := func(w *world) {
		if w.plan == (plan{}) && w.acked != 1 {
			w.fail("%d of two putters were told that the id is theirs", w.acked)
		}
	}
	drop := func(w *world) {
		nothing(w)
		w.write(pendingDir+"/nightly.json", `{"command":"true"}`)
		w.final["nightly"] = 1
	}
	all := []scenario{
		{name: "two reapers of one owner", setup: waiting,
			procs: []proc{owner("done"), reaper("reaper 1"), reaper("reaper 2")}},
		{name: "two reapers whose clocks differ, the owner retries", setup: waiting,
			procs: []proc{owner("retry"), reaper("reaper 1"), {name: "reaper 2", skew: time.Second, run: reaper("").run}}},
		{name: "two slots of a worker that is taken for dead", setup: waiting,
			procs: []proc{owner("done"), slot(second(ownerWID, 1, "retry")), reaper("reaper")}},
		{name: "two putters of one id, a stale reservation", setup: stale, after: oneAccepted,
			procs: []proc{putter("putter 1", "job", true, 0), putter("putter 2", "job", true, 0)}},
		{name: "two putters of one id, nothing there", setup: nothing, after: oneAccepted,
			procs: []proc{putter("putter 1", "job", true, 0), putter("putter 2", "job", true, 0)}},
		{name: "a putter and a worker", setup: nothing,
			procs: []proc{putter("putter", "job", true, 0), second(otherWID, 2, "done")}},
		{name: "a putter without an id of its own and a worker", setup: nothing,
			procs: []proc{putter("putter", "01kb3q7m2x9v0t4h6r5w8e1cz4", false, 0), second(otherWID, 2, "done")}},
		{name: "a putter and the removal of the same id", setup: func(w *world) {
			w.seed(doneHour(w.t0, 0), ended(w))
			w.least["job"] = 0
			w.enrol(otherWID)
		}, procs: []proc{putter("putter", "job", true, 0), remover(ended), second(otherWID, 1, "done")}},
		{name: "a putter of an id whose job moves", setup: waiting,
			procs: []proc{putter("putter", "job", true, 0), second(otherWID, 3, "retry")}},
		{name: "a putter and a sweep of the ids", setup: stale,
			procs: []proc{putter("putter", "job", true, 0), {name: "sweeper", run: func(_ *world, p *process) { _, _ = p.SweepIDs() }}}},
		{name: "two adopters of one drop and a worker", setup: drop,
			procs: []proc{adopter("adopter 1", "nightly.json", ""), adopter("adopter 2", "nightly.json", ""), second(otherWID, 1, "done")}},
		{name: "two adopters of one drop, and the next drop of its name", setup: drop,
			procs: []proc{adopter("adopter 1", "nightly.json", ""), adopter("adopter 2", "nightly.json", ""), producer("nightly.json", "nightly-2")}},
		{name: "two adopters of a drop that names its id", setup: drop,
			procs: []proc{adopter("adopter 1", "nightly.json", "nightly"), adopter("adopter 2", "nightly.json", "nightly")}},
		{name: "promotion, a claim, and a put into the same hour", setup: func(w *world) {
			nothing(w)
			n := w.theJob()
			n.Due = Truncate(w.t0.Add(65 * time.Minute))
			w.seed(laterDir+"/"+laterHour(n.Due), n)
		}, procs: []proc{promoter("promoter"), putter("putter", "01kb3q7m2x9v0t4h6r5w8e1cz4", false, 61*time.Minute), second(otherWID, 1, "done")}},
		{name: "two promotions and a retry into the same hour", setup: waiting,
			procs: []proc{owner("retry later"), promoter("promoter 1"), promoter("promoter 2")}},
		{name: "two promotions and a put into the same hour", setup: nothing,
			procs: []proc{putter("putter", "job", true, 61*time.Minute), promoter("promoter 1"), promoter("promoter 2")}},
		{name: "a settlement and the pruning of its hour", setup: waiting,
			procs: []proc{owner("done"), pruner("pruner 1")}},
		{name: "two that retry a dead job, and a worker", setup: func(w *world) {
			nothing(w)
			w.seed(deadDir, ended(w))
		}, procs: []proc{reviver("reviver 1"), {name: "reviver 2", skew: time.Second, run: reviver("").run}, second(otherWID, 1, "done")}},
	}
	for i := range all {
		all[i].network = network
	}
	return all
}

// slot makes a goroutine of the first process of p.
func slot(p proc) proc {
	p.slotOf = 1
	return p
}

// pruner removes hours that are empty, even the present one, and no job.
func pruner(name string) proc {
	return proc{name: name, run: func(w *world, p *process) {
		_, _ = p.Prune(w.t0.Add(time.Hour), time.Time{}, false, func(Entry) bool { return false })
	}}
}

func reviver(name string) proc {
	return proc{name: name, run: func(w *world, p *process) {
		e := Entry{Name: ended(w), State: Dead, Path: deadDir + "/" + ended(w).String()}
		_, _ = p.Revive(e, 3)
	}}
}

// TestEveryInterleaving is the proof of the protocol by exhaustion: every order of the
// system calls of an owner, a reaper that takes it for dead (wrongly, unless the plan
// kills it) and a second worker, with at most one crash and at most one lost reply,
// both at every call. So that there is an end, the owner claims and ends one job, the
// reaper reaps until it succeeds (twice at most) and the second worker looks for work
// once; what they leave, a next worker finishes. The other encounters have a crash
// where replies cannot be lost, and a lost reply where they can; after a crash or a
// loss, those with many schedules are cut off after the first perPlan.
func TestEveryInterleaving(t *testing.T) {
	var total count
	for _, network := range []bool{false, true} {
		for _, how := range []string{"done", "bury", "retry", "release"} {
			// bury is done with another directory, release is retry with another name: a
			// crash and a lost reply in one schedule are for one of each.
			both := how == "done" || how == "retry"
			total.add(prove(t, ownerScenario(how, 1, network), bounds{crash: true, lost: network, both: both}))
		}
		b := bounds{crash: !network, lost: network, perPlan: 30}
		for _, sc := range scenarios(network) {
			total.add(prove(t, sc, b))
		}
		// An edit has many steps: their schedules are cut off after the first.
		for _, sc := range edits(network) {
			b.limit, b.perPlan = *editLimits, *editLimits/30
			total.add(prove(t, sc, b))
		}
	}
	t.Logf("%d schedules under %d plans; %d more were left half-way, because they repeat one of these", total.run, total.plans, total.cut)
}

// TestSleepSets runs one scenario with and without leaving out what only repeats: the
// outcomes must be the same.
func TestSleepSets(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("a thousand schedules: left to the long run without the race detector")
	}
	sc := ownerScenario("retry", 1, false)
	fewer, problem := explore(t, sc, bounds{})
	sc.plain = true
	more, plainProblem := explore(t, sc, bounds{})
	if problem != "" || plainProblem != "" || fewer.ends != more.ends {
		t.Errorf("%d outcomes of %d schedules, %d of %d: %s%s", fewer.ends, fewer.run, more.ends, more.run, problem, plainProblem)
	}
	t.Logf("%d schedules (%d repeats) have the outcomes of all %d", fewer.run, fewer.cut, more.run)
}

// editLimits is how far the schedules of an edit are explored: all of
// them take hours.
var editLimits = flag.Int("spool.edits", 240, "explore so many schedules of each encounter of an edit; 0: all")

func prove(t *testing.T, sc scenario, b bounds) (c count) {
	name := sc.name
	if sc.network {
		name += ", replies can be lost"
	}
	t.Run(name, func(t *testing.T) {
		if testing.Short() || raceEnabled {
			b = bounds{limit: 25} // the race detector makes it ten times as slow
		}
		begin := time.Now()
		var problem string
		c, problem = explore(t, sc, b)
		if problem != "" {
			t.Fatal(problem)
		}
		t.Logf("%d schedules under %d plans, %d repeats, %d outcomes (%v)", c.run, c.plans, c.cut, c.ends, time.Since(begin).Round(time.Millisecond))
	})
	return c
}
