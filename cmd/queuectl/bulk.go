package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// entry is one of many jobs on its way in, or what keeps it from becoming one.
type entry struct {
	source  string // the file that it is from; "" for stdin
	line    int    // from 1; 0: its name is known by its result alone
	size    int    // of what it takes in memory, about
	job     fsq.Job
	unknown []string // warnings
	err     error
}

// perJob is what a job takes in memory beside what was read.
const perJob = 512

// bulk queues jobs as they come in, some thousand at a time, and tells of each in order.
type bulk struct {
	a        *app
	q        *fsq.Queue
	over     *overlay
	named    func(fsq.Enqueued) string // for results without a line
	expected int                       // how many there will be; 0: nobody knows

	read  atomic.Int64 // bytes
	bytes int64        // to be read
	piped bool         // and perhaps more, nobody knows how many
	bar   *progress
	lines bool // the input is a list, also of one

	seen   int // entries
	failed int
	sole   *fsq.Enqueued // what went wrong with the only one so far
	line   entry         // and which it was
	first  *fsq.Enqueued
	warned map[string]bool
	broken error // nothing more can be queued
}

func newBulk(a *app, q *fsq.Queue, over *overlay) *bulk {
	return &bulk{a: a, q: q, over: over, bar: newProgress(a.err, a.now), warned: make(map[string]bool)}
}

const (
	// bulkChunk is how many jobs are made durable together: many enough for the price of
	// the fsyncs not to show, few enough for ids to appear soon.
	bulkChunk = 4096
	// bulkAtOnce is how many chunks are on their way at a time: while one waits for the
	// disk, the next is written.
	bulkAtOnce = 2
	// bulkMemory bounds what has been read and is not queued yet, in bytes.
	bulkMemory = 32 << 20
	// bulkPause is how long a chunk waits for more: who types, or watches, sees each.
	bulkPause = 20 * time.Millisecond
)

// counted is a reader of in that knows how far it has come.
func (b *bulk) counted(in io.Reader) *bufio.Reader {
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			b.bytes += info.Size()
		} else {
			b.piped = true
		}
	}
	return bufio.NewReaderSize(&countingReader{in, &b.read}, 64<<10)
}

type countingReader struct {
	io.Reader
	read *atomic.Int64
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read.Add(int64(n))
	return n, err
}

// run queues what produce puts. produce runs beside it, and stops when put says false.
func (b *bulk) run(ctx context.Context, produce func(put func(entry) bool) error) error {
	entries := make(chan entry, bulkChunk)
	quit := make(chan struct{})
	room := newRoom(bulkMemory)
	var produceErr error
	go func() {
		defer close(entries)
		produceErr = produce(func(e entry) bool {
			room.take(e.size)
			select {
			case entries <- e:
				return true
			case <-quit:
				return false
			}
		})
	}()
	stop := sync.OnceFunc(func() { close(quit); room.open() })
	defer stop()
	underway := make(chan *chunk, bulkAtOnce-1)
	go func() {
		defer close(underway)
		for open := true; open; {
			c := &chunk{done: make(chan struct{})}
			c.entries, open = collect(entries)
			c.prepare(ctx, b)
			select {
			case underway <- c:
				go c.put()
			case <-quit:
				return
			}
		}
	}()
	var reportErr error
	for c := range underway {
		<-c.done
		if reportErr != nil {
			continue // nobody listens; but what is half-way in is let in
		}
		reportErr = b.report(c.entries, c.results)
		for _, e := range c.entries {
			room.give(e.size)
		}
		if reportErr != nil || b.broken != nil {
			stop()
		}
	}
	if reportErr != nil {
		return reportErr
	}
	if b.broken == nil && produceErr != nil {
		b.bar.clear()
		b.tellFirst()
		return produceErr
	}
	return b.end(ctx)
}

// chunk is what is made durable together.
type chunk struct {
	entries []entry
	batch   *fsq.Batch
	results []fsq.Enqueued
	done    chan struct{}
}

// prepare gives the jobs their ids: in the order of the input, whatever chunk is faster.
func (c *chunk) prepare(ctx context.Context, b *bulk) {
	jobs := make([]fsq.Job, 0, len(c.entries))
	for i := range c.entries {
		if c.entries[i].err == nil {
			jobs = append(jobs, c.entries[i].job)
		}
	}
	c.batch = b.q.Prepare(ctx, jobs, fsq.EnqueueOptions{Hold: b.over.flags.hold})
}

func (c *chunk) put() {
	defer close(c.done)
	put := c.batch.Put()
	c.results = make([]fsq.Enqueued, len(c.entries))
	for i := range c.entries {
		if c.entries[i].err != nil {
			c.results[i].Err = c.entries[i].err
			continue
		}
		c.results[i], put = put[0], put[1:]
	}
}

// collect waits for the first entry and takes those that follow it without a pause.
func collect(entries <-chan entry) (all []entry, open bool) {
	e, open := <-entries
	if !open {
		return nil, false
	}
	all = append(all, e)
	size := e.size
	for len(all) < bulkChunk && size < bulkMemory/2 {
		select {
		case e, open = <-entries:
		default:
			select {
			case e, open = <-entries:
			case <-time.After(bulkPause):
				return all, true
			}
		}
		if !open {
			return all, false
		}
		all = append(all, e)
		size += e.size
	}
	return all, true
}

