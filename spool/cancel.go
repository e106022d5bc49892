package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// OutcomeCancelled is the Outcome of a job that somebody cancelled. Such a job is in
// dead/ and holds its id only until another job wants it.
const OutcomeCancelled = "cancelled"

// Cancel files a job that waits as dead, with the outcome cancelled. It is durable
// when it returns. The error wraps ErrLost if the job is not there any more: a worker
// was faster, say.
func (s *Spool) Cancel(e Entry) (Entry, error) {
	n := e.Name
	n.Due = Truncate(s.Now())
	n.Held, n.Queued, n.Turn = false, false, false
	n.Outcome, n.Wait, n.Run = OutcomeCancelled, 0, 0
	to := Entry{Name: n, State: Dead, Path: deadDir + "/" + s.file(n)}
	if e.State != Pending {
		return to, fmt.Errorf("cancel job %q: it is not waiting", n.ID)
	}
	if e.Editing() {
		return to, fmt.Errorf("cancel job %q: it is being edited: %w", n.ID, ErrLost)
	}
	pass := s.withTurn(e.Name)
	err := s.move(e.Path, to.Path)
	if err == nil {
		pass.on()
	}
	pass.end()
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrLost
	}
	if err == nil {
		err = s.Sync(deadDir, path.Dir(e.Path))
	}
	if err != nil {
		return to, fmt.Errorf("cancel job %q: %w", n.ID, err)
	}
	return to, nil
}

// yield removes a cancelled job whose id another one wants. It reports whether it did:
// a job that was retried meanwhile keeps its id.
func (s *Spool) yield(e Entry) (bool, error) {
	err := s.ops.unlink(s.abs(e.Path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return err == nil, nil
}
