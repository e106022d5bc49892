package fsq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// StopAll is StopWorkers for workers of several queues, all at once: a process that
// serves more than one of them leaves them together. report is called for one event at a
// time.
func StopAll(ctx context.Context, qs []*Queue, opt StopOptions, report func(StopEvent)) error {
	if len(qs) == 1 {
		return qs[0].StopWorkers(ctx, opt, report)
	}
	wanted := make([][]string, len(qs))
	missing := slices.Clone(opt.IDs)
	for i, q := range qs {
		if len(opt.IDs) == 0 {
			break
		}
		ws, err := q.Workers(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		for _, w := range ws {
			if slices.Contains(opt.IDs, w.ID) {
				wanted[i] = append(wanted[i], w.ID)
				missing = slices.DeleteFunc(missing, func(id string) bool { return id == w.ID })
			}
		}
	}
	var (
		all  sync.WaitGroup
		mu   sync.Mutex
		errs = make([]error, len(qs))
	)
	for i, q := range qs {
		if len(opt.IDs) > 0 && len(wanted[i]) == 0 {
			continue
		}
		all.Go(func() {
			errs[i] = q.StopWorkers(ctx, StopOptions{IDs: wanted[i], Hosts: opt.Hosts, Now: opt.Now}, func(e StopEvent) {
				mu.Lock()
				defer mu.Unlock()
				report(e)
			})
		})
	}
	all.Wait()
	for _, id := range missing {
		errs = append(errs, fmt.Errorf("worker %q: %w", id, ErrNotFound))
	}
	return errors.Join(errs...)
}
