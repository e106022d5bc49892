package fsq

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// DefaultQueue is the name of the queue that a spool itself is.
const DefaultQueue = spool.DefaultQueue

// ValidateQueue refuses what cannot be the name of a queue: [a-z0-9][a-z0-9._-]{0,62}.
// The error wraps ErrInvalidQueue.
func ValidateQueue(name string) error { return spool.ValidateQueue(name) }

// QueueDir is the directory of a queue of the spool in dir. The name must be valid.
func QueueDir(dir, name string) string { return spool.QueueDir(dir, name) }

// QueueOf tells which queue of which spool the directory dir is: dir itself and
// DefaultQueue if it is no named queue.
func QueueOf(dir string) (root, name string) { return spool.QueueOf(dir) }

// QueueNames lists the queues of the spool in dir: DefaultQueue, then the named ones in
// order. The error wraps fs.ErrNotExist if there is no spool.
func QueueNames(dir string) ([]string, error) {
	names, err := spool.Queues(dir)
	if err != nil {
		return nil, err
	}
	return append([]string{DefaultQueue}, names...), nil
}

// OpenQueue opens a queue of the spool in dir and makes both if they are not there: the
// spool for its owner alone, the queue for those whom the spool is for. The error wraps
// ErrInvalidQueue if no queue can have that name.
func OpenQueue(dir, name string, cfg Config) (*Queue, error) {
	s, err := spool.OpenQueue(dir, name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && name != DefaultQueue && !s.Whole() {
		s, err = spool.InitQueue(dir, name, "")
	}
	if err != nil {
		return nil, err
	}
	return &Queue{s: s, cfg: cfg}, nil
}

// OpenExistingQueue opens a queue of the spool in dir; the error wraps fs.ErrNotExist if
// there is no such queue.
func OpenExistingQueue(dir, name string, cfg Config) (*Queue, error) {
	s, err := spool.OpenQueue(dir, name)
	if err != nil {
		return nil, err
	}
	return &Queue{s: s, cfg: cfg}, nil
}

// InitQueue makes a queue of the spool in dir for a group (a name or a number), or for
// those whom the spool is for if group is "", and opens it. One that is there already is
// opened.
func InitQueue(dir, name, group string) (*Queue, error) {
	s, err := spool.InitQueue(dir, name, group)
	if err != nil {
		return nil, err
	}
	return &Queue{s: s, cfg: DefaultConfig()}, nil
}

// RemoveQueue removes a queue of the spool in dir that has no workers and no jobs that
// wait or run; with force its finished, dead and rejected ones go too. The error wraps
// ErrQueueInUse if it has any, and nothing is lost then; fs.ErrNotExist if there is no such
// queue. A job that is enqueued at the same time keeps the queue, or makes it anew.
func RemoveQueue(dir, name string, force bool) error { return spool.RemoveQueue(dir, name, force) }

// Name is the queue's name: DefaultQueue if it is the spool itself.
func (q *Queue) Name() string { return q.s.Queue() }

// Root is the absolute path of the spool that the queue belongs to: Dir for
// DefaultQueue.
func (q *Queue) Root() string { return q.s.Root() }

// WatchQueues calls look at first, when queues may have been made or removed in the spool
// in root, and every few seconds in any case, until ctx is done.
func WatchQueues(ctx context.Context, root string, look func()) {
	whenQueuesChange(ctx.Done(), root, pollSlow, look)
}

// whenQueuesChange calls look when queues may have been made or removed in the spool in
// root, at first, and every so often in any case, until end is closed.
func whenQueuesChange(end <-chan struct{}, root string, every time.Duration, look func()) {
	var watch *spool.QueuesWatch
	defer func() { watch.Close() }()
	for pause, absent := every, false; ; {
		if watch == nil {
			var err error
			watch, err = spool.WatchQueues(root)
			switch {
			case errors.Is(err, fs.ErrNotExist): // there is no spool yet
				pause, absent = min(every, pollFast), true
			case absent: // it is being made
				pause, absent = queueAppears, false
			}
		}
		look() // first of all for what came before the watch
		select {
		case <-end:
			return
		case <-watch.Changed():
			pause = queueAppears
		case <-time.After(pause):
			pause = min(2*pause, every)
		}
	}
}

// queueAppears is how long the making of a queue usually takes from its first directory,
// which the watch tells of, until it can be opened. On a slow disk it takes longer: it is
// looked at less and less often then.
const queueAppears = 100 * time.Millisecond

// Sum is what several queues hold together.
func Sum(all []Status) Status {
	sum := Status{Workers: []WorkerInfo{}}
	for _, s := range all {
		sum.Spool = s.Spool
		for _, n := range []struct {
			to *int
			by int
		}{
			{&sum.Pending, s.Pending},
			{&sum.Scheduled, s.Scheduled},
			{&sum.Retrying, s.Retrying},
			{&sum.Held, s.Held},
			{&sum.Processing, s.Processing},
			{&sum.Done, s.Done},
			{&sum.Dead, s.Dead},
			{&sum.Cancelled, s.Cancelled},
			{&sum.Rejected, s.Rejected},
			{&sum.Dropped, s.Dropped},
			{&sum.Unfinished, s.Unfinished},
		} {
			*n.to += n.by
		}
		if s.OldestDueSeconds != nil && (sum.OldestDueSeconds == nil || *sum.OldestDueSeconds < *s.OldestDueSeconds) {
			sum.OldestDueSeconds = s.OldestDueSeconds
		}
		if s.NextDueAt != nil && (sum.NextDueAt == nil || s.NextDueAt.Before(*sum.NextDueAt)) {
			sum.NextDueAt = s.NextDueAt
		}
		sum.Workers = append(sum.Workers, s.Workers...)
	}
	return sum
}
