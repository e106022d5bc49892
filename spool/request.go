package spool

import (
	"errors"
	"fmt"
	"io/fs"
)

// Request is what can be asked of a worker: a directory below ctl/, in which a file
// named after the worker is the request. Anyone who may write there can make it,
// with touch(1) too, from any host.
type Request string

// The requests.
const (
	Drain     Request = "drain"     // finish the current jobs, then exit
	Interrupt Request = "interrupt" // give the current jobs back and exit
)

func (r Request) path(wid string) string { return ctlDir + "/" + string(r) + "/" + wid }

// Ask makes a request. Asking twice is asking once.
func (s *Spool) Ask(r Request, wid string) error {
	if _, _, ok := parseWID(wid); !ok {
		return fmt.Errorf("ask worker %q to %s: not a worker's name", wid, r)
	}
	f, err := s.ops.update(s.abs(r.path(wid)), s.FilePerm())
	if err != nil {
		return fmt.Errorf("ask worker %s to %s: %w", wid, r, err)
	}
	err = f.Close()
	s.ring()
	return err
}

// Asked reports whether the request stands.
func (s *Spool) Asked(r Request, wid string) (bool, error) {
	_, err := s.ops.look(s.abs(ctlDir+"/"+string(r)), wid)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Withdraw takes a request back.
func (s *Spool) Withdraw(r Request, wid string) error {
	err := s.ops.unlink(s.abs(r.path(wid)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("withdraw the request to %s of worker %s: %w", r, wid, err)
	}
	return nil
}

// SweepRequests removes requests to workers that are not registered, once they are so
// old that none of these can have been suspended since.
func (s *Spool) SweepRequests() error {
	for _, r := range []Request{Drain, Interrupt} {
		var all []string
		if err := s.ops.names(s.abs(ctlDir+"/"+string(r)), func(wid string) error {
			all = append(all, wid)
			return nil
		}); err != nil {
			return fmt.Errorf("sweep requests: %w", err)
		}
		for _, wid := range all {
			in, err := s.ops.look(s.abs(ctlDir+"/"+string(r)), wid)
			if err != nil || s.Now().Sub(in.ctime) < tmpLimit {
				continue
			}
			if alive, err := s.Alive(wid); err != nil || alive {
				continue
			}
			if err := s.Withdraw(r, wid); err != nil {
				return err
			}
		}
	}
	return nil
}
