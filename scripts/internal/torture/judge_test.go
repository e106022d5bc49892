package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// soundEvidence is of three jobs on two workers of which w1 was killed: one job that
// was done at once, one that w1 took along, one that failed twice.
func soundEvidence() evidence {
	return evidence{
		jobs: []job{
			{id: "plain", least: 1, most: 1},
			{id: "cut", least: 1, most: 1},
			{id: "bad", fails: true, least: 2, most: 2},
		},
		lines: []line{
			{kind: begins, id: "plain", attempt: 1, worker: "w2"},
			{kind: begins, id: "cut", attempt: 1, worker: "w1"},
			{kind: ends, id: "plain", attempt: 1},
			{kind: begins, id: "bad", attempt: 1, worker: "w2"},
			{kind: ends, id: "bad", attempt: 1, number: 3},
			{kind: begins, id: "cut", attempt: 2, worker: "w2"},
			{kind: ends, id: "cut", attempt: 2},
			{kind: begins, id: "bad", attempt: 2, worker: "w2"},
			{kind: ends, id: "bad", attempt: 2, number: 3},
		},
		settled: []settled{
			{ID: "plain", State: "done", Outcome: "done", Attempts: 1},
			{ID: "cut", State: "done", Outcome: "done", Attempts: 2, Lost: 1},
			{ID: "bad", State: "dead", Outcome: "failed", Attempts: 2},
		},
		excused: map[string]bool{"w1": true},
	}
}

func TestJudgeAcquits(t *testing.T) {
	for name, change := range map[string]func(*evidence){
		"as it is": func(*evidence) {},
		"it had ended when the worker was killed": func(e *evidence) {
			e.lines = slices.Insert(e.lines, 2, line{kind: ends, id: "cut", attempt: 1})
		},
		"it had failed when the worker was killed": func(e *evidence) {
			e.jobs[1].most = 2
			e.lines = slices.Insert(e.lines, 2, line{kind: ends, id: "cut", attempt: 1, number: 1})
		},
		"begun after it was lost": func(e *evidence) {
			e.lines = append(slices.Delete(e.lines, 1, 2), line{kind: overlaps, id: "cut", attempt: 1, number: 2}, line{kind: begins, id: "cut", attempt: 1, worker: "w1"}, line{kind: ends, id: "cut", attempt: 1})
		},
		"lost before it began": func(e *evidence) { e.lines = slices.Delete(e.lines, 1, 2) },
	} {
		e := soundEvidence()
		change(&e)
		if got, late := judge(e); len(got) > 0 || late > 0 != (name == "begun after it was lost") {
			t.Errorf("%s: %q, %d late", name, got, late)
		}
	}
}

