package fsq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// JobInfo is what is known of a job: composed from its name, its document and the
// records of its attempts.
type JobInfo struct {
	ID              string     `json:"id"`
	Queue           string     `json:"queue"`
	State           State      `json:"state"`
	Outcome         string     `json:"outcome"` // of a job that is done or dead
	Priority        int        `json:"priority"`
	Command         *Command   `json:"command"`
	Attempts        int        `json:"attempts"`     // begun
	MaxAttempts     int        `json:"max_attempts"` // allowed so far
	Lost            int        `json:"lost"`         // of them with their worker
	Snoozed         int        `json:"snoozed"`      // of them asked to be tried later
	EnqueuedAt      *time.Time `json:"enqueued_at"`
	DueAt           *time.Time `json:"due_at"`
	StartedAt       *time.Time `json:"started_at"`
	EndedAt         *time.Time `json:"ended_at"`
	WaitSeconds     *float64   `json:"wait_seconds"`
	DurationSeconds *float64   `json:"duration_seconds"`
	HeldBy          string     `json:"held_by"` // of a held job: "user", or "array" if it waits for others of its array
	Worker          string     `json:"worker"`
	WorkerLost      bool       `json:"worker_lost"`  // it is dead, and nobody has taken the job from it yet
	Host            string     `json:"host"`         // of the last attempt
	ExitCode        *int       `json:"exit_code"`    // of the last attempt, if it has ended by itself
	Signal          string     `json:"signal"`       // that ended the last attempt
	Error           string     `json:"error"`        // of the last attempt
	LastOutcome     string     `json:"last_outcome"` // of the last attempt, if it has ended
	Progress        *Progress  `json:"progress"`     // of a running job that tells
	Tags            []string   `json:"tags"`
	File            string     `json:"file"`    // below the spool
	Dropped         bool       `json:"dropped"` // a file that no worker has adopted yet

	// What the job said of its last attempt; Get only.
	Result     json.RawMessage `json:"result,omitempty"`
	ResultText string          `json:"result_text,omitempty"`
	ResultNote string          `json:"result_note,omitempty"`

	Job     *Job      `json:"job,omitempty"`             // Get only
	Records []Attempt `json:"attempt_records,omitempty"` // Get only
	Actions []Action  `json:"actions,omitempty"`         // what people have done to it, the newest 100; Get only

	ActionsCut int `json:"actions_cut,omitempty"` // earlier ones that are left out; Get only

	seen   *spool.Entry // where Page has seen it
	listed []State      // those of which Page was asked, if not of all
	last   *Attempt     // record of the last attempt, if it was read and has ended
}

// Who holds a job.
const (
	HeldByUser  = "user"
	HeldByArray = "array"
)

// info composes what the name alone tells.
func info(e spool.Entry, now time.Time) JobInfo {
	i := JobInfo{
		ID: e.Name.ID, State: stateOf(e, now), Outcome: e.Outcome, Priority: e.Priority,
		Attempts: e.Attempt, MaxAttempts: e.Allowed, Lost: e.Lost, Snoozed: e.Snoozed, Worker: e.Worker, File: e.Path,
	}
	switch e.State {
	case spool.Done, spool.Dead:
		if e.Outcome == "" { // moved here by hand: detail finds out when
			i.Outcome = outcomeBuried
			break
		}
		i.LastOutcome = e.Outcome
		i.EndedAt = ptr(e.Due)
		i.DurationSeconds, i.WaitSeconds = ptr(e.Run.Seconds()), ptr(e.Wait.Seconds())
		i.StartedAt = ptr(e.Due.Add(-e.Run))
	default:
		i.DueAt = ptr(e.Due)
	}
	if e.State == spool.Pending {
		i.HeldBy = heldBy(e.Name)
	}
	return i
}

func heldBy(n spool.Name) string {
	switch {
	case n.Held:
		return HeldByUser
	case n.Queued:
		return HeldByArray
	}
	return ""
}

// outcomeBuried is shown of a job that somebody moved to dead/ or done/ by hand.
const outcomeBuried = "moved by hand"

// detail adds what the document and the last record tell.
func (q *Queue) detail(i *JobInfo, e spool.Entry) {
	if i.Outcome == outcomeBuried {
		if at, err := q.s.ClaimedAt(e); err == nil {
			i.EndedAt = ptr(at.Truncate(time.Millisecond))
		}
	}
	if data, err := q.s.Read(e); err == nil {
		if j, err := ParseJob(data, time.Now()); err == nil {
			i.Job, i.Command, i.Tags = &j, &j.Command, j.Tags
			if !j.EnqueuedAt.IsZero() {
				i.EnqueuedAt = ptr(j.EnqueuedAt)
			}
		}
	}
	if i.EnqueuedAt == nil {
		if at, err := q.s.WrittenAt(e); err == nil {
			i.EnqueuedAt = ptr(at.Truncate(time.Millisecond))
		}
	}
	if e.State == spool.Processing {
		i.Progress = q.progress(e.Name.ID, e.Attempt)
		if at, err := q.s.ClaimedAt(e); err == nil {
			i.StartedAt = ptr(at)
			enqueued := e.Due
			if i.EnqueuedAt != nil {
				enqueued = *i.EnqueuedAt
			}
			i.WaitSeconds = ptr(waited(at, e.Due, enqueued).Seconds())
		}
		i.Host = spool.WorkerHost(e.Worker)
	} else if e.Attempt > 0 {
		if a, ok := q.readRecord(e.Name.ID, e.Attempt); ok {
			i.recorded(&a)
		}
	}
}

