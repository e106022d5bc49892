package fsq

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Sort is what a list is ordered by.
type Sort string

// The orders. All but SortTurn are ascending; who has no such value comes last, also in
// reverse.
const (
	SortTurn     Sort = "turn"     // what runs, what waits in the order of its turn, what is due later, what has ended, the newest first
	SortDue      Sort = "due"      // when it may run or might have
	SortEnqueued Sort = "enqueued" // costs a look at the file of each job whose id somebody chose; in reverse, of few that have ended
	SortEnded    Sort = "ended"
	SortWait     Sort = "wait" // of the last attempt
	SortRun      Sort = "run"  // likewise; of one that runs, so far
	SortAttempts Sort = "attempts"
	SortPriority Sort = "priority"
)

// Sorts are all orders.
func Sorts() []Sort {
	return []Sort{SortTurn, SortDue, SortEnqueued, SortEnded, SortWait, SortRun, SortAttempts, SortPriority}
}

// ParseSort reads an order; a "-" before it reverses. "" is SortTurn. The error is a
// *FieldError.
func ParseSort(s string) (by Sort, reverse bool, err error) {
	word, reverse := strings.CutPrefix(s, "-")
	if word == "" && !reverse {
		return SortTurn, false, nil
	}
	if by = Sort(word); !slices.Contains(Sorts(), by) {
		return "", false, fieldErrorf("sort", "must be %s, perhaps with a - before it, not %s", sortWords(), quote(s))
	}
	return by, reverse, nil
}

