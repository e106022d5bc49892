package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/queuectl/queuectl/fsq"
)

func newDoctor(a *app) *command {
	return &command{
		name:  "doctor",
		short: "Try whether the file system is safe for a spool",
		long: `Tries on the spool's file system what jobs depend on: renames, links and O_EXCL that
are raced, locks, fsync, room, events, the mount's options, clocks, who may write.
Each finding is a line:

    ok    as it must be
    note  good to know, and harmless
    warn  it will hurt under some conditions
    bad   unsafe: jobs may be lost, run twice, or be somebody else's

It looks at the spool with all its named queues, or at those that --queue names, and
may run while workers work. Its files are below tmp/ and workers/ of the spool, and it
removes them. Without a spool it tries the directory in which one would be made, and
makes none. What is in the spool is queuectl check's affair.`,
		also: []string{"diagnose", "fsinfo"},
		examples: []example{
			{"Is this a good place for jobs", "queuectl doctor"},
			{"Before there is a spool", "queuectl doctor --spool /mnt/nfs/spool"},
			{"Only what is not as it should be", `queuectl doctor --json | jq '.findings[] | select(.level != "ok")'`},
		},
		exits: []exitStatus{
			{exitOK, "safe: nothing is bad"},
			{exitFailed, "unsafe"},
			{exitNotFound, "no such queue"},
		},
		withoutConfig: true,
		signals:       true,

		queues: someQueue,
		run:    func(ctx context.Context, _ []string) error { return a.doctor(ctx) },
	}
}

func (a *app) doctor(ctx context.Context) error {
	r, err := a.diagnose(ctx)
	if err != nil {
		return err
	}
	if a.json {
		err = a.out.json(r)
	} else {
		a.printDoctor(r)
	}
	if err == nil && !r.Safe {
		return &reported{exitFailed}
	}
	return err
}

// diagnose looks at the selected queues, all if nothing is said of queues, or at where
// the spool would be.
func (a *app) diagnose(ctx context.Context) (fsq.DoctorReport, error) {
	if a.queue == "" {
		a.queue, a.chosen = everyQueue, []queueChoice{{name: everyQueue}}
	}
	qs, err := a.queues()
	if missing := (*noSpool)(nil); errors.As(err, &missing) {
		return fsq.DoctorPlan(ctx, a.spool)
	}
	if err != nil {
		return fsq.DoctorReport{}, err
	}
	return fsq.Doctor(ctx, qs)
}

var findingStyle = map[string]style{fsq.FindingOK: green, fsq.FindingNote: cyan, fsq.FindingWarn: yellow, fsq.FindingBad: red}

func (a *app) printDoctor(r fsq.DoctorReport) {
	if r.Planned {
		a.note("there is no spool at %s yet; this is about %s", a.spool, r.Directory)
	}
	bad := 0
	for _, f := range r.Findings {
		if f.Level == fsq.FindingBad {
			bad++
		}
		queue := ""
		if f.Queue != "" && f.Queue != fsq.DefaultQueue {
			queue = "queue " + clean(f.Queue) + ": "
		}
		a.out.printf("%s  %s%s: %s\n", a.out.paint(findingStyle[f.Level], fmt.Sprintf("%-4s", f.Level)), queue, clean(f.Code), clean(f.What))
		if f.Hint != "" {
			a.out.printf("      %s\n", a.out.paint(dim, "hint: "+clean(f.Hint)))
		}
	}
	if bad > 0 {
		a.out.printf("unsafe: %s\n", plural(bad, "bad finding"))
		return
	}
	a.out.printf("safe: a spool can be relied on here\n")
}
