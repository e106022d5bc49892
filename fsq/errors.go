package fsq

import (
	"errors"
	"fmt"

	"github.com/queuectl/queuectl/spool"
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNotFound  = errors.New("not found")
	ErrState     = errors.New("wrong state")
	ErrDuplicate = spool.ErrDuplicate
	ErrUncertain = spool.ErrUncertain
	ErrLost      = spool.ErrLost
	ErrNotSpool  = spool.ErrNotSpool
	ErrVersion   = spool.ErrVersion
	// ErrForeign says that root does not work the jobs of a spool that a user made for
	// himself: whoever can write there would be root.
	ErrForeign = errors.New("the spool belongs to a user, and root does not run his jobs")
	// ErrNotRoot says that a worker is to run jobs as their owners, and is not root's.
	ErrNotRoot = errors.New("run-as-owner is for root's workers: no other can become the owner of a job")
	// ErrNoBoxes says that a spool is not root's alone: who can write more of it than a box
	// of his own would be every other user.
	ErrNoBoxes = spool.ErrNoBoxes

	ErrInvalidQueue = spool.ErrInvalidQueue
	ErrQueueInUse   = spool.ErrQueueInUse
)

// Causes for which a Handler's context is cancelled (context.Cause).
var (
	ErrTimeout     = errors.New("timed out")
	ErrInterrupted = errors.New("interrupted")
	ErrCancelled   = errors.New("cancelled")
)

// DuplicateError says that an id is taken.
type DuplicateError struct{ ID string }

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("the queue holds a job %q already", e.ID)
}

// Is makes it an ErrDuplicate.
func (e *DuplicateError) Is(target error) bool { return target == ErrDuplicate }

func notFound(id string) error { return fmt.Errorf("job %q: %w", id, ErrNotFound) }
