package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// line is what a job wrote down.
type line struct {
	kind    lineKind
	id      string
	attempt int
	worker  string  // of one that begins
	number  int     // the exit code of one that ends, the earlier attempt of an overlap
	at      float64 // seconds since the boot, 0 if not known
}

type lineKind string

const (
	begins   lineKind = "S" // S ID ATTEMPT WORKER [AT]
	ends     lineKind = "E" // E ID ATTEMPT CODE [AT]
	overlaps lineKind = "O" // O ID ATTEMPT EARLIER: the earlier attempt still runs
)

func parseLine(s string) (line, error) {
	fail := func() (line, error) { return line{}, fmt.Errorf("not a line of a job: %q", s) }
	f := strings.Fields(s)
	if len(f) != 4 && len(f) != 5 {
		return fail()
	}
	l := line{kind: lineKind(f[0]), id: f[1]}
	var err error
	if len(f) == 5 {
		if l.at, err = strconv.ParseFloat(f[4], 64); err != nil {
			return fail()
		}
	}
	if l.attempt, err = strconv.Atoi(f[2]); err != nil {
		return fail()
	}
	switch l.kind {
	case begins:
		l.worker = f[3]
	case ends, overlaps:
		if l.number, err = strconv.Atoi(f[3]); err != nil {
			return fail()
		}
	default:
		return fail()
	}
	return l, nil
}

// settled is a job as queuectl list tells it.
type settled struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Outcome  string `json:"outcome"`
	Attempts int    `json:"attempts"`
	Lost     int    `json:"lost"`
	File     string `json:"file"`
}

// evidence is all that is known in the end.
type evidence struct {
	jobs    []job           // that were enqueued or dropped
	lines   []line          // in the order in which they were written
	settled []settled       // all jobs of the spool
	excused map[string]bool // workers that were killed, or suspended past their lease
	// lapsed tells of several hosts when the leases of workers had run out and these did
	// not know it: what they ran then may run beside what others run.
	lapsed []lapse
}

// lapse is a time, of the jobs' clock, in which a worker could be taken for dead and did
// not know it.
type lapse struct {
	worker   string
	from, to float64
}

// lapsedAt reports whether the worker's lease had run out at a time of the jobs' clock.
func (e evidence) lapsedAt(worker string, at float64) bool {
	return slices.ContainsFunc(e.lapsed, func(l lapse) bool { return l.worker == worker && at >= l.from && at <= l.to })
}

// attempt is what the lines tell of one.
type attempt struct {
	begun  int
	late   bool // it began after a later one had
	worker string
	ended  bool
	code   int
	at     float64 // when it began
}

// judge returns every breach of what the queue promises. It trusts nobody's count but
// that of the jobs themselves. late is how many attempts a worker started that was
// suspended past its lease just between its last look at it and the fork: no queue can
// prevent that, but it must be rare.
func judge(e evidence) (breaches []string, late int) {
	breach := func(format string, args ...any) { breaches = append(breaches, fmt.Sprintf(format, args...)) }
	known := make(map[string]job, len(e.jobs))
	for _, j := range e.jobs {
		known[j.id] = j
	}
	where := make(map[string][]settled, len(e.settled))
	for _, s := range e.settled {
		where[s.ID] = append(where[s.ID], s)
		if _, ok := known[s.ID]; !ok {
			breach("%s: nobody has enqueued it, and it is %s (%s)", s.ID, s.State, s.File)
		}
	}
	ran := history(e, breach)
	for id := range ran {
		if _, ok := known[id]; !ok {
			breach("%s: nobody has enqueued it, and it ran", id)
		}
	}
	for _, j := range e.jobs {
		attempts := ran[j.id]
		found := where[j.id]
		if j.unknown && len(found) == 0 {
			continue
		}
		if len(attempts) == 0 && !j.cancelled {
			breach("%s: it never ran", j.id)
		}
		switch len(found) {
		case 0:
			breach("%s: it is lost", j.id)
		case 1:
			judgeOne(j, found[0], attempts, e.excused, breach)
		default:
			breach("%s: it is there %d times: %v", j.id, len(found), found)
		}
	}
	for _, attempts := range ran {
		for _, a := range attempts {
			if a.late {
				late++
			}
		}
	}
	return breaches, late
}

