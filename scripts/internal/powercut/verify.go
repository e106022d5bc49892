package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// result is what was found after a cut.
type result struct {
	Breaches []breach       `json:"breaches"`
	Acked    int            `json:"acked"`    // operations
	Jobs     int            `json:"jobs"`     // that were there
	TwoNames int            `json:"twonames"` // jobs that the cut had left under two names
	Mended   map[string]int `json:"mended"`   // what check --repair mended, by its codes
	Halves   int            `json:"halves"`   // unsynced drops of which there was only a part
	Back     int            `json:"back"`     // pruned jobs that came back
	Lines    string         `json:"lines"`    // the record of how everything is now
}

// verifier looks at a spool after a cut.
type verifier struct {
	queue
	record     []byte
	ranBefore  []byte // what the jobs noted before the cut; nil if that is not known
	checkFirst bool   // check --repair clears up, and not the first worker
	judgement
}

func (v *verifier) verify(ctx context.Context) (r result, err error) {
	notes, err := parseRecord(v.record)
	if err != nil {
		return r, err
	}
	early, err := parseRecord(v.ranBefore)
	if err != nil {
		return r, err
	}
	l := ledger{}
	l.read(notes)
	l.read(early)
	for _, n := range notes {
		if n.kind == acked {
			r.Acked++
		}
	}
	before, err := v.list(ctx)
	if err != nil {
		return r, err
	}
	r.Jobs = len(before)
	v.afterCut(l, before)
	for _, j := range before {
		if f := l[j.key()]; f != nil && f.pruned {
			r.Back++
		}
		if j.Dropped && j.spec.key == "" {
			r.Halves++
		}
	}
	found, err := v.check(ctx, false)
	if err != nil {
		return r, err
	}
	for _, b := range found {
		if b.Code == "duplicate-id" && b.Repairable {
			r.TwoNames++
		}
	}
	r.Mended = map[string]int{}
	if v.checkFirst {
		if err := v.mend(ctx, r.Mended); err != nil {
			return r, err
		}
	}
	// Not what was there before: check may have finished an enqueue that the cut had stopped.
	waiting, err := v.list(ctx)
	if err != nil {
		return r, err
	}
	if err := v.unpark(ctx, waiting); err != nil {
		return r, err
	}
	if err := v.drain(ctx); err != nil {
		return r, err
	}
	if err := v.mend(ctx, r.Mended); err != nil {
		return r, err
	}
	after, err := v.list(ctx)
	if err != nil {
		return r, err
	}
	runs, err := v.runs()
	if err != nil {
		return r, err
	}
	v.afterDrain(l, before, after, runs)
	if err := v.rejects(ctx, l); err != nil {
		return r, err
	}
	r.Lines = retold(l, after)
	r.Breaches = v.breaches
	return r, nil
}

// unpark makes what is held or for later due, so that it can be seen to be whole.
func (v *verifier) unpark(ctx context.Context, jobs []job) error {
	release, due := []string{"release"}, []string{"run-now"}
	for _, j := range jobs {
		switch j.State {
		case "held":
			release, due = append(release, j.ID), append(due, j.ID)
		case "scheduled":
			due = append(due, j.ID)
		}
	}
	for _, args := range [][]string{release, due} {
		if len(args) == 1 {
			continue
		}
		if _, err := v.run(ctx, "", args...); err != nil {
			return err
		}
	}
	return nil
}

// list is all jobs, as any reader sees them.
func (v *verifier) list(ctx context.Context) ([]job, error) {
	out, err := v.run(ctx, "", "list", "--limit", "0", "--json")
	if err != nil {
		return nil, err
	}
	var all struct{ Jobs []job }
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, err
	}
	for i, j := range all.Jobs {
		if args, ok := j.Command.([]any); ok && len(args) > 0 {
			s, _ := args[len(args)-1].(string)
			all.Jobs[i].spec, _ = parseSpec(s) // none of ours: judged by its id
		}
	}
	return all.Jobs, nil
}

type problem struct {
	Code, Path, Problem            string
	Harmless, Repairable, Repaired bool
}

