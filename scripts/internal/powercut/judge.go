package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// job is one as queuectl list tells it.
type job struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Priority int    `json:"priority"`
	Attempts int    `json:"attempts"`
	Command  any    `json:"command"`
	File     string `json:"file"`
	Dropped  bool   `json:"dropped"`

	spec spec // the zero one if its command is none of ours
}

// breach is where the queue did not keep a promise. The code says which one.
type breach struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// The codes of breaches.
const (
	lost     = "lost"     // an acknowledged job is not there
	twice    = "twice"    // a job is there more than once
	undone   = "undone"   // a job is there, but not as it was acknowledged
	again    = "again"    // a job ran that had ended, or was not to run any more
	unsound  = "unsound"  // check finds what it cannot mend, or a job file is torn
	neverRan = "neverran" // a drain has left a job that should have run
)

// judgement collects breaches.
type judgement struct{ breaches []breach }

func (g *judgement) breach(code, format string, args ...any) {
	g.breaches = append(g.breaches, breach{code, fmt.Sprintf(format, args...)})
}

// key is the job's: of a file that is no job yet, that which it was dropped for.
func (j job) key() string { return cmp.Or(j.spec.key, j.ID) }

// ended reports whether it will not run any more.
func (j job) ended() bool { return j.State == "done" || j.State == "dead" || j.State == "cancelled" }

// editing reports whether it is amid an edit: then it is seen as it was before.
func (j job) editing() bool { return strings.HasPrefix(j.File, "editing/") }

func byKey(jobs []job) map[string][]job {
	by := make(map[string][]job, len(jobs))
	for _, j := range jobs {
		by[j.key()] = append(by[j.key()], j)
	}
	return by
}

// afterCut compares what the first look after a cut finds with what had been
// acknowledged before it.
func (g *judgement) afterCut(l ledger, jobs []job) {
	ids := map[string]string{}
	for _, j := range jobs {
		if other, taken := ids[j.ID]; taken {
			g.breach(twice, "two jobs have the id %s: %s and %s", j.ID, other, j.File)
		}
		ids[j.ID] = j.File
	}
	found := byKey(jobs)
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if _, known := l[key]; !known {
			g.breach(unsound, "%s: nobody has enqueued it, and it is %s", key, found[key][0].File)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l)) {
		f := l[key]
		switch here := found[key]; len(here) {
		case 0:
			if f.acked && !f.removing && !f.removed && !f.pruned {
				g.breach(lost, "%s: it was acknowledged, and is lost (%+v)", key, *f)
			}
		case 1:
			g.one(key, f, here[0])
		default:
			g.breach(twice, "%s: it is there %d times: %v", key, len(here), here)
		}
	}
}

func (g *judgement) one(key string, f *fate, j job) {
	if f.removed {
		g.breach(undone, "%s: it was removed, and is back: %s", key, j.File)
		return
	}
	if f.id != "" && f.id != "-" && j.ID != f.id {
		g.breach(undone, "%s: its id was %s and is %s", key, f.id, j.ID)
	}
	switch {
	case f.retried && (j.State == "dead" && j.Attempts <= f.attempt):
		g.breach(undone, "%s: it was retried after attempt %d, and is dead: %s", key, f.attempt, j.File)
	case f.state != "" && !f.retried && j.State != f.state:
		g.breach(undone, "%s: it was %s, and is %s: %s", key, f.state, j.State, j.File)
	}
	if f.held && j.State != "held" {
		g.breach(undone, "%s: it was held, and is %s: %s", key, j.State, j.File)
	}
	if f.priority != "" && fmt.Sprint(j.Priority) != f.priority {
		g.breach(undone, "%s: its priority was %s, and is %d", key, f.priority, j.Priority)
	}
	if j.spec.key != "" && (j.spec.version < f.version || j.spec.version > f.latest) {
		g.breach(undone, "%s: its document is number %d of %d to %d", key, j.spec.version, f.version, f.latest)
	}
	// The first claim of a job may be undone. From the second on it is on the disk
	// before the job runs, so that one that brings its machine down runs out of attempts.
	if f.ran > 1 && j.Attempts < f.ran {
		g.breach(undone, "%s: its attempt %d had begun, and %d are counted", key, f.ran, j.Attempts)
	}
}

