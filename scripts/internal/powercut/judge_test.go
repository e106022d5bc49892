package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// evidence is what a judge is told: what was acknowledged before a cut, what was there
// after it, what ran then, and what was left.
type evidence struct {
	record        []string
	before, after []job
	runs          []string
}

// soundEvidence is of one job for each way in which a job can be known, keys a to p, and
// nothing is wrong with any.
func soundEvidence() *evidence {
	return &evidence{
		record: []string{
			"begin load l0",
			"begin put a a", "ack put a a", "ack done a 1",
			"begin put b -", "ack put b 01b",
			"begin put c c", // the cut came before the acknowledgement
			"begin put d d", "ack put d d", "begin hold d", "ack hold d ", "begin priority d", "ack priority d 5",
			"begin put e e", "ack put e e", "begin edit e", "ack edit e ", "begin edit e",
			"begin put f f", "ack put f f", "begin cancel f", "ack cancel f",
			"begin put g g", "ack put g g", "ack dead g 1", "begin retry g", "ack retry g",
			"begin put h h", "ack put h h", "ack dead h 1", "begin remove h", "ack remove h",
			"begin put p p", "ack put p p", "ack done p 1", "begin prune p", "ack prune p",
			"ran job g 1 1 g", "ran job b 1 1 01b",
		},
		before: []job{
			aJob("a", "done", 1), aJob("b", "pending", 0), aJob("d", "held", 0), aJob("e", "pending", 0),
			aJob("f", "cancelled", 0), aJob("g", "pending", 1),
		},
		runs: []string{"ran job b 1 1 01b", "ran job d 1 1 d", "ran job e 1 2 e", "ran job g 2 1 g"},
		after: []job{
			aJob("a", "done", 1), aJob("b", "done", 1), aJob("d", "done", 1), aJob("e", "done", 1),
			aJob("f", "cancelled", 0), aJob("g", "done", 2),
		},
	}
}

func aJob(key, state string, attempts int) job {
	j := job{ID: key, State: state, Attempts: attempts, File: state + "/" + key, spec: spec{key: key, version: 1, works: 1}}
	switch key {
	case "b":
		j.ID = "01b"
	case "d":
		j.Priority = 5
	case "e":
		j.spec.version = 2
	case "g":
		j.spec.works = 2
	}
	return j
}

// of is the job of that key.
func of(jobs []job, key string) *job {
	for i := range jobs {
		if jobs[i].key() == key {
			return &jobs[i]
		}
	}
	panic("no job " + key)
}

func without(jobs []job, key string) []job {
	return slices.DeleteFunc(jobs, func(j job) bool { return j.key() == key })
}

