package fsq

import (
	"errors"
	"io/fs"

	"github.com/queuectl/queuectl/spool"
)

// Queue is a job queue over one spool. Its methods are safe for concurrent use.
type Queue struct {
	s       *spool.Spool
	cfg     Config
	askTime func() error // in place of Calibrate, for tests
}

// Open opens the queue in dir and makes it, for its owner alone, if nothing is there.
// cfg holds what jobs and workers get that say nothing else; DefaultConfig is a
// start. The error wraps ErrNotSpool if dir holds something else.
func Open(dir string, cfg Config) (*Queue, error) {
	s, err := spool.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		s, err = spool.Init(dir, "")
	}
	if err != nil {
		return nil, err
	}
	return &Queue{s: s, cfg: cfg}, nil
}

// OpenExisting opens the queue in dir; the error wraps fs.ErrNotExist if there is
// none.
func OpenExisting(dir string, cfg Config) (*Queue, error) {
	s, err := spool.Open(dir)
	if err != nil {
		return nil, err
	}
	return &Queue{s: s, cfg: cfg}, nil
}

// Init makes a queue in dir, for its owner or for a group (a name or a number), and
// opens it. One that is there already is opened.
func Init(dir, group string) (*Queue, error) {
	s, err := spool.Init(dir, group)
	if err != nil {
		return nil, err
	}
	return &Queue{s: s, cfg: DefaultConfig()}, nil
}

// Dir is the absolute path of the queue's own spool.
func (q *Queue) Dir() string { return q.s.Dir() }

// Polls reports whether changes are found by looking again and again, because the file
// system tells of none.
func (q *Queue) Polls() bool { return q.s.Network() }

// Config is what the queue was opened with.
func (q *Queue) Config() Config { return q.cfg }

// allowance is how many attempts a job has before it is a dead letter.
func (q *Queue) allowance(j Job) int {
	retries := q.cfg.MaxRetries
	if j.MaxRetries != nil {
		retries = *j.MaxRetries
	}
	return retries + 1
}

// policy is what decides about an attempt at a job.
func (q *Queue) policy(j Job) Policy {
	p := Policy{
		Allowance: q.allowance(j), BackoffBase: q.cfg.BackoffBase, BackoffMax: q.cfg.BackoffMax,
		BackoffJitter: q.cfg.BackoffJitter, MaxLost: q.cfg.MaxLost, SnoozeMax: q.cfg.SnoozeMax,
	}
	if j.BackoffBase != nil {
		p.BackoffBase = *j.BackoffBase
	}
	if j.SnoozeMax != nil {
		p.SnoozeMax = *j.SnoozeMax
	}
	return p
}
