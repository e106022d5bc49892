package main

import (
	"context"
	"fmt"

	"github.com/queuectl/queuectl/fsq"
)

func newWorker(a *app) *command {
	return &command{
		name:  "worker",
		args:  "COMMAND",
		short: "Start, stop and list workers",
		examples: []example{
			{"Run jobs, four at a time", "queuectl worker start --count 4"},
			{"Stop all workers once they have finished what they run", "queuectl worker stop"},
		},
		sub: []*command{newWorkerStart(a), newWorkerStop(a), newWorkerList(a)},
	}
}

func newWorkerList(a *app) *command {
	return &command{
		name:  "list",
		short: "List the workers of all hosts",
		also:  []string{"workers", "ps"},
		examples: []example{
			{"Who runs what", "queuectl worker list"},
			{"The workers of all queues", "queuectl worker list --queue '*'"},
			{"The workers of this host", `queuectl worker list --json | jq --arg h "$(hostname)" '.workers[] | select(.host == $h)'`},
		},
		long: `A process that serves several queues is a worker of each: it has a line and a name in
each of them, and its slots are the same ones.`,
		queues: someQueue,
		run:    func(ctx context.Context, _ []string) error { return a.workerList(ctx) },
	}
}

func (a *app) workerList(ctx context.Context) error {
	qs, err := a.queuesOrNone()
	if err != nil {
		return err
	}
	workers := []fsq.WorkerInfo{}
	for _, q := range qs {
		found, err := q.Workers(ctx)
		if err != nil {
			return err
		}
		workers = append(workers, found...)
	}
	if a.json {
		return a.out.json(struct {
			Workers []fsq.WorkerInfo `json:"workers"`
		}{workers})
	}
	if len(workers) == 0 && qs != nil {
		a.note("no workers%s", a.inQueue())
		a.hintElsewhere(ctx, "worker list")
	}
	now := a.now()
	t := &table{head: []string{"WORKER", "HOST", ">PID", "STATE", ">BUSY", "STARTED", "HEARTBEAT", "JOBS"}}
	for _, w := range workers {
		jobs := ""
		for i, id := range w.Jobs {
			if i > 0 {
				jobs += ", "
			}
			jobs += clean(id)
		}
		t.add(
			cell{clean(w.ID), bold},
			cell{text: clean(w.Host)},
			cell{text: fmt.Sprint(w.PID)},
			cell{clean(w.State), workerStyle[w.State]},
			cell{text: fmt.Sprintf("%d/%d", w.Busy, w.Slots)},
			cell{text: relative(w.StartedAt, now)},
			cell{text: span(seconds(w.HeartbeatAgeSeconds)) + " ago"},
			cell{text: jobs},
		)
	}
	a.queueColumn(t, 0, func(row int) string { return workers[row].Queue })
	t.write(a.out)
	return nil
}

var workerStyle = map[string]style{"alive": green, "stopping": yellow, "silent": yellow, "lost": red}
