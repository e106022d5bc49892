package spool

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"time"
)

// ReadyLimit is how many waiting jobs a process keeps in memory, of those that are
// due and of those that are not: up to twice 32 Ki names are some 20 MiB with the
// heap's own. What does not fit is found by the next scan.
const ReadyLimit = 32 << 10

// Ready is the set of waiting jobs that a process knows of: filled by a scan, kept
// by events, and refilled when it runs low. It holds the best of those that are due
// (by priority, then due time, then order of enqueuing) and the next of those that
// are not. It is not safe for concurrent use. The zero value is empty.
type Ready struct {
	// Order tells when a job was enqueued, for jobs of equal priority and due time
	// whose ids do not tell. nil: by id alone.
	Order func(Name) time.Time

	limit  int // 0: ReadyLimit
	due    bounded
	later  bounded
	front  []Name // the best of due that tied or were given back; whose turn it is lies last
	member map[string]struct{}
}

// bounded is a heap of the best names, which remembers the best that it had to
// leave out: nothing worse than that may come in before the next scan, or it would
// run before its turn.
type bounded struct {
	names []Name
	less  func(a, b Name) int
	out   *Name // the best left out since the last scan
}

func (b *bounded) Len() int           { return len(b.names) }
func (b *bounded) Less(i, j int) bool { return b.less(b.names[i], b.names[j]) < 0 }
func (b *bounded) Swap(i, j int)      { b.names[i], b.names[j] = b.names[j], b.names[i] }
func (b *bounded) Push(x any)         { b.names = append(b.names, x.(Name)) }
func (b *bounded) Pop() any {
	n := b.names[len(b.names)-1]
	b.names = b.names[:len(b.names)-1]
	return n
}

// byTurn orders jobs that are due.
func byTurn(a, b Name) int {
	return cmp.Or(tieOrder(a, b), strings.Compare(a.ID, b.ID))
}

func tieOrder(a, b Name) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.Due.Compare(b.Due))
}

// byDue orders jobs that are not.
func byDue(a, b Name) int {
	return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(b.Priority, a.Priority), strings.Compare(a.ID, b.ID))
}

func (r *Ready) init() {
	if r.member == nil {
		r.member = map[string]struct{}{}
		r.due.less, r.later.less = byTurn, byDue
		if r.limit == 0 {
			r.limit = ReadyLimit
		}
	}
}

// Len is how many jobs it knows of.
func (r *Ready) Len() int { return len(r.member) }

// Add takes note of a job that waits.
func (r *Ready) Add(n Name, now time.Time) {
	if n.Held || n.Queued {
		return
	}
	r.init()
	key := n.String()
	if _, known := r.member[key]; known {
		return
	}
	if n.Due.After(now) {
		r.push(&r.later, n, key)
	} else {
		r.push(&r.due, n, key)
	}
}

func (r *Ready) push(b *bounded, n Name, key string) {
	if b.out != nil && b.less(n, *b.out) > 0 {
		return
	}
	if len(b.names) >= 2*r.limit {
		r.shed(b)
		if b.out != nil && b.less(n, *b.out) > 0 {
			return
		}
	}
	r.member[key] = struct{}{}
	heap.Push(b, n)
}

// shed drops the worse half. Doing that at twice the limit makes it rare.
func (r *Ready) shed(b *bounded) {
	slices.SortFunc(b.names, b.less) // sorted is a heap
	for _, n := range b.names[r.limit:] {
		delete(r.member, n.String())
	}
	out := b.names[r.limit]
	b.out = &out
	clear(b.names[r.limit:])
	b.names = b.names[:r.limit]
}

// Reset forgets everything: a scan follows.
func (r *Ready) Reset() {
	*r = Ready{Order: r.Order, limit: r.limit}
}

// Due reports whether Next would have a job.
func (r *Ready) Due(now time.Time) bool {
	r.init()
	r.ripen(now)
	if r.inFront() {
		return !r.better()
	}
	return len(r.due.names) > 0
}

// first is the one of front whose turn it is.
func (r *Ready) first() Name { return r.front[len(r.front)-1] }

// inFront reports whether it goes before all of due.
func (r *Ready) inFront() bool {
	return len(r.front) > 0 && (len(r.due.names) == 0 || tieOrder(r.first(), r.due.names[0]) <= 0)
}

