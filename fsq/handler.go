package fsq

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Handler works jobs. Handle returns nil when the job is done; any error is a failed
// attempt, which is retried or buried as the job's policy says; Snooze and Fatal say it
// themselves, and an *ExitError by its code. It must return soon after ctx is cancelled:
// context.Cause tells whether for ErrTimeout, ErrInterrupted, ErrCancelled or ErrLost. A
// panic is a failed attempt. Handle is called concurrently.
type Handler interface {
	Handle(ctx context.Context, r *Run) error
}

// HandlerFunc makes a Handler of a function.
type HandlerFunc func(ctx context.Context, r *Run) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, r *Run) error { return f(ctx, r) }

// Run is one attempt at a job, as its Handler sees it.
type Run struct {
	Job        Job
	ID         string
	Attempt    int // from 1 on, over the job's whole life
	MaxRetries int
	Worker     string
	Spool      string // the spool that the queue belongs to
	Queue      string // its name; DefaultQueue for the spool itself

	// Stdout and Stderr keep the attempt's output. They are opened for appending; what
	// exceeds the output limit is cut from the middle. nil discards.
	Stdout, Stderr *os.File

	// Result and Progress are the paths of files that the attempt may write: JSON of at
	// most 64 KiB that is kept with it, and a line such as "42% encoding" for those who
	// watch it. Neither is there beforehand. "" discards.
	Result, Progress string

	// KillGrace is how long a command may take to end after SIGTERM.
	KillGrace time.Duration

	lock    *os.File // the worker's registry descriptor, for a child to inherit
	guard   *guard   // takes the child along if the worker is killed
	started func(pid int)
	signals <-chan string // that somebody sends to the command
	umask   string        // the worker's own, octal; "": not known
	owner   *uint32       // whom the command runs as; nil: the worker's user
	account account       // the owner's
}

// ExitError is how a command failed.
type ExitError struct {
	Code   int    // -1 if a signal ended it
	Signal string // such as "SIGKILL", or ""
}

func (e *ExitError) Error() string {
	if e.Signal != "" {
		return "killed by " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Code)
}
