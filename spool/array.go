package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"
)

// An array is a set of jobs of which only so many may be under way at a time, over all
// workers and hosts. It has that many turns. Each lies in the name of an element that
// has it (Name.Turn) from when it is given until that element has ended for good; the
// other elements wait (Name.Queued). Whoever settles an element passes its turn on by
// one rename of another's name. So the names are the account: a turn that is lost with
// who should have passed it on is found missing by the next count, and no other state
// can disagree with them.
//
// Turns are passed on and counted under the spool's lock: a count between the end of
// one element and the beginning of the next would find a turn missing that is on its way.

// ElementID is the id of an array's element.
func ElementID(array string, index int) string { return array + "-" + strconv.Itoa(index) }

// SplitElement takes an element's id apart. ok is false for an id that is none, but an
// id can look like an element's without being one.
func SplitElement(id string) (array string, index int, ok bool) {
	array, digits, _ := cutLast(id, "-")
	index, err := number(digits, 0, MaxIndex)
	return array, index, err == nil && array != ""
}

// MaxIndex is the greatest index of an element. Ten digits leave room for an id.
const MaxIndex = 1<<31 - 1

// turns is what a process remembers of arrays between two settlements, so that passing
// a turn on does not cost a listing. It also orders the process's own goroutines: a
// lock on a file is asked for again and again by who waits for it.
type turns struct {
	mu     sync.Mutex
	queues map[string]*turnQueue
}

type turnQueue struct {
	names []Entry   // the next ones that wait, lowest index first
	all   time.Time // when a listing found no more than these; zero if it did
}

const (
	// queueLimit is how many names of an array are remembered, some hundred bytes each.
	queueLimit = 4096
	// queueFresh is how long a listing that left nothing over is believed. An array that
	// is being put grows meanwhile; the next count finds the turn that stays behind.
	queueFresh = time.Second
)

// pass is a turn on its way from one element to the next.
type pass struct {
	s      *Spool
	array  string
	unlock func() // nil: there is no turn to pass on, or no lock
}

// withTurn begins a transition of a claim that may have a turn. Also one back to
// pending/ must not happen during a count, which would not see it in either place.
//
// A lock that cannot be had holds no outcome up: its turn is then not passed on, and
// the next count finds it missing.
func (s *Spool) withTurn(n Name) *pass {
	p := &pass{s: s}
	if !n.Turn {
		return p
	}
	p.array, _, _ = SplitElement(n.ID)
	p.unlock, _ = s.lockTurns()
	return p
}

func (p *pass) end() {
	if p.unlock != nil {
		p.unlock()
	}
}

// on gives the turn to the element of the lowest index that waits for one. What goes
// wrong is for the next count to mend.
func (p *pass) on() Name {
	if p.unlock == nil {
		return Name{}
	}
	e, _ := p.s.nextTurn(p.array)
	return e.Name
}

func (s *Spool) lockTurns() (unlock func(), err error) {
	s.turns.mu.Lock()
	release, err := s.lock()
	if err != nil {
		s.turns.mu.Unlock()
		return nil, err
	}
	return func() { release(); s.turns.mu.Unlock() }, nil
}

// nextTurn gives a turn to one element. The caller has the lock.
func (s *Spool) nextTurn(array string) (Entry, error) {
	for listed := false; ; listed = true {
		q := s.turns.queues[array]
		for q != nil && len(q.names) > 0 {
			e := q.names[0]
			q.names = q.names[1:]
			given, err := s.giveTurn(e)
			if err == nil || !errors.Is(err, fs.ErrNotExist) {
				return given, err
			}
		}
		if listed || q != nil && !q.all.IsZero() && s.ops.now().Sub(q.all) < queueFresh {
			return Entry{}, fs.ErrNotExist
		}
		arrays, err := s.countTurns(array)
		if err != nil {
			return Entry{}, err
		}
		s.remember(array, arrays[array])
	}
}

// remember keeps what a count has found of an array. The caller has the lock.
func (s *Spool) remember(array string, c *arrayCount) {
	if s.turns.queues == nil || len(s.turns.queues) >= queueLimit {
		s.turns.queues = map[string]*turnQueue{}
	}
	q := &turnQueue{}
	if c != nil {
		c.shed()
		q.names = c.queued
	}
	if c == nil || !c.cut {
		q.all = s.ops.now()
	}
	s.turns.queues[array] = q
}

