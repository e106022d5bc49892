package spool

import (
	"cmp"
	"errors"
	"sync"
)

// syncsAtOnce is how many goroutines may fsync one directory at a time. A kernel with a
// journal shares the work among them better than we could: on ext4, where one at a time
// served all, 8 callers took 1.4 times as long for a job; with 32 it made no difference.
// Who comes beyond that shares one: each takes a thread of the process.
const syncsAtOnce = 32

// dirSyncs shares fsyncs of directories between goroutines: one that begins after
// a rename makes that rename durable, whoever asked for it.
type dirSyncs struct {
	atOnce int // syncsAtOnce if it is 0
	mu     sync.Mutex
	dirs   map[string]*dirSync
}

type dirSync struct {
	running chan struct{} // has one for each fsync that runs
	next    *syncRound    // whoever comes before it begins shares it; guarded by dirSyncs.mu
}

type syncRound struct {
	over chan struct{} // closed when it is
	err  error
}

func (d *dirSyncs) of(dir string) *dirSync {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.dirs[dir]
	if q == nil {
		if d.dirs == nil {
			d.dirs = make(map[string]*dirSync)
		}
		q = &dirSync{running: make(chan struct{}, cmp.Or(d.atOnce, syncsAtOnce))}
		d.dirs[dir] = q
	}
	return q
}

// join returns the round that will begin after this call, and whether it is the caller's
// to begin.
func (d *dirSyncs) join(q *dirSync) (r *syncRound, leads bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if q.next == nil {
		q.next, leads = &syncRound{over: make(chan struct{})}, true
	}
	return q.next, leads
}

func (d *dirSyncs) begin(q *dirSync) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q.next = nil
}

// sync makes all renames durable that were done in dir before the call.
func (d *dirSyncs) sync(dir string, fsync func(string) error) error {
	q := d.of(dir)
	select {
	case q.running <- struct{}{}:
		defer func() { <-q.running }()
		return fsync(dir)
	default:
	}
	r, leads := d.join(q)
	if !leads {
		<-r.over
		return r.err
	}
	defer close(r.over)
	q.running <- struct{}{}
	defer func() { <-q.running }()
	d.begin(q)
	r.err = errors.New("the fsync was cut short") // if it panics
	r.err = fsync(dir)
	return r.err
}

// Sync makes all transitions durable that touched the directories before the call;
// dirs are relative to the spool. Many concurrent calls share fsyncs (syncsAtOnce).
func (s *Spool) Sync(dirs ...string) error {
	var errs []error
	for _, d := range dirs {
		errs = append(errs, s.syncs.sync(s.abs(d), s.ops.syncDir))
	}
	return errors.Join(errs...)
}