// GiveBack takes a job that Next has just given out back in. Add would put it behind all
// that tie with it.
func (r *Ready) GiveBack(n Name) {
	r.init()
	key := n.String()
	if _, known := r.member[key]; known {
		return
	}
	r.member[key] = struct{}{}
	r.front = append(r.front, n)
}

// ripen moves what has become due.
func (r *Ready) ripen(now time.Time) {
	for len(r.later.names) > 0 && !r.later.names[0].Due.After(now) {
		n := heap.Pop(&r.later).(Name)
		key := n.String()
		delete(r.member, key)
		r.push(&r.due, n, key)
	}
}

// Next takes the job out whose turn it is at now. ok is false if none is due that
// it knows of; then NeedsScan tells whether there may be more.
func (r *Ready) Next(now time.Time) (n Name, ok bool) {
	r.init()
	r.ripen(now)
	if r.inFront() {
		if r.better() {
			return Name{}, false
		}
		n, r.front = r.first(), r.front[:len(r.front)-1]
		delete(r.member, n.String())
		return n, true
	}
	if len(r.due.names) == 0 {
		return Name{}, false
	}
	n = heap.Pop(&r.due).(Name)
	if r.Order != nil && len(r.due.names) > 0 && tieOrder(n, r.due.names[0]) == 0 {
		n = r.breakTie(n)
	}
	delete(r.member, n.String())
	return n, true
}

// breakTie orders all that tie with n by when they were enqueued. Ids of NewID say
// that themselves; only if another is among them does it cost a look at each.
func (r *Ready) breakTie(n Name) Name {
	tied := []Name{n}
	for len(r.due.names) > 0 && tieOrder(n, r.due.names[0]) == 0 {
		tied = append(tied, heap.Pop(&r.due).(Name))
	}
	generated := func(n Name) bool { _, ok := ulidTime(n.ID); return ok }
	if !slices.ContainsFunc(tied, func(n Name) bool { return !generated(n) }) {
		r.lineUp(tied[1:])
		return tied[0]
	}
	at := make(map[string]time.Time, len(tied))
	for _, n := range tied {
		at[n.ID] = r.Order(n)
	}
	slices.SortStableFunc(tied, func(a, b Name) int { return cmp.Or(at[a.ID].Compare(at[b.ID]), strings.Compare(a.ID, b.ID)) })
	r.lineUp(tied[1:])
	return tied[0]
}

// lineUp keeps front in the order of turns: what tied earlier stays before what
// ties with it now. What exceeds the limit goes back: it keeps its place, because
// front goes before what ties with it.
func (r *Ready) lineUp(tied []Name) {
	if len(r.front) > 0 {
		slices.Reverse(r.front)
		tied = append(r.front, tied...)
		slices.SortStableFunc(tied, tieOrder)
	}
	var rest []Name
	if len(tied) > 2*r.limit {
		tied, rest = slices.Clone(tied[:r.limit]), tied[r.limit:]
	}
	slices.Reverse(tied)
	r.front = tied
	for _, n := range rest {
		key := n.String()
		delete(r.member, key)
		r.push(&r.due, n, key)
	}
}

// better reports whether one that was left out goes before all of front.
func (r *Ready) better() bool {
	return r.due.out != nil && len(r.front) > 0 && tieOrder(*r.due.out, r.first()) < 0
}

// NextDue is when the next job that it knows of will be due; zero if none.
func (r *Ready) NextDue() time.Time {
	if len(r.later.names) == 0 {
		return time.Time{}
	}
	return r.later.names[0].Due
}

// NeedsScan reports whether it has run out of jobs while some were left out.
func (r *Ready) NeedsScan(now time.Time) bool {
	return r.due.out != nil && len(r.due.names) == 0 && (len(r.front) == 0 || r.better()) ||
		r.later.out != nil && (len(r.later.names) == 0 || !r.later.out.Due.After(now))
}

// EnqueuedAt is when a waiting job was enqueued, as far as its id or its file tells:
// the order among jobs of equal priority and due time.
func (s *Spool) EnqueuedAt(n Name) time.Time {
	if t, ok := ulidTime(n.ID); ok {
		return t
	}
	in, err := s.ops.look(s.abs(pendingDir), s.file(n))
	if err != nil {
		return time.Time{}
	}
	return in.mtime
}
