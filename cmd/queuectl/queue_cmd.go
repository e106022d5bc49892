package main

import (
	"context"
	"errors"
	"io/fs"

	"github.com/queuectl/queuectl/fsq"
)

func newQueue(a *app) *command {
	return &command{
		name:  "queue",
		args:  "COMMAND",
		short: "List, make, remove, configure and limit named queues",
		long: `A named queue is a spool of its own below the spool: with its own directory to drop
files into, its own settings, workers, pause and permissions. Every command takes
--queue NAME; the queue "default" is the spool itself. A queue is made when something
is first put into it. A name has a-z, 0-9, dots, underscores and hyphens, 63 at most.`,
		examples: []example{
			{"All queues", "queuectl queue list"},
			{"A queue for mails, its settings, and the end of it", "queuectl queue create mail\nqueuectl queue config mail max-retries 0\nqueuectl queue remove mail"},
		},
		sub: []*command{newQueueList(a), newQueueCreate(a), newQueueRemove(a), newQueueConfig(a), newQueueLimit(a)},
	}
}

func newQueueList(a *app) *command {
	return &command{
		name:  "list",
		short: "List the queues, with their jobs and workers",
		also:  []string{"queues"},
		examples: []example{
			{"All queues", "queuectl queue list"},
			{"Their names", "queuectl queue list --json | jq -r '.queues[].queue'"},
		},
		queues: someQueue,
		run:    func(ctx context.Context, _ []string) error { return a.queueList(ctx) },
	}
}

func (a *app) queueList(ctx context.Context) error {
	qs, err := a.queuesOrNone()
	if err != nil {
		return err
	}
	all, err := a.statuses(ctx, qs)
	if err != nil {
		return err
	}
	if a.json {
		return a.out.json(struct {
			Queues []fsq.Status `json:"queues"`
		}{all})
	}
	queueTable(all).write(a.out)
	return nil
}

func newQueueCreate(a *app) *command {
	var group string
	c := &command{
		name:  "create",
		args:  "NAME",
		least: 1,
		most:  1,
		short: "Make a queue",
		long: `Whatever is put into a queue makes it on first use, for those whom the spool is for.
This one makes it on purpose, or for another group. One that is there already is left
as it is. Prints its directory.`,
		also: []string{"make", "new", "add"},
		examples: []example{
			{"A queue for mails", "queuectl queue create mail"},
			{"One that only group billing may use", "queuectl queue create billing --group billing"},
		},
		ignoreConfig: true,
		queues:       sharedOut, // what QUEUECTL_QUEUE says is about others
		flags:        newFlagSet(),
		run:          func(_ context.Context, args []string) error { return a.queueCreate(args[0], group) },
	}
	stringFlag(c.flags, &group, "group", "GROUP", "share the queue with this group; it must be able to pass the spool's directory")
	return c
}

func (a *app) queueCreate(name, group string) error {
	q, err := fsq.InitQueue(a.spool, name, group)
	if err != nil {
		return err
	}
	if a.json {
		return a.out.json(struct {
			Queue string `json:"queue"`
			Spool string `json:"spool"`
			Dir   string `json:"dir"`
		}{q.Name(), q.Root(), q.Dir()})
	}
	a.out.printf("%s\n", clean(q.Dir()))
	return nil
}

func newQueueRemove(a *app) *command {
	var force bool
	c := &command{
		name:  "remove",
		args:  "NAME",
		least: 1,
		most:  1,
		short: "Remove a queue that is not in use",
		long: `A queue with workers, with jobs that wait or run, or with dropped files is not removed.
Finished, dead and rejected ones keep it too, unless --force is given. A job that comes in
at the same time is not lost: it keeps the queue, or makes it anew.`,
		also: []string{"rm", "delete"},
		examples: []example{
			{"An empty queue", "queuectl queue remove mail"},
			{"With all that is done and dead in it", "queuectl queue remove mail --force"},
		},
		exits: []exitStatus{
			{exitNotFound, "no such queue"},
			{exitConflict, "the queue is in use"},
		},
		ignoreConfig: true,
		queues:       sharedOut,
		flags:        newFlagSet(),
		run:          func(_ context.Context, args []string) error { return a.queueRemove(args[0], force) },
	}
	boolFlag(c.flags, &force, "force", "remove its finished, dead and rejected jobs with it")
	return c
}

func (a *app) queueRemove(name string, force bool) error {
	if err := a.selectQueue(name); err != nil {
		return err
	}
	err := fsq.RemoveQueue(a.spool, name, force)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, missing := a.existing()
		return missing
	case errors.Is(err, fsq.ErrQueueInUse) && name == fsq.DefaultQueue:
		return &hinted{err, "rm -r removes a spool with everything in it, once its workers are stopped"}
	case errors.Is(err, fsq.ErrQueueInUse):
		return &hinted{err, "queuectl status --queue " + name + " shows what it has; --force removes what is done or dead, never what waits or runs"}
	case err != nil:
		return err
	}
	if a.json {
		return a.out.json(struct {
			Queue  string `json:"queue"`
			Result string `json:"result"`
		}{name, "removed"})
	}
	a.out.printf("%s\n", name)
	return nil
}

func newQueueConfig(a *app) *command {
	return &command{
		name:  "config",
		args:  "NAME [KEY [VALUE]]",
		least: 1,
		most:  3,
		short: "Show and change the settings of a queue",
		long: `Short for queuectl --queue NAME config list, get and set. What a queue does not set
itself holds as the spool has it.`,
		examples: []example{
			{"Its settings, and where they come from", "queuectl queue config mail"},
			{"How often its jobs are retried", "queuectl queue config mail max-retries"},
			{"No retries in this queue", "queuectl queue config mail max-retries 0"},
		},
		exits:        []exitStatus{{exitNotFound, "no such queue"}},
		ignoreConfig: true, // what is broken can be set anew
		queues:       sharedOut,
		run:          a.queueConfig,
	}
}

func (a *app) queueConfig(ctx context.Context, args []string) error {
	if err := a.selectQueue(args[0]); err != nil {
		return err
	}
	if _, err := a.existing(); err != nil {
		return err
	}
	if len(args) == 3 {
		return a.configSet(ctx, args[1], args[2])
	}
	var err error
	if a.settings, err = a.readSettings(args[0], a.settings.args); err != nil {
		return err
	}
	if len(args) == 2 {
		return a.configGet(args[1])
	}
	return a.configList()
}

// selectQueue selects a queue that an argument names, as --queue would have.
func (a *app) selectQueue(name string) (err error) {
	if err := fsq.ValidateQueue(name); err != nil {
		return err
	}
	a.queue, a.chosen = name, []queueChoice{{name: name}}
	a.settings, err = a.loadSettings(name, a.settings.args)
	return err
}
