package fsq

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/queuectl/queuectl/spool"
)

// Report is what a job itself wrote about an attempt.
type Report struct {
	Result     json.RawMessage `json:"result,omitempty"`      // valid JSON, or nothing
	ResultText string          `json:"result_text,omitempty"` // what it wrote instead
	ResultNote string          `json:"result_note,omitempty"` // why there is no Result
	Progress   *Progress       `json:"progress,omitempty"`
}

// Progress is how far a job says it is.
type Progress struct {
	Percent *float64 `json:"percent"` // 0 to 100, if it begins with a number of these
	Text    string   `json:"text"`    // the rest of the line; printable
}

const (
	// maxResult is what is kept of a result: enough for figures and names, and not for
	// what belongs into a file.
	maxResult = 64 << 10
	// maxProgressFile is for jobs that append to it instead of replacing it. What is read
	// is the last line, within maxProgressRead bytes of the end.
	maxProgressFile = 64 << 10
	maxProgressRead = 4 << 10
	// maxProgressText fits a line of a wide terminal.
	maxProgressText = 120
)

// ParseProgress reads the last line of what a job wrote: "42 encoding", "42% encoding",
// "42%" or any text. A number that is no percentage is part of the text. ok is false if
// there is no line with anything in it.
func ParseProgress(data []byte) (p Progress, ok bool) {
	text := ""
	for line := range strings.SplitSeq(string(data), "\n") {
		// "\r" is how programs redraw a line of a terminal: the last of it counts.
		for part := range strings.SplitSeq(line, "\r") {
			if part = printable(part); part != "" {
				text = part
			}
		}
	}
	if text == "" {
		return Progress{}, false
	}
	if f, rest, ok := cutPercent(text); ok {
		p.Percent, text = &f, rest
	}
	if runes := []rune(text); len(runes) > maxProgressText {
		text = string(runes[:maxProgressText-1]) + "…"
	}
	p.Text = text
	return p, true
}

// cutPercent takes "42", "42%" or "42 %" off the beginning of a text.
func cutPercent(text string) (f float64, rest string, ok bool) {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end < 0 {
		end = len(text)
	}
	number, rest := text[:end], text[end:]
	if sign, found := strings.CutPrefix(strings.TrimLeft(rest, " "), "%"); found {
		rest = sign
	} else if rest != "" && rest[0] != ' ' {
		return 0, "", false // "3rd", "3/10"
	}
	f, ok = parseNumber(number)
	return f, strings.TrimSpace(rest), ok && f <= 100
}

// printable is s with nothing in it that a terminal obeys or that has no shape.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == 0, r == utf8.RuneError:
			return -1
		case !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, s)
	return strings.TrimSpace(s)
}

// String is the line as a person reads it.
func (p Progress) String() string {
	if p.Percent == nil {
		return p.Text
	}
	return strings.TrimSpace(strconv.FormatFloat(*p.Percent, 'f', -1, 64) + "% " + p.Text)
}

// progress is what the job says now, or nil. What cannot be read is none: it is only
// for people to look at.
func (q *Queue) progress(id string, attempt int) *Progress {
	data, _, err := q.s.ReadReport(id, attempt, kindProgress, maxProgressRead, true)
	if err != nil {
		return nil
	}
	p, ok := ParseProgress(data)
	if !ok {
		return nil
	}
	return &p
}

// readReport is what a job wrote about an attempt.
func (q *Queue) readReport(id string, attempt int) (r Report) {
	r.Progress = q.progress(id, attempt)
	data, size, err := q.s.ReadReport(id, attempt, kindResult, maxResult, false)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r
	case spool.IsLink(err):
		r.ResultNote = "it is a symbolic link, which is not followed"
		return r
	case errors.Is(err, spool.ErrNotRegular):
		r.ResultNote = "it is no regular file"
		return r
	case err != nil:
		r.ResultNote = err.Error()
		return r
	}
	r.Result, r.ResultText, r.ResultNote = judgeResult(data, size)
	return r
}

// judgeResult tells JSON from text. data is the beginning of a file of that size.
func judgeResult(data []byte, size int64) (result json.RawMessage, text, note string) {
	raw := trimRaw(data)
	switch {
	case len(raw) == 0 && size <= maxResult:
		return nil, "", ""
	case size > maxResult:
		note = "longer than " + FormatSize(maxResult) + ": only its beginning is kept"
	case !utf8.Valid(raw):
		note = "not valid JSON: it is not UTF-8"
	default:
		var v json.RawMessage
		err := json.Unmarshal(raw, &v)
		if err == nil {
			return raw, "", ""
		}
		note = "not valid JSON: " + err.Error()
	}
	return nil, strings.ToValidUTF8(string(raw), "\ufffd"), note
}

// report is a file that a job may write about its attempt. The job makes it, not the
// worker: most jobs never do, and what is not made costs nothing. So it can be anything,
// and is opened as a stranger's.
type report struct {
	path  string
	limit int64       // more than one byte beyond it is cut, so that a reader sees that there was more
	perm  fs.FileMode // of a group's spool, where the job's umask must not decide; else 0
}

// report makes sure that nothing is there yet: of a claim that a power cut undid, or of
// a job that was put back from a copy.
func (s *slot) report(n spool.Name, kind string, limit int64) *report {
	q := s.in.q
	if q.s.HasLog(n.ID, n.Attempt, kind) {
		if err := q.s.SetLogAside(n.ID, n.Attempt, kind); err != nil {
			s.in.w.log.Warn("set an old file aside", "job", n.ID, "error", err)
		}
	}
	r := &report{path: q.s.LogPath(n.ID, n.Attempt, kind), limit: limit}
	if q.s.Group() != "" {
		r.perm = q.s.FilePerm()
	}
	return r
}

// enforce cuts the file off behind the limit, where a job that writes without end would
// fill the disk, and gives it the mode of the spool. What is no regular file of one name
// is left alone.
func (r *report) enforce() error {
	fi, err := os.Lstat(r.path)
	if err != nil || !r.wrong(fi) {
		return nil // not there, as nearly always; what cannot be looked at is not read either
	}
	// This guards against mistakes. A job that wants to fill the disk finds other places.
	f, err := os.OpenFile(r.path, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || spool.IsLink(err) || errors.Is(err, syscall.ENXIO) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look after %s: %w", r.path, err)
	}
	defer func() { _ = f.Close() }()
	// It may be another file by now.
	if fi, err = f.Stat(); err != nil || !r.wrong(fi) {
		return err
	}
	if fi.Size() > r.limit+1 {
		err = f.Truncate(r.limit + 1)
	}
	if r.perm != 0 {
		err = errors.Join(err, f.Chmod(r.perm))
	}
	return err
}

// wrong reports whether there is something to set right, and that may be.
func (r *report) wrong(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || !fi.Mode().IsRegular() || st.Nlink != 1 {
		return false
	}
	return fi.Size() > r.limit+1 || r.perm != 0 && fi.Mode().Perm() != r.perm
}
