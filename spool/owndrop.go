package spool

import (
	"strconv"
	"strings"
	"time"
)

// A file name in pending/ is its producer's, who uses it again as soon as it is free,
// often while an adopter still works on the file that had it. So an adopter gives the
// file a name first that never recurs, STEM~WRITER-N.json, looks whether this is the
// file that it has read, and acts on that name alone. It is the name of a drop too:
// whatever happens to the adopter, the next one goes on from there.

// ownedFor is how long such a file is left to a process that may still be at it: far
// more than the milliseconds that it needs. One that is known to be gone is not waited
// for.
const ownedFor = 5 * time.Minute

// maxBase is what the file systems allow a name to have in bytes.
const maxBase = 255

// ownedDrop reads the name back that an adopter gave a drop.
func ownedDrop(base string) (stem, writer string, ok bool) {
	rest, ok := strings.CutSuffix(base, suffix)
	stem, mark, marked := cutLast(rest, "~")
	writer, number, numbered := cutLast(mark, "-") // a host's name can have a "-" too
	_, _, isWID := parseWID(writer)
	if !ok || !marked || !numbered || !isWID || number == "" || strings.Trim(number, "0123456789abcdefghijklmnopqrstuvwxyz") != "" {
		return "", "", false
	}
	return stem, writer, true
}

// dropName is the name under which a file was dropped.
func dropName(base string) string { return Drop{Base: base}.Stem() + suffix }

// ownName is a name that nobody else uses, for a drop. What is cut off a name that
// would become too long was too long for an id before.
func (s *Spool) ownName(base string) string {
	stem, mark := Drop{Base: base}.Stem(), "~"+s.nextFile()+suffix
	if room := maxBase - len(mark); len(stem) > room {
		stem = strings.ToValidUTF8(stem[:room], "_")
	}
	return stem + mark
}

// ownDrop gives a drop such a name, unless it has one of this process, and tells which
// file it is. The error wraps fs.ErrNotExist if it is gone.
func (s *Spool) ownDrop(base string) (own string, in info, err error) {
	// A second name would wake every worker once more, and a file that the file system
	// refuses would be tried again and again without a pause.
	if _, writer, owned := ownedDrop(base); owned && writer == s.writer {
		in, err = s.ops.look(s.abs(pendingDir), base)
		return base, in, err
	}
	own = s.ownName(base)
	if err := s.move(pendingDir+"/"+base, pendingDir+"/"+own); err != nil {
		return "", info{}, err
	}
	in, err = s.ops.look(s.abs(pendingDir), own)
	return own, in, err
}

// othersDrop is for how long a file is to be left to another process that has made it
// its own; 0 if it has not, or does not need it any more.
func (s *Spool) othersDrop(base string, in info) time.Duration {
	_, writer, owned := ownedDrop(base)
	if !owned || writer == s.writer || !s.running(writer) {
		return 0
	}
	// ctime: a rename sets it.
	return min(max(ownedFor-s.Now().Sub(in.ctime), 0), ownedFor)
}

// nextFile names a file that this process alone makes: WRITER-N.
func (s *Spool) nextFile() string { return s.writer + "-" + strconv.FormatUint(s.seq.next(), 36) }
