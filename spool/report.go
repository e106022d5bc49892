package spool

import (
	"errors"
	"fmt"
	"io"
	"path"
)

// ErrShared says that a file has more than one name: it may be anybody's.
var ErrShared = errors.New("the file has a second name elsewhere")

// ReadReport reads what a job wrote about its own attempt: the first limit bytes, or
// with tail the last ones, and how many there are in all. A job may have put anything
// there, and who reads it may be root: what is no regular file of one name is refused
// (ErrNotRegular, ErrShared; IsLink), and never waited for. The file may change while
// it is read. The error wraps fs.ErrNotExist if there is none.
func (s *Spool) ReadReport(id string, attempt int, kind string, limit int64, tail bool) (data []byte, size int64, err error) {
	f, err := s.ops.open(s.LogPath(id, attempt, kind))
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	fail := func(err error) ([]byte, int64, error) {
		return nil, 0, fmt.Errorf("read the %s of attempt %d of job %q: %w", kind, attempt, id, err)
	}
	in, err := f.info()
	switch {
	case err != nil:
		return fail(err)
	case !in.mode.IsRegular():
		return fail(ErrNotRegular)
	case in.nlink > 1:
		return fail(ErrShared)
	}
	from := int64(0)
	if tail {
		from = max(in.size-limit, 0)
	}
	data, err = io.ReadAll(io.NewSectionReader(f.os(), from, limit))
	if err != nil {
		return fail(err)
	}
	return data, max(in.size, int64(len(data))), nil
}

// HasLog reports whether there is anything under the name of such a file.
func (s *Spool) HasLog(id string, attempt int, kind string) bool {
	p := s.LogPath(id, attempt, kind)
	_, err := s.ops.look(path.Dir(p), path.Base(p))
	return err == nil
}