// report tells of each result in the order of the input.
func (b *bulk) report(entries []entry, results []fsq.Enqueued) error {
	b.bar.clear()
	var text bytes.Buffer
	out := &output{w: &text}
	refused := 0
	for i, r := range results {
		b.seen++
		for _, u := range entries[i].unknown {
			if !b.warned[u] {
				b.warned[u] = true
				b.a.warn("%s", u)
			}
		}
		if r.Err != nil {
			if b.fail(out, entries[i], r); !personal(r.Err) {
				refused++
			}
			continue
		}
		if b.first == nil {
			b.first = &r
		}
		if err := b.succeed(out, entries[i], r); err != nil {
			return err
		}
	}
	if _, err := b.a.out.Write(text.Bytes()); err != nil {
		return err
	}
	if refused > 1 && refused == len(results) {
		// It is not these jobs: the rest would fare no better.
		b.broken = results[len(results)-1].Err
	}
	b.bar.draw(b.seen, b.share())
	return nil
}

// personal reports whether an error is about one job alone.
func personal(err error) bool {
	var field *fsq.FieldError
	var usage *usageError
	return errors.As(err, &field) || errors.As(err, &usage) || errors.Is(err, fsq.ErrDuplicate) || errors.Is(err, errLongLine)
}

// share is how much of the input is done, from 0 to 1; negative if nobody knows.
func (b *bulk) share() float64 {
	switch {
	case b.expected > 0:
		return float64(b.seen) / float64(b.expected)
	case b.bytes > 0 && !b.piped:
		return min(float64(b.read.Load())/float64(b.bytes), 1)
	}
	return -1
}

func (b *bulk) succeed(out *output, e entry, r fsq.Enqueued) error {
	if !b.a.json {
		b.a.printID(out, r.Job.ID)
		return nil
	}
	if e.line == 0 {
		return out.jsonLine(b.a.describe(r))
	}
	return out.jsonLine(struct {
		File string `json:"input,omitempty"`
		Line int    `json:"line"`
		fsq.JobInfo
	}{e.source, e.line, b.a.describe(r)})
}

// fail tells of what did not become a job. Of the first one it is told when there is a
// second: a single job that fails is an error like any other, but for one of a list.
func (b *bulk) fail(out *output, e entry, r fsq.Enqueued) {
	b.failed++
	if b.a.json {
		_ = out.jsonLine(struct {
			File  string `json:"input,omitempty"`
			Line  int    `json:"line,omitempty"`
			Array string `json:"element,omitempty"`
			Error string `json:"error"`
		}{e.source, e.line, b.element(r), r.Err.Error()})
		b.sole = &r
		return
	}
	if b.seen == 1 {
		b.sole, b.line = &r, e
		return
	}
	b.tellFirst()
	b.a.report(b.placed(e, r))
}

func (b *bulk) element(r fsq.Enqueued) string {
	if r.Job.Array == nil {
		return ""
	}
	return r.Job.ID
}

func (b *bulk) tellFirst() {
	if b.sole != nil && !b.a.json {
		b.a.report(b.placed(b.line, *b.sole))
		b.sole = nil
	}
}

// placed says where in the input an error is.
func (b *bulk) placed(e entry, r fsq.Enqueued) error {
	err := b.a.duplicateHint(r.Err)
	switch {
	case e.line == 0 && b.named != nil && r.Job.Array != nil:
		return fmt.Errorf("%s: %w", b.named(r), err)
	case e.line == 0:
		return err
	case e.source != "":
		return fmt.Errorf("%s, line %d: %w", e.source, e.line, err)
	}
	return fmt.Errorf("line %d: %w", e.line, err)
}

// end sums up.
func (b *bulk) end(ctx context.Context) error {
	b.bar.clear()
	if b.seen == 1 && b.sole != nil && !b.lines {
		if b.a.json {
			return &reported{exitCode(b.sole.Err)}
		}
		return b.a.duplicateHint(b.sole.Err)
	}
	b.tellFirst()
	if b.first != nil {
		b.a.queued(ctx, b.q, *b.first, b.seen-b.failed)
	}
	if b.failed == 0 {
		return nil
	}
	b.a.note("queuectl: %d of %s failed", b.failed, plural(b.seen, "job"))
	if b.broken != nil {
		b.a.note("the rest was not tried")
		return &reported{exitCode(b.broken)}
	}
	return &reported{exitFailed}
}

// room bounds what is on its way, in bytes.
type room struct {
	mu   sync.Mutex
	free *sync.Cond
	left int
	all  int
	off  bool
}

func newRoom(n int) *room {
	r := &room{left: n, all: n}
	r.free = sync.NewCond(&r.mu)
	return r
}

// take waits until there is room for n bytes, or nothing else is on its way.
func (r *room) take(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.left < n && r.left < r.all && !r.off {
		r.free.Wait()
	}
	r.left -= n
}

func (r *room) give(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += n
	r.free.Signal()
}

// open lets everything pass: nobody will give room back.
func (r *room) open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.off = true
	r.free.Broadcast()
}