// giveTurn makes the rename. The error wraps fs.ErrNotExist if the element does not wait
// under this name any more. On a network file system that may also be the reply to a
// rename that was executed, and whose outcome another has already claimed: there it is
// another error, because a second element would be one too many.
func (s *Spool) giveTurn(e Entry) (Entry, error) {
	if e.Editing() {
		return Entry{}, fmt.Errorf("give job %q its turn: it is being edited: %w", e.Name.ID, fs.ErrNotExist)
	}
	to := e
	to.Queued, to.Turn = false, true
	to.Path = path.Dir(e.Path) + "/" + s.file(to.Name)
	err := s.move(e.Path, to.Path)
	if err != nil && s.network {
		return Entry{}, fmt.Errorf("give job %q its turn: %w: %w", e.Name.ID, ErrUncertain, errors.New(err.Error()))
	}
	if err != nil {
		return Entry{}, fmt.Errorf("give job %q its turn: %w", e.Name.ID, err)
	}
	return to, nil
}

// arrayCount is what a listing tells of an array.
type arrayCount struct {
	queued []Entry         // that wait for a turn and are not held; the lowest indices
	cut    bool            // there are more
	have   map[string]bool // ids of those that have a turn
}

func (c *arrayCount) add(e Entry) {
	switch {
	case e.Turn:
		c.have[e.Name.ID] = true
	case e.State == Pending && !e.Held && !e.Editing(): // who edits it puts it back, to wait for a turn
		if c.queued = append(c.queued, e); len(c.queued) >= 2*queueLimit {
			c.shed()
		}
	}
}

// shed keeps the lowest indices.
func (c *arrayCount) shed() {
	slices.SortFunc(c.queued, func(a, b Entry) int {
		_, i, _ := SplitElement(a.Name.ID)
		_, j, _ := SplitElement(b.Name.ID)
		return i - j
	})
	if len(c.queued) > queueLimit {
		c.queued, c.cut = slices.Clone(c.queued[:queueLimit]), true
	}
}

// countTurns goes through all that waits or runs, in the order in which jobs are claimed,
// and counts the given array, or all if it is "".
func (s *Spool) countTurns(only string) (map[string]*arrayCount, error) {
	arrays := map[string]*arrayCount{}
	err := s.Each(func(e Entry) error {
		if !e.Queued && !e.Turn {
			return nil
		}
		array, _, _ := SplitElement(e.Name.ID)
		if only != "" && array != only {
			return nil
		}
		if arrays[array] == nil {
			arrays[array] = &arrayCount{have: map[string]bool{}}
		}
		arrays[array].add(e)
		return nil
	}, Pending, Processing)
	return arrays, err
}

// ShareTurns counts the turns of all arrays and gives those away that are missing: of an
// array that was just put by hand, of an element that was cancelled or deleted, or whose
// worker died. limit tells how many turns an array has, from the document of one of its
// elements; an array for which it returns an error is passed over. waiting says that
// there are elements which wait. Any number of processes may do it at once.
func (s *Spool) ShareTurns(limit func(Entry) (int, error)) (given []Entry, waiting bool, err error) {
	arrays, err := s.countTurns("")
	if err != nil {
		return nil, false, fmt.Errorf("count the turns of arrays: %w", err)
	}
	limits := map[string]int{}
	for array, c := range arrays {
		if len(c.queued) == 0 {
			continue
		}
		waiting = true
		c.shed()
		// A listing that misses a claim on the move is why only a suspicion comes of it.
		if n, err := limit(c.queued[0]); err == nil && len(c.have) < n {
			limits[array] = n
		}
	}
	if len(limits) == 0 {
		return nil, waiting, nil
	}
	given, err = s.shareTurns(limits)
	if err != nil {
		return given, waiting, fmt.Errorf("give turns to elements of arrays: %w", err)
	}
	return given, waiting, nil
}

// shareTurns counts again, under the lock and twice: one listing that does not see an
// entry proves nothing where entries are renamed.
func (s *Spool) shareTurns(limits map[string]int) (given []Entry, err error) {
	unlock, err := s.lockTurns()
	if err != nil {
		return nil, err
	}
	defer unlock()
	begun := s.ops.now()
	first, err := s.countTurns("")
	if err != nil {
		return nil, err
	}
	second, err := s.countTurns("")
	if err != nil {
		return nil, err
	}
	for array, limit := range limits {
		have := map[string]bool{}
		for _, arrays := range []map[string]*arrayCount{first, second} {
			if c := arrays[array]; c != nil {
				for id := range c.have {
					have[id] = true
				}
			}
		}
		s.remember(array, second[array])
		for n := len(have); n < limit; n++ {
			// Who was suspended for so long may have been passed by.
			if s.ops.now().Sub(begun) > lockPatience/2 {
				return given, nil
			}
			e, err := s.nextTurn(array)
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err != nil {
				return given, err
			}
			given = append(given, e)
		}
	}
	return given, nil
}
