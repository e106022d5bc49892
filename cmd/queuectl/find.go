package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

// ref is a job that a command is about: the same id may be another job in another queue.
type ref struct {
	q   *fsq.Queue
	id  string
	job *fsq.JobInfo // if it was found by something else than its id
}

// find tells in which of the queues each of the ids is. Of one queue it does not ask:
// whoever does something to a job finds out.
func (a *app) find(ctx context.Context, qs []*fsq.Queue, ids []string, f *failures) ([]ref, error) {
	var refs []ref
	if len(qs) == 1 {
		for _, id := range ids {
			refs = append(refs, ref{q: qs[0], id: id})
		}
		return refs, nil
	}
	where, err := fsq.Locate(ctx, qs, ids)
	for _, e := range parts(err) {
		if !errors.Is(e, fsq.ErrNotFound) {
			return nil, e
		}
		f.add(a, e)
	}
	for _, id := range ids {
		switch found := where[id]; len(found) {
		case 0: // said
		case 1:
			refs = append(refs, ref{q: found[0], id: id})
		default:
			f.add(a, ambiguity(id, found))
		}
	}
	return refs, nil
}

// ambiguity is the error about an id that is a job of several queues: which of them is
// meant nobody has said.
func ambiguity(id string, found []*fsq.Queue) error {
	var names []string
	for _, q := range found {
		names = append(names, q.Name())
	}
	return &usageError{fmt.Sprintf("job %q is in the queues %s", id, strings.Join(names, " and ")), "--queue with one of them says which"}
}

// findOne opens the queue that has the job. Where several are selected, the command is
// about that one from then on.
func (a *app) findOne(ctx context.Context, id string) (*fsq.Queue, error) {
	qs, err := a.queues()
	if err != nil {
		return nil, err
	}
	if len(qs) == 1 && !a.manyQueues() {
		return qs[0], nil
	}
	where, err := fsq.Locate(ctx, qs, []string{id})
	if err != nil {
		return nil, err
	}
	if found := where[id]; len(found) > 1 {
		return nil, ambiguity(id, found)
	}
	q := where[id][0]
	a.chosen = []queueChoice{{name: q.Name()}}
	return q, nil
}

// choose finds the jobs that are meant: those with the ids, or else those in the given
// states for which the selection holds.
func (a *app) choose(ctx context.Context, s *selection, sel fsq.Selector, states []fsq.State, f *failures) ([]ref, error) {
	qs, err := a.queues()
	if err != nil {
		return nil, err
	}
	named, err := a.find(ctx, qs, sel.IDs, f)
	if err != nil || sel.OnlyIDs() && !s.dryRun {
		return named, err
	}
	var refs []ref
	for _, q := range qs {
		here := sel
		if len(sel.IDs) > 0 {
			here.IDs = nil
			for _, r := range named {
				if r.q == q {
					here.IDs = append(here.IDs, r.id)
				}
			}
			if len(here.IDs) == 0 {
				continue
			}
		}
		jobs, err := q.Select(ctx, here, states)
		if err != nil && len(sel.IDs) == 0 {
			return nil, err
		}
		for _, e := range parts(err) {
			f.add(a, e)
		}
		for i := range jobs {
			refs = append(refs, ref{q, jobs[i].ID, &jobs[i]})
		}
	}
	return refs, nil
}
