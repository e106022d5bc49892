package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

// Demand is what can be asked of whoever runs a job: a file below ctl/ that is named
// after the job, so that any host can ask, with touch(1) too.
type Demand struct {
	ID     string
	Signal string    // to be sent, such as "USR1"; "": the job is to be cancelled
	At     time.Time // the file server's stamp
}

// Directories of demands.
const (
	cancelDir = ctlDir + "/cancel" // ID
	signalDir = ctlDir + "/signal" // SIGNAL.ID
)

func (s *Spool) demandPath(d Demand) string {
	if d.Signal == "" {
		return cancelDir + "/" + s.escape(d.ID)
	}
	return signalDir + "/" + d.Signal + "." + s.escape(d.ID)
}

// isSignalName reports whether s can be the name of a signal in a file name: "USR1",
// "RTMIN+3", or a number.
func isSignalName(s string) bool {
	return s != "" && len(s) <= 16 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+") == ""
}

// Demand asks. Asking twice is asking once.
func (s *Spool) Demand(d Demand) error {
	if err := ValidateID(d.ID); err != nil {
		return fmt.Errorf("ask for job %q: %w", d.ID, err)
	}
	if d.Signal != "" && !isSignalName(d.Signal) {
		return fmt.Errorf("ask for job %q: %q is not the name of a signal", d.ID, d.Signal)
	}
	rel := s.demandPath(d)
	f, err := s.ops.update(s.abs(rel), s.FilePerm())
	if errors.Is(err, fs.ErrNotExist) { // a spool of an earlier version
		if err = s.ops.mkdir(s.abs(path.Dir(rel)), s.dirPerm()); err == nil || errors.Is(err, fs.ErrExist) {
			f, err = s.ops.update(s.abs(rel), s.FilePerm())
		}
	}
	if err != nil {
		return fmt.Errorf("ask for job %q: %w", d.ID, err)
	}
	// One that lay there from an earlier job of this id is about this one from now on.
	// It may be met and gone by now.
	err = errors.Join(f.Close(), ignoreNotExist(s.ops.touch(s.abs(rel))))
	s.ring()
	return err
}

// Demands lists what is asked for.
func (s *Spool) Demands() (all []Demand, err error) {
	for _, dir := range []string{cancelDir, signalDir} {
		var bases []string
		if err := s.ops.names(s.abs(dir), func(base string) error {
			bases = append(bases, base)
			return nil
		}); ignoreNotExist(err) != nil {
			return all, fmt.Errorf("look for demands: %w", err)
		}
		for _, base := range bases {
			d, ok := parseDemand(dir, base)
			if !ok {
				continue // Check names it
			}
			in, err := s.ops.look(s.abs(dir), base)
			if err != nil || !in.mode.IsRegular() {
				continue // withdrawn, or nobody's: Check names it
			}
			d.At = in.mtime
			all = append(all, d)
		}
	}
	return all, nil
}

func parseDemand(dir, base string) (d Demand, ok bool) {
	escaped := base
	if dir == signalDir {
		if d.Signal, escaped, ok = strings.Cut(base, "."); !ok || !isSignalName(d.Signal) {
			return d, false
		}
	}
	id, err := unescapeID(escaped)
	d.ID = id
	return d, err == nil
}

// WithdrawDemand takes a demand back, or says that it is met.
func (s *Spool) WithdrawDemand(d Demand) error {
	if err := ignoreNotExist(s.ops.unlink(s.abs(s.demandPath(d)))); err != nil {
		return fmt.Errorf("withdraw the demand for job %q: %w", d.ID, err)
	}
	return nil
}

// Stands reports whether the demand has not been withdrawn, as far as it can be looked at.
func (s *Spool) Stands(d Demand) bool {
	rel := s.demandPath(d)
	_, err := s.ops.look(s.abs(path.Dir(rel)), path.Base(rel))
	return !errors.Is(err, fs.ErrNotExist)
}

// Means reports whether the demand is about the job of this claim, and not about an
// earlier one that had its id: a job cannot be asked for before its file was written.
// A signal is for the attempt that ran when it was asked for.
func (c *Claim) Means(d Demand) bool {
	s := c.lease.s
	in, err := s.ops.look(s.abs(claimsDir(c.lease.Worker())), path.Base(c.path()))
	if err != nil || d.ID != c.name.ID {
		return false
	}
	if d.Signal != "" {
		return !d.At.Before(in.ctime)
	}
	// What says that it was written in the future was given that time by hand.
	return !d.At.Before(in.mtime.Add(-coarseClock)) || in.mtime.After(s.Now())
}

// coarseClock is how far the kernel's stamps lag behind the time that put writes: a
// tick of its timer, at most 10 ms (CONFIG_HZ=100), and as much again.
const coarseClock = 20 * time.Millisecond

// SweepDemands removes demands for jobs that neither wait nor run, once they are a day
// old.
func (s *Spool) SweepDemands() error {
	all, err := s.Demands()
	if err != nil {
		return err
	}
	for _, d := range all {
		if s.Now().Sub(d.At) < tmpLimit {
			continue
		}
		found, err := s.Find(d.ID)
		if err != nil {
			return err
		}
		if len(found) > 0 && (found[0].State == Pending || found[0].State == Processing) {
			continue
		}
		if err := s.WithdrawDemand(d); err != nil {
			return err
		}
	}
	return nil
}
