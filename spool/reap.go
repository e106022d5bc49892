package spool

import (
	"errors"
	"fmt"
	"io/fs"
)

// Fate is what becomes of a dead worker's claim. Retry and Bury are the choices.
type Fate struct {
	Dead bool
	Name Name // as it should lie in pending/ or dead/; its Attempt must be the claim's
}

// maxReapRounds bounds what a worker that is not dead after all can make a reaper
// do: each round gives back what it claimed since the last.
const maxReapRounds = 100

// Reap takes a dead worker's claims away: each goes where decide says, until its
// directory can be removed. That removal is the fence: whatever the worker does
// afterwards, it can neither claim nor settle. Several may reap one worker at once.
// It returns the jobs that this call moved.
func (s *Spool) Reap(wid string, decide func(Name) Fate) (moved []Entry, err error) {
	if _, _, ok := parseWID(wid); !ok {
		return nil, fmt.Errorf("reap worker %q: not a worker's name", wid)
	}
	dir := claimsDir(wid)
	for range maxReapRounds {
		got, err := s.reapRound(wid, decide)
		moved = append(moved, got...)
		if err != nil {
			return moved, fmt.Errorf("reap worker %s: %w", wid, err)
		}
		err = s.ops.rmdir(s.abs(dir))
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return moved, s.strike(wid)
		}
		if !isNotEmpty(err) {
			return moved, fmt.Errorf("reap worker %s: %w", wid, err)
		}
	}
	return moved, fmt.Errorf("reap worker %s: something keeps coming into %s", wid, dir)
}

func (s *Spool) reapRound(wid string, decide func(Name) Fate) (moved []Entry, err error) {
	var all []Found
	if err := s.walkDir(Processing, claimsDir(wid), wid, func(f Found) error {
		all = append(all, f)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, f := range all {
		if f.Err != nil {
			// Not a claim, but it would keep the directory for ever. Nothing is deleted.
			if err := s.setAside(f.Path, f.Base, "found among the claims of a dead worker: "+f.Err.Error()); ignoreNotExist(err) != nil {
				return moved, err
			}
			continue
		}
		fate := decide(f.Name)
		fate.Name.Turn = fate.Name.Turn && !fate.Dead
		e := Entry{Name: fate.Name, State: Pending, Path: s.pendingPath(fate.Name, s.Now())}
		if fate.Dead {
			e.State, e.Path = Dead, deadDir+"/"+s.file(fate.Name)
		}
		pass := s.withTurn(f.Name)
		err := s.moveInto(f.Path, e.Path)
		if err == nil && fate.Dead {
			pass.on()
		}
		pass.end()
		if errors.Is(err, fs.ErrNotExist) {
			continue // settled after all, or reaped by another
		}
		if err != nil {
			return moved, err
		}
		moved = append(moved, e)
	}
	return moved, nil
}

// strike removes a worker from the registry, last of all: as long as it is there,
// a reaper that died half-way has a successor.
//
// Requests to it stay: a worker that was only suspended finds them when it wakes up,
// and SweepRequests removes them in the end.
func (s *Spool) strike(wid string) error {
	err := s.ops.unlink(s.abs(workerPath(wid)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reap worker %s: %w", wid, err)
	}
	return nil
}

// ClaimsOf lists the claims of any worker.
func (s *Spool) ClaimsOf(wid string) (names []Name, err error) {
	err = s.walkDir(Processing, claimsDir(wid), wid, func(f Found) error {
		if f.Err == nil {
			names = append(names, f.Name)
		}
		return nil
	})
	return names, err
}
