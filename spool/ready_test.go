package spool

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drain takes all that is due at now.
func drain(r *Ready, now time.Time) (ids []string) {
	for {
		n, ok := r.Next(now)
		if !ok {
			return ids
		}
		ids = append(ids, n.ID)
	}
}

func TestTurns(t *testing.T) {
	t.Parallel()
	now := aDue.Add(time.Hour)
	var r Ready
	for _, n := range []Name{
		{ID: "e", Due: aDue.Add(time.Second), Priority: 0},
		{ID: "z-later", Due: now.Add(time.Millisecond), Priority: 999},
		{ID: "d", Due: aDue, Priority: 0},
		{ID: "b", Due: aDue.Add(time.Minute), Priority: 7},
		{ID: "a", Due: aDue.Add(time.Hour), Priority: 8},
		{ID: "f", Due: aDue, Priority: -5},
		{ID: "c", Due: aDue, Priority: 0},
		{ID: "c", Due: aDue, Priority: 0},
	} {
		r.Add(n, now)
	}
	if r.Len() != 7 {
		t.Errorf("it knows of %d jobs, one of which it was told twice; want 7", r.Len())
	}
	if got := strings.Join(drain(&r, now), ""); got != "abcdef" {
		t.Errorf("the order is %s", got)
	}
	if due := r.NextDue(); !due.Equal(now.Add(time.Millisecond)) {
		t.Errorf("the next is due at %s", due)
	}
	if r.NeedsScan(now) {
		t.Error("it wants a scan although nothing was left out")
	}
	if got := drain(&r, now.Add(time.Millisecond)); len(got) != 1 || got[0] != "z-later" {
		t.Errorf("when its time comes: %v", got)
	}
	if !r.NextDue().IsZero() || r.Len() != 0 {
		t.Errorf("want it empty, have %d, next due %s", r.Len(), r.NextDue())
	}
	if _, ok := new(Ready).Next(now); ok || new(Ready).NeedsScan(now) || !new(Ready).NextDue().IsZero() {
		t.Error("the zero value is not empty")
	}
}

func TestTiesGoByEnqueuing(t *testing.T) {
	t.Parallel()
	now := aDue.Add(time.Hour)
	at := map[string]time.Time{}
	asked := 0
	r := Ready{Order: func(n Name) time.Time { asked++; return at[n.ID] }}
	// Chosen ids, enqueued against the alphabet; the clock's resolution is that of a
	// file's time, finer than a name's.
	for i := range 10 {
		id := fmt.Sprintf("job-%d", 9-i)
		at[id] = aDue.Add(time.Duration(i) * time.Microsecond)
		r.Add(Name{ID: id, Due: aDue}, now)
	}
	r.Add(Name{ID: "first", Due: aDue, Priority: 1}, now)
	r.Add(Name{ID: "last", Due: aDue.Add(time.Millisecond)}, now)
	want := "first job-9 job-8 job-7 job-6 job-5 job-4 job-3 job-2 job-1 job-0 last"
	if got := strings.Join(drain(&r, now), " "); got != want {
		t.Errorf("want %s, have %s", want, got)
	}
	if asked > 12 {
		t.Errorf("%d looks at files for 10 ties", asked)
	}
}

// What is given back, again and again, keeps its turn: who would go behind all that tie with
// it had no turn as long as a queue is full.
func TestGivenBackKeepsItsTurn(t *testing.T) {
	t.Parallel()
	now := aDue.Add(time.Hour)
	r := Ready{Order: func(n Name) time.Time { return aDue.Add(time.Duration(n.Allowed)) }}
	for i, id := range []string{"a", "b", "c", "d"} {
		r.Add(Name{ID: id, Due: aDue, Allowed: i}, now)
	}
	full := func(want string) {
		t.Helper()
		for range 3 {
			n, ok := r.Next(now)
			if !ok || n.ID != want {
				t.Fatalf("want %s, have %s, %v", want, n.ID, ok)
			}
			r.GiveBack(n)
			r.GiveBack(n) // is told twice, and known once
			r.Add(n, now)
		}
	}
	full("a")
	r.Add(Name{ID: "urgent", Due: aDue, Priority: 1}, now)
	full("urgent")
	r.Add(Name{ID: "e", Due: aDue, Allowed: 9}, now)
	if got := strings.Join(drain(&r, now), " "); got != "urgent a b c d e" || r.Len() != 0 {
		t.Errorf("the order is %s", got)
	}
}

