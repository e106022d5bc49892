package fsq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// WorkerInfo is a registered worker as others see it.
type WorkerInfo struct {
	ID                  string    `json:"id"`
	Queue               string    `json:"queue"`
	Host                string    `json:"host"`
	PID                 int       `json:"pid"`
	State               string    `json:"state"` // alive, stopping, lost
	Slots               int       `json:"slots"`
	Busy                int       `json:"busy"`
	Jobs                []string  `json:"jobs"` // ids of those it runs
	StartedAt           time.Time `json:"started_at"`
	HeartbeatAt         time.Time `json:"heartbeat_at"`
	HeartbeatAgeSeconds float64   `json:"heartbeat_age_seconds"`
	Version             string    `json:"version"`
	Error               string    `json:"error"` // why it is lost
}

// States of a worker.
const (
	WorkerAlive    = "alive"
	WorkerStopping = "stopping"
	WorkerLost     = "lost" // dead; the next sweep of a living worker gives its jobs back
)

// Workers lists the registered workers. One on another host is lost when its
// heartbeat is two leases old: a single look has no history to judge it by.
func (q *Queue) Workers(ctx context.Context) ([]WorkerInfo, error) {
	verdicts, err := q.s.NewCensus().Look(time.Second, q.cfg.Lease)
	if err != nil {
		return nil, err
	}
	list := make([]WorkerInfo, 0, len(verdicts))
	for _, v := range verdicts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w, err := q.workerInfo(v)
		if err != nil {
			return nil, err
		}
		list = append(list, w)
	}
	return list, nil
}

func (q *Queue) workerInfo(v spool.Verdict) (WorkerInfo, error) {
	age := max(q.now().Sub(v.Heartbeat), 0)
	lease := time.Duration(v.LeaseMS) * time.Millisecond
	w := WorkerInfo{
		ID: v.Worker, Queue: q.Name(), Host: v.Host, PID: v.PID, State: WorkerAlive, Slots: v.Slots, Jobs: []string{},
		StartedAt: v.StartedAt, HeartbeatAt: v.Heartbeat.UTC(), HeartbeatAgeSeconds: age.Seconds(), Version: v.Version,
	}
	claims, err := q.s.ClaimsOf(v.Worker)
	if err != nil {
		return w, fmt.Errorf("list the claims of worker %s: %w", v.Worker, err)
	}
	for _, n := range claims {
		w.Jobs = append(w.Jobs, n.ID)
	}
	w.Busy = len(claims)
	asked, err := q.asked(v.Worker)
	if err != nil {
		return w, err
	}
	switch {
	case v.Dead:
		w.State, w.Error = WorkerLost, v.Reason
	case lease > 0 && age >= 2*lease:
		w.State, w.Error = WorkerLost, fmt.Sprintf("no heartbeat for %s", FormatDuration(age.Truncate(time.Second)))
	case asked:
		w.State = WorkerStopping
	}
	return w, nil
}

func (q *Queue) asked(wid string) (bool, error) {
	for _, r := range []spool.Request{spool.Drain, spool.Interrupt} {
		if asked, err := q.s.Asked(r, wid); asked || err != nil {
			return asked, err
		}
	}
	return false, nil
}

// StopEvent is told of each worker that StopWorkers stops.
type StopEvent struct {
	Worker WorkerInfo
	Result string
}

// Results of StopWorkers.
const (
	StopAsked   = "asked"   // the request is made
	StopStopped = "stopped" // it has settled its jobs and left
	StopLost    = "lost"    // it is dead already; its jobs were given back
)

// stopPoll is how often StopWorkers looks whether the workers have left. The registry
// is not watched: heartbeats would wake the watcher.
const stopPoll = 50 * time.Millisecond

// StopWorkers asks workers, on any host, to finish their current jobs and exit; with
// now, to give them back and exit. No ids means all. It waits until each has left,
// or ctx is done; the requests stay then. The error wraps ErrNotFound if an id is
// not that of a registered worker; the others are asked all the same.
func (q *Queue) StopWorkers(ctx context.Context, ids []string, now bool, report func(StopEvent)) error {
	// ctx bounds the waiting only: a time limit of nothing still asks.
	all, err := q.Workers(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	chosen, err := choose(all, ids)
	request := spool.Drain
	if now {
		request = spool.Interrupt
	}
	var waiting []WorkerInfo
	for _, w := range chosen {
		if w.State == WorkerLost {
			if lostErr := q.clearLost(w.ID); lostErr != nil {
				err = errors.Join(err, lostErr)
				continue
			}
			report(StopEvent{w, StopLost})
			continue
		}
		if askErr := q.s.Ask(request, w.ID); askErr != nil {
			err = errors.Join(err, askErr)
			continue
		}
		report(StopEvent{w, StopAsked})
		waiting = append(waiting, w)
	}
	return errors.Join(err, q.awaitStop(ctx, waiting, report))
}

func choose(all []WorkerInfo, ids []string) (chosen []WorkerInfo, err error) {
	if len(ids) == 0 {
		return all, nil
	}
	for _, id := range ids {
		found := false
		for _, w := range all {
			if w.ID == id {
				chosen, found = append(chosen, w), true
			}
		}
		if !found {
			err = errors.Join(err, fmt.Errorf("worker %q: %w", id, ErrNotFound))
		}
	}
	return chosen, err
}

// awaitStop waits until the workers have left, or have died on the way.
func (q *Queue) awaitStop(ctx context.Context, waiting []WorkerInfo, report func(StopEvent)) error {
	tick := time.NewTicker(stopPoll)
	defer tick.Stop()
	for len(waiting) > 0 {
		registered, err := q.Workers(ctx)
		if err != nil {
			return err
		}
		state := map[string]string{}
		for _, w := range registered {
			state[w.ID] = w.State
		}
		var still []WorkerInfo
		for _, w := range waiting {
			switch state[w.ID] {
			case "":
				report(StopEvent{w, StopStopped})
			case WorkerLost:
				if err := q.clearLost(w.ID); err != nil {
					return err
				}
				report(StopEvent{w, StopLost})
			default:
				still = append(still, w)
			}
		}
		if waiting = still; len(waiting) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d workers have not stopped yet: %w", len(waiting), context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}

// clearLost does for a dead worker what the next sweep would.
func (q *Queue) clearLost(wid string) error {
	verdicts, err := q.s.NewCensus().Look(time.Second, q.cfg.Lease)
	if err != nil {
		return err
	}
	for _, v := range verdicts {
		if v.Worker == wid && v.Dead {
			_, err := q.reap(v)
			return err
		}
	}
	return nil
}
