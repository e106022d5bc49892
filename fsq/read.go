package fsq

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// read gets the job, as soon as it is whole. A file that Put or Adopt made is; a
// copy made by hand into pending/ may still be being written, and its claim is kept
// until that is clear.
func (s *slot) read() (Job, error) {
	begun := time.Now()
	for {
		content, err := s.claim.Read()
		switch {
		case errors.Is(err, ErrLost):
			return Job{}, err
		case err != nil && !content.Unfinished:
			if permanentRead(err) {
				return Job{}, err
			}
			if time.Since(begun) > s.in.readPatience {
				return Job{}, &unreadError{err}
			}
			s.in.w.problem(err)
		case err == nil:
			err := s.in.q.distrust(content.UID, content.GID, content.Mode)
			if err == nil && s.in.q.linksCount() && s.claim.Linked(content) {
				if time.Since(begun) < linkPatience {
					break
				}
				err = errLinked
			}
			if err != nil {
				return Job{}, err
			}
			s.owner = content.UID
			job, parseErr := ParseJob(content.Data, time.Now())
			if parseErr == nil {
				return job, nil
			}
			if !content.Unfinished || time.Since(begun) > s.in.readPatience {
				return Job{}, parseErr
			}
		}
		select {
		case <-s.ctx.Done():
			if errors.Is(context.Cause(s.ctx), ErrLost) {
				return Job{}, ErrLost
			}
			return Job{}, errGivenBack
		case <-time.After(rereadInterval):
		}
	}
}

// unreadError is why a file could not be read that may yet be.
type unreadError struct{ error }

func (e *unreadError) Unwrap() error { return e.error }

const (
	copyPatience = 5 * time.Minute
	// linkPatience is for a program that binds or gives back a file by link and unlink.
	linkPatience   = time.Second
	rereadInterval = 200 * time.Millisecond
)

// permanentRead reports whether reading again would help nothing.
func permanentRead(err error) bool {
	return errors.Is(err, spool.ErrNotRegular) || errors.Is(err, spool.ErrTooLarge) || errors.Is(err, fs.ErrPermission) || spool.IsLink(err)
}

// reject sets a file aside that cannot be run. It returns false if the file can be read
// after all: a disk that gives nothing takes nothing either, and when it works again the
// job is as good as ever.
func (s *slot) reject(reason error) (over bool) {
	n := s.claim.Name()
	unread := (*unreadError)(nil)
	readable := false
	err := s.persist(func() error {
		if errors.As(reason, &unread) {
			if _, err := s.claim.Read(); err == nil {
				readable = true
				return nil
			}
		}
		_, err := s.claim.Reject(reason.Error())
		return err
	})
	switch {
	case readable:
		return false
	case errors.Is(err, ErrLost):
		s.lost()
	case err != nil:
		s.in.w.problem(err)
	default:
		s.in.meet(n.ID)
		s.in.w.emit(Event{Kind: EventRejected, JobID: n.ID, Error: reason.Error()})
	}
	return true
}
