package main

import (
	"sync"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// spoolTime is the clock of the spool, on a network file system the file server's: what is
// typed as +10m is meant from then, and "2h ago" is told by it. It is asked for when a
// command first wants to know the time; where there is no spool yet it is the host's.
func (a *app) spoolTime(host func() time.Time) func() time.Time {
	var (
		mu    sync.Mutex
		asked bool
		ahead time.Duration
	)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		if !asked {
			q, err := fsq.OpenExisting(a.spool, fsq.DefaultConfig())
			if err != nil {
				return host()
			}
			asked, ahead = true, q.ClockAhead()
		}
		return host().Add(ahead)
	}
}
