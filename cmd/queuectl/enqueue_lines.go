package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"unicode/utf8"

	"github.com/queuectl/queuectl/fsq"
)

// enqueueLines makes a job of each line of stdin.
func (a *app) enqueueLines(ctx context.Context, s source, over *overlay) error {
	t, err := newTemplate(s)
	if err != nil {
		return err
	}
	// All but the command is the same in every job, and judged once.
	base := fsq.Job{Command: fsq.Command{Args: []string{"true"}}}
	if err := over.apply(&base); err != nil {
		return err
	}
	q, err := a.open()
	if err != nil {
		return err
	}
	if a.inTerm {
		a.note("reading lines from the terminal; Ctrl-D ends them")
	}
	b := newBulk(a, q, over)
	b.lines = true
	in := b.counted(a.in)
	end := byte('\n')
	if over.flags.null {
		end = 0
	}
	return b.run(ctx, func(put func(entry) bool) error {
		lines := &lineReader{in: in, end: end}
		for {
			line, err := lines.next()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil && !errors.Is(err, errLongLine) {
				return fmt.Errorf("reading stdin: %w", err)
			}
			if err == nil && len(line) == 0 {
				continue
			}
			e := entry{line: lines.number, size: len(line) + perJob, err: err}
			switch {
			case err != nil:
			case !utf8.Valid(line):
				e.err = usagef("it is not UTF-8 (%.40q), and a job's document must be", line)
			default:
				e.job = base
				e.job.Command = t.command(string(line), lines.number)
			}
			if !put(e) {
				return nil
			}
		}
	})
}

// lineReader reads lines of bounded length.
type lineReader struct {
	in     *bufio.Reader
	end    byte
	number int // of the line that was read last
}

// maxLine bounds a line, and a document, that is read before it is judged: many times the
// size of a job.
const maxLine = 8 << 20

// errLongLine: the rest of the line has been passed over.
var errLongLine = errors.New("it is too long to be a job")

// next is the next line, without its end. The error is io.EOF behind the last one.
func (r *lineReader) next() ([]byte, error) {
	var line []byte
	long, some := false, false
	for {
		part, err := r.in.ReadSlice(r.end)
		some = some || len(part) > 0
		if err == nil {
			part = part[:len(part)-1]
		}
		if long = long || len(line)+len(part) > maxLine; !long {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && !some:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, err
		}
		r.number++
		if long {
			return nil, errLongLine
		}
		return line, nil
	}
}