func TestGeneratedIDsNeedNoLook(t *testing.T) {
	t.Parallel()
	now := aDue.Add(time.Hour)
	r := Ready{Order: func(n Name) time.Time { t.Errorf("a look at %s", n.ID); return time.Time{} }}
	var want []string
	for i := range uint64(20) {
		want = append(want, encodeULID(5, 0, i))
	}
	for _, id := range slices.Backward(want) {
		r.Add(Name{ID: id, Due: aDue}, now)
	}
	if got := drain(&r, now); !slices.Equal(got, want) {
		t.Errorf("want %v, have %v", want, got)
	}
}

// A better job that comes while ties wait goes before them, and one that ties with
// them after.
func TestNewsAmongTies(t *testing.T) {
	t.Parallel()
	now := aDue.Add(time.Hour)
	at := map[string]time.Time{}
	add := func(r *Ready, id string, priority int) {
		at[id] = aDue.Add(time.Duration(len(at)))
		r.Add(Name{ID: id, Due: aDue, Priority: priority}, now)
	}
	r := Ready{Order: func(n Name) time.Time { return at[n.ID] }}
	for _, id := range []string{"c", "b", "a"} {
		add(&r, id, 0)
	}
	if n, _ := r.Next(now); n.ID != "c" {
		t.Fatalf("first %s", n.ID)
	}
	for _, id := range []string{"z", "y"} {
		add(&r, id, 5)
	}
	add(&r, "tail", 0)
	r.Add(Name{ID: "b", Due: aDue}, now) // known already
	if got := strings.Join(drain(&r, now), " "); got != "z y b a tail" {
		t.Errorf("have %s", got)
	}
	if r.Len() != 0 {
		t.Errorf("%d are left in memory", r.Len())
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 50
	now := aDue.Add(time.Hour)
	r := Ready{limit: limit, Order: func(Name) time.Time { return time.Time{} }}
	r.Reset()
	added := 0
	for round := range 20 {
		for i := range 1000 {
			added++
			r.Add(Name{ID: fmt.Sprintf("due-%d-%d", round, i), Due: aDue, Priority: round}, now)
			r.Add(Name{ID: fmt.Sprintf("later-%d-%d", round, i), Due: now.Add(time.Duration(1000*round-i) * time.Second)}, now)
		}
		r.Next(now)
		if r.Len() > 6*limit {
			t.Fatalf("after %d jobs it keeps %d, and %d in order", 2*added, r.Len(), len(r.front))
		}
	}
}

func TestResetKeepsTheOrder(t *testing.T) {
	t.Parallel()
	r := Ready{limit: 3, Order: func(Name) time.Time { return aDue }}
	for i := range 20 {
		r.Add(Name{ID: fmt.Sprint(i), Due: aDue}, aDue)
	}
	r.Reset()
	if r.Len() != 0 || r.limit != 3 || r.Order == nil || r.NeedsScan(aDue) {
		t.Errorf("after Reset: %+v", r)
	}
}

// readyModel is the naive set that Ready must be like.
type readyModel struct {
	waiting map[string]Name // what lies in pending/
	now     time.Time
	r       Ready
}

func (m *readyModel) best() (Name, bool) {
	var due []Name
	for _, n := range m.waiting {
		if !n.Due.After(m.now) {
			due = append(due, n)
		}
	}
	if len(due) == 0 {
		return Name{}, false
	}
	return slices.MinFunc(due, func(a, b Name) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.Due.Compare(b.Due), strings.Compare(a.ID, b.ID))
	}), true
}

func (m *readyModel) scan() {
	m.r.Reset()
	for _, n := range m.waiting {
		m.r.Add(n, m.now)
	}
}

