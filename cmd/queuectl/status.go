package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

func newStatus(a *app) *command {
	return &command{
		name:  "status",
		short: "Count the jobs in each state, and the workers",
		also:  []string{"st", "summary"},
		examples: []example{
			{"The state of the spool, and of its named queues beneath", "queuectl status"},
			{"All queues, one to a line", "queuectl status --queue '*'"},
			{"How long the oldest due job has waited", "queuectl status --json | jq .oldest_due_seconds"},
		},
		queues: someQueue,
		run:    func(ctx context.Context, _ []string) error { return a.status(ctx) },
	}
}

// statusDoc is what status prints with --json: the selected queue, or all that are
// selected taken together, and then each one that is shown beside it.
type statusDoc struct {
	fsq.Status
	Queues []fsq.Status `json:"queues"`
}

func (a *app) status(ctx context.Context) error {
	d, _, err := a.showStatus(ctx)
	if err != nil || a.json {
		return err
	}
	if (d.OldestDueSeconds != nil || d.Dropped > d.Unfinished) && alive(d.Workers) == 0 {
		start := "queuectl worker start"
		if d.Queue != "" && d.Queue != fsq.DefaultQueue {
			start += " --queue " + shellQuote(d.Queue)
		}
		a.hint("jobs are due and no worker is running; %s runs them", start)
	}
	return nil
}

// showStatus prints the status; there is false if there is no spool.
func (a *app) showStatus(ctx context.Context) (s fsq.Status, there bool, err error) {
	qs, err := a.queuesOrNone()
	if err != nil {
		return s, false, err
	}
	d := statusDoc{fsq.Status{Spool: a.spool, Queue: a.queue, Workers: []fsq.WorkerInfo{}}, []fsq.Status{}}
	if d.Queues, err = a.statuses(ctx, qs); err != nil {
		return s, false, err
	}
	switch {
	case a.manyQueues():
		d.Status = fsq.Sum(d.Queues)
		d.Spool, d.Queue = a.spool, a.queue
	case len(d.Queues) > 0:
		d.Status, d.Queues = d.Queues[0], d.Queues[1:]
	}
	if a.json {
		return d.Status, qs != nil, a.out.json(d)
	}
	if !a.manyQueues() {
		a.printStatus(d.Status)
	}
	if len(d.Queues) > 0 {
		if !a.manyQueues() {
			a.out.printf("\n")
		}
		queueTable(d.Queues).write(a.out)
	}
	return d.Status, qs != nil, nil
}

// statuses are those of the selected queues and, where the spool itself is meant because
// nothing else was said, of the named ones.
func (a *app) statuses(ctx context.Context, qs []*fsq.Queue) ([]fsq.Status, error) {
	all := []fsq.Status{}
	if a.queue == "" && len(qs) > 0 {
		names, err := fsq.QueueNames(a.spool)
		if err != nil {
			return nil, err
		}
		for _, name := range names[1:] {
			q, err := a.existingQueue(name)
			if missing := (*noQueue)(nil); errors.As(err, &missing) {
				continue // removed just now
			}
			if err != nil {
				return nil, err
			}
			qs = append(qs, q)
		}
	}
	for _, q := range qs {
		s, err := q.Status(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (a *app) printStatus(s fsq.Status) {
	var oldest, next string
	if s.OldestDueSeconds != nil {
		oldest = "the oldest is due since " + span(seconds(*s.OldestDueSeconds))
	}
	if s.NextDueAt != nil {
		next = "the next one " + relative(*s.NextDueAt, a.now())
	}
	nextRetry := ""
	if s.Scheduled == 0 {
		next, nextRetry = "", next
	}
	rows := []struct {
		name   string
		count  int
		style  style
		remark string
		always bool
	}{
		{"pending", s.Pending, plain, oldest, true},
		{"scheduled", s.Scheduled, plain, next, true},
		{"retrying", s.Retrying, yellow, nextRetry, true},
		{"held", s.Held, dim, "until queuectl release, or until their array has room", false},
		{"processing", s.Processing, cyan, "", true},
		{"done", s.Done, green, "", true},
		{"dead", s.Dead, red, "queuectl dlq list shows them", true},
		{"cancelled", s.Cancelled, plain, "", false},
		{"rejected", s.Rejected, red, "files that are no jobs; queuectl dlq list says why", false},
		{"dropped", s.Dropped, plain, droppedRemark(s), false},
		{"workers", alive(s.Workers), plain, workersRemark(s.Workers), true},
	}
	title := s.Spool
	if s.Queue != "" && s.Queue != fsq.DefaultQueue {
		title += ", queue " + s.Queue
	}
	a.out.printf("%s\n", a.out.paint(bold, clean(title)))
	if s.Paused != nil {
		a.out.printf("  %s\n", a.out.paint(yellow, clean(pausedLine(s.Paused, a.now()))))
	}
	if s.Limit != nil {
		style := dim
		if *s.Limit == 0 {
			style = yellow
		}
		a.out.printf("  %s\n", a.out.paint(style, limitLine(*s.Limit)))
	}
	for _, r := range rows {
		if r.count == 0 && !r.always {
			continue
		}
		count, remark := fmt.Sprintf("%7d", r.count), r.remark
		if r.count > 0 {
			count = a.out.paint(r.style, count)
		} else if r.name != "workers" {
			remark = ""
		}
		line := fmt.Sprintf("  %-10s %s  %s", r.name, count, a.out.paint(dim, remark))
		a.out.printf("%s\n", strings.TrimRight(line, " "))
	}
}

func droppedRemark(s fsq.Status) string {
	switch s.Unfinished {
	case 0:
		return "files that the next worker takes as jobs"
	case s.Dropped:
		return "files that are no jobs so far"
	}
	return fmt.Sprintf("files that the next worker takes as jobs, but for %d that are none so far", s.Unfinished)
}

func workersRemark(ws []fsq.WorkerInfo) string {
	slots, busy, stopping, silent, lost, own := 0, 0, 0, 0, 0, 0
	for _, w := range ws {
		switch {
		case w.State == fsq.WorkerLost:
			lost++
			continue
		case w.Only != "":
			own++
			continue
		case w.State == fsq.WorkerStopping:
			stopping++
		case w.State == fsq.WorkerSilent:
			silent++
		}
		slots += w.Slots
		busy += w.Busy
	}
	var parts []string
	if slots > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s busy", busy, plural(slots, "slot")))
	}
	if stopping > 0 {
		parts = append(parts, fmt.Sprintf("%d stopping", stopping))
	}
	if silent > 0 {
		parts = append(parts, fmt.Sprintf("%d silent", silent))
	}
	if lost > 0 {
		parts = append(parts, fmt.Sprintf("%d lost", lost))
	}
	if own > 0 {
		parts = append(parts, plural(own, "job")+" worked by queuectl run")
	}
	return strings.Join(parts, ", ")
}

// alive counts the workers that take jobs or finish some. One that a queuectl run has made
// for its own job is none to anybody else.
func alive(ws []fsq.WorkerInfo) int {
	n := 0
	for _, w := range ws {
		if w.State != fsq.WorkerLost && w.Only == "" {
			n++
		}
	}
	return n
}