func sortWords() string {
	var words []string
	for _, s := range Sorts() {
		words = append(words, string(s))
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// place is where a job stands in a list. No two stand at the same, and it changes only
// when the job moves: so a place is enough to go on from, whatever comes and goes.
type place struct {
	Group int    `json:"g,omitempty"` // of SortTurn, by state
	None  bool   `json:"n,omitempty"` // it has no value, and comes last
	A     int64  `json:"a,omitempty"`
	B     int64  `json:"b,omitempty"`
	Down  bool   `json:"d,omitempty"` // of equals, the greater id comes first
	ID    string `json:"i"`           // of a dropped file its path
	Queue string `json:"q"`
}

func (p *place) compare(o *place) int {
	if c := p.compareValues(o); c != 0 {
		return c
	}
	c := cmp.Or(strings.Compare(p.ID, o.ID), strings.Compare(p.Queue, o.Queue))
	if p.Down {
		return -c
	}
	return c
}

// compareValues is compare as far as it does not depend on the ids.
func (p *place) compareValues(o *place) int {
	if p.None != o.None {
		if p.None {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(p.Group, o.Group), cmp.Compare(p.A, o.A), cmp.Compare(p.B, o.B))
}

// order gives jobs their places.
type order struct {
	by      Sort
	reverse bool
	// at is when the first page was made. Later ones go by it, too: else what becomes due,
	// or goes on running, would change its place.
	at time.Time
}

// groupDropped is that of files that no worker has adopted: they have no turn
// yet, and come after what waits for its own.
const groupDropped = 2

var turnGroups = map[State]int{
	Processing: 0, Pending: 1, Scheduled: 3, Retrying: 4, Held: 5, Done: 6, Dead: 6, Cancelled: 6, // what has ended last is looked for first, however it ended
}

// place is that of a job. filed is the hour that a done one lies in, zero if it is in none.
func (o *order) place(q *Queue, e *spool.Entry, filed time.Time) place {
	p := place{ID: e.Name.ID, Queue: q.Name()}
	switch o.by {
	case SortTurn:
		st := stateOf(*e, o.at)
		p.Group = turnGroups[st]
		switch st {
		case Done, Dead, Cancelled:
			p.A, p.Down = -o.ended(q, e, filed).UnixMilli(), true
		case Pending:
			p.A, p.B = -int64(e.Priority), e.Due.UnixMilli()
		default:
			p.A, p.B = e.Due.UnixMilli(), -int64(e.Priority)
		}
	case SortDue:
		if p.None = e.State == spool.Done || e.State == spool.Dead; !p.None {
			p.A = e.Due.UnixMilli()
		}
	case SortEnqueued:
		at, ok := spool.IDTime(e.Name.ID)
		if !ok {
			var err error
			at, err = q.s.WrittenAt(*e)
			ok = err == nil
			if latest, ended := lastPut(e); ended && at.After(latest) {
				at = latest
			}
		}
		if p.None = !ok; ok {
			p.A = at.UnixMilli()
		}
	case SortEnded:
		if p.None = e.State != spool.Done && e.State != spool.Dead; !p.None {
			p.A = o.ended(q, e, filed).UnixMilli()
		}
	case SortWait, SortRun:
		p.A, p.None = o.took(q, e)
	case SortAttempts:
		p.A = int64(e.Attempt)
	case SortPriority:
		p.A = int64(e.Priority)
	}
	return o.turned(p)
}

// lastPut is the latest time at which a job can have been enqueued that has ended.
func lastPut(e *spool.Entry) (at time.Time, ended bool) {
	return e.Due.Add(-e.Run - e.Wait), e.Outcome != ""
}

// atBest is a place that the job does not come before, told by its name alone; ok is false
// if there is none, or place costs no more.
func (o *order) atBest(q *Queue, e *spool.Entry) (p place, ok bool) {
	if o.by != SortEnqueued || !o.reverse {
		return p, false
	}
	if _, made := spool.IDTime(e.Name.ID); made {
		return p, false
	}
	at, ok := lastPut(e)
	return o.turned(place{ID: e.Name.ID, Queue: q.Name(), A: at.UnixMilli()}), ok
}

// ended is when a job was settled. Of done/ it is a time of the hour that it is filed in,
// whatever its name says, so that whole hours can be passed over.
func (o *order) ended(q *Queue, e *spool.Entry, filed time.Time) time.Time {
	switch {
	case e.State == spool.Done && !filed.IsZero():
		if e.Outcome == "" || e.Due.Before(filed) {
			return filed
		}
		return earliest(filed.Add(time.Hour-time.Millisecond), e.Due)
	case e.Outcome == "": // moved here by hand
		if at, err := q.s.ClaimedAt(*e); err == nil {
			return at
		}
	}
	return e.Due
}

// took is how long the last attempt waited or ran, in milliseconds.
func (o *order) took(q *Queue, e *spool.Entry) (ms int64, none bool) {
	switch {
	case e.Outcome != "" && o.by == SortWait:
		return e.Wait.Milliseconds(), false
	case e.Outcome != "":
		return e.Run.Milliseconds(), false
	case e.State == spool.Processing:
		at, err := q.s.ClaimedAt(*e)
		if err != nil {
			return 0, true
		}
		if o.by == SortWait {
			return max(at.Sub(e.Due), 0).Milliseconds(), false
		}
		return o.at.Sub(at).Milliseconds(), false
	}
	return 0, true
}

// placeOfDrop is that of a dropped file.
func (o *order) placeOfDrop(q *Queue, i *JobInfo) place {
	p := place{ID: i.File, Queue: q.Name()}
	at := func(t *time.Time) {
		if p.None = t == nil; t != nil {
			p.A = t.UnixMilli()
		}
	}
	switch o.by {
	case SortTurn:
		p.Group = groupDropped
	case SortDue:
		at(i.DueAt)
	case SortEnqueued:
		at(i.EnqueuedAt)
	case SortPriority:
		p.A = int64(i.Priority)
	case SortEnded, SortWait, SortRun:
		p.None = true
	case SortAttempts:
	}
	return o.turned(p)
}

func (o *order) turned(p place) place {
	if o.reverse {
		p.Group, p.A, p.B, p.Down = -p.Group, -p.A, -p.B, !p.Down
	}
	return p
}

// newestFirst reports whether the jobs of an hour of done/ stand before those of the hour
// before it.
func (o *order) newestFirst() bool {
	return o.by == SortTurn && !o.reverse || o.by == SortEnded && o.reverse
}

// bounds are places, of which only the values count, that no job of an hour of done/ comes
// before, and after.
func (o *order) bounds(hour time.Time) (first, last place) {
	for _, b := range []struct {
		p  *place
		at time.Time
	}{{&first, hour.Add(time.Hour - time.Millisecond)}, {&last, hour}} {
		b.p.A = -b.at.UnixMilli()
		if o.by == SortTurn {
			b.p.Group = turnGroups[Done]
		}
	}
	return first, last
}

// cursor is a place to go on from, and the order that it is of.
type cursor struct {
	By      Sort  `json:"s"`
	Reverse bool  `json:"r,omitempty"`
	At      int64 `json:"t"` // order.at, ms
	place
}

func (o *order) cursor(p place) string {
	// Numbers and valid text: that cannot fail.
	data, _ := json.Marshal(cursor{By: o.by, Reverse: o.reverse, At: o.at.UnixMilli(), place: p})
	return base64.RawURLEncoding.EncodeToString(data)
}

// maxCursor is far more than an id and a queue's name take in JSON.
const maxCursor = 4 << 10

// orderOf reads the options; after is nil if they begin with the first page.
func orderOf(opt *ListOptions, now time.Time) (o *order, after *place, err error) {
	o = &order{by: cmp.Or(opt.Sort, SortTurn), reverse: opt.Reverse, at: now}
	if !slices.Contains(Sorts(), o.by) {
		return nil, nil, fieldErrorf("sort", "must be %s, not %s", sortWords(), quote(string(o.by)))
	}
	if opt.After == "" {
		return o, nil, nil
	}
	var c cursor
	data, err := base64.RawURLEncoding.DecodeString(opt.After)
	if len(opt.After) > maxCursor || err != nil || json.Unmarshal(data, &c) != nil {
		return nil, nil, fieldErrorf("after", "must be what a page said comes next, not %s", quote(opt.After))
	}
	if c.By != o.by || c.Reverse != o.reverse {
		return nil, nil, fieldErrorf("after", "must be of a page in the same order")
	}
	o.at = time.UnixMilli(c.At).UTC()
	return o, &c.place, nil
}
