package fsq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// TailOptions say what Tail does with a job's output.
type TailOptions struct {
	Stdout, Stderr io.Writer // nil: not wanted
	TailLines      int       // of what is there already, only so many lines of each; 0: all
	// Earlier asks for the output of the attempts before the present one, too: who has
	// queued the job himself wants that of each, also of one that ended before he looked.
	Earlier bool
	// Attempt is told of an attempt before its output, when it may still run (its Outcome
	// is OutcomeRunning then), and again after it, when it has ended.
	Attempt func(Attempt)
	// Cut is told when output is missing because it exceeded the output limit.
	Cut func(Stream)
}

// Tail follows the output of a job: that of its present attempt from the beginning, or
// that of all with Earlier, and that of the attempts that follow. It waits for a job that has not started, and returns
// when the job has ended, or ctx is done. The error wraps ErrNotFound, or is that of a
// writer.
func (q *Queue) Tail(ctx context.Context, id string, opt TailOptions) (Waited, error) {
	f, err := q.newFollower(nil)
	if err != nil {
		return Waited{}, err
	}
	defer f.close()
	t := &tail{q: q, id: id, opt: opt, moved: make(chan struct{}, 1)}
	t.streams = []*tailStream{{stream: Stdout, to: opt.Stdout}, {stream: Stderr, to: opt.Stderr}}
	defer t.closeStreams()
	if !q.s.Network() {
		if w, err := q.s.WatchLogs(id); err == nil {
			t.watch = w
			defer w.Close()
		}
	}
	ctx, stop := context.WithCancel(ctx)
	followed := make(chan struct{})
	defer func() {
		stop()
		<-followed
	}()
	go func() {
		defer close(followed)
		t.follow(ctx, f)
	}()
	return t.run(ctx)
}

// How long to wait at most before a look for more output, and for the job itself, where
// nothing tells of it, and where something does.
const (
	tailPoll = 250 * time.Millisecond
	tailNet  = 5 * time.Second
)

type tail struct {
	q       *Queue
	id      string
	opt     TailOptions
	watch   *spool.LogWatch // nil where there are no events
	moved   chan struct{}   // receives when the job has moved
	attempt int             // whose output is read; 0: none yet
	streams []*tailStream
}

type tailStream struct {
	stream Stream
	to     io.Writer
	f      *os.File
	offset int64
	later  bool // than the first file that was opened: TailLines is for that one
}

// follow tells run that the job has moved. Errors need no telling: run looks by itself,
// too.
func (t *tail) follow(ctx context.Context, f *follower) {
	for {
		all, err := f.next(ctx)
		if err != nil {
			return
		}
		for _, a := range all {
			if a.Name.ID == t.id {
				select {
				case t.moved <- struct{}{}:
				default:
				}
			}
		}
	}
}

func (t *tail) run(ctx context.Context) (Waited, error) {
	running := false
	for {
		e, err := t.q.find(t.id)
		if errors.Is(err, ErrNotFound) {
			if _, dropped := t.q.findDrop(t.id); dropped {
				err = nil
			}
		}
		if err != nil {
			return Waited{}, err
		}
		if running && (e.State != spool.Processing || e.Attempt != t.attempt) {
			running = false
			if err := t.end(e); err != nil {
				return Waited{}, err
			}
		}
		if e.Path != "" && e.Attempt < t.attempt {
			t.attempt = 0 // another job has its id by now
		}
		if e.Attempt > t.attempt {
			if err := t.catchUp(e.Attempt); err != nil {
				return Waited{}, err
			}
			running = true
			t.begin(e)
			if e.State != spool.Processing {
				continue // it ended while nobody looked
			}
		}
		if e.State == spool.Done || e.State == spool.Dead {
			i := info(e, t.q.now())
			return Waited{ID: t.id, State: i.State, Outcome: i.Outcome, Attempts: i.Attempts, DurationSeconds: i.DurationSeconds, entry: e}, nil
		}
		if err := t.wait(ctx, running); err != nil {
			return Waited{}, err
		}
	}
}

