package dashboard

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

// openQueue opens a queue with the settings of its own, and of the spool for the rest.
func openQueue(dir, name string) (*fsq.Queue, error) {
	cfg := fsq.DefaultConfig()
	for _, of := range slices.Compact([]string{fsq.DefaultQueue, name}) {
		q, err := fsq.OpenExistingQueue(dir, of, cfg)
		if errors.Is(err, fs.ErrPermission) && of != name {
			continue // a member of the queue's group alone: the spool's settings are not for him
		}
		if err != nil {
			return nil, err
		}
		values, err := q.Settings()
		if err != nil && !(errors.Is(err, fs.ErrPermission) && of != name) {
			return nil, err
		}
		for key, value := range values {
			if err := cfg.Set(key, value); err != nil {
				return nil, fmt.Errorf("read %s: %w", fsq.ConfigPath(q.Dir()), err)
			}
		}
	}
	return fsq.OpenExistingQueue(dir, name, cfg)
}

// queue opens one of the queues that are shown. The error wraps fsq.ErrNotFound if there is
// none of that name.
func (d *Dashboard) queue(name string) (*fsq.Queue, error) {
	names, err := d.names()
	if err != nil {
		return nil, err
	}
	if slices.Contains(names, name) {
		q, err := d.opt.Open(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return q, err
		}
	}
	return nil, fmt.Errorf("queue %q: %w", name, fsq.ErrNotFound)
}

// find is the queue that has a job: the named one, or the one that has the id. The error
// wraps fsq.ErrNotFound if none has it, and is an *ambiguousError if several have.
func (d *Dashboard) find(ctx context.Context, queue, id string) (*fsq.Queue, error) {
	if queue != "" {
		return d.queue(queue)
	}
	qs, err := d.queues()
	if err != nil {
		return nil, err
	}
	where, err := fsq.Locate(ctx, qs, []string{id})
	if err != nil {
		return nil, err
	}
	if found := where[id]; len(found) > 1 {
		return nil, &ambiguousError{id, found}
	}
	return where[id][0], nil
}

// findRejected is the queue that has a file of that name that never became a job.
func (d *Dashboard) findRejected(name string) (*fsq.Queue, error) {
	qs, err := d.queues()
	if err != nil {
		return nil, err
	}
	var found []*fsq.Queue
	for _, q := range qs {
		rejected, err := q.Rejects()
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(rejected, func(r fsq.Rejected) bool { return r.Name == name || r.Dropped == name }) {
			found = append(found, q)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("job %q: %w", name, fsq.ErrNotFound)
	case 1:
		return found[0], nil
	}
	return nil, &ambiguousError{name, found}
}

// ambiguousError says that several queues have a job of that id.
type ambiguousError struct {
	id string
	in []*fsq.Queue
}

func (e *ambiguousError) Error() string {
	var names []string
	for _, q := range e.in {
		names = append(names, q.Name())
	}
	return fmt.Sprintf("job %q is in the queues %s: say which one", e.id, strings.Join(names, " and "))
}