// A judge that lets everything pass would be of no use.
func TestJudgeConvicts(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*evidence)
		want   string
	}{
		"lost":          {func(e *evidence) { e.settled = e.settled[1:] }, "plain: it is lost"},
		"twice":         {func(e *evidence) { e.settled = append(e.settled, e.settled[0]) }, "plain: it is there 2 times"},
		"still waiting": {func(e *evidence) { e.settled[0].State = "pending" }, "plain: it is pending, done, and should be done"},
		"dead":          {func(e *evidence) { e.settled[1].State, e.settled[1].Outcome = "dead", "lost" }, "cut: it is dead, lost, and should be done"},
		"forgiven":      {func(e *evidence) { e.settled[2].State = "done" }, "bad: it is done, failed, and should be dead"},
		"invented":      {func(e *evidence) { e.settled = append(e.settled, settled{ID: "new", State: "done"}) }, "new: nobody has enqueued it, and it is done"},
		"ran uninvited": {func(e *evidence) { e.lines = append(e.lines, line{kind: begins, id: "new", attempt: 1}) }, "new: nobody has enqueued it, and it ran"},
		"never ran":     {func(e *evidence) { e.lines = e.lines[1:]; e.lines = slices.Delete(e.lines, 1, 2) }, "plain: it never ran"},
		"no excuse":     {func(e *evidence) { clear(e.excused) }, "cut: attempt 1 was cut off, though worker w1 was let alone"},
		"ran again": {func(e *evidence) {
			clear(e.excused)
			e.lines = slices.Insert(e.lines, 2, line{kind: ends, id: "cut", attempt: 1})
		}, "cut: attempt 1 succeeded and it ran again"},
		"run by two":       {func(e *evidence) { e.lines = append(e.lines, line{kind: begins, id: "bad", attempt: 2, worker: "w1"}) }, "bad: attempt 2 was run by two, w2 and w1"},
		"at the same time": {func(e *evidence) { e.lines = append(e.lines, line{kind: ends, id: "cut", attempt: 1}) }, "cut: attempt 1 still ran when attempt 2 had begun"},
		"begun late, no excuse": {func(e *evidence) {
			e.lines = append(slices.Delete(e.lines, 1, 2), line{kind: overlaps, id: "cut", attempt: 1, number: 2}, line{kind: begins, id: "cut", attempt: 1, worker: "w2"}, line{kind: ends, id: "cut", attempt: 1})
		}, "cut: attempt 1 still ran when attempt 2 had begun"},
		"side by side":     {func(e *evidence) { e.lines = append(e.lines, line{kind: overlaps, id: "cut", attempt: 2, number: 1}) }, "cut: attempt 1 still ran when attempt 2 began"},
		"unfinished":       {func(e *evidence) { e.lines = slices.Delete(e.lines, 2, 3) }, "plain: it is done, and its last attempt did not end so"},
		"failed":           {func(e *evidence) { e.lines[2].number = 1 }, "plain: it is done, and its last attempt did not end so"},
		"more than named":  {func(e *evidence) { e.settled[1].Attempts, e.settled[1].Lost = 1, 0 }, "cut: attempt 2 ran, its name tells of 1"},
		"no trace":         {func(e *evidence) { e.settled[2].Attempts = 3; e.jobs[2].most = 3 }, "bad: 1 attempts left no trace, 0 were lost"},
		"too few":          {func(e *evidence) { e.jobs[2].least = 3; e.jobs[2].most = 3 }, "bad: 2 attempts, 0 of them lost, and should have had 3 to 3"},
		"too many":         {func(e *evidence) { e.jobs[2].least = 1; e.jobs[2].most = 1 }, "bad: 2 attempts, 0 of them lost, and should have had 1 to 1"},
		"loss not counted": {func(e *evidence) { e.settled[1].Lost = 0 }, "cut: 2 attempts, 0 of them lost"},
	} {
		e := soundEvidence()
		c.change(&e)
		got, _ := judge(e)
		if !slices.ContainsFunc(got, func(b string) bool { return strings.HasPrefix(b, c.want) }) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A worker whose lease had run out without its knowledge may have run a job beside its new
// owner: for that time, and it alone.
func TestJudgeOfALapse(t *testing.T) {
	suspended := func() evidence {
		e := soundEvidence()
		e.lines = []line{
			{kind: begins, id: "plain", attempt: 1, worker: "w2", at: 1},
			{kind: ends, id: "plain", attempt: 1, at: 2},
			{kind: begins, id: "cut", attempt: 1, worker: "w1", at: 10},
			{kind: begins, id: "cut", attempt: 2, worker: "w2", at: 40},
			{kind: ends, id: "cut", attempt: 1, at: 41},
			{kind: ends, id: "cut", attempt: 2, at: 42},
			{kind: begins, id: "bad", attempt: 1, worker: "w2", at: 43},
			{kind: ends, id: "bad", attempt: 1, number: 3, at: 44},
			{kind: begins, id: "bad", attempt: 2, worker: "w2", at: 45},
			{kind: ends, id: "bad", attempt: 2, number: 3, at: 46},
		}
		e.lapsed = []lapse{{worker: "w1", from: 35, to: 50}}
		return e
	}
	if got, _ := judge(suspended()); len(got) > 0 {
		t.Errorf("%q", got)
	}
	const want = "cut: attempt 1 still ran when attempt 2 had begun"
	for name, change := range map[string]func(*evidence){
		"no lapse":             func(e *evidence) { e.lapsed = nil },
		"another's":            func(e *evidence) { e.lapsed[0].worker = "w2" },
		"run by others before": func(e *evidence) { e.lapsed[0].from = 40.5 },
		"goes on after it":     func(e *evidence) { e.lapsed[0].to = 40.5 },
		"times not known":      func(e *evidence) { e.lines[4].at = 0 },
	} {
		e := suspended()
		change(&e)
		if got, _ := judge(e); !slices.Contains(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// What was cancelled must be that, and what nobody heard to be taken may be missing.
func TestJudgeOfSpecialJobs(t *testing.T) {
	e := soundEvidence()
	e.jobs = append(e.jobs, job{id: "never", cancelled: true}, job{id: "perhaps", unknown: true, least: 1, most: 1})
	e.settled = append(e.settled, settled{ID: "never", State: "cancelled", Outcome: "cancelled"})
	if got, _ := judge(e); len(got) > 0 {
		t.Errorf("%q", got)
	}
	e.settled[3].State, e.settled[3].Outcome = "done", "done"
	e.settled = append(e.settled, settled{ID: "perhaps", State: "pending"})
	got, _ := judge(e)
	for _, want := range []string{"never: it was cancelled and is done, done", "perhaps: it never ran", "perhaps: it is pending, , and should be done"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestParseLine(t *testing.T) {
	for s, want := range map[string]line{
		"S job-1 2 vm.7.abc": {kind: begins, id: "job-1", attempt: 2, worker: "vm.7.abc"},
		"E job-1 2 0":        {kind: ends, id: "job-1", attempt: 2},
		"O job-1 2 1":        {kind: overlaps, id: "job-1", attempt: 2, number: 1},
		"E job-1 3 137":      {kind: ends, id: "job-1", attempt: 3, number: 137},
		"E job-1 3 0 17.25":  {kind: ends, id: "job-1", attempt: 3, at: 17.25},
	} {
		if got, err := parseLine(s); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "S job-1 2", "S job-1 two vm", "E job-1 1 x", "E job-1 1 0 soon", "X job-1 1 0", "E job-1 1 0 S job-2 1 vm"} {
		if got, err := parseLine(s); err == nil {
			t.Errorf("%q: %+v, want an error", s, got)
		}
	}
}

func TestMakeJobs(t *testing.T) {
	trial := newTrial(options{seed: 7}, nil)
	jobs, again := makeJobs(500, trial.rand(0)), makeJobs(500, trial.rand(0))
	seen := make(map[string]int)
	for i, j := range jobs {
		if string(j.document()) != string(again[i].document()) || j.id != again[i].id {
			t.Fatalf("the same seed makes other jobs: %s and %s", j.document(), again[i].document())
		}
		kind, _, _ := strings.Cut(j.id, "-")
		seen[kind]++
		if j.least < 1 || j.most < j.least || j.doc["command"] == nil {
			t.Errorf("%+v", j)
		}
	}
	if len(seen) != len(kinds) {
		t.Errorf("kinds: %v", slices.Sorted(maps.Keys(seen)))
	}
}
