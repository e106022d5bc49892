package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/queuectl/queuectl/fsq"
)

func newQueueLimit(a *app) *command {
	return &command{
		name:  "limit",
		args:  "NAME [N|none]",
		least: 1,
		most:  2,
		short: "Show and set how many jobs of a queue may run at the same time",
		long: `The limit is over all workers and hosts, whatever slots they have, and workers obey a new
one at once: on a network file system within seconds. What runs already goes on. A worker
that serves several queues uses its slots for the others meanwhile. "none" takes the limit
away; queuectl pause stops a queue.`,
		also: []string{"parallel"},
		examples: []example{
			{"Two mails at a time, over all hosts", "queuectl queue limit mail 2"},
			{"As many as there are slots", "queuectl queue limit mail none"},
			{"What holds now", "queuectl queue limit mail"},
		},
		exits:        []exitStatus{{exitNotFound, "no such queue"}},
		ignoreConfig: true,
		queues:       sharedOut,
		run:          func(_ context.Context, args []string) error { return a.queueLimit(args) },
	}
}

func (a *app) queueLimit(args []string) error {
	limit := 0
	if len(args) == 2 && args[1] != "none" {
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 1 || n > fsq.MaxLimit {
			return &hinted{usagef("the limit must be a whole number from 1 to %d, or none, not %q", fsq.MaxLimit, args[1]), "queuectl pause --queue " + args[0] + " lets no job of the queue start"}
		}
		limit = n
	}
	if err := a.selectQueue(args[0]); err != nil {
		return err
	}
	q, err := a.existing()
	if err != nil {
		return err
	}
	if len(args) == 2 {
		if err := q.SetLimit(limit); err != nil {
			return err
		}
	}
	limit, err = q.Limit()
	if errors.Is(err, fsq.ErrBadLimit) {
		return &hinted{err, "queuectl queue limit " + args[0] + " N sets another, none takes it away; until then no job of the queue is started"}
	}
	if err != nil {
		return err
	}
	if a.json {
		doc := struct {
			Queue string `json:"queue"`
			Limit *int   `json:"limit"`
		}{Queue: args[0]}
		if limit > 0 {
			doc.Limit = &limit
		}
		return a.out.json(doc)
	}
	text := "none"
	if limit > 0 {
		text = strconv.Itoa(limit)
	}
	a.out.printf("%s\n", text)
	return nil
}

// limitLine says what a queue's limit says.
func limitLine(limit int) string {
	if limit == 0 {
		return "no job is started: the limit cannot be read"
	}
	return fmt.Sprintf("at most %s at the same time", plural(limit, "job"))
}
