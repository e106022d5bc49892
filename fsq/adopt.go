package fsq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// adopter makes jobs of dropped files, beside the worker's loop: one of them may
// have to be waited for.
type adopter struct {
	w        *Worker
	drops    *mailbox[string]
	found    *mailbox[spool.Name]
	failures map[string]int // tries in a row at which the file system refused a drop

	quiet *mailbox[struct{}] // receives when no drop is left that may yet prove ready
	mu    sync.Mutex
	open  map[string]time.Time // those that may: when they were first looked at, zero if not yet
}

func newAdopter(w *Worker) *adopter {
	return &adopter{
		w: w, drops: newMailbox[string](), found: newMailbox[spool.Name](), failures: map[string]int{},
		quiet: newMailbox[struct{}](), open: map[string]time.Time{},
	}
}

// offer names files that may be drops.
func (a *adopter) offer(bases ...string) {
	if len(bases) > 0 {
		a.mu.Lock()
		for _, base := range bases {
			if _, known := a.open[base]; !known {
				a.open[base] = time.Time{}
			}
		}
		a.mu.Unlock()
		a.drops.put(bases...)
	}
}

// isQuiet reports whether each drop that was offered is a job now, or not ready to be one.
func (a *adopter) isQuiet() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.open) == 0
}

// tried takes note of a look at a drop. One of which nobody can say whether it is being
// written stays open until it must have been decided if nobody writes to it.
func (a *adopter) tried(base string, got spool.Adopted, now time.Time) {
	a.mu.Lock()
	since, open := a.open[base]
	if since.IsZero() {
		since = now
	}
	if got.Unsure && open && now.Sub(since) < 2*got.Again {
		a.open[base] = since
	} else {
		delete(a.open, base)
	}
	quiet := open && len(a.open) == 0
	a.mu.Unlock()
	if quiet {
		a.quiet.put()
	}
}

func (a *adopter) run(ctx context.Context) {
	waiting := map[string]time.Time{}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.drops.C:
			for _, base := range a.drops.take() {
				waiting[base] = time.Time{}
			}
		case <-timer.C:
		}
		next := time.Now().Add(time.Hour)
		for base, at := range waiting {
			if ctx.Err() != nil {
				return
			}
			if time.Now().Before(at) {
				next = earlier(next, at)
				continue
			}
			if pause := a.try(base); pause > 0 {
				waiting[base] = time.Now().Add(pause)
				next = earlier(next, waiting[base])
			} else {
				delete(waiting, base)
			}
		}
		timer.Reset(time.Until(next))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// try adopts one file and returns when to try again; 0 for never.
func (a *adopter) try(base string) time.Duration {
	adopt := a.w.q.s.Adopt
	if spool.InBox(base) {
		adopt = a.w.q.s.Collect
	}
	got, err := adopt(base, a.w.q.adoption)
	defer func() { a.tried(base, got, time.Now()) }()
	if err != nil {
		a.w.problem(err)
		pause := min(time.Second<<a.failures[base], time.Minute)
		a.failures[base] = min(a.failures[base]+1, 6) // 64 s: the pause is a minute from there on
		return pause
	}
	delete(a.failures, base)
	switch {
	case !got.Done && got.Again > 0 && got.Base != base:
		a.offer(got.Base)
	case !got.Done:
		return got.Again
	case got.Rejected != "":
		a.w.emit(Event{Kind: EventRejected, JobID: droppedAs(base), Error: got.Rejected})
	default:
		a.w.emit(Event{Kind: EventAdopted, JobID: got.Name.ID, Command: droppedAs(base)})
		a.found.put(got.Name)
	}
	return 0
}

// droppedAs is the name that its producer gave a drop, whatever a worker has made of it.
func droppedAs(base string) string { return spool.Drop{Base: base}.Stem() + ".json" }

func (q *Queue) adoption(d spool.Drop) spool.Adoption { return q.adoptionAt(d, q.s.Now()) }

// adoptionAt decides what becomes of a dropped file. now is the spool's, also for a run_at
// of "+10m": the clock of the host that adopts it may be hours off.
func (q *Queue) adoptionAt(d spool.Drop, now time.Time) spool.Adoption {
	if err := q.distrust(d.UID, d.GID, d.Mode); err != nil {
		return spool.Adoption{Reject: err.Error()}
	}
	if whole, incomplete, err := wholeObject(d.Data); !whole {
		return spool.Adoption{Reject: err.Error(), Unparsed: true, Incomplete: incomplete}
	}
	j, err := ParseJob(d.Data, now)
	if err != nil {
		return spool.Adoption{Reject: err.Error()}
	}
	if j.ID == "" && j.Array != nil {
		j.ID = spool.ElementID(j.Array.ID, j.Array.Index)
	}
	reserved := j.ID != ""
	if !reserved {
		j.ID = q.dropID(d.Stem())
	}
	return spool.Adoption{Name: q.name(j, now), Reserved: reserved}
}

// dropID is the id of a job that names none: its file's name, as far as that can be
// an id.
func (q *Queue) dropID(stem string) string {
	id := strings.TrimLeft(strings.ToValidUTF8(stem, "_"), ".-")
	if spool.ValidateID(id) != nil {
		return q.s.NewID()
	}
	return id
}

// wholeObject reports whether data is one JSON object and nothing else; incomplete,
// that it is the beginning of one. No proper prefix of a JSON object is a JSON
// object, so whoever writes from front to back is done when it is whole.
func wholeObject(data []byte) (whole, incomplete bool, err error) {
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return false, false, errors.New("not a JSON object: it begins with a byte order mark")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	var doc json.RawMessage
	if err := dec.Decode(&doc); err != nil {
		incomplete := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if incomplete {
			err = errors.New("it ends too early")
		}
		return false, incomplete, fmt.Errorf("not a JSON object: %w", err)
	}
	if len(doc) == 0 || doc[0] != '{' {
		return false, false, errors.New("not a JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return false, false, errors.New("not one JSON object: something follows it")
	}
	return true, false, nil
}
