package spool

import (
	"errors"
	"fmt"
	"time"
)

// DoneHour is how many jobs a directory of done/ had when it was listed.
type DoneHour struct {
	jobs    int
	changed time.Time // as the directory says
	listed  time.Time // by the spool's clock
}

// CountDone counts the jobs in done/. Of known, which an earlier call has returned, it takes
// what has not changed since; nil lists all. stop is asked now and then, and its error ends it.
func (s *Spool) CountDone(known map[string]DoneHour, stop func() error) (n int, now map[string]DoneHour, err error) {
	now = make(map[string]DoneHour, len(known))
	err = s.doneHours(func(dir string, _ time.Time) error {
		in, err := s.ops.look(s.abs(dir), ".")
		if notDir(err) {
			return nil
		}
		if err != nil {
			return err
		}
		// A directory may change again within a tick of the clock that stamps it.
		h := known[dir]
		if h.listed.IsZero() || !h.changed.Equal(in.ctime) || !h.changed.Before(h.listed.Add(-stampsDiffer)) {
			h = DoneHour{changed: in.ctime, listed: s.Now()}
			err = s.walkDir(Done, dir, "", func(f Found) error {
				if f.Err != nil {
					return nil
				}
				if h.jobs++; h.jobs%1024 == 0 {
					return stop()
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		now[dir] = h
		n += h.jobs
		return stop()
	})
	if err != nil && !errors.Is(err, errStop) {
		return 0, nil, fmt.Errorf("count %s: %w", Done, err)
	}
	return n, now, nil
}