func (e *evidence) judge(t *testing.T) []breach {
	t.Helper()
	notes := func(lines []string) []note {
		parsed, err := parseRecord([]byte(strings.Join(lines, "\n") + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	l, g := ledger{}, judgement{}
	l.read(notes(e.record))
	g.afterCut(l, e.before)
	g.afterDrain(l, e.before, e.after, notes(e.runs))
	return g.breaches
}

func TestJudgeAcquits(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*evidence){
		"as it is": func(*evidence) {},
		"an enqueue that nobody was told of is there": func(e *evidence) {
			e.before = append(e.before, aJob("c", "pending", 0))
			e.runs = append(e.runs, "ran job c 1 1 c")
			e.after = append(e.after, aJob("c", "done", 1))
		},
		"check finishes it": func(e *evidence) {
			e.runs = append(e.runs, "ran job c 1 1 c")
			e.after = append(e.after, aJob("c", "done", 1))
		},
		"what was pruned is back": func(e *evidence) {
			e.before, e.after = append(e.before, aJob("p", "done", 1)), append(e.after, aJob("p", "done", 1))
		},
		"an edit that nobody was told of": func(e *evidence) {
			of(e.before, "e").spec.version, of(e.after, "e").spec.version = 3, 3
			e.runs[2] = "ran job e 1 3 e"
		},
		"an edit that is finished after the cut": func(e *evidence) {
			of(e.before, "e").File, of(e.after, "e").spec.version = "editing/w-1/old!e", 3
			e.runs[2] = "ran job e 1 3 e"
		},
		"a first claim is kept": func(e *evidence) {
			of(e.before, "b").State, of(e.before, "b").Attempts, of(e.after, "b").Attempts = "processing", 1, 2
			e.runs[0] = "ran job b 2 1 01b"
		},
		"a removal that nobody was told of": func(e *evidence) {
			e.record = slices.DeleteFunc(e.record, func(line string) bool { return line == "ack remove h" })
			e.before, e.after = append(e.before, aJob("h", "dead", 1)), append(e.after, aJob("h", "dead", 1))
			of(e.after, "h").spec.works, of(e.before, "h").spec.works = 2, 2
		},
		"a retry that had ended before it was told of": func(e *evidence) {
			e.record = append(e.record, "ack done g 2")
			of(e.before, "g").State, of(e.before, "g").Attempts = "done", 2
			e.runs = e.runs[:3]
		},
		"half a drop": func(e *evidence) {
			e.record = append(e.record, "begin drop x x")
			e.before = append(e.before, job{ID: "x", State: "pending", Dropped: true, File: "pending/x.json"})
		},
		"from the life before": func(e *evidence) {
			e.record = append([]string{"seen done y y 1 1", "seen parked z z 1 2", "seen gone v"}, e.record...)
			y, z := aJob("y", "done", 1), aJob("z", "pending", 1)
			z.spec.version = 2
			e.before = append(e.before, y, z)
			z.State, z.Attempts = "done", 2
			e.after = append(e.after, y, z)
			e.runs = append(e.runs, "ran job z 2 2 z")
		},
	} {
		e := soundEvidence()
		change(e)
		if got := e.judge(t); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A judge that lets everything pass would be of no use.
func TestJudgeConvicts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*evidence)
		code   string
		text   string
	}{
		"lost": {func(e *evidence) {
			e.before, e.after, e.runs = without(e.before, "b"), without(e.after, "b"), e.runs[1:]
		}, lost, "b: it was acknowledged, and is lost"},
		"lost in the drain":   {func(e *evidence) { e.after = without(e.after, "f") }, lost, "f: it was lost by the drain"},
		"pruned, not done":    {func(e *evidence) { e.before = append(e.before, aJob("p", "pending", 0)) }, undone, "p: it was done, and is pending"},
		"two names":           {func(e *evidence) { e.before = append(e.before, aJob("a", "pending", 0)) }, twice, "a: it is there 2 times"},
		"two jobs of an id":   {func(e *evidence) { of(e.before, "b").ID = "a" }, twice, "two jobs have the id a"},
		"two in the end":      {func(e *evidence) { e.after = append(e.after, aJob("a", "dead", 1)) }, twice, "a: after the drain it is there 2 times"},
		"another id":          {func(e *evidence) { of(e.before, "b").ID = "01c" }, undone, "b: its id was 01b and is 01c"},
		"invented":            {func(e *evidence) { e.before = append(e.before, aJob("new", "pending", 0)) }, unsound, "new: nobody has enqueued it"},
		"an empty file":       {func(e *evidence) { e.before = append(e.before, job{ID: "01x", State: "pending", File: "pending/01x"}) }, unsound, "01x: nobody has enqueued it"},
		"done, undone":        {func(e *evidence) { of(e.before, "a").State = "pending" }, undone, "a: it was done, and is pending"},
		"done, claimed":       {func(e *evidence) { of(e.before, "a").State = "processing" }, undone, "a: it was done, and is processing"},
		"cancelled, undone":   {func(e *evidence) { of(e.before, "f").State = "scheduled" }, undone, "f: it was cancelled, and is scheduled"},
		"retried, undone":     {func(e *evidence) { of(e.before, "g").State = "dead" }, undone, "g: it was retried after attempt 1, and is dead"},
		"removed, back":       {func(e *evidence) { e.before = append(e.before, aJob("h", "dead", 1)) }, undone, "h: it was removed, and is back"},
		"no longer held":      {func(e *evidence) { of(e.before, "d").State = "pending" }, undone, "d: it was held, and is pending"},
		"another priority":    {func(e *evidence) { of(e.before, "d").Priority = 0 }, undone, "d: its priority was 5, and is 0"},
		"edited, undone":      {func(e *evidence) { of(e.before, "e").spec.version = 1 }, undone, "e: its document is number 1 of 2 to 3"},
		"edited too often":    {func(e *evidence) { of(e.before, "e").spec.version = 4 }, undone, "e: its document is number 4 of 2 to 3"},
		"the old document":    {func(e *evidence) { e.runs[2] = "ran job e 1 1 e" }, undone, "e: document 1 ran, and 2 was queued"},
		"amid no edit":        {func(e *evidence) { e.runs[2] = "ran job e 1 3 e" }, undone, "e: document 3 ran, and 2 was queued"},
		"an edit taken back":  {func(e *evidence) { of(e.before, "e").File = "editing/w-1/old!e"; e.runs[2] = "ran job e 1 1 e" }, undone, "e: document 1 ran, and 2 was queued"},
		"a second claim":      {func(e *evidence) { e.record = append(e.record, "ran job g 2 1 g") }, undone, "g: its attempt 2 had begun, and 1 are counted"},
		"torn":                {func(e *evidence) { e.runs = append(e.runs, "torn job - b 1") }, unsound, "it ran, and was torn"},
		"ran uninvited":       {func(e *evidence) { e.runs = append(e.runs, "ran job new 1 1 new") }, again, "new: it ran, and was not there after the cut"},
		"removed, and ran":    {func(e *evidence) { e.runs = append(e.runs, "ran job h 2 1 h") }, again, "h: it ran, and was not there after the cut"},
		"pruned, and ran":     {func(e *evidence) { e.runs = append(e.runs, "ran job p 2 1 p") }, again, "p: it ran, and was not there after the cut"},
		"done, and ran":       {func(e *evidence) { e.runs = append(e.runs, "ran job a 2 1 a") }, again, "a: it was done after the cut, and ran"},
		"cancelled, and ran":  {func(e *evidence) { e.runs = append(e.runs, "ran job f 1 1 f") }, again, "f: it had been acknowledged as cancelled, and ran"},
		"an attempt twice":    {func(e *evidence) { e.runs = append(e.runs, "ran job g 2 1 g") }, again, "g: its attempt 2 ran twice"},
		"check's job twice":   {func(e *evidence) { e.runs = append(e.runs, "ran job c 1 1 c", "ran job c 1 1 c") }, again, "c: its attempt 1 ran twice"},
		"came into being":     {func(e *evidence) { e.after = append(e.after, aJob("h", "dead", 1)) }, unsound, "h: it came into being in the drain"},
		"never ran":           {func(e *evidence) { e.runs = e.runs[1:] }, neverRan, "b: it was pending/b, and did not run"},
		"left over":           {func(e *evidence) { of(e.after, "b").State = "pending" }, neverRan, "b: the drain left it"},
		"dead, and works":     {func(e *evidence) { of(e.after, "b").State = "dead" }, undone, "b: it is dead after 1 attempts, and works from the 1. on"},
		"done, and works not": {func(e *evidence) { of(e.after, "g").Attempts = 1 }, undone, "g: it is done after 1 attempts, and works from the 2. on"},
		"ended, and changed":  {func(e *evidence) { of(e.after, "a").State = "dead" }, undone, "a: it was done/a, and the drain made it done/a"},
		"done before, undone": {func(e *evidence) {
			e.record = append([]string{"seen done y y 1 1"}, e.record...)
			e.before = append(e.before, aJob("y", "pending", 1))
		}, undone, "y: it was done, and is pending"},
		"gone before, back": {func(e *evidence) {
			e.record = append([]string{"seen gone y"}, e.record...)
			e.before = append(e.before, aJob("y", "pending", 1))
		}, undone, "y: it was removed, and is back"},
	} {
		e := soundEvidence()
		c.change(e)
		if got := e.judge(t); !slices.ContainsFunc(got, func(b breach) bool { return b.Code == c.code && strings.Contains(b.Text, c.text) }) {
			t.Errorf("%s: want %s, %q; got %q", name, c.code, c.text, got)
		}
	}
}

func TestOnlyLossesCatchAMutant(t *testing.T) {
	t.Parallel()
	all := []breach{{Code: unsound}, {Code: neverRan}, {Code: twice}}
	if n := losses(all); n != 0 {
		t.Errorf("%d losses among %q", n, all)
	}
	if n := losses(append(all, breach{Code: lost}, breach{Code: undone}, breach{Code: again})); n != 3 {
		t.Errorf("%d losses of 3", n)
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	if got, want := codes([]breach{{Code: twice}, {Code: lost}, {Code: lost}}), "2 lost, 1 twice"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := counts(nil); got != "none" {
		t.Errorf("%q", got)
	}
}

// What is found after a cut is where the next life begins.
func TestWhatIsFoundIsRetold(t *testing.T) {
	t.Parallel()
	e := soundEvidence()
	l := ledger{}
	notes, err := parseRecord([]byte(strings.Join(e.record, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	l.read(notes)
	told, err := parseRecord([]byte(retold(l, append(e.after, job{ID: "x", State: "pending", Dropped: true}))))
	if err != nil {
		t.Fatal(err)
	}
	next := ledger{}
	next.read(told)
	for key, want := range map[string]fate{
		"a": {id: "a", acked: true, version: 1, latest: 1, state: "done", attempt: 1, ran: 1},
		"b": {id: "01b", acked: true, version: 1, latest: 1, state: "done", attempt: 1, ran: 1},
		"e": {id: "e", acked: true, version: 2, latest: 2, state: "done", attempt: 1, ran: 1},
		"h": {removed: true, state: "gone"},
		"x": {id: "x", version: 1, latest: 1},
	} {
		if got := *next.of(key); got != want {
			t.Errorf("%s: %+v, want %+v", key, got, want)
		}
	}
	if known := slices.Sorted(maps.Keys(next)); !slices.Equal(known, []string{"a", "b", "c", "d", "e", "f", "g", "h", "p", "x"}) {
		t.Errorf("told of %q", known)
	}
}