// history sorts the lines by job and attempt. A line of an attempt that comes after a
// later one has begun is that of a job that ran twice at the same time. That is no breach
// if all of the earlier one came later, and its worker is excused: see judge. Nor is it
// while the lease of the earlier one's worker, on another host, had run out.
func history(e evidence, breach func(string, ...any)) map[string]map[int]*attempt {
	ran := make(map[string]map[int]*attempt)
	newest := make(map[string]int)
	for _, l := range e.lines {
		if l.kind == overlaps {
			if l.number > l.attempt {
				continue // it is late, which its next line says
			}
			breach("%s: attempt %d still ran when attempt %d began", l.id, l.number, l.attempt)
			continue
		}
		if ran[l.id] == nil {
			ran[l.id] = make(map[int]*attempt)
		}
		a := ran[l.id][l.attempt]
		if a == nil {
			a = &attempt{}
			ran[l.id][l.attempt] = a
		}
		by := newest[l.id]
		if l.attempt < by && l.kind == begins && a.begun == 0 && e.excused[l.worker] {
			a.late = true
		}
		if l.attempt < by && !a.late && !(e.lapsedAt(a.worker, ran[l.id][by].at) && e.lapsedAt(a.worker, l.at)) {
			breach("%s: attempt %d still ran when attempt %d had begun", l.id, l.attempt, newest[l.id])
		}
		newest[l.id] = max(newest[l.id], l.attempt)
		if l.kind == ends {
			a.ended, a.code = true, l.number
			continue
		}
		if a.begun++; a.begun > 1 {
			breach("%s: attempt %d was run by two, %s and %s", l.id, l.attempt, a.worker, l.worker)
		}
		a.worker, a.at = l.worker, l.at
	}
	return ran
}

// judgeOne compares what became of a job with what it did.
func judgeOne(j job, s settled, attempts map[int]*attempt, excused map[string]bool, breach func(string, ...any)) {
	if j.cancelled {
		if s.State != "cancelled" {
			breach("%s: it was cancelled and is %s, %s", j.id, s.State, s.Outcome)
		}
		return
	}
	want := "done"
	if j.fails {
		want = "dead"
	}
	if s.State != want {
		breach("%s: it is %s, %s, and should be %s", j.id, s.State, s.Outcome, want)
		return
	}
	numbers := slices.Sorted(maps.Keys(attempts))
	silent := s.Attempts // attempts that were begun and whose job has not written a line
	for _, n := range numbers {
		a := attempts[n]
		silent--
		switch last := n == s.Attempts; {
		case n > s.Attempts:
			breach("%s: attempt %d ran, its name tells of %d", j.id, n, s.Attempts)
		case last && (!a.ended || (a.code == 0) == j.fails):
			breach("%s: it is %s, and its last attempt did not end so", j.id, s.State)
		case last || a.ended && a.code != 0 || excused[a.worker]:
		case a.ended:
			breach("%s: attempt %d succeeded and it ran again, though worker %s was let alone", j.id, n, a.worker)
		default:
			breach("%s: attempt %d was cut off, though worker %s was let alone", j.id, n, a.worker)
		}
	}
	if silent > s.Lost {
		breach("%s: %d attempts left no trace, %d were lost", j.id, silent, s.Lost)
	}
	// What was lost counts apart: the job's own attempts are what it was given.
	if own := s.Attempts - s.Lost; own < j.least || own > j.most {
		breach("%s: %d attempts, %d of them lost, and should have had %d to %d of its own", j.id, s.Attempts, s.Lost, j.least, j.most)
	}
}