// recorded adds what the record of the last attempt tells, which has ended.
func (i *JobInfo) recorded(a *Attempt) {
	i.last, i.Host = a, a.Host
	if i.StartedAt == nil {
		i.StartedAt = a.StartedAt
	}
	if i.State == Done || i.State == Dead || i.State == Cancelled {
		i.Worker = a.Worker
	}
	// A reaper that took the worker for dead may have recorded a loss before the worker
	// settled: the name is what counts.
	if i.State == Done && a.Outcome != string(OutcomeDone) {
		return
	}
	i.ExitCode, i.Signal = a.ExitCode, a.Signal
	if i.State != Done {
		i.Error, i.LastOutcome = a.Error, a.Outcome
	}
}

// lostWorkers are the workers that are dead, by name. It is for people: without it they
// see less.
func (q *Queue) lostWorkers(ctx context.Context) map[string]bool {
	lost := map[string]bool{}
	workers, err := q.Workers(ctx)
	if err != nil {
		return lost
	}
	for _, w := range workers {
		if w.State == WorkerLost {
			lost[w.ID] = true
		}
	}
	return lost
}

// Get returns all that is known of a job. The error wraps ErrNotFound.
func (q *Queue) Get(ctx context.Context, id string) (JobInfo, error) {
	e, err := q.findToShow(id)
	if errors.Is(err, ErrNotFound) {
		if i, ok := q.findDrop(id); ok {
			return i, nil
		}
	}
	if err != nil {
		return JobInfo{}, err
	}
	i := info(e, q.now())
	i.Queue = q.Name()
	q.detail(&i, e)
	i.Records = q.attempts(e)
	q.actions(&i)
	if e.State == spool.Processing {
		i.WorkerLost = q.lostWorkers(ctx)[e.Worker]
	}
	if n := len(i.Records); n > 0 && e.State == spool.Done && i.Records[n-1].Number == e.Attempt {
		// A reaper that took the worker for dead may have recorded a loss before the
		// worker settled: the name is what counts.
		i.Records[n-1].Outcome = string(OutcomeDone)
	}
	last := q.readReport(e.Name.ID, e.Attempt)
	i.Result, i.ResultText, i.ResultNote = last.Result, last.ResultText, last.ResultNote
	return i, ctx.Err()
}

// findDrop looks for a dropped file that would get this id.
func (q *Queue) findDrop(id string) (found JobInfo, ok bool) {
	_ = q.s.Drops(func(base string) {
		if i := q.dropInfo(base); i.ID == id {
			found, ok = i, true
		}
	})
	return found, ok
}

// dropInfo is what can be said of a dropped file that no worker has adopted yet.
func (q *Queue) dropInfo(base string) JobInfo {
	i := JobInfo{ID: spool.Drop{Base: base}.Stem(), Queue: q.Name(), State: Pending, Dropped: true, MaxAttempts: q.cfg.MaxRetries + 1, File: spool.DropPath(base)}
	e := spool.Entry{State: spool.Pending, Path: i.File}
	data, err := q.s.Read(e)
	if err != nil {
		return i
	}
	now := q.now()
	j, err := ParseJob(data, now)
	if err != nil {
		i.Error = "not a job yet: " + err.Error()
		return i
	}
	i.Job, i.Command, i.Priority, i.MaxAttempts, i.Tags = &j, &j.Command, j.Priority, q.allowance(j), j.Tags
	if j.ID != "" {
		i.ID = j.ID
	}
	if !j.RunAt.IsZero() {
		i.DueAt = ptr(j.RunAt)
		if j.RunAt.After(now) {
			i.State = Scheduled
		}
	}
	if at, err := q.s.WrittenAt(e); err == nil {
		i.EnqueuedAt = ptr(at.Truncate(time.Millisecond))
	}
	return i
}

// Stream is what an attempt writes to.
type Stream string

// The streams.
const (
	Stdout Stream = kindStdout
	Stderr Stream = kindStderr
)

// Log opens what an attempt has written; attempt 0 is the latest that has been begun.
// A nil file without an error means that the attempt has written nothing, or that
// none has been begun (Attempt.Number is 0 then). The error wraps ErrNotFound.
func (q *Queue) Log(id string, attempt int, stream Stream) (*os.File, Attempt, error) {
	e, err := q.findToShow(id)
	if err != nil {
		return nil, Attempt{}, err
	}
	if attempt == 0 {
		attempt = e.Attempt
	}
	if attempt == 0 {
		return nil, Attempt{}, nil
	}
	if attempt < 0 || attempt > e.Attempt {
		return nil, Attempt{}, fmt.Errorf("attempt %d of job %q: %w: it has had %d", attempt, id, ErrNotFound, e.Attempt)
	}
	a, ok := q.readRecord(id, attempt)
	if !ok {
		a = Attempt{JobID: id, Number: attempt}
		if e.State == spool.Processing && attempt == e.Attempt {
			a = q.running(e)
		}
	}
	f, err := q.s.OpenLog(id, attempt, string(stream))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, a, nil
	}
	if err != nil {
		return nil, a, fmt.Errorf("open the output of job %q: %w", id, err)
	}
	return f, a, nil
}
