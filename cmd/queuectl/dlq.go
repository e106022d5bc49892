package main

import (
	"context"
	"fmt"

	"github.com/queuectl/queuectl/fsq"
)

func newDLQ(a *app) *command {
	return &command{
		name:  "dlq",
		args:  "COMMAND",
		short: "List, retry and remove dead letters",
		long: `Dead letters are jobs that have used up their retries, and files dropped into the
spool that are no jobs (rejected).`,
		examples: []example{
			{"What died, and why", "queuectl dlq list"},
			{"Give all of it another try", "queuectl dlq retry --all"},
		},
		sub: []*command{newDLQList(a), newDLQAct(a, retryAction), newDLQAct(a, removeAction)},
	}
}

func newDLQList(a *app) *command {
	var limit int
	var cancelled bool
	c := &command{
		name:  "list",
		short: "List dead jobs and rejected files",
		long:  `Jobs that somebody has cancelled are left out, for there is nothing to mend in them.`,
		also:  []string{"failed", "dead"},
		examples: []example{
			{"What died, and why", "queuectl dlq list"},
			{"In all queues", "queuectl dlq list --queue '*'"},
			{"The ids of dead jobs that timed out", `queuectl dlq list --json | jq -r '.jobs[] | select(.outcome == "timeout").id'`},
		},
		flags:  newFlagSet(),
		queues: someQueue,
		run:    func(ctx context.Context, _ []string) error { return a.dlqList(ctx, limit, cancelled) },
	}
	intFlag(c.flags, &limit, "limit", listLimit, 0, "at most so many jobs; 0: all")
	boolFlag(c.flags, &cancelled, "cancelled", "list cancelled jobs, too")
	return c
}

type deadLetters struct {
	Jobs     []fsq.JobInfo  `json:"jobs"`
	Rejected []fsq.Rejected `json:"rejected"`
}

func (a *app) dlqList(ctx context.Context, limit int, cancelled bool) error {
	qs, err := a.queuesOrNone()
	if err != nil {
		return err
	}
	d := deadLetters{Jobs: []fsq.JobInfo{}, Rejected: []fsq.Rejected{}}
	var also []fsq.State
	if cancelled {
		also = append(also, fsq.Cancelled)
	}
	ask := limit
	if ask > 0 {
		ask++ // one more, to know whether there are more
	}
	for _, q := range qs {
		jobs, rejected, err := q.DeadLetters(ctx, ask, also...)
		if err != nil {
			return err
		}
		d.Jobs, d.Rejected = append(d.Jobs, jobs...), append(d.Rejected, rejected...)
	}
	more := limit > 0 && len(d.Jobs) > limit
	if more {
		d.Jobs = d.Jobs[:limit]
	}
	if a.json {
		err = a.out.json(d)
	} else {
		a.printDeadLetters(d)
		if qs != nil && len(d.Jobs)+len(d.Rejected) == 0 {
			a.note("no dead letters")
		}
	}
	if more {
		a.note("there are more than %s; --limit 0 lists all", plural(limit, "dead job"))
	}
	return err
}

func (a *app) printDeadLetters(d deadLetters) {
	now := a.now()
	t := &table{
		head:   []string{"ID", ">TRIES", "DIED", "ERROR", "COMMAND"},
		shrink: 3,
	}
	for _, j := range d.Jobs {
		t.add(cell{clean(j.ID), bold}, cell{text: attemptsOf(j)}, cell{text: whenOf(j, now)},
			cell{detailOf(j), red}, cell{text: commandOf(j)})
	}
	a.queueColumn(t, 0, func(row int) string { return d.Jobs[row].Queue })
	t.write(a.out)
	if len(d.Jobs) > 0 && len(d.Rejected) > 0 {
		a.out.printf("\n")
	}
	t = &table{head: []string{"REJECTED FILE", ">BYTES", "WHEN", "REASON"}}
	dropped := map[string]int{}
	for _, r := range d.Rejected {
		dropped[r.Dropped]++
	}
	for _, r := range d.Rejected {
		name := r.Dropped
		if dropped[name] > 1 {
			name = r.Name
		}
		t.add(cell{clean(name), bold}, cell{text: fmt.Sprint(r.Size)}, cell{text: relative(r.At, now)}, cell{clean(r.Reason), red})
	}
	a.queueColumn(t, 0, func(row int) string { return d.Rejected[row].Queue })
	t.write(a.out)
}

// dlqAction is what can be done with a dead letter.
type dlqAction struct {
	name, done, summary string
	short, long         string
	also                []string
	examples            []example
	do                  func(ctx context.Context, q *fsq.Queue, id string) error
	all                 fsq.Act // the same for all dead jobs
}

