package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

// stream is a file of JSON documents, one after the other.
type stream struct {
	io.ReadCloser
	name string // "" for stdin
}

func (a *app) openStream(name string) (stream, error) {
	if name == "-" {
		if a.inTerm {
			a.note("reading jobs from the terminal; Ctrl-D ends them")
		}
		return stream{io.NopCloser(a.in), ""}, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return stream{}, usagef("-f: %v", err)
	}
	return stream{f, name}, nil
}

// enqueueStreams queues jobs of the command line, then those of the streams.
func (a *app) enqueueStreams(ctx context.Context, q *fsq.Queue, jobs []fsq.Job, streams []stream, over *overlay) error {
	b := newBulk(a, q, over)
	readers := make([]*bufio.Reader, len(streams))
	for i, s := range streams {
		in := io.Reader(s.ReadCloser)
		if s.name == "" {
			in = a.in
		}
		readers[i] = b.counted(in)
	}
	return b.run(ctx, func(put func(entry) bool) error {
		for _, job := range jobs {
			if !put(entry{job: job, size: perJob}) {
				return nil
			}
		}
		for i, s := range streams {
			docs := &documentReader{lines: lineReader{in: readers[i], end: '\n'}}
			n, err := a.readDocuments(docs, s.name, over, put)
			if err != nil {
				return err
			}
			if n == 0 {
				what := "stdin"
				if s.name != "" {
					what = s.name
				}
				return usagef("%s is empty, a job was expected", what)
			}
		}
		return nil
	})
}

// readDocuments puts each document of a stream and returns how many there were.
func (a *app) readDocuments(docs *documentReader, name string, over *overlay, put func(entry) bool) (n int, err error) {
	for {
		doc, line, err := docs.next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil && !errors.Is(err, errLongLine) {
			if name == "" {
				name = "stdin"
			}
			return n, fmt.Errorf("reading %s: %w", name, err)
		}
		e := entry{source: name, line: line, size: len(doc) + perJob, err: err}
		if n++; n > 1 && over.flags.id != "" {
			e.err = usagef("--id is for one job, and this is another")
		}
		if e.err == nil {
			e.job, e.unknown, e.err = over.parse(doc, a.now())
		}
		if e.err != nil && docs.oneLine {
			e.err = inLine(e.err)
		}
		if !put(e) {
			return n, nil
		}
	}
}

// columnError is an error in a document of one line, whose number is known already.
type columnError struct{ error }

func (e *columnError) Error() string {
	return strings.Replace(e.error.Error(), "at line 1, column ", "at column ", 1)
}

func (e *columnError) Unwrap() error { return e.error }

func inLine(err error) error { return &columnError{err} }

// documentReader takes JSON objects one by one from a stream: one on each line, or over
// several lines, as people and jq write them. A document that is broken ends where the
// next one begins, so that it does not take others along.
type documentReader struct {
	lines   lineReader
	oneLine bool // the last document was on one line
	backlog []textLine
	ended   error
}

type textLine struct {
	text   []byte
	number int
	err    error
}

// take is the next line.
func (r *documentReader) take() textLine {
	if len(r.backlog) > 0 {
		l := r.backlog[0]
		r.backlog = r.backlog[1:]
		return l
	}
	if r.ended != nil {
		return textLine{err: r.ended}
	}
	text, err := r.lines.next()
	if err != nil && !errors.Is(err, errLongLine) {
		r.ended = err
	}
	return textLine{text, r.lines.number, err}
}

func (r *documentReader) back(lines ...textLine) { r.backlog = append(lines, r.backlog...) }

// next is the next document and the line on which it begins. The error is io.EOF behind
// the last one; after errLongLine there may be more.
func (r *documentReader) next() (doc []byte, line int, err error) {
	var scan jsonScan
	var lines []textLine
	size := 0
	for {
		l := r.take()
		text := bytes.TrimSpace(l.text)
		switch {
		case l.err != nil && len(lines) == 0:
			return nil, l.number, l.err
		case l.err != nil:
			r.back(l)
			return r.finish(lines)
		case len(text) == 0 && len(lines) == 0:
			continue
		case len(lines) > 0 && text != nil && bytes.HasPrefix(text, []byte("{")) && !scan.wantsValue():
			r.back(l)
			return r.finish(lines)
		}
		end := scan.take(l.text)
		if size += len(l.text); size > maxLine {
			return nil, firstLine(lines, l).number, errLongLine
		}
		if rest := bytes.TrimSpace(l.text[end:]); scan.over && bytes.HasPrefix(rest, []byte("{")) {
			r.back(textLine{text: l.text[end:], number: l.number})
			l.text = l.text[:end]
		}
		lines = append(lines, l)
		if scan.over || scan.broken {
			return r.finish(lines)
		}
	}
}

func firstLine(lines []textLine, or textLine) textLine {
	if len(lines) > 0 {
		return lines[0]
	}
	return or
}

// finish makes a document of lines. If they are none together, but one of them is one
// alone, the document before it was broken.
func (r *documentReader) finish(lines []textLine) ([]byte, int, error) {
	r.oneLine = len(lines) == 1
	if r.oneLine {
		return lines[0].text, lines[0].number, nil
	}
	join := func(lines []textLine) []byte {
		var b bytes.Buffer
		for _, l := range lines {
			b.Write(l.text)
			b.WriteByte('\n')
		}
		return b.Bytes()
	}
	doc := join(lines)
	if !json.Valid(doc) {
		for i, l := range lines[1:] {
			if bytes.HasPrefix(l.text, []byte("{")) && json.Valid(l.text) {
				r.back(lines[i+1:]...)
				r.oneLine = i == 0
				return join(lines[:i+1]), lines[0].number, nil
			}
		}
	}
	return doc, lines[0].number, nil
}

// jsonScan follows the brackets and strings of a document, line by line. It does not tell
// whether the document is valid.
type jsonScan struct {
	depth     int
	inString  bool
	last      byte // the last one that is not blank
	over      bool // the brackets are closed, or there were none
	broken    bool // it cannot become a document
	backslash bool
}

// take reads a line and returns where in it the document ends.
func (s *jsonScan) take(line []byte) (end int) {
	for i, c := range line {
		switch {
		case s.backslash:
			s.backslash = false
		case s.inString && c == '\\':
			s.backslash = true
		case c == '"':
			s.inString = !s.inString
		case s.inString:
		case c == '{', c == '[':
			s.depth++
		case c == '}', c == ']':
			if s.depth--; s.depth <= 0 {
				s.over = true
				return i + 1
			}
		}
		if c > ' ' {
			s.last = c
		}
	}
	// A line cannot end within a string.
	s.broken = s.inString
	s.over = s.over || s.depth <= 0
	return len(line)
}

// wantsValue reports whether an object may come next.
func (s *jsonScan) wantsValue() bool { return s.last == ':' || s.last == ',' || s.last == '[' }
