package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// maxActs bounds what is kept of what people have done to one job. A job with as many is a
// script's, not a person's.
const maxActs = 1000

// maxActBytes bounds what ReadActs reads of one.
const maxActBytes = 64 << 10

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

// lastAct is the greatest number that is in use.
func (s *Spool) lastAct(id string) (last int, err error) {
	err = s.ops.names(s.abs(logsDir+"/"+bucket(id)), func(base string) error {
		if of, n, err := parseAct(base); err == nil && of == id {
			last = max(last, n)
		}
		return nil
	})
	return last, err
}

// ReadActs visits what is kept of what people have done to a job, the first of it first.
// What cannot be read is passed over. Of a job to which nobody has done anything it costs
// one call.
func (s *Spool) ReadActs(id string, visit func(data []byte)) {
	for n := 1; n <= maxActs; n++ {
		f, err := s.ops.open(s.actPath(id, n))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			continue
		}
		if data, _, err := readAll(f, maxActBytes); err == nil {
			visit(data)
		}
		_ = f.Close()
	}
}

// removeActs removes all that WriteAct has kept. Each is numbered after the one before it,
// so that a job without any costs one call.
func (s *Spool) removeActs(id string) error {
	for n := 1; n <= maxActs; n++ {
		p := s.actPath(id, n)
		err := s.ops.unlink(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case isDirectory(err): // somebody else's, and an empty one may go
			err = s.unlinkLog(p)
		}
		if err != nil {
			return err
		}
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
