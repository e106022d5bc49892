package main

import (
	"fmt"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// What a job looks like to a person; list, show and dlq share it.

var stateStyle = map[fsq.State]style{
	"processing": cyan,
	"retrying":   yellow,
	"scheduled":  dim,
	"done":       green,
	"dead":       red,
	"held":       dim,
	"cancelled":  yellow,
}

// commandOf is "-" for a file that is no job.
func commandOf(j fsq.JobInfo) string {
	if j.Command == nil {
		return "-"
	}
	return clean(j.Command.String())
}

func attemptsOf(j fsq.JobInfo) string { return fmt.Sprintf("%d/%d", j.Attempts, j.MaxAttempts) }

// whenOf is the time that matters most in the job's state.
func whenOf(j fsq.JobInfo, now time.Time) string {
	switch {
	case j.Dropped:
		return "dropped"
	case j.State == "processing" && j.StartedAt != nil:
		return "for " + span(now.Sub(*j.StartedAt).Truncate(time.Second))
	case j.EndedAt != nil:
		return relative(*j.EndedAt, now)
	case j.State == "pending" && j.DueAt != nil:
		return relative(*j.DueAt, now)
	case j.DueAt != nil:
		return relative(*j.DueAt, now)
	}
	return "-"
}

// detailOf is how far a job is or else which worker has it, or what went wrong the
// last time.
func detailOf(j fsq.JobInfo) string {
	switch {
	case j.WorkerLost:
		return "its worker is dead"
	case j.State == "processing" && j.Progress != nil:
		return clean(j.Progress.String())
	case j.State == "processing" && j.Worker != "":
		return clean(j.Worker)
	case j.State != "done" && j.Error != "" && j.LastOutcome == string(fsq.OutcomeSnoozed):
		return "snoozed: " + clean(j.Error)
	case j.HeldBy == fsq.HeldByArray:
		return "waits for its array"
	case j.State != "done" && j.Error != "":
		return clean(j.Error)
	case j.State != "done" && j.Outcome != "":
		return clean(j.Outcome)
	}
	return "-"
}

func (a *app) jobTable(jobs []fsq.JobInfo) *table {
	now := a.now()
	t := &table{
		head:   []string{"ID", "STATE", ">PRIO", ">TRIES", "WHEN", "DETAIL", "COMMAND"},
		shrink: 5,
		idle:   map[int]string{2: "0", 5: "-"},
	}
	for _, j := range jobs {
		t.add(
			cell{clean(j.ID), bold},
			cell{string(j.State), stateStyle[j.State]},
			cell{text: fmt.Sprint(j.Priority)},
			cell{text: attemptsOf(j)},
			cell{text: whenOf(j, now)},
			cell{detailOf(j), plain},
			cell{text: commandOf(j)},
		)
	}
	a.queueColumn(t, 0, func(row int) string { return jobs[row].Queue })
	return t
}

// facts is a block of aligned names and values.
type facts [][2]string

func (f *facts) add(name, format string, args ...any) {
	*f = append(*f, [2]string{name, fmt.Sprintf(format, args...)})
}

func (f facts) write(o *output, indent string) {
	w := 0
	for _, row := range f {
		w = max(w, len(row[0]))
	}
	for _, row := range f {
		o.printf("%s%s  %s\n", indent, o.paint(dim, fmt.Sprintf("%-*s", w, row[0])), row[1])
	}
}
