package fsq

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Reason is why a job is where it is: the one thing that keeps it there, or that brought
// it there.
type Reason string

// The reasons, in the order in which they count: a job that is held is not told that its
// queue is paused.
const (
	ReasonDropped   Reason = "dropped"   // a file that no worker has adopted yet
	ReasonHeld      Reason = "held"      // until somebody releases it
	ReasonArray     Reason = "array"     // its array has no turn for it
	ReasonScheduled Reason = "scheduled" // its time has not come
	ReasonRetry     Reason = "retry"     // it failed, and its wait is not over
	ReasonSnoozed   Reason = "snoozed"   // it asked for a later try, and its wait is not over
	ReasonPaused    Reason = "paused"    // it is due, and the queue takes no jobs
	ReasonNoWorker  Reason = "no-worker" // it is due, and nobody takes jobs
	ReasonLimit     Reason = "limit"     // it is due, and as many jobs of its queue run as may
	ReasonAllBusy   Reason = "all-busy"  // it is due, and every slot is taken
	ReasonNext      Reason = "next"      // it is due, and a slot is free
	ReasonRunning   Reason = "running"   // a worker has it
	ReasonOrphaned  Reason = "orphaned"  // a worker has it that is dead
	ReasonDone      Reason = "done"      // it succeeded
	ReasonExhausted Reason = "exhausted" // it failed as often as it may
	ReasonFatal     Reason = "fatal"     // it said that retries are of no use
	ReasonLost      Reason = "lost"      // its workers died too often
	ReasonCancelled Reason = "cancelled" // somebody cancelled it
	ReasonBuried    Reason = "buried"    // it was moved to dead/ by hand
)

// Explanation is why a job is where it is, and what there is to know about what comes
// next. Facts that the reason has no use for are left at their zero values.
type Explanation struct {
	Queue          string     `json:"queue"`
	ID             string     `json:"id"`
	State          State      `json:"state"`
	Reason         Reason     `json:"reason"`
	Priority       int        `json:"priority"`
	Attempts       int        `json:"attempts"`     // begun
	MaxAttempts    int        `json:"max_attempts"` // allowed so far
	Snoozed        int        `json:"snoozed"`      // of them asked for a later try
	SnoozeMax      int        `json:"snooze_max"`   // how often it may
	Lost           int        `json:"lost"`         // of them with their worker
	EnqueuedAt     *time.Time `json:"enqueued_at"`
	DueAt          *time.Time `json:"due_at"`     // of the next attempt
	StartedAt      *time.Time `json:"started_at"` // of the attempt that runs or was the last
	EndedAt        *time.Time `json:"ended_at"`
	Ahead          int        `json:"ahead"`        // due jobs that have their turn before it
	AheadHigher    int        `json:"ahead_higher"` // of them by a higher priority
	Paused         *Pause     `json:"paused"`       // the queue's pause, if it is due
	Limit          *int       `json:"limit"`        // of the queue: so many of its jobs may run at the same time, if it is due; 0: one that cannot be read
	Running        int        `json:"running"`      // how many do, if there is a limit
	Workers        int        `json:"workers"`      // that take jobs of its queue
	Slots          int        `json:"slots"`        // how many they run at a time
	Busy           int        `json:"busy"`         // how many they run now
	Worker         string     `json:"worker"`       // that has it
	Host           string     `json:"host"`
	WorkerError    string     `json:"worker_error"`    // why that is dead
	TimeoutSeconds *float64   `json:"timeout_seconds"` // of an attempt; null: none
	Progress       *Progress  `json:"progress"`
	LastOutcome    string     `json:"last_outcome"`
	Error          string     `json:"error"`     // of the last attempt
	LastLine       string     `json:"last_line"` // the last line of its standard error
	File           string     `json:"file"`
}

