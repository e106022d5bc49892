package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"syscall"
	"time"
)

const (
	// limitFile bounds how many jobs of a queue run at the same time, over all workers and
	// hosts, while it is there.
	limitFile = ctlDir + "/limit"
	// limitLock orders the claims of a queue that has a limit: without it two workers would
	// see the same room, and both take it.
	limitLock = ctlDir + "/" + lockFile
)

// MaxLimit is the highest limit of a queue: more than any number of workers has slots.
const MaxLimit = 1_000_000

// limitPatience is how long a claim waits for others that are claiming: some of them, each
// of which lists what runs. It is the worker's loop that waits.
const limitPatience = 200 * time.Millisecond

// ErrFull says that as many jobs of the queue run as may, or that others are claiming.
var ErrFull = errors.New("as many jobs run as may")

// ErrBadLimit says that the queue has a limit which nobody can read. Whoever made it meant
// one: nothing is claimed until it is set anew, or taken away.
var ErrBadLimit = errors.New("the queue's limit cannot be read")

// Limit is how many jobs of the queue may run at the same time; 0: as many as there are
// slots. The error wraps ErrBadLimit if the file is there and holds no such number.
func (s *Spool) Limit() (int, error) {
	if _, err := s.ops.look(s.abs(ctlDir), path.Base(limitFile)); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	data, err := s.readFile(limitFile, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBadLimit, err)
	}
	n, err := number(string(bytes.TrimSpace(data)), 1, MaxLimit)
	if err != nil {
		return 0, fmt.Errorf("%w: %s holds no whole number from 1 to %d", ErrBadLimit, s.abs(limitFile), MaxLimit)
	}
	return n, nil
}

// SetLimit bounds how many jobs of the queue run at the same time, from 1 to MaxLimit; 0
// takes the bound away. More that run already go on. Each worker obeys from its next look
// at what is asked of it on.
func (s *Spool) SetLimit(n int) error {
	if n == 0 {
		err := s.ops.unlink(s.abs(limitFile))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("take the limit away: %w", err)
		}
		return s.Sync(ctlDir)
	}
	if n < 1 || n > MaxLimit {
		return fmt.Errorf("set the limit: must be from 1 to %d, not %d", MaxLimit, n)
	}
	tmp := tmpDir + "/" + s.host.newWID() + "!limit"
	if err := s.writeNew(tmp, []byte(strconv.Itoa(n)+"\n"), s.format.Group != ""); err != nil {
		return fmt.Errorf("set the limit: %w", err)
	}
	if err := s.move(tmp, limitFile); err != nil {
		return fmt.Errorf("set the limit: %w", errors.Join(err, s.ops.unlink(s.abs(tmp))))
	}
	return s.Sync(ctlDir)
}

// ClaimWithin is Claim in a queue with a limit. The error wraps ErrFull if as many run as
// may. What lies in processing/ counts, whoever's it is: a claim whose reply was lost, and
// those of a dead worker until they are given back. So the names are the account, and no
// other state can disagree with them.
func (l *Lease) ClaimWithin(n Name, limit int) (*Claim, error) {
	f, err := l.s.lockAt(limitLock, limitPatience)
	if errors.Is(err, syscall.EAGAIN) {
		return nil, fmt.Errorf("claim %s: others are claiming: %w", n, ErrFull)
	}
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", n, err)
	}
	defer func() { _ = f.Close() }()
	running, err := l.s.Running(limit)
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", n, err)
	}
	if running >= limit {
		return nil, fmt.Errorf("claim %s: %w", n, ErrFull)
	}
	return l.Claim(n)
}

// Running counts the jobs that workers have, up to most; 0: all. On a network file system
// the server is asked first: a client may hold a listing of another host's claims for a
// minute.
func (s *Spool) Running(most int) (n int, err error) {
	if s.network {
		if _, err := s.ops.refresh(s.abs(workDir)); err != nil {
			return 0, fmt.Errorf("count what runs: %w", err)
		}
	}
	err = s.walkEach(workDir, func(worker string) error {
		dir := workDir + "/" + worker
		if s.network {
			if _, err := s.ops.refresh(s.abs(dir)); err != nil {
				return ignoreNotExist(err)
			}
		}
		return s.walkDir(Processing, dir, worker, func(f Found) error {
			if f.Err == nil {
				n++
			}
			if most > 0 && n >= most {
				return errStop
			}
			return nil
		})
	})
	if err = ignoreStop(err); err != nil {
		return n, fmt.Errorf("count what runs: %w", err)
	}
	return n, nil
}
