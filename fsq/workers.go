package fsq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// WorkerInfo is a registered worker as others see it.
type WorkerInfo struct {
	ID                  string    `json:"id"`
	Queue               string    `json:"queue"`
	Host                string    `json:"host"`
	PID                 int       `json:"pid"`
	State               string    `json:"state"` // alive, stopping, silent, lost
	Slots               int       `json:"slots"`
	Busy                int       `json:"busy"`
	RSSBytes            *int64    `json:"rss_bytes"` // memory of its process, without its jobs; null: not of this host, or not told
	Jobs                []string  `json:"jobs"`      // ids of those it runs
	StartedAt           time.Time `json:"started_at"`
	HeartbeatAt         time.Time `json:"heartbeat_at"`
	HeartbeatAgeSeconds float64   `json:"heartbeat_age_seconds"`
	Version             string    `json:"version"`
	Only                string    `json:"only"`  // the id of the one job that it takes; "": all
	Error               string    `json:"error"` // why it is lost, or silent
}

// States of a worker.
const (
	WorkerAlive    = "alive"
	WorkerStopping = "stopping"
	WorkerSilent   = "silent" // no heartbeat for long, but its process is there: suspended, or its disk takes no writes
	WorkerLost     = "lost"   // dead; the next sweep of a living worker gives its jobs back
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
		StartedAt: v.StartedAt, HeartbeatAt: v.Heartbeat.UTC(), HeartbeatAgeSeconds: age.Seconds(), Version: v.Version, Only: v.Only,
	}
	claims, err := q.s.ClaimsOf(v.Worker)
	if err != nil {
		return w, fmt.Errorf("list the claims of worker %s: %w", v.Worker, err)
	}
	for _, n := range claims {
		w.Jobs = append(w.Jobs, n.ID)
	}
	w.Busy = len(claims)
	if v.Living {
		w.RSSBytes = residentMemory(v.PID)
	}
	asked, err := q.asked(v.Worker)
	if err != nil {
		return w, err
	}
	switch {
	case v.Dead:
		w.State, w.Error = WorkerLost, v.Reason
	case lease > 0 && age >= 2*lease:
		w.State, w.Error = WorkerLost, fmt.Sprintf("no heartbeat for %s", FormatDuration(age.Truncate(time.Second)))
		if v.Living {
			w.State, w.Error = WorkerSilent, w.Error+": it is suspended, or cannot write"
		}
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
	StopSilent  = "silent"  // asked, but not waited for: no sign of life, and no proof of death
)

// stopPoll is how often StopWorkers looks whether the workers have left, and stopPollNet
// how often on a network file system, where each look is some requests for each worker,
// and a worker takes longer to see what is asked of it. The registry is not watched:
// heartbeats would wake the watcher.
const (
	stopPoll    = 50 * time.Millisecond
	stopPollNet = 500 * time.Millisecond
)

// StopOptions say which workers are to stop, and how.
type StopOptions struct {
	IDs   []string // these; none: all
	Hosts []string // of them those on one of these hosts only, with or without domain; none: on any
	Now   bool     // the running jobs are given back, not waited for
}

// StopWorkers asks workers, on any host, to finish their current jobs and exit. It waits
// until each has left, or ctx is done; the requests stay then. The error wraps
// ErrNotFound if an id is not that of a registered worker; the others are asked all the
// same.
func (q *Queue) StopWorkers(ctx context.Context, opt StopOptions, report func(StopEvent)) error {
	// ctx bounds the waiting only: a time limit of nothing still asks.
	all, err := q.Workers(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	chosen, err := choose(all, opt.IDs)
	if len(opt.Hosts) > 0 {
		chosen = slices.DeleteFunc(slices.Clone(chosen), func(w WorkerInfo) bool {
			return !slices.ContainsFunc(opt.Hosts, func(h string) bool { return spool.HostName(h) == w.Host })
		})
	}
	request := spool.Drain
	if opt.Now {
		request = spool.Interrupt
	}
	var waiting []WorkerInfo
	for _, w := range chosen {
		if w.State == WorkerLost || w.State == WorkerSilent {
			result, lostErr := q.clearLost(w.ID, request)
			if lostErr != nil {
				err = errors.Join(err, lostErr)
				continue
			}
			report(StopEvent{w, result})
			continue
		}
		if askErr := q.s.Ask(request, w.ID); askErr != nil {
			err = errors.Join(err, askErr)
			continue
		}
		report(StopEvent{w, StopAsked})
		waiting = append(waiting, w)
	}
	return errors.Join(err, q.awaitStop(ctx, waiting, request, report))
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
func (q *Queue) awaitStop(ctx context.Context, waiting []WorkerInfo, request spool.Request, report func(StopEvent)) error {
	every := stopPoll
	if q.s.Network() {
		every = stopPollNet
	}
	tick := time.NewTicker(every)
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
			case WorkerLost, WorkerSilent:
				result, err := q.clearLost(w.ID, request)
				if err != nil {
					return err
				}
				report(StopEvent{w, result})
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

// clearLost does for a dead worker what the next sweep would. One that has left the
// registry meanwhile is not dead: it was on its way out when it was looked at, without
// its lock already. One that is only silent, because it is suspended or its disk takes no
// writes, has its jobs still, and finds the request when it comes back.
func (q *Queue) clearLost(wid string, request spool.Request) (result string, err error) {
	verdicts, err := q.s.NewCensus().Look(time.Second, q.cfg.Lease)
	if err != nil {
		return "", err
	}
	result = StopStopped
	for _, v := range verdicts {
		if v.Worker != wid {
			continue
		}
		if v.Dead {
			result = StopLost
			_, err = q.reap(v)
			continue
		}
		result = StopSilent
		err = q.s.Ask(request, wid)
	}
	return result, err
}
