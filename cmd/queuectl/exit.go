package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/queuectl/queuectl/fsq"
)

// Exit statuses. They are part of the interface: scripts branch on them.
const (
	exitOK        = 0
	exitFailed    = 1   // it failed, or the answer is no
	exitUsage     = 2   // wrong usage or input; nothing was done
	exitNotFound  = 3   // no such job, worker or spool
	exitConflict  = 4   // a duplicate, or the wrong state
	exitTemporary = 75  // may work later: EX_TEMPFAIL of sysexits
	exitTimeout   = 124 // a --timeout is over, as timeout(1) has it
	exitSignal    = 128 // plus the signal's number
)

type exitStatus struct {
	code int
	when string
}

// everyExit is what every command can end with.
var everyExit = []exitStatus{
	{exitOK, "done"},
	{exitFailed, "it failed"},
	{exitUsage, "wrong usage or input, nothing was done"},
	{exitTemporary, "it may work later: the file system is away, too many files are open"},
}

// usageError is a mistake on the command line.
type usageError struct{ problem, hint string }

func (e *usageError) Error() string { return e.problem }

func usagef(format string, args ...any) error {
	return &usageError{problem: fmt.Sprintf(format, args...)}
}

// hinted is an error together with what to do about it.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

// noSpool says that there is no spool where one was asked about.
type noSpool struct{ dir string }

func (e *noSpool) Error() string { return "there is no spool at " + clean(e.dir) }

// reported ends a command whose errors have been said already.
type reported struct{ code int }

func (e *reported) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// signalled ends a command that a signal has stopped.
type signalled struct{ signal syscall.Signal }

func (e *signalled) Error() string { return "stopped by " + e.signal.String() }

// outputError says that stdout did not take what was written to it.
type outputError struct{ error }

func (e *outputError) Error() string { return "writing to stdout: " + e.error.Error() }

// closed reports whether the reader has gone, as head(1) does.
func (e *outputError) closed() bool { return errors.Is(e.error, syscall.EPIPE) }

// exitCode is the exit status that err leads to.
func exitCode(err error) int {
	var (
		usage    *usageError
		field    *fsq.FieldError
		key      *fsq.UnknownKeyError
		state    *fsq.UnknownStateError
		missing  *noSpool
		unnamed  *noQueue
		said     *reported
		signal   *signalled
		out      *outputError
		causedBy = func(targets ...error) bool {
			for _, t := range targets {
				if errors.Is(err, t) {
					return true
				}
			}
			return false
		}
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &said):
		return said.code
	case errors.As(err, &signal):
		return exitSignal + int(signal.signal)
	case errors.As(err, &out) && out.closed():
		return exitSignal + int(syscall.SIGPIPE)
	case errors.As(err, &out):
		return exitFailed
	case errors.As(err, &usage), errors.As(err, &field), errors.As(err, &key), errors.As(err, &state), causedBy(fsq.ErrInvalidQueue, fsq.ErrBadLimit):
		return exitUsage
	case causedBy(fsq.ErrNotFound, fsq.ErrNotSpool), errors.As(err, &missing), errors.As(err, &unnamed):
		return exitNotFound
	case causedBy(fsq.ErrDuplicate, fsq.ErrState, fsq.ErrQueueInUse):
		return exitConflict
	case causedBy(fsq.ErrUncertain):
		// Not temporary: who tries again gets a second job.
		return exitFailed
	case causedBy(syscall.EAGAIN, syscall.ESTALE, syscall.ETIMEDOUT, syscall.EMFILE,
		syscall.ENFILE, syscall.EINTR, context.DeadlineExceeded):
		return exitTemporary
	}
	return exitFailed
}

// silent reports whether err goes without words: they were said, or nobody is
// there to read them.
func silent(err error) bool {
	var (
		said   *reported
		signal *signalled
		out    *outputError
	)
	return err == nil || errors.As(err, &said) || errors.As(err, &signal) || errors.As(err, &out) && out.closed()
}

// hintFor is what to do about err, or "".
func hintFor(err error) string {
	var (
		usage   *usageError
		with    *hinted
		missing *noSpool
		unnamed *noQueue

		strangers *fsq.StrangersError
	)
	switch {
	case errors.As(err, &with):
		return with.hint
	case errors.As(err, &usage):
		return usage.hint
	case errors.As(err, &missing):
		return "queuectl enqueue makes it on first use; --spool or QUEUECTL_SPOOL names another"
	case errors.As(err, &unnamed):
		return fmt.Sprintf("queuectl queue create %s makes it, and so does queuectl enqueue --queue %s; queuectl queue list lists the queues", unnamed.name, unnamed.name)
	case errors.Is(err, fsq.ErrNotSpool):
		return "--spool names the spool's own directory; an empty or new one becomes a spool"
	case errors.Is(err, fsq.ErrForeign):
		return "start the worker as that user: sudo -u USER queuectl worker start"
	case errors.As(err, &strangers) && strangers.ByMode:
		return "chmod go-w " + shellQuote(strangers.Path) + ", or take a spool elsewhere; a group shares one made by queuectl init --group"
	case errors.As(err, &strangers):
		return "take a spool in a directory of your own, below directories of yours or root's"
	case errors.Is(err, fsq.ErrNotRoot):
		return "start it as root, or leave --run-as-owner out: then it runs your own jobs"
	case errors.Is(err, fsq.ErrNoBoxes):
		return "make one as root: queuectl init --spool DIR --drop-from USER"
	case errors.Is(err, fsq.ErrVersion):
		return "a newer queuectl made this spool; use that one"
	case errors.Is(err, fsq.ErrUncertain):
		return "the job is in the queue, but a power cut may take it out; queuectl list shows it"
	case errors.Is(err, fs.ErrPermission):
		return "the spool belongs to its user, or to the group of queuectl init --group; --spool names another"
	case errors.Is(err, syscall.ENOSPC):
		return "make room on the spool's file system, in bytes or in inodes (df -i); queuectl prune removes finished jobs"
	case errors.Is(err, syscall.EDQUOT):
		return "a quota of this user, this group or the directory is used up: make room (queuectl prune removes finished jobs), or have it raised"
	case errors.Is(err, syscall.EROFS):
		return "mount the spool's file system read-write; if an error of the disk made it read-only, see the kernel's log (dmesg) first"
	case errors.Is(err, syscall.EIO):
		return "the disk under the spool fails: see the kernel's log (dmesg)"
	}
	return ""
}
