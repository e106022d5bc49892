package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// maxActs bounds what is kept of what people have done to one job. A job with as many is a
// script's, not a person's.
const maxActs = 1000

const (
	// readActs is how many of them ReadActs reads: more than anybody reads through.
	readActs = 100
	// maxActBytes bounds each of these: five times what fsq writes at most.
	maxActBytes = 64 << 10
)

// actPath is where the nth of what people have done to a job is kept, from 1. Each has a
// file of its own: what two hosts append to one file of an NFS server, one of them loses.
func (s *Spool) actPath(id string, n int) string {
	return s.abs(fmt.Sprintf("%s/%s/%s.act%d%s", logsDir, bucket(id), s.escape(id), n, suffix))
}

// parseAct reads the name of such a file back.
func parseAct(name string) (id string, n int, err error) {
	rest, ok := strings.CutSuffix(name, suffix)
	escaped, digits, numbered := cutLast(rest, ".act")
	if !ok || !numbered {
		return "", 0, fmt.Errorf("not the name of an action: %q", name)
	}
	if n, err = number(digits, 1, maxActs); err == nil {
		id, err = unescapeID(escaped)
	}
	if err != nil {
		return "", 0, fmt.Errorf("not the name of an action: %q: %w", name, err)
	}
	return id, n, nil
}

// WriteAct keeps what somebody has done to a job, after all that is kept already. It is
// not synced: a power cut may take it, and its reader expects that.
func (s *Spool) WriteAct(id string, data []byte) error {
	if err := s.PrepareLogs(id); err != nil {
		return fmt.Errorf("keep what was done to job %q: %w", id, err)
	}
	err := s.writeAct(id, data)
	if errors.Is(err, fs.ErrNotExist) { // somebody has removed the directory
		s.hours.Delete(logsDir + "/" + bucket(id))
		if err = s.PrepareLogs(id); err == nil {
			err = s.writeAct(id, data)
		}
	}
	if err != nil {
		return fmt.Errorf("keep what was done to job %q: %w", id, err)
	}
	return nil
}

func (s *Spool) writeAct(id string, data []byte) error {
	for n := 1; n <= maxActs; n++ {
		f, err := s.ops.create(s.actPath(id, n), s.FilePerm())
		if errors.Is(err, fs.ErrExist) {
			if n == fewAttempts { // beyond that a listing costs less
				if n, err = s.lastAct(id); err != nil {
					return err
				}
			}
			continue
		}
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
		return err // and it stays: numbers without a gap are what readers go by
	}
	return fmt.Errorf("there are %d already", maxActs)
}

// lastAct is the greatest number that is in use, by a listing.
func (s *Spool) lastAct(id string) (last int, err error) {
	err = s.ops.names(s.abs(logsDir+"/"+bucket(id)), func(base string) error {
		if of, n, err := parseAct(base); err == nil && of == id {
			last = max(last, n)
		}
		return nil
	})
	return last, err
}

// actGap is how many numbers in a row are not there where the acts end: one alone may be
// missing, which a person or a power cut has taken.
const actGap = 2

// findLastAct is lastAct, but looks at the numbers that are likely, and asks for a listing
// only if there are many. What cannot be looked at is there.
func (s *Spool) findLastAct(id string) (last int) {
	for n := 1; n <= last+actGap; n++ {
		if n > fewAttempts {
			listed, err := s.lastAct(id)
			if err != nil {
				return last
			}
			return listed
		}
		p := s.actPath(id, n)
		if _, err := s.ops.look(path.Dir(p), path.Base(p)); !errors.Is(err, fs.ErrNotExist) {
			last = n
		}
	}
	return last
}

// ReadActs visits the newest 100 of what is kept of what people have done to a job, the
// first of these first, and reports how many numbers there are before them. What cannot be
// read, or is longer than 64 KiB, is passed over.
func (s *Spool) ReadActs(id string, visit func(data []byte)) (earlier int) {
	last := s.findLastAct(id)
	earlier = max(0, last-readActs)
	for n := earlier + 1; n <= last; n++ {
		f, err := s.ops.open(s.actPath(id, n))
		if err != nil {
			continue
		}
		if data, _, err := readAll(f, maxActBytes); err == nil {
			visit(data)
		}
		_ = f.Close()
	}
	return earlier
}

// removeActs removes all that WriteAct has kept. They are numbered one after the other, so
// that a job without any costs two calls.
func (s *Spool) removeActs(id string) error {
	for n, last := 1, 0; n <= min(last+actGap, maxActs); n++ {
		p := s.actPath(id, n)
		err := s.ops.unlink(p)
		if isDirectory(err) { // somebody else's, and an empty one may go
			err = s.unlinkLog(p)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		}
		last = n
	}
	return nil
}

// jobOf is the job that a file below logs/XX/ is about.
func jobOf(base string) (id string, err error) {
	if id, _, err = parseAct(base); err != nil {
		id, _, _, err = parseLog(base)
	}
	return id, err
}
