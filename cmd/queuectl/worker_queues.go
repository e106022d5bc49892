package main

import (
	"errors"

	"github.com/queuectl/queuectl/fsq"
)

// What worker start makes of --queue.

// firstQueue is the queue that a worker's log belongs to.
func (a *app) firstQueue() string {
	if name := a.queueName(); name != everyQueue {
		return name
	}
	return fsq.DefaultQueue
}

// slots is how many jobs run at a time: --count, else what the numbers of --queue say.
func (a *app) slots() int {
	sum := 0
	for _, c := range a.chosen {
		sum += c.share
	}
	if a.settings.personal("count") || sum == 0 {
		return a.settings.count
	}
	return sum
}

// shares opens the queues to work and makes those that are not there.
func (a *app) shares() ([]fsq.Share, error) {
	if a.firstQueue() == fsq.DefaultQueue {
		// The spool, for * to look into.
		if _, err := a.openQueue(fsq.DefaultQueue); err != nil {
			return nil, err
		}
	}
	names, err := a.queueNames()
	if err != nil {
		return nil, err
	}
	var all []fsq.Share
	for _, name := range names {
		_, err := a.existingQueue(name)
		if missing := (*noQueue)(nil); errors.As(err, &missing) {
			a.note("the queue %s is new", name)
		}
		q, err := a.openQueue(name)
		if err != nil {
			return nil, err
		}
		all = append(all, a.share(q))
	}
	return all, nil
}

// share is what a queue gets: with numbers so many of the starts, without a turn after
// those that are named before it.
func (a *app) share(q *fsq.Queue) fsq.Share {
	for i, c := range a.chosen {
		switch {
		case c.name != q.Name() && (c.name != everyQueue || a.names(q.Name())):
		case c.share > 0:
			return fsq.Share{Queue: q, Weight: c.share}
		default:
			return fsq.Share{Queue: q, Rank: i, Weight: 1}
		}
	}
	return fsq.Share{Queue: q, Rank: len(a.chosen), Weight: 1}
}

// names reports whether --queue names a queue, and does not only mean it by *.
func (a *app) names(queue string) bool {
	for _, c := range a.chosen {
		if c.name == queue {
			return true
		}
	}
	return false
}

// laterShares are the queues that were made since the worker began.
func (a *app) laterShares(known func(string) bool) ([]fsq.Share, error) {
	qs, err := a.laterQueues(known)
	var all []fsq.Share
	for _, q := range qs {
		all = append(all, a.share(q))
	}
	return all, err
}

// laterQueues opens the queues that are not known.
func (a *app) laterQueues(known func(string) bool) ([]*fsq.Queue, error) {
	names, err := fsq.QueueNames(a.spool)
	if err != nil {
		return nil, err
	}
	var all []*fsq.Queue
	for _, name := range names {
		if known(name) {
			continue
		}
		q, openErr := a.existingQueue(name)
		if missing := (*noQueue)(nil); errors.As(openErr, &missing) {
			continue // removed just now
		}
		if openErr != nil {
			err = errors.Join(err, openErr)
			continue
		}
		all = append(all, q)
	}
	return all, err
}
