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

// rejectedPath is where a file goes that cannot be a job: STAMP.NAME.
func rejectedPath(base string, at time.Time) string {
	// 255 bytes are what a name may have; the stamp and .why need 24.
	if len(base) > 220 {
		base = base[:100] + "~" + base[len(base)-119:]
	}
	return rejectedDir + "/" + string(appendStamp(nil, at)) + "." + base
}

// explain writes the reason for which a file called base is rejected and returns where
// the file is to go. The reason comes first, so that a rejected file always says why;
// and it is made with O_EXCL, so that nobody else is sent to the same place, where
// rename would replace his file.
func (s *Spool) explain(base, reason string) (to string, err error) {
	at := Truncate(s.Now())
	for {
		to = rejectedPath(base, at)
		f, err := s.ops.create(s.abs(to+whySuffix), s.FilePerm())
		if errors.Is(err, fs.ErrExist) {
			at = at.Add(time.Millisecond)
			continue
		}
		if err != nil {
			return "", fmt.Errorf("write the reason of a rejection: %w", err)
		}
		_, err = f.Write([]byte(strings.TrimSpace(reason) + "\n"))
		if err := errors.Join(err, f.Close()); err != nil {
			return "", errors.Join(fmt.Errorf("write the reason of a rejection: %w", err), s.unexplain(to))
		}
		return to, nil
	}
}

// unexplain takes a reason back whose file did not come.
func (s *Spool) unexplain(to string) error {
	return ignoreNotExist(s.ops.unlink(s.abs(to + whySuffix)))
}

// setAside moves a file that is not a job to rejected/, where it is called base. The
// error wraps fs.ErrNotExist if the file is gone.
func (s *Spool) setAside(rel, base, reason string) error {
	to, err := s.explain(base, reason)
	if err != nil {
		return err
	}
	if err := s.move(rel, to); err != nil {
		return errors.Join(err, s.unexplain(to))
	}
	return nil
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
// is no such file, ErrDuplicate if it was a job and another has its id by now. It can be
// called again after any error.
func (s *Spool) Readmit(base string) error {
	from, err := rejectedFile(base)
	if err != nil {
		return err
	}
	name := Rejected{Base: base}.Name()
	to := pendingDir + "/" + name
	if _, _, boxed := parseTaken(name); boxed && s.hasBoxes() {
		// It is judged anew as what it was: one out of a box, whoever's it is.
		to = boxesDir + "/" + name
	}
	// A call that was cut short may have given it back already: a second link would be
	// a second job.
	back, err := s.givenBack(from)
	if err == nil && !back[from] {
		err = s.reserveAgain(name, from)
	}
	if err == nil && !back[from] {
		// link refuses a name that is taken, where rename would replace a file.
		err = s.ops.link(s.abs(from), s.abs(to))
		if err != nil && s.network {
			if back, lookErr := s.givenBack(from); lookErr == nil && back[from] {
				err = nil // its reply was lost
			}
		}
	}
	if err != nil {
		return fmt.Errorf("give rejected file %s back: %w", base, err)
	}
	return s.dropRejected(from)
}

// reserveAgain binds the id of a rejected file that was a job: under its old name it
// becomes one again, without being adopted. Others can have bound the id since.
func (s *Spool) reserveAgain(name, from string) error {
	n, err := ParseName(name)
	if err != nil {
		return nil // a dropped file: whoever adopts it binds its id
	}
	if _, generated := ulidTime(n.ID); generated {
		return nil
	}
	made, err := s.bind(n.ID, from)
	if err != nil || made {
		return err
	}
	// It was bound all the time, or has been given back under another name.
	found, err := s.Find(n.ID)
	if err == nil && len(found) > 0 {
		err = ErrDuplicate
	}
	return err
}

// givenBack tells which of these rejected files are dropped files or jobs again. They
// are looked for twice, in the order in which jobs move; only a file with a second
// name costs that.
func (s *Spool) givenBack(rels ...string) (map[string]bool, error) {
	type key struct{ dev, ino uint64 }
	linked := map[key]string{}
	for _, rel := range rels {
		in, err := s.ops.look(s.abs(path.Dir(rel)), path.Base(rel))
		if ignoreNotExist(err) != nil {
			return nil, err
		}
		if err == nil && in.nlink > 1 {
			linked[key{in.dev, in.ino}] = rel
		}
	}
	back := map[string]bool{}
	for _, st := range []State{Pending, Processing, Done, Dead, Pending, Processing, Done, Dead} {
		if len(linked) == len(back) {
			break
		}
		if err := s.walk(st, func(f Found) error {
			if in, err := s.ops.look(s.abs(path.Dir(f.Path)), f.Base); err == nil {
				if rel, ok := linked[key{in.dev, in.ino}]; ok {
					back[rel] = true
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return back, nil
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
