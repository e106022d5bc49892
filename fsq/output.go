package fsq

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

const (
	// outputMode is for the spool's owner and group; the spool's own mode
	// decides whether there are others.
	outputMode = 0o640
	// minOutputLimit leaves room for the marker and something to read.
	minOutputLimit = 1 << 10
	// lineSearch is how far from a cut a line's end may be to be used.
	lineSearch = 4 << 10
)

// An output is the file that one stream of one attempt goes to. The job's
// processes write to it without the worker in between, so it holds what they
// wrote up to a crash of anyone. In turn a limit can only be kept by cutting
// what is there already. Its methods are safe for concurrent use.
//
// Most jobs write nothing, and to make a file and remove it again is an eighth of what
// such a job costs. So where the system can, the file gets its name when enforce first
// sees something in it: what was written in the moments before that is lost with the
// worker.
type output struct {
	path  string
	limit int64
	f     *os.File

	mu     sync.Mutex
	named  bool
	edit   *os.File // without O_APPEND, opened by the first cut
	head   int64    // what is kept of the beginning, once cut
	marker string   // what stands behind the head; "" if nothing was cut
	cut    int64
	closed bool
}

// openOutput creates the file, which must not exist. limit is in bytes; one
// below 1 KiB counts as 1 KiB, and 0 or less is none.
func openOutput(path string, limit int64) (*output, error) {
	o := &output{path: path, limit: limit}
	if limit > 0 {
		o.limit = max(limit, minOutputLimit)
	}
	if _, err := os.Lstat(path); canName() && errors.Is(err, fs.ErrNotExist) {
		f, err := openUnnamed(filepath.Dir(path), outputMode)
		if err == nil {
			o.f = f
			return o, nil
		}
		if !errors.Is(err, errors.ErrUnsupported) {
			return nil, fmt.Errorf("create output file: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, outputMode)
	if err != nil {
		return nil, fmt.Errorf("create output file: %w", err)
	}
	o.f, o.named = f, true
	return o, nil
}

// keep gives the file its name if there is something in it. After an error it can be
// tried again.
func (o *output) keep() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.named || o.closed {
		return nil
	}
	fi, err := o.f.Stat()
	if err != nil {
		return fmt.Errorf("look at output file %s: %w", o.path, err)
	}
	if fi.Size() == 0 {
		return nil
	}
	return o.name()
}

func (o *output) name() error {
	if err := nameFile(o.f, o.path); err != nil {
		return fmt.Errorf("name output file %s: %w", o.path, err)
	}
	o.named = true
	return nil
}

// file is what a command gets as its standard output or error.
func (o *output) file() *os.File { return o.f }

// enforce cuts the middle out of a file that is larger than the limit and
// leaves a line that says how much is missing. Between two calls the file can
// be larger, by what a job can write in that time.
//
// The job goes on writing meanwhile. What it adds while the tail is moved is
// cut too and counted; what it adds between the last look at the size and the
// truncation, some microseconds, is lost uncounted. Its later writes append to
// the new end.
func (o *output) enforce() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil
	}
	return o.trim()
}

// finish makes the last cut, closes the file and removes it if it is empty. It
// returns the file's size and how many bytes of output are not in it. What a
// process that the job left behind writes later is neither limited nor kept
// if the file was empty.
func (o *output) finish() (size, cut int64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, 0, fmt.Errorf("finish output file %s: %w", o.path, os.ErrClosed)
	}
	o.closed = true
	err = o.trim()
	fi, e := o.f.Stat()
	if e == nil {
		size = fi.Size()
	}
	err = errors.Join(err, e, o.f.Close())
	if o.edit != nil {
		err = errors.Join(err, o.edit.Close())
	}
	if e == nil && size == 0 && o.named {
		if e := os.Remove(o.path); !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return size, o.cut, err
}

func (o *output) trim() error {
	fi, err := o.f.Stat()
	if err == nil && fi.Size() > 0 && !o.named {
		err = o.name()
	}
	if err != nil || o.limit <= 0 || fi.Size() <= o.limit {
		return err
	}
	if o.edit == nil {
		if o.edit, err = openSame(o.path, fi); err != nil {
			return fmt.Errorf("cut output file: %w", err)
		}
	}
	if err := o.cutMiddle(fi.Size()); err != nil {
		return fmt.Errorf("cut output file %s: %w", o.path, err)
	}
	return nil
}

// openSame opens a path for editing if it still leads to that file.
func openSame(path string, want os.FileInfo) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if got, err := f.Stat(); err != nil || !os.SameFile(got, want) {
		_ = f.Close()
		return nil, fmt.Errorf("%s is not the file that was opened", path)
	}
	return f, nil
}

// cutMiddle keeps the head, half the limit, and the tail of a file of that
// size, a quarter, so that the next cut is not due at once.
func (o *output) cutMiddle(size int64) error {
	newline := ""
	if !o.markerStands() {
		var err error
		if newline, err = o.findHead(); err != nil {
			return err
		}
		o.marker = ""
	} else if o.marker[0] == '\n' {
		newline = "\n"
	}
	old := int64(len(o.marker))
	marker := func() string {
		return fmt.Sprintf("%s[queuectl: %d bytes cut here]\n", newline, o.cut)
	}

	from := size - o.limit/4
	if skip, err := o.lineEnd(from, func(b []byte) int { return bytes.IndexByte(b, '\n') }); err != nil {
		return err
	} else if skip > 0 {
		from += skip
	}
	before := o.cut
	o.cut += from - old - o.head
	room := int64(len(marker()))
	to := o.head + room
	n, err := io.Copy(io.NewOffsetWriter(o.edit, to), io.NewSectionReader(o.edit, from, size-from))
	if err != nil {
		o.cut = before
		return err
	}

	fi, err := o.edit.Stat()
	if err != nil {
		o.cut = before
		return err
	}
	o.cut = before + max(0, fi.Size()-old-o.head-n)
	// A count that has grown by a digit meanwhile takes it from the tail.
	for ; int64(len(marker())) > room; room++ {
		o.cut++
	}
	o.marker = marker()
	if _, err := o.edit.WriteAt([]byte(o.marker), o.head); err != nil {
		return err
	}
	return o.edit.Truncate(to + n)
}

// markerStands says whether the marker is where it was put; a job may have
// truncated the file itself.
func (o *output) markerStands() bool {
	if o.marker == "" {
		return false
	}
	got := make([]byte, len(o.marker))
	_, err := o.edit.ReadAt(got, o.head)
	return err == nil && string(got) == o.marker
}

// findHead puts the head's end at a line's end at or shortly before half the
// limit, or else there with a line break to be added.
func (o *output) findHead() (newline string, err error) {
	half := o.limit / 2
	start := half - min(lineSearch, o.limit/8)
	end, err := o.lineEnd(start, func(b []byte) int { return bytes.LastIndexByte(b, '\n') })
	if err != nil {
		return "", err
	}
	if end > 0 {
		o.head = start + end
		return "", nil
	}
	o.head = half
	return "\n", nil
}

// lineEnd returns how many bytes from offset the line break ends that index
// picks, or 0 if there is none near.
func (o *output) lineEnd(offset int64, index func([]byte) int) (int64, error) {
	buf := make([]byte, min(lineSearch, o.limit/8))
	n, err := o.edit.ReadAt(buf, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return int64(index(buf[:n]) + 1), nil
}