// catchUp reads attempts that began and ended between two looks, or before the first one.
func (t *tail) catchUp(newest int) error {
	for (t.attempt > 0 || t.opt.Earlier) && t.attempt+1 < newest {
		t.closeStreams()
		t.attempt++
		if err := t.pump(); err != nil {
			return err
		}
		if a, ok := t.q.readRecord(t.id, t.attempt); ok && t.opt.Attempt != nil {
			t.opt.Attempt(a)
		}
	}
	return nil
}

// begin turns to the newest attempt.
func (t *tail) begin(e spool.Entry) {
	t.closeStreams()
	t.attempt = e.Attempt
	if t.opt.Attempt != nil && e.State == spool.Processing {
		t.opt.Attempt(t.q.running(e)) // of one that has ended, end tells, behind its output
	}
}

// end reads the rest of an attempt.
func (t *tail) end(e spool.Entry) error {
	if err := t.pump(); err != nil {
		return err
	}
	if t.opt.Attempt == nil {
		return nil
	}
	a, ok := t.q.readRecord(t.id, t.attempt)
	if !ok {
		a = Attempt{JobID: t.id, Number: t.attempt, Outcome: e.Outcome}
	}
	t.opt.Attempt(a)
	return nil
}

// wait passes output on until the job may have moved.
func (t *tail) wait(ctx context.Context, running bool) error {
	var written <-chan struct{}
	poll := tailPoll
	if t.watch != nil {
		written, poll = t.watch.C, tailNet
	}
	net := time.NewTimer(tailNet)
	defer net.Stop()
	for {
		if running {
			if err := t.pump(); err != nil {
				return err
			}
		}
		timer := time.NewTimer(poll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("follow the output of job %q: %w", t.id, context.Cause(ctx))
		case <-t.moved:
			timer.Stop()
			return nil
		case <-net.C:
			timer.Stop()
			return nil
		case <-written:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// pump passes on what was written since the last time.
func (t *tail) pump() error {
	for _, s := range t.streams {
		if s.to == nil {
			continue
		}
		if s.f == nil {
			f, err := t.q.s.OpenLog(t.id, t.attempt, string(s.stream))
			if errors.Is(err, fs.ErrNotExist) {
				continue // not begun, or there was none
			}
			if err != nil {
				return fmt.Errorf("open the output of job %q: %w", t.id, err)
			}
			s.f = f
			if err := t.skip(s); err != nil {
				return fmt.Errorf("follow the output of job %q: %w", t.id, err)
			}
		}
		if err := t.copy(s); err != nil {
			return fmt.Errorf("follow the output of job %q: %w", t.id, err)
		}
	}
	return nil
}

// skip passes over what is there already and not wanted.
func (t *tail) skip(s *tailStream) (err error) {
	if t.opt.TailLines > 0 && !s.later {
		if err = SeekLines(s.f, t.opt.TailLines); err == nil {
			s.offset, err = s.f.Seek(0, io.SeekCurrent)
		}
	}
	s.later = true
	return err
}

func (t *tail) copy(s *tailStream) error {
	size, err := s.f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size < s.offset {
		// Its middle was cut. What was passed on already lies before or behind the cut; what
		// was written meanwhile cannot be told from that.
		s.offset = size
		if t.opt.Cut != nil {
			t.opt.Cut(s.stream)
		}
		return nil
	}
	n, err := io.Copy(s.to, io.NewSectionReader(s.f, s.offset, size-s.offset))
	s.offset += n
	return err
}

func (t *tail) closeStreams() {
	for _, s := range t.streams {
		if s.f != nil {
			_ = s.f.Close()
		}
		s.f, s.offset = nil, 0
	}
}

// tailChunk is how much is read at a time in search of the last lines.
const tailChunk = 64 << 10

// SeekLines moves f to where the last lines of it begin; a last line need not be
// finished.
func SeekLines(f *os.File, lines int) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	buf := make([]byte, tailChunk)
	for at := end; at > 0; {
		from := max(at-tailChunk, 0)
		part := buf[:at-from]
		if _, err := f.ReadAt(part, from); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		for i := len(part) - 1; i >= 0; i-- {
			// The line break at the very end ends the last line and begins none.
			if part[i] != '\n' || from+int64(i) == end-1 {
				continue
			}
			if lines--; lines == 0 {
				_, err := f.Seek(from+int64(i)+1, io.SeekStart)
				return err
			}
		}
		at = from
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