// Explain says why a job is where it is and what will happen next. The error wraps
// ErrNotFound.
func (q *Queue) Explain(ctx context.Context, id string) (Explanation, error) {
	i, err := q.Get(ctx, id)
	if err != nil {
		return Explanation{}, err
	}
	x := Explanation{
		Queue: q.Name(), ID: i.ID, State: i.State, Priority: i.Priority, Attempts: i.Attempts, MaxAttempts: i.MaxAttempts, Snoozed: i.Snoozed, Lost: i.Lost,
		EnqueuedAt: i.EnqueuedAt, DueAt: i.DueAt, StartedAt: i.StartedAt, EndedAt: i.EndedAt, Worker: i.Worker,
		Progress: i.Progress, LastOutcome: i.LastOutcome, Error: i.Error, File: i.File,
	}
	if n := len(i.Records); n > 0 && i.State != Done && i.State != Processing {
		x.LastLine = q.lastLine(id, i.Records[n-1].Number)
		if x.LastOutcome == "" {
			x.LastOutcome = i.Records[n-1].Outcome
		}
	}
	if i.Job != nil {
		if limit := q.timeout(*i.Job); limit > 0 {
			x.TimeoutSeconds = ptr(limit.Seconds())
		}
		x.SnoozeMax = q.policy(*i.Job).SnoozeMax
	}
	switch i.State {
	case Pending, Processing:
		if err := q.explainWorkers(ctx, &x, i); err != nil {
			return x, err
		}
	case Scheduled, Retrying:
		x.Reason = waitReason(i)
	case Held:
		if x.Reason = ReasonHeld; i.HeldBy == HeldByArray {
			x.Reason = ReasonArray
		}
	case Done:
		x.Reason = ReasonDone
	case Cancelled:
		x.Reason = ReasonCancelled
	case Dead:
		x.Reason = deadReason(i)
	}
	if i.Dropped {
		x.Reason = ReasonDropped
	}
	return x, nil
}

// waitReason is why a job is not due yet.
func waitReason(i JobInfo) Reason {
	switch {
	case i.LastOutcome == string(OutcomeSnoozed):
		return ReasonSnoozed
	case i.Attempts > 0:
		return ReasonRetry
	default:
		return ReasonScheduled
	}
}

// deadReason is why a job is given up, from its name and, as far as it is there, the
// record of its last attempt.
func deadReason(i JobInfo) Reason {
	fatal := len(i.Records) > 0 && i.Records[len(i.Records)-1].Number == i.Attempts && i.Records[len(i.Records)-1].Fatal
	switch {
	case i.Outcome == outcomeBuried:
		return ReasonBuried
	case i.Outcome == string(OutcomeLost):
		return ReasonLost
	case fatal:
		return ReasonFatal
	default:
		return ReasonExhausted
	}
}

// explainWorkers finds out who could take the job, or has it.
func (q *Queue) explainWorkers(ctx context.Context, x *Explanation, i JobInfo) error {
	workers, err := q.Workers(ctx)
	if err != nil {
		return err
	}
	x.Reason = ReasonOrphaned
	for _, w := range workers {
		if w.ID == i.Worker {
			x.Host, x.WorkerError = w.Host, w.Error
			if w.State != WorkerLost {
				x.Reason = ReasonRunning
			}
		}
		if w.State == WorkerAlive && (w.Only == "" || w.Only == i.ID) {
			x.Workers++
			x.Slots += w.Slots
			x.Busy += min(w.Busy, w.Slots)
		}
	}
	if i.State == Processing || i.Dropped {
		return nil
	}
	e, err := q.find(i.ID)
	if errors.Is(err, ErrNotFound) || err == nil && e.State != spool.Pending {
		// It was taken just now: what was found out before is as true as it can be.
		x.Reason = ReasonNext
		return nil
	}
	if err != nil {
		return err
	}
	if x.Ahead, x.AheadHigher, err = q.s.Ahead(e.Name, q.s.Now()); err != nil {
		return err
	}
	if x.Paused, err = q.Paused(); err != nil {
		return err
	}
	if x.Limit, err = q.limit(); err != nil {
		return err
	}
	if x.Limit != nil {
		if x.Running, err = q.s.Running(0); err != nil {
			return err
		}
	}
	switch {
	case x.Paused != nil:
		x.Reason = ReasonPaused
	case x.Workers == 0:
		x.Reason = ReasonNoWorker
	case x.Limit != nil && x.Running >= *x.Limit:
		x.Reason = ReasonLimit
	case x.Busy >= x.Slots:
		x.Reason = ReasonAllBusy
	default:
		x.Reason = ReasonNext
	}
	return nil
}

// lastLineBytes is how far from the end of a stream its last line is looked for.
const lastLineBytes = 4 << 10

// lastLine is the last line of an attempt's standard error with anything in it, made
// printable; "" if there is none.
func (q *Queue) lastLine(id string, attempt int) string {
	f, err := q.s.OpenLog(id, attempt, kindStderr)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return ""
	}
	data, err := io.ReadAll(io.NewSectionReader(f, max(fi.Size()-lastLineBytes, 0), lastLineBytes))
	if err != nil {
		return ""
	}
	lines := bytes.Split(data, []byte("\n"))
	for n := len(lines) - 1; n >= 0; n-- {
		if line := printable(string(lines[n])); line != "" {
			return line
		}
	}
	return ""
}
