package spool

import (
	"errors"
	"sync"
)

// dirSyncs shares fsyncs of directories between goroutines: one that begins after
// a rename makes that rename durable, whoever asked for it.
type dirSyncs struct {
	mu   sync.Mutex
	dirs map[string]*dirSync
}

type dirSync struct {
	lead sync.Mutex // held by the goroutine that syncs
	next *syncRound // whoever comes before it begins shares it
}

type syncRound struct {
	over bool // guarded by lead
	err  error
}

// join returns the round that will begin after this call.
func (d *dirSyncs) join(dir string) (*dirSync, *syncRound) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.dirs[dir]
	if q == nil {
		if d.dirs == nil {
			d.dirs = make(map[string]*dirSync)
		}
		q = &dirSync{}
		d.dirs[dir] = q
	}
	if q.next == nil {
		q.next = &syncRound{}
	}
	return q, q.next
}

func (d *dirSyncs) begin(q *dirSync) {
	d.mu.Lock()
	defer d.mu.Unlock()
	q.next = nil
}

// sync makes all renames durable that were done in dir before the call.
func (d *dirSyncs) sync(dir string, fsync func(string) error) error {
	q, r := d.join(dir)
	q.lead.Lock()
	defer q.lead.Unlock()
	if !r.over {
		d.begin(q)
		r.err = fsync(dir)
		r.over = true
	}
	return r.err
}

// Sync makes all transitions durable that touched the directories before the call;
// dirs are relative to the spool. Concurrent calls share the work.
func (s *Spool) Sync(dirs ...string) error {
	var errs []error
	for _, d := range dirs {
		errs = append(errs, s.syncs.sync(s.abs(d), s.ops.syncDir))
	}
	return errors.Join(errs...)
}
