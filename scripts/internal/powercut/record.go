package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
)

// note is one line of the record: what was asked of the queue, what it has
// acknowledged, and what its jobs say. Each is one write, before the step that it
// announces or after the one that it tells of, so that the length of the record at the
// moment of a cut tells what had been acknowledged by then.
type note struct {
	kind noteKind
	op   string // what was done: see load.go
	key  string // of the job
	args []string
}

type noteKind string

const (
	begins noteKind = "begin" // it may have happened from here on
	acked  noteKind = "ack"   // it has happened, and outlasts any cut from here on
	seen   noteKind = "seen"  // how a job was found after the last cut, when all was on the disk
	ran    noteKind = "ran"   // a job itself: an attempt begins
	torn   noteKind = "torn"  // a job itself: what it was given is not what was enqueued
)

func (n note) String() string {
	return strings.Join(append([]string{string(n.kind), n.op, n.key}, n.args...), " ") + "\n"
}

// arg is the argument of that number, "" if there is none.
func (n note) arg(i int) string {
	if i < len(n.args) {
		return n.args[i]
	}
	return ""
}

func parseNote(line string) (note, error) {
	f := strings.Split(line, " ")
	if len(f) < 3 {
		return note{}, fmt.Errorf("not a line of the record: %.80q", line)
	}
	switch k := noteKind(f[0]); k {
	case begins, acked, seen, ran, torn:
		return note{k, f[1], f[2], f[3:]}, nil
	}
	return note{}, fmt.Errorf("not a line of the record: %.80q", line)
}

// parseRecord reads a record. A last line without its end was being written when the
// power went, and says nothing.
func parseRecord(data []byte) (notes []note, err error) {
	for {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			return notes, nil
		}
		n, err := parseNote(string(line))
		if err != nil {
			return notes, err
		}
		notes, data = append(notes, n), rest
	}
}

// recorder writes notes. It is safe for concurrent use.
type recorder struct {
	mu  sync.Mutex
	out *os.File
	err error
}

func (r *recorder) note(kind noteKind, op, key string, args ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.out.WriteString(note{kind, op, key, args}.String()); err != nil && r.err == nil {
		r.err = err
	}
}

// cutAt is the record as it counts after a cut that came between its lengths from and
// to: what was acknowledged before it, and in doubt what began before its end.
func cutAt(record []byte, from, to int64) []byte {
	cut := bytes.Clone(record[:from])
	for line := range bytes.Lines(record[from:to]) {
		if bytes.HasPrefix(line, []byte(begins)) {
			cut = append(cut, line...)
		}
	}
	return cut
}