// afterDrain compares what is left in the end, when workers have run all that they
// found, with what was there before. torn says that a drop of that key may be torn.
func (g *judgement) afterDrain(l ledger, before, after []job, runs []note) {
	was := byKey(before)
	ranNow := map[string][]note{}
	for _, n := range runs {
		if n.kind == torn {
			g.breach(unsound, "%v: it ran, and was torn", n)
			continue
		}
		ranNow[n.key] = append(ranNow[n.key], n)
	}
	for _, key := range slices.Sorted(maps.Keys(ranNow)) {
		f, here := l[key], was[key]
		switch {
		case len(here) > 0:
			g.runsOf(key, l.of(key), here[0], ranNow[key])
		case f.unfinished():
			g.runsOf(key, f, job{spec: spec{key: key, version: f.version}}, ranNow[key])
		default:
			g.breach(again, "%s: it ran, and was not there after the cut", key)
		}
	}
	found := byKey(after)
	for _, key := range slices.Sorted(maps.Keys(was)) {
		j := was[key][0]
		if j.Dropped && j.spec.key == "" {
			continue // half a file, which its writer had not synced
		}
		switch here := found[key]; len(here) {
		case 0:
			g.breach(lost, "%s: it was lost by the drain: %s", key, j.File)
		case 1:
			g.outcome(key, j, here[0], len(ranNow[key]))
		default:
			g.breach(twice, "%s: after the drain it is there %d times: %v", key, len(here), here)
		}
	}
	for key, here := range found {
		if was[key] == nil && !l[key].unfinished() {
			g.breach(unsound, "%s: it came into being in the drain: %s", key, here[0].File)
		}
	}
}

// runsOf looks at the attempts of a job since the cut.
func (g *judgement) runsOf(key string, f *fate, j job, runs []note) {
	if j.ended() {
		g.breach(again, "%s: it was %s after the cut, and ran", key, j.State)
	}
	if f.state != "" && !f.retried {
		g.breach(again, "%s: it had been acknowledged as %s, and ran", key, f.state)
	}
	attempts := map[string]bool{}
	for _, n := range runs {
		if attempts[n.arg(0)] {
			g.breach(again, "%s: its attempt %s ran twice", key, n.arg(0))
		}
		attempts[n.arg(0)] = true
		version, _ := strconv.Atoi(n.arg(1))
		// An edit that the cut has stopped is finished or taken back before the job runs.
		finished := j.editing() && version > j.spec.version && version <= f.latest
		if version != j.spec.version && !finished {
			g.breach(undone, "%s: document %d ran, and %d was queued: %s", key, version, j.spec.version, j.File)
		}
	}
}

// outcome looks at how a job has ended.
func (g *judgement) outcome(key string, before, after job, runs int) {
	if before.ended() {
		if after.State != before.State || after.Attempts != before.Attempts {
			g.breach(undone, "%s: it was %s, and the drain made it %s", key, before.File, after.File)
		}
		return
	}
	works := after.Attempts >= after.spec.works
	switch {
	case runs == 0:
		g.breach(neverRan, "%s: it was %s, and did not run: %s", key, before.File, after.File)
	case !after.ended():
		g.breach(neverRan, "%s: the drain left it: %s", key, after.File)
	case (after.State == "done") != works:
		g.breach(undone, "%s: it is %s after %d attempts, and works from the %d. on", key, after.State, after.Attempts, after.spec.works)
	}
}

// codes counts breaches by their code.
func codes(all []breach) string {
	n := map[string]int{}
	for _, b := range all {
		n[b.Code]++
	}
	return counts(n)
}

// losses is how many breaches are of what only a missing sync can do: what had been
// acknowledged is not so any more. A mutant is not caught by anything less.
func losses(all []breach) (n int) {
	for _, b := range all {
		switch b.Code {
		case lost, undone, again:
			n++
		}
	}
	return n
}

// counts is as people read it: 3 lost, 1 twice.
func counts(n map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%d %s", n[name], name))
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
