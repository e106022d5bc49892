package fsq

import (
	"fmt"
	"time"
)

const (
	problemPause = time.Minute
	// maxAlike is how many problems with one cause are told in a problemPause: a disk that
	// is full refuses each of ten thousand dropped files with another text.
	maxAlike = 10
	// maxProblems bounds what is remembered; beyond it all may be told anew.
	maxProblems = 1000
)

// complaints decide which problems are told: what goes wrong in a loop goes wrong often.
type complaints struct {
	texts  map[string]time.Time // when each was last told
	causes map[string]*alike
}

// alike are the problems with one cause that were told since.
type alike struct {
	since time.Time
	n     int
}

// tell reports whether a problem is to be told, and whether it is the last with its cause
// for now. Of one text that is once a minute.
func (c *complaints) tell(text, cause string, now time.Time) (yes, last bool) {
	if at, known := c.texts[text]; known && now.Sub(at) < problemPause {
		return false, false
	}
	a := c.causes[cause]
	if a == nil || now.Sub(a.since) >= problemPause {
		if c.causes == nil || len(c.causes) >= maxProblems {
			c.causes = map[string]*alike{}
		}
		a = &alike{since: now}
		c.causes[cause] = a
	}
	if a.n == maxAlike {
		return false, false
	}
	a.n++
	if c.texts == nil || len(c.texts) >= maxProblems {
		c.texts = map[string]time.Time{}
	}
	c.texts[text] = now
	return true, a.n == maxAlike
}

// problem tells of an error that the worker goes on from.
func (w *Worker) problem(err error) { w.problemAs(err.Error(), err) }

// problemAs is problem for an error whose text is never the same: what names a new file
// each time, say.
func (w *Worker) problemAs(text string, err error) {
	events := &w.seat.pool.events
	events.Lock()
	yes, last := w.complaints.tell(text, cause(err).Error(), time.Now())
	events.Unlock()
	if !yes {
		return
	}
	if last {
		err = fmt.Errorf("%w (for a minute, no more of this kind are told)", err)
	}
	w.log.Error("problem", "error", err)
	w.emit(Event{Kind: EventProblem, Error: err.Error()})
}