func (v *verifier) check(ctx context.Context, repair bool) ([]problem, error) {
	args := []string{"check", "--json"}
	if repair {
		args = append(args, "--repair")
	}
	out, err := v.run(ctx, "", args...)
	var found struct{ Breaches []problem }
	if jsonErr := json.Unmarshal(out, &found); jsonErr != nil {
		return nil, errors.Join(err, jsonErr)
	}
	return found.Breaches, nil
}

// repairs is how often check may have to mend: what is left of an enqueue is taken for
// somebody's at work as long as another process has the number of the one that is gone, and
// after a boot the numbers begin anew.
const repairs = 3

// mend has check repair what it can, and counts that; what is left is a breach.
func (v *verifier) mend(ctx context.Context, mended map[string]int) error {
	var left []problem
	for round := range repairs {
		if round > 0 {
			mended["again"]++ // to be seen in the report
		}
		found, err := v.check(ctx, true)
		if err != nil {
			return err
		}
		for _, p := range found {
			if p.Repaired {
				mended[p.Code]++
			}
		}
		if found, err = v.check(ctx, false); err != nil {
			return err
		}
		left = slices.DeleteFunc(found, func(p problem) bool { return p.Harmless })
		if !slices.ContainsFunc(left, func(p problem) bool { return p.Repairable }) {
			break
		}
	}
	for _, p := range left {
		v.breach(unsound, "check: %s %s: %s", p.Code, p.Path, p.Problem)
	}
	return nil
}

// rounds is how often a drain is begun anew before that counts as a hang: each job has
// few attempts, and each failed one makes the next drain wait for it.
const rounds = 50

// drain has workers run all that is there, also what is retried.
func (v *verifier) drain(ctx context.Context) error {
	left := ""
	for range rounds {
		if out, err := v.run(ctx, "", "worker", "start", "--drain", "--count", "4", "--max-time", "60s"); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		out, err := v.run(ctx, "", "status", "--json")
		if err != nil {
			return err
		}
		var st struct{ Pending, Scheduled, Retrying, Held, Processing, Dropped, Unfinished int }
		if err := json.Unmarshal(out, &st); err != nil {
			return err
		}
		if st.Pending+st.Scheduled+st.Retrying+st.Held+st.Processing+st.Dropped-st.Unfinished == 0 {
			return nil
		}
		left = fmt.Sprintf("%+v", st)
	}
	v.breach(neverRan, "after %d drains there are still jobs: %s", rounds, left)
	return nil
}

// runs is what the jobs have noted since the cut.
func (v *verifier) runs() ([]note, error) {
	data, err := os.ReadFile(v.ran)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseRecord(data)
}

// rejects looks at what was set aside: nothing but halves of unsynced drops may be.
func (v *verifier) rejects(ctx context.Context, l ledger) error {
	out, err := v.run(ctx, "", "dlq", "list", "--json")
	if err != nil {
		return err
	}
	var all struct {
		Rejected []struct{ Dropped, File, Reason string }
	}
	if err := json.Unmarshal(out, &all); err != nil {
		return err
	}
	for _, x := range all.Rejected {
		f := l[strings.TrimSuffix(x.Dropped, ".json")]
		if f == nil || f.acked {
			v.breach(unsound, "%s was set aside: %s", x.File, x.Reason)
		}
	}
	return nil
}

// retold is the record of how all jobs are, now that this is on the disk.
func retold(l ledger, jobs []job) string {
	var b bytes.Buffer
	here := byKey(jobs)
	for key := range l {
		if len(here[key]) == 0 {
			b.WriteString(note{seen, "gone", key, nil}.String())
		}
	}
	for _, j := range jobs {
		state := j.State
		if !j.ended() {
			state = "parked"
		}
		if j.Dropped && j.spec.key == "" {
			// Half a file is still there, until it has been still for long enough.
			b.WriteString(note{begins, "drop", j.key(), []string{j.key()}}.String())
		} else if j.spec.key != "" {
			b.WriteString(note{seen, state, j.key(), []string{j.ID, strconv.Itoa(j.Attempts), strconv.Itoa(j.spec.version)}}.String())
		}
	}
	return b.String()
}
