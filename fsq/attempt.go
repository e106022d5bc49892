package fsq

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Attempt is the record of one run of a job, written once, before the job is
// settled. A record without its settlement is of a worker that died between the two; a
// settlement without its record, of a full disk or a power cut.
type Attempt struct {
	JobID           string     `json:"job_id"`
	Number          int        `json:"attempt"`
	Outcome         string     `json:"outcome"` // an Outcome, or "running"
	Worker          string     `json:"worker"`
	Host            string     `json:"host"`
	PID             int        `json:"pid"`
	StartedAt       *time.Time `json:"started_at"`
	EndedAt         *time.Time `json:"ended_at"`
	WaitSeconds     *float64   `json:"wait_seconds"`
	DurationSeconds *float64   `json:"duration_seconds"`
	ExitCode        *int       `json:"exit_code"`
	Signal          string     `json:"signal"`
	Error           string     `json:"error"`
	StdoutBytes     int64      `json:"stdout_bytes"`
	StderrBytes     int64      `json:"stderr_bytes"`
	StdoutCut       int64      `json:"stdout_cut_bytes"` // what exceeded the output limit
	StderrCut       int64      `json:"stderr_cut_bytes"`
	Fatal           bool       `json:"fatal"` // it said that retries are of no use
	Next            string     `json:"next"`  // done, retry, dead, requeue, snooze
	NextDue         *time.Time `json:"next_due_at"`

	// What the job itself wrote about the attempt. It is not part of the record: it lies
	// in files of its own, and Get reads it.
	Report
}

// OutcomeRunning is what an attempt that has not ended shows instead of an Outcome.
const OutcomeRunning = "running"

// OutcomeUnknown is what an attempt shows whose record is missing and whose job waits
// again.
const OutcomeUnknown = "unknown"

const (
	kindRecord = "json"
	kindStdout = "out"
	kindStderr = "err"

	kindResult   = "result"
	kindProgress = "progress"
)

// writeRecord keeps the record. One that is there already is left: it is that of an
// earlier try to settle the same attempt.
func (q *Queue) writeRecord(a Attempt) error {
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("record attempt %d of job %q: %w", a.Number, a.JobID, err)
	}
	err = q.s.WriteLog(a.JobID, a.Number, kindRecord, append(data, '\n'))
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// readRecord returns the record of an attempt; ok is false if there is none, or none
// that is whole: a power cut may take it.
func (q *Queue) readRecord(id string, attempt int) (a Attempt, ok bool) {
	data, err := q.s.ReadLog(id, attempt, kindRecord)
	if err != nil || json.Unmarshal(data, &a) != nil {
		return Attempt{}, false
	}
	a.JobID, a.Number = id, attempt
	return a, true
}

// attempts composes what is known of each attempt of a job.
func (q *Queue) attempts(e spool.Entry) []Attempt {
	all := make([]Attempt, 0, e.Attempt)
	for n := 1; n <= e.Attempt; n++ {
		a, ok := q.readRecord(e.Name.ID, n)
		last := n == e.Attempt
		switch {
		case last && e.State == spool.Processing:
			a = q.running(e)
		case last && !ok:
			if a, ok = unrecorded(e); !ok {
				continue
			}
		case !ok:
			continue
		}
		a.Report = q.readReport(e.Name.ID, n)
		all = append(all, a)
	}
	return all
}

// unrecorded is what a job's name tells of its last attempt, whose record is missing: the
// disk was full when it ended, or a power cut took it. ok is false if that attempt may
// never have begun.
func unrecorded(e spool.Entry) (a Attempt, ok bool) {
	a = Attempt{JobID: e.Name.ID, Number: e.Attempt, Outcome: OutcomeUnknown, Error: "its record is missing"}
	switch {
	case e.Name.Outcome != "":
		a.Outcome = e.Name.Outcome
		a.EndedAt = ptr(e.Due)
		a.WaitSeconds, a.DurationSeconds = ptr(e.Wait.Seconds()), ptr(e.Run.Seconds())
		a.Next = VerdictDead.String()
		if e.State == spool.Done {
			a.Next, a.Error = VerdictDone.String(), ""
		}
	case e.State == spool.Pending && e.Attempt > e.Given+e.Snoozed+e.Lost:
		a.Next, a.NextDue = VerdictRetry.String(), ptr(e.Due)
	default:
		return Attempt{}, false
	}
	return a, true
}

// running is the attempt that a claim stands for.
func (q *Queue) running(e spool.Entry) Attempt {
	a := Attempt{JobID: e.Name.ID, Number: e.Attempt, Outcome: OutcomeRunning, Worker: e.Worker, Host: spool.WorkerHost(e.Worker)}
	if at, err := q.s.ClaimedAt(e); err == nil {
		a.StartedAt = ptr(at)
		a.WaitSeconds = ptr(max(at.Sub(e.Due), 0).Seconds())
	}
	a.StdoutBytes = q.s.LogSize(e.Name.ID, e.Attempt, kindStdout)
	a.StderrBytes = q.s.LogSize(e.Name.ID, e.Attempt, kindStderr)
	return a
}

func ptr[T any](v T) *T { return &v }
