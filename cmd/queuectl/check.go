package main

import (
	"context"
	"fmt"
	"path"
	"path/filepath"

	"github.com/queuectl/queuectl/fsq"
)

func newCheck(a *app) *command {
	var repair bool
	c := &command{
		name:  "check",
		short: "Verify the spool and name every breach of its format",
		long: `Changes nothing unless --repair is given, which mends what can be mended without
losing a job. It looks at the spool with all its named queues, or at those that --queue
names. It may run while workers work. A note is about what a removal by hand has
left over: it is no breach, and harms nothing.`,
		also: []string{"fsck", "verify"},
		examples: []example{
			{"Is the spool sound", "queuectl check"},
			{"Mend what is safe to mend", "queuectl check --repair"},
		},
		exits: []exitStatus{
			{exitOK, "no breaches, or all are mended"},
			{exitFailed, "breaches remain"},
			{exitNotFound, "no spool"},
		},
		withoutConfig: true,

		queues: someQueue,
		flags:  newFlagSet(),
		run:    func(ctx context.Context, _ []string) error { return a.check(ctx, repair) },
	}
	boolFlag(c.flags, &repair, "repair", "mend what is safe to mend")
	return c
}

func (a *app) check(ctx context.Context, repair bool) error {
	r, err := a.checkQueues(ctx, repair)
	if err != nil {
		return err
	}
	left, mendable := 0, 0
	for _, b := range r.Breaches {
		if b.Repaired || b.Harmless {
			continue
		}
		left++
		if b.Repairable {
			mendable++
		}
	}
	if a.json {
		err = a.out.json(r)
	} else {
		a.printCheck(r, left)
	}
	switch {
	case err != nil:
		return err
	case left == 0:
		return nil
	}
	if mendable > 0 && !repair {
		a.hint("queuectl check --repair mends %d of them", mendable)
	}
	return &reported{exitFailed}
}

// checkQueues checks the selected queues; all, if nothing is said of queues.
func (a *app) checkQueues(ctx context.Context, repair bool) (fsq.CheckReport, error) {
	if a.queue == "" {
		if _, err := a.existing(); err != nil {
			return fsq.CheckReport{}, err
		}
		a.queue, a.chosen = everyQueue, []queueChoice{{name: everyQueue}}
	}
	qs, err := a.queues()
	sum := fsq.CheckReport{Breaches: []fsq.Breach{}}
	for _, q := range qs {
		r, err := q.Check(ctx, fsq.CheckOptions{Repair: repair})
		if err != nil {
			return sum, err
		}
		below, err := filepath.Rel(a.spool, q.Dir())
		if err != nil {
			return sum, err
		}
		for _, b := range r.Breaches {
			b.Path = path.Join(below, b.Path)
			sum.Breaches = append(sum.Breaches, b)
		}
		sum.Jobs += r.Jobs
	}
	return sum, err
}

func (a *app) printCheck(r fsq.CheckReport, left int) {
	for _, b := range r.Breaches {
		line := fmt.Sprintf("%s %s: %s", a.out.paint(red, clean(b.Code)), clean(b.Path), clean(b.Problem))
		if b.Harmless {
			line = fmt.Sprintf("note: %s: %s", clean(b.Path), clean(b.Problem))
		}
		switch {
		case b.Repaired:
			line += a.out.paint(green, " (mended)")
		case b.Hint != "":
			line += a.out.paint(dim, " ("+clean(b.Hint)+")")
		}
		a.out.printf("%s\n", line)
	}
	if left == 0 {
		a.out.printf("ok: %s checked\n", plural(r.Jobs, "job"))
	} else {
		a.out.printf("%s in %s checked\n", breaches(left), plural(r.Jobs, "job"))
	}
}

func breaches(n int) string {
	if n == 1 {
		return "1 breach"
	}
	return fmt.Sprintf("%d breaches", n)
}
