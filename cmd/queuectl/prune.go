package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type pruneOptions struct {
	selection
	done, dead *time.Duration
}

func newPrune(a *app) *command {
	var o pruneOptions
	c := &command{
		name:  "prune",
		args:  "[ID…]",
		most:  anyNumber,
		short: "Remove jobs that ended long ago, with their output",
		long: `Without --done-older and --dead-older the settings retention-done and retention-dead
decide, by which workers prune, too. By default everything is kept. With ids, --state,
--tag and the other flags that choose jobs it removes those that have ended, of whatever
age if none is given.`,
		also: []string{"clean", "clear", "purge", "gc"},
		examples: []example{
			{"Forget what was done a week ago or earlier", "queuectl prune --done-older 7d"},
			{"In all queues, as their settings say", "queuectl prune --queue '*'"},
			{"What has a tag and was cancelled", "queuectl prune --tag nightly --state cancelled"},
			{"What would go", "queuectl prune --done-older 7d --dead-older 30d --dry-run"},
		},
		queues:   someQueue,
		settings: []string{"retention-done", "retention-dead"},
		flags:    newFlagSet(),
		run:      func(ctx context.Context, ids []string) error { return a.prune(ctx, o, ids) },
	}
	o.add(c.flags, false)
	durationFlag(c.flags, &o.done, "done-older", "remove done jobs that ended so long ago or earlier")
	durationFlag(c.flags, &o.dead, "dead-older", "remove dead jobs that ended so long ago or earlier")
	boolFlag(c.flags, &o.dryRun, "dry-run", "only say which jobs would be removed")
	return c
}

func (a *app) prune(ctx context.Context, o pruneOptions, ids []string) error {
	sel, err := o.selector(ids, a.now)
	if err != nil {
		return err
	}
	qs, err := a.queuesOrNone()
	if err != nil {
		return err
	}
	r := fsq.PruneResult{DryRun: o.dryRun}
	var each []fsq.PruneResult
	would := func(id string) {
		if !a.json {
			a.out.printf("%s\n", clean(id))
		}
	}
	for _, q := range qs {
		one, err := q.Prune(ctx, fsq.PruneOptions{DoneOlder: o.done, DeadOlder: o.dead, Where: sel, DryRun: o.dryRun, Would: would})
		if errors.Is(err, fsq.ErrNoRetention) {
			continue
		}
		if err != nil {
			return err
		}
		r.Done, r.Dead, each = r.Done+one.Done, r.Dead+one.Dead, append(each, one)
	}
	if len(qs) > 0 && len(each) == 0 {
		return &usageError{
			problem: "nothing says how old jobs must be to be removed",
			hint:    "--done-older 7d does for once; queuectl config set retention-done 7d lets the workers do it, too",
		}
	}
	if a.json {
		return a.out.json(r)
	}
	what := fmt.Sprintf("%s and %s%s", plural(r.Done, "done job"), plural(r.Dead, "dead job"), a.inQueues(len(each)))
	if o.dryRun {
		a.note("would remove %s", what)
		return nil
	}
	a.out.printf("removed %s\n", what)
	return nil
}