// However small its memory, in whatever order news come: who honours NeedsScan gets
// the jobs in their order and misses none.
func TestReadyIsLikeTheNaiveSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &readyModel{waiting: map[string]Name{}, now: aDue, r: Ready{limit: rapid.IntRange(1, 4).Draw(t, "limit")}}
		exact := rapid.Bool().Draw(t, "by id")
		if !exact {
			// By enqueuing: of more ties than it keeps the order is not told.
			m.r.Order = func(n Name) time.Time { return aDue.Add(time.Duration(n.Allowed)) }
		}
		made := 0
		gaveBack := false // what was given back goes before what ties with it, also by id
		t.Repeat(map[string]func(*rapid.T){
			"enqueue": func(t *rapid.T) {
				for range rapid.IntRange(1, 10).Draw(t, "jobs") {
					made++
					n := Name{
						ID:       fmt.Sprintf("%02d-%d", rapid.IntRange(0, 20).Draw(t, "id"), made),
						Allowed:  made,
						Priority: rapid.IntRange(-1, 1).Draw(t, "priority"),
						Due:      m.now.Add(time.Duration(rapid.IntRange(-3, 6).Draw(t, "in")) * time.Second),
					}
					m.waiting[n.ID] = n
					m.r.Add(n, m.now)
				}
			},
			"others take one": func(*rapid.T) {
				n, ok := m.best()
				if ok {
					delete(m.waiting, n.ID)
				}
			},
			"wait": func(t *rapid.T) {
				m.now = m.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
			},
			"take": func(t *rapid.T) {
				for {
					if m.r.NeedsScan(m.now) {
						m.scan()
					}
					got, ok := m.r.Next(m.now)
					if ok && m.waiting[got.ID] != got {
						continue // somebody else had it: the claim fails
					}
					if !ok && m.r.NeedsScan(m.now) {
						continue
					}
					want, due := m.best()
					if ok != due || got != want && (exact && !gaveBack || tieOrder(got, want) != 0) {
						t.Fatalf("want %v %v, have %v %v of %d that wait", want, due, got, ok, len(m.waiting))
					}
					if ok && rapid.Bool().Draw(t, "give back") {
						m.r.GiveBack(got)
						gaveBack = true
						if again, ok := m.r.Next(m.now); !ok || again != got {
							t.Fatalf("%v was given back, and %v came next, %v", got, again, ok)
						}
						m.r.GiveBack(got)
						return
					}
					delete(m.waiting, got.ID)
					return
				}
			},
			"": func(t *rapid.T) {
				if m.r.Len() > 6*m.r.limit {
					t.Fatalf("it keeps %d with a limit of %d", m.r.Len(), m.r.limit)
				}
				// NextDue may be too early, for a job that is gone; it is never too late.
				for _, n := range m.waiting {
					if n.Due.After(m.now) && !m.r.NeedsScan(n.Due) && (m.r.NextDue().IsZero() || m.r.NextDue().After(n.Due)) {
						t.Fatalf("a job is due at %s, and it would sleep until %s", n.Due, m.r.NextDue())
					}
				}
			},
		})
	})
}

// EnqueuedAt orders what Put put within one millisecond, whatever the ids are.
func TestPutOrderIsKeptWithinAMillisecond(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	driveClock(s)
	due := Truncate(s.Now())
	var want []string
	for i := range 30 {
		id := fmt.Sprintf("job-%02d", (i*7)%30)
		want = append(want, id)
		if err := s.Put(Item{Name: Name{Due: due, Allowed: 1, ID: id}, Data: []byte("{}"), Reserved: true}); err != nil {
			t.Fatal(err)
		}
	}
	r := Ready{Order: s.EnqueuedAt}
	if err := s.Waiting(func(n Name) { r.Add(n, s.Now()) }, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if got := drain(&r, s.Now()); !slices.Equal(got, want) {
		t.Errorf("want %v, have %v", want, got)
	}
	if got := s.EnqueuedAt(Name{ID: "gone", Due: due}); !got.IsZero() {
		t.Errorf("a job that is gone was enqueued at %s", got)
	}
	id := s.NewID()
	if got, want := s.EnqueuedAt(Name{ID: id}), s.Now(); got.Sub(want).Abs() > time.Hour {
		t.Errorf("%s was enqueued at %s, now is %s", id, got, want)
	}
}
