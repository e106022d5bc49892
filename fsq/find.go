package fsq

import (
	"fmt"
	"slices"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// find returns the job with this id. Of several, which only a copy made by hand can
// make, the one that is furthest on.
func (q *Queue) find(id string) (spool.Entry, error) {
	names, _ := q.likely(id)
	return q.findNear(id, names, time.Time{})
}

// target is a job that something is done to.
type target struct {
	id string
	// seen is where a listing has just seen it; nil: it was not looked for. A search costs
	// a listing where nobody chose the id, and so many jobs many listings.
	seen *spool.Entry
	// states are those in which it is meant; nil: any. One that has moved on since it was
	// listed is left alone: who means what waits does not mean what runs by now.
	states []State
	// unsynced says that whoever acts on many syncs once what was removed.
	unsynced bool
	removed  *spool.Entry
}

func jobNamed(id string) *target { return &target{id: id} }

// locate is find for a target: the first time where it was seen, if it is still there.
func (q *Queue) locate(t *target) (spool.Entry, error) {
	e, err := q.locateAny(t)
	if st := stateOf(e, q.now()); err == nil && t.states != nil && !slices.Contains(t.states, st) {
		return e, fmt.Errorf("job %q is %s by now: %w", t.id, st, ErrState)
	}
	return e, err
}

func (q *Queue) locateAny(t *target) (spool.Entry, error) {
	if e := t.seen; e != nil {
		t.seen = nil
		if _, err := q.s.ClaimedAt(*e); err == nil {
			return *e, nil
		}
	}
	return q.find(t.id)
}

// findToShow is find for who only shows the job: of one that is done it takes the file for
// the present that its record tells of, and does not look whether somebody has copied it
// back into the queue.
func (q *Queue) findToShow(id string) (spool.Entry, error) {
	names, filed := q.likely(id)
	return q.findNear(id, names, filed)
}

func (q *Queue) findNear(id string, names []spool.Name, filed time.Time) (spool.Entry, error) {
	found, err := q.s.FindNear(id, names, filed)
	if err != nil {
		return spool.Entry{}, err
	}
	if len(found) == 0 {
		return spool.Entry{}, notFound(id)
	}
	return found[0], nil
}

// maxTraced bounds the records that are read to guess a name: for a job of more attempts
// than a search of a common spool is worth.
const maxTraced = 100

// likely tells which names the job with this id has, if nobody but workers has changed
// them since it was enqueued, and when it was filed in done/, if it was. It is a guess that
// spares a search: the settings may have changed since.
func (q *Queue) likely(id string) (names []spool.Name, filed time.Time) {
	if data, err := q.s.ReadChosen(id); err == nil {
		if j, err := ParseJob(data, time.Now()); err == nil {
			j.ID = id
			names = []spool.Name{q.name(j, j.EnqueuedAt)}
		}
	}
	for k := 1; k <= maxTraced; k++ {
		a, ok := q.readRecord(id, k)
		if !ok {
			break
		}
		switch {
		case a.Next == VerdictDone.String() && a.EndedAt != nil:
			return nil, *a.EndedAt
		case len(names) == 0:
		default:
			// It is recorded before it is done: the claim may still be there.
			last := names[len(names)-1]
			names = []spool.Name{last, after(last, a)}
		}
	}
	return names, time.Time{}
}

// after is the name under which a job waits again that had the name n before the attempt.
func after(n spool.Name, a Attempt) spool.Name {
	n.Attempt = a.Number
	if a.NextDue != nil {
		n.Due = spool.Truncate(*a.NextDue)
	}
	switch a.Next {
	case VerdictSnooze.String():
		n.Snoozed++
	case VerdictRequeue.String():
		if a.Outcome == string(OutcomeLost) {
			n.Lost++
		} else {
			n.Given++
		}
	default:
		return n
	}
	n.Allowed++
	return n
}
