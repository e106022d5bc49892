package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"
)

const whySuffix = ".why"

// rejectedPath is where a file goes that cannot be a job: STAMP.NAME. The writer's
// number keeps two of one name apart.
func (s *Spool) rejectedPath(base string) string {
	stamp := appendStamp(nil, s.tick())
	// 255 bytes are what a name may have; the stamp and .why need 24.
	if len(base) > 220 {
		base = base[:100] + "~" + base[len(base)-119:]
	}
	return rejectedDir + "/" + string(stamp) + "." + base
}

// writeReason puts the reason beside the place where the file will be, before it
// comes there: a rejected file always says why.
func (s *Spool) writeReason(to, reason string) error {
	f, err := s.ops.update(s.abs(to+whySuffix), s.FilePerm())
	if err != nil {
		return fmt.Errorf("write the reason of a rejection: %w", err)
	}
	_, err = f.Write([]byte(strings.TrimSpace(reason) + "\n"))
	return errors.Join(err, f.Close())
}

// Rejected is a file that was set aside.
type Rejected struct {
	Base   string // in rejected/
	At     time.Time
	Reason string
	Size   int64
}

// Name is the file's name before it was rejected.
func (r Rejected) Name() string {
	if len(r.Base) > stampLen+1 {
		return r.Base[stampLen+1:]
	}
	return r.Base
}

// Rejects lists what was set aside, oldest first.
func (s *Spool) Rejects() (all []Rejected, err error) {
	names, err := s.sortedNames(rejectedDir)
	if err != nil {
		return nil, fmt.Errorf("list rejected files: %w", err)
	}
	for i := len(names) - 1; i >= 0; i-- {
		base := names[i]
		if strings.HasSuffix(base, whySuffix) || strings.HasPrefix(base, ".") || len(base) <= stampLen {
			continue
		}
		at, err := parseStamp(base[:stampLen])
		if err != nil {
			continue
		}
		r := Rejected{Base: base, At: at}
		if in, err := s.ops.look(s.abs(rejectedDir), base); err == nil {
			r.Size = in.size
		}
		if why, err := s.readFile(rejectedDir+"/"+base+whySuffix, 64<<10); err == nil {
			r.Reason = strings.TrimSpace(string(why))
		}
		all = append(all, r)
	}
	return all, nil
}

// RejectedPath is the path of a rejected file, relative to the spool.
func RejectedPath(base string) string { return rejectedDir + "/" + base }

// Readmit gives a rejected file back to pending/ as a drop, under the name that it
// had. The error wraps fs.ErrExist if such a name is there, fs.ErrNotExist if there
// is no such file.
func (s *Spool) Readmit(base string) error {
	from, err := rejectedFile(base)
	if err != nil {
		return err
	}
	name := Rejected{Base: base}.Name()
	to := pendingDir + "/" + name
	// link refuses a name that is taken, where rename would replace a file.
	if err := s.ops.link(s.abs(from), s.abs(to)); err != nil {
		return fmt.Errorf("give rejected file %s back: %w", base, err)
	}
	return s.dropRejected(from)
}

// RemoveRejected deletes a rejected file.
func (s *Spool) RemoveRejected(base string) error {
	from, err := rejectedFile(base)
	if err != nil {
		return err
	}
	return s.dropRejected(from)
}

func rejectedFile(base string) (string, error) {
	if base != path.Base(base) || len(base) <= stampLen || strings.HasSuffix(base, whySuffix) {
		return "", fmt.Errorf("rejected file %q: %w", base, fs.ErrNotExist)
	}
	return rejectedDir + "/" + base, nil
}

func (s *Spool) dropRejected(from string) error {
	if err := s.ops.unlink(s.abs(from)); err != nil {
		return fmt.Errorf("remove rejected file: %w", err)
	}
	if err := s.ops.unlink(s.abs(from + whySuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove rejected file: %w", err)
	}
	return nil
}