var retryAction = dlqAction{
	name: "retry", done: "retried", summary: "back in the queue",
	short: "Put dead letters back into the queue",
	long: `A dead job gets all its retries again and keeps everything else. A rejected file is
looked at again as if it had just been dropped.`,
	also: []string{"requeue"},
	examples: []example{
		{"Retry two jobs", "queuectl dlq retry job-3 job-7"},
		{"Retry everything", "queuectl dlq retry --all"},
		{"Retry a rejected file that was mended", "queuectl dlq retry nightly.json"},
	},
	do:  func(ctx context.Context, q *fsq.Queue, id string) error { return q.RetryDead(ctx, id) },
	all: fsq.Act{Action: fsq.ActionRetry},
}

var removeAction = dlqAction{
	name: "remove", done: "removed", summary: "removed",
	short: "Remove dead letters for good",
	also:  []string{"rm", "delete"},
	examples: []example{
		{"Remove a dead job", "queuectl dlq remove job-3"},
		{"Remove all dead jobs and rejected files", "queuectl dlq remove --all"},
	},
	do:  func(ctx context.Context, q *fsq.Queue, id string) error { return q.RemoveDead(ctx, id) },
	all: fsq.Act{Action: fsq.ActionDelete},
}

func newDLQAct(a *app, act dlqAction) *command {
	var all bool
	c := &command{
		name:     act.name,
		args:     "ID…|--all",
		most:     anyNumber,
		short:    act.short,
		long:     act.long,
		also:     act.also,
		examples: act.examples,
		exits: []exitStatus{
			{exitNotFound, "no such job or rejected file; the others were " + act.done},
			{exitConflict, "the job is not dead; the others were " + act.done},
		},
		queues: someQueue,
		flags:  newFlagSet(),
	}
	c.run = func(ctx context.Context, ids []string) error {
		switch {
		case all && len(ids) > 0:
			return usagef("give ids or --all, not both")
		case !all && len(ids) == 0:
			return &usageError{c.path + " needs ids, or --all", "queuectl dlq list shows the ids"}
		}
		return a.dlqAct(ctx, act, all, ids)
	}
	boolFlag(c.flags, &all, "all", "all dead jobs and rejected files")
	return c
}

func (a *app) dlqAct(ctx context.Context, act dlqAction, all bool, ids []string) error {
	qs, err := a.queues()
	if err != nil {
		return err
	}
	// Who has nobody left to tell goes no further.
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var failures failures
	done := 0
	tell := func(r fsq.ActResult) {
		if r.Err != nil {
			failures.add(a, r.Err)
		} else {
			done++
		}
		var err error
		switch {
		case a.json:
			err = a.out.jsonLine(r)
		case r.Err == nil:
			a.out.printf("%s\n", clean(r.ID))
			err = a.out.err
		}
		if err != nil {
			stop(err)
		}
	}
	var letters []ref
	if all {
		if _, err := fsq.Bulk(ctx, qs, fsq.Selector{States: []fsq.State{fsq.Dead}}, act.all, fsq.BulkOptions{Each: tell}); err != nil {
			return err
		}
		letters, err = rejects(qs)
	} else {
		letters, err = a.letters(ctx, qs, ids, &failures)
	}
	if err != nil {
		return err
	}
	for _, l := range letters {
		r := fsq.ActResult{Queue: l.q.Name(), ID: l.id, Result: act.done}
		if err := act.do(ctx, l.q, l.id); err != nil {
			r.Fail(err)
		}
		tell(r)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if a.err.terminal() || done == 0 && len(letters) == 0 && failures.err() == nil {
		a.note("%s %s", plural(done, "dead letter"), act.summary)
	}
	return failures.err()
}

// rejects are all files of the queues that never became jobs.
func rejects(qs []*fsq.Queue) (refs []ref, err error) {
	for _, q := range qs {
		rejected, err := q.Rejects()
		if err != nil {
			return nil, err
		}
		for _, r := range rejected {
			refs = append(refs, ref{q: q, id: r.Name})
		}
	}
	return refs, nil
}

// letters are the dead letters of these names. What is none is left to whom it is told to.
func (a *app) letters(ctx context.Context, qs []*fsq.Queue, ids []string, f *failures) ([]ref, error) {
	if len(qs) == 1 {
		return a.find(ctx, qs, ids, f)
	}
	at := map[string][]*fsq.Queue{}
	for _, q := range qs {
		jobs, rejected, err := q.DeadLetters(ctx, 0)
		if err != nil {
			return nil, err
		}
		here := map[string]bool{}
		for _, j := range jobs {
			here[j.ID] = true
		}
		for _, r := range rejected {
			here[r.Name], here[r.Dropped] = true, true
		}
		for name := range here {
			at[name] = append(at[name], q)
		}
	}
	var refs []ref
	for _, id := range ids {
		switch found := at[id]; len(found) {
		case 0:
			none, err := a.find(ctx, qs, []string{id}, f)
			if err != nil {
				return nil, err
			}
			refs = append(refs, none...)
		case 1:
			refs = append(refs, ref{q: found[0], id: id})
		default:
			f.add(a, ambiguity(id, found))
		}
	}
	return refs, nil
}
