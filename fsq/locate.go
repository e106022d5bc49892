package fsq

import (
	"context"
	"errors"
)

// Locate tells which of the queues have a job, or a dropped file, of each of the ids. The
// error wraps ErrNotFound, once for each id that none has; the others are told of all the
// same. A job that is put into another queue meanwhile may be missed.
func Locate(ctx context.Context, qs []*Queue, ids []string) (map[string][]*Queue, error) {
	where := make(map[string][]*Queue, len(ids))
	for _, q := range qs {
		jobs, _, err := q.List(ctx, ListOptions{Where: Selector{IDs: ids}})
		if err != nil {
			return nil, err
		}
		for _, j := range jobs {
			if n := len(where[j.ID]); n == 0 || where[j.ID][n-1] != q {
				where[j.ID] = append(where[j.ID], q)
			}
		}
	}
	var missing []error
	for _, id := range ids {
		if len(where[id]) > 0 {
			continue
		}
		// One look proves nothing: a job that moves can be missed.
		for _, q := range qs {
			_, err := q.Get(ctx, id)
			if err == nil {
				where[id] = append(where[id], q)
			} else if !errors.Is(err, ErrNotFound) {
				return nil, err
			}
		}
		if len(where[id]) == 0 {
			missing = append(missing, notFound(id))
		}
	}
	return where, errors.Join(missing...)
}
