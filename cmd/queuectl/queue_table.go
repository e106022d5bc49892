package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/queuectl/queuectl/fsq"
)

// queueColumn puts in a column that says of which queue a row is, where several queues are
// shown.
func (a *app) queueColumn(t *table, at int, of func(row int) string) {
	if !a.manyQueues() {
		return
	}
	t.head = slices.Insert(t.head, at, "QUEUE")
	if t.shrink > 0 {
		t.shrink++
	}
	idle := make(map[int]string, len(t.idle))
	for i, text := range t.idle {
		if i >= at {
			i++
		}
		idle[i] = text
	}
	t.idle = idle
	for i, row := range t.rows {
		t.rows[i] = slices.Insert(row, at, cell{clean(of(i)), dim})
	}
}

// ofQueue says behind a job of which queue it is, where several are shown.
func (a *app) ofQueue(q *fsq.Queue) string {
	if !a.manyQueues() {
		return ""
	}
	return " of queue " + q.Name()
}

// inQueue says where nothing was found, if it was not where everybody looks.
func (a *app) inQueue() string {
	if a.manyQueues() || a.queueName() == fsq.DefaultQueue {
		return ""
	}
	return " in queue " + a.queueName()
}

// ctl begins a command that a hint tells to type: for the queue that this one is about,
// for in another the same id is another job.
func (a *app) ctl() string {
	if a.manyQueues() || a.queueName() == fsq.DefaultQueue {
		return "queuectl"
	}
	return "queuectl --queue " + a.queueName()
}

// inQueues says in how many queues something was done, if there may be several.
func (a *app) inQueues(n int) string {
	switch {
	case !a.manyQueues():
		return ""
	case n == 1:
		return " in 1 queue"
	}
	return fmt.Sprintf(" in %d queues", n)
}

// hintElsewhere says that other queues have the workers that were asked for.
func (a *app) hintElsewhere(ctx context.Context, command string) {
	if a.queue != "" {
		return
	}
	names, err := fsq.QueueNames(a.spool)
	if err != nil {
		return
	}
	for _, name := range names[1:] {
		q, err := a.existingQueue(name)
		if err != nil {
			continue
		}
		if ws, err := q.Workers(ctx); err == nil && len(ws) > 0 {
			a.hint("queue %s has %s; queuectl %s --queue '*' is for all queues", name, plural(len(ws), "worker"), command)
			return
		}
	}
}

// queueTable shows queues, one in a row.
func queueTable(all []fsq.Status) *table {
	t := &table{head: []string{"QUEUE", ">PENDING", ">LATER", ">HELD", ">RUNNING", ">DONE", ">DEAD", ">WORKERS", ""}}
	number := func(n int, s style) cell {
		if n == 0 {
			s = dim
		}
		return cell{fmt.Sprint(n), s}
	}
	for _, s := range all {
		remark := cell{}
		if s.Paused != nil {
			remark = cell{"paused", yellow}
		} else if s.Limit != nil && *s.Limit == 0 {
			remark = cell{"bad limit", yellow}
		} else if s.OldestDueSeconds != nil && alive(s.Workers) == 0 {
			remark = cell{"no worker", yellow}
		} else if s.Limit != nil {
			remark = cell{fmt.Sprintf("limit %d", *s.Limit), dim}
		}
		t.add(
			cell{clean(s.Queue), bold},
			number(s.Pending+s.Dropped, plain),
			number(s.Scheduled+s.Retrying, plain),
			number(s.Held, plain),
			number(s.Processing, cyan),
			number(s.Done, green),
			number(s.Dead+s.Rejected, red),
			number(alive(s.Workers), plain),
			remark,
		)
	}
	return t
}
