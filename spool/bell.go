package spool

import (
	"fmt"
	"time"
)

// Where no event tells that something is asked for below ctl/, who waits would have to
// list four directories every few seconds, on a file server that all hosts share. So who
// asks rings: the modification time of ctl/ itself, which a file that is made or removed
// in it moves too, says when something was last asked for.

// ring tells other hosts; on a local file system too, which may be what a file server
// exports. What is asked for stands whether or not this succeeds, and is found within a
// minute.
func (s *Spool) ring() { _ = s.ops.touch(s.abs(ctlDir)) }

// bellGrain is how long after a ring another can bear the same time: stamps are as coarse
// as the server's timer, and an NFS server may round them to a second.
const bellGrain = 2 * time.Second

// Rung is when something was last asked for. settled says that what is asked for from now
// on will bear another time: a look that is made after it was not settled may have missed
// what came right behind it.
func (s *Spool) Rung() (at time.Time, settled bool, err error) {
	in, err := s.ops.look(s.abs(ctlDir), ".")
	if err != nil {
		return time.Time{}, false, fmt.Errorf("look whether something is asked for: %w", err)
	}
	// A stamp from the future is a clock that was wrong, or is.
	return in.mtime, s.Now().Sub(in.mtime) > bellGrain, nil
}
