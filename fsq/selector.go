package fsq

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Selector says which jobs are meant. What is not given does not restrict; all that is
// given must hold, and of a list of hosts, workers or exit codes one. The zero Selector
// means no job: see All.
type Selector struct {
	IDs         []string
	States      []State
	Tags        []string // each of them
	MinPriority *int
	MaxPriority *int
	Hosts       []string       // of the last attempt
	Workers     []string       // likewise
	ExitCodes   []int          // likewise; of a job that is done 0
	Command     string         // a glob for the whole command, as in path.Match; "*" is any text
	Contains    string         // a part of the command, in any case
	Error       string         // a part of the last attempt's error, in any case
	Group       string         // the key of a DeadGroup: dead jobs that are in it
	Older       *time.Duration // it ended, or else was enqueued, so long ago or longer
	Newer       *time.Duration // or less long
	Since       time.Time      // it ended, or else was enqueued, then or later
	Until       time.Time      // or before
	All         bool           // says that no restriction is meant
}

// Empty reports whether nothing is given, not even that all are meant.
func (s Selector) Empty() bool { return !s.All && !s.restricts() }

// OnlyIDs reports whether ids are given and nothing else.
func (s Selector) OnlyIDs() bool {
	rest := s
	rest.IDs = nil
	return len(s.IDs) > 0 && !rest.restricts()
}

func (s Selector) restricts() bool {
	return len(s.IDs) > 0 || len(s.States) > 0 || len(s.Tags) > 0 || s.MinPriority != nil || s.MaxPriority != nil ||
		s.ofAttempt() || s.Command != "" || s.Contains != "" || s.dated()
}

// ofAttempt reports whether something is asked of the last attempt.
func (s Selector) ofAttempt() bool {
	return len(s.Hosts) > 0 || len(s.Workers) > 0 || len(s.ExitCodes) > 0 || s.Error != "" || s.Group != ""
}

func (s Selector) dated() bool {
	return s.Older != nil || s.Newer != nil || !s.Since.IsZero() || !s.Until.IsZero()
}

// readsFiles reports whether there can be jobs whose names do not tell whether they are meant.
func (s Selector) readsFiles() bool {
	return len(s.Tags) > 0 || s.Command != "" || s.Contains != "" || s.dated() || s.ofAttempt()
}

// window is the time in which it ended or was enqueued: from the first to before the
// second; zero times are no bounds.
func (s Selector) window(now time.Time) (from, to time.Time) {
	from, to = s.Since, s.Until
	if s.Newer != nil { // less long ago, so that the bound itself is out
		from = latest(from, now.Add(-*s.Newer).Add(1))
	}
	if s.Older != nil {
		to = earliest(to, now.Add(-*s.Older).Add(1))
	}
	return from, to
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// judge decides which jobs a Selector means, and reads no more of them than it must.
type judge struct {
	q        *Queue
	where    Selector
	ids      map[string]bool // a set is faster than a list
	all      bool
	now      time.Time
	from, to time.Time
}

func (q *Queue) judge(where Selector, now time.Time) *judge {
	j := &judge{q: q, where: where, all: !where.restricts(), now: now}
	j.from, j.to = where.window(now)
	if len(where.IDs) > 0 {
		j.ids = make(map[string]bool, len(where.IDs))
		for _, id := range where.IDs {
			j.ids[id] = true
		}
	}
	return j
}

// byName judges by what the name says. undecided is that of one that it does not exclude:
// whether it is meant, only its files tell.
func (j *judge) byName(e spool.Entry, st State) (meant, undecided bool) {
	if j.all {
		return true, false
	}
	w := &j.where
	if j.ids != nil && !j.ids[e.Name.ID] || len(w.States) > 0 && !slices.Contains(w.States, st) || !j.rightPriority(e.Priority) {
		return false, false
	}
	if w.ofAttempt() && !j.attempted(e, st) {
		return false, false
	}
	if w.dated() && e.Outcome != "" && !j.inTime(&e.Due) {
		return false, false
	}
	return true, len(w.Tags) > 0 || w.Command != "" || w.Contains != "" || w.dated() && e.Outcome == "" || j.needsRecord(e)
}

// attempted reports whether the last attempt can be one that is meant.
func (j *judge) attempted(e spool.Entry, st State) bool {
	w := &j.where
	if w.Group != "" && st != Dead || e.Attempt == 0 && (len(w.Hosts) > 0 || len(w.Workers) > 0 || len(w.ExitCodes) > 0 || w.Error != "") {
		return false
	}
	switch e.State {
	case spool.Processing: // it has not ended
		return len(w.ExitCodes) == 0 && w.Error == "" &&
			(len(w.Workers) == 0 || slices.Contains(w.Workers, e.Worker)) &&
			(len(w.Hosts) == 0 || slices.Contains(w.Hosts, spool.WorkerHost(e.Worker)))
	case spool.Done:
		return w.Error == "" && (len(w.ExitCodes) == 0 || slices.Contains(w.ExitCodes, 0))
	}
	return true
}

// needsRecord reports whether the record of the last attempt has to tell.
func (j *judge) needsRecord(e spool.Entry) bool {
	w := &j.where
	switch e.State {
	case spool.Processing:
		return false
	case spool.Done:
		return len(w.Hosts) > 0 || len(w.Workers) > 0
	}
	return w.ofAttempt()
}

// byFiles judges one that byName has left undecided, and returns what it has read.
func (j *judge) byFiles(e spool.Entry) (JobInfo, bool) {
	i := info(e, j.now)
	j.q.detail(&i, e)
	meant := j.byDetail(&i, j.needsRecord(e))
	return i, meant
}

// byDetail judges by what is known of the job beside its id and state, and, if record,
// of its last attempt.
func (j *judge) byDetail(i *JobInfo, record bool) bool {
	w := &j.where
	for _, tag := range w.Tags {
		if !slices.Contains(i.Tags, tag) {
			return false
		}
	}
	if !j.rightPriority(i.Priority) {
		return false
	}
	if w.Command != "" && (i.Command == nil || !globMatch(w.Command, i.Command.String())) {
		return false
	}
	if w.Contains != "" && (i.Command == nil || !containsFold(i.Command.String(), w.Contains)) {
		return false
	}
	if record && !j.ofRecord(i) {
		return false
	}
	since := i.EndedAt
	if since == nil {
		since = i.EnqueuedAt
	}
	return !w.dated() || j.inTime(since)
}

func (j *judge) ofRecord(i *JobInfo) bool {
	w := &j.where
	if w.Error != "" && !containsFold(i.Error, w.Error) || w.Group != "" && groupOf(i).key() != w.Group {
		return false
	}
	var last Attempt
	if i.last != nil {
		last = *i.last
	}
	if len(w.ExitCodes) > 0 && i.State != Done && (last.ExitCode == nil || last.Signal != "" || !slices.Contains(w.ExitCodes, *last.ExitCode)) {
		return false
	}
	return (len(w.Hosts) == 0 || slices.Contains(w.Hosts, last.Host)) && (len(w.Workers) == 0 || slices.Contains(w.Workers, last.Worker))
}

func (j *judge) rightPriority(n int) bool {
	return (j.where.MinPriority == nil || n >= *j.where.MinPriority) && (j.where.MaxPriority == nil || n <= *j.where.MaxPriority)
}

func (j *judge) inTime(at *time.Time) bool {
	return at != nil && !at.Before(j.from) && (j.to.IsZero() || at.Before(j.to))
}

// drop judges a dropped file.
func (j *judge) drop(i *JobInfo) bool {
	w := &j.where
	return (j.ids == nil || j.ids[i.ID]) && (len(w.States) == 0 || slices.Contains(w.States, i.State)) && !w.ofAttempt() && j.byDetail(i, false)
}

// meant is the judgement on a job in one go.
func (j *judge) meant(e spool.Entry, st State) bool {
	meant, undecided := j.byName(e, st)
	if meant && undecided {
		_, meant = j.byFiles(e)
	}
	return meant
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// globMatch matches the whole text; unlike in path.Match, "*" and "?" match slashes too,
// of which commands are full.
func globMatch(pattern, text string) bool {
	const slash = "\x00" // a command has no NUL
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", slash), strings.ReplaceAll(text, "/", slash))
	return err == nil && ok
}

// Validate reports what is wrong with it, as a *FieldError.
func (s Selector) Validate() error {
	if _, err := path.Match(s.Command, ""); err != nil {
		return fieldErrorf("command", "must be a glob such as 'make *', not %s", quote(s.Command))
	}
	if s.MinPriority != nil && s.MaxPriority != nil && *s.MinPriority > *s.MaxPriority {
		return fieldErrorf("priority", "must go up, not from %d to %d", *s.MinPriority, *s.MaxPriority)
	}
	if !s.Since.IsZero() && !s.Until.IsZero() && !s.Since.Before(s.Until) {
		return fieldErrorf("since", "must be before until")
	}
	return nil
}

// ParsePriorities reads a range of priorities: "5", "5..", "..-1" or "0..9". A bound that
// is nil is none. Errors begin with "must be".
func ParsePriorities(s string) (lowest, highest *int, err error) {
	bound := func(text string) *int {
		n, numErr := strconv.Atoi(text)
		if numErr != nil || n < MinPriority || n > MaxPriority {
			err = fmt.Errorf("must be a priority from %d to %d, or a range such as 1.. or 0..9, not %s", MinPriority, MaxPriority, quote(s))
		}
		return &n
	}
	from, to, isRange := strings.Cut(s, "..")
	if from != "" || !isRange {
		lowest = bound(from)
	}
	switch {
	case !isRange:
		highest = lowest
	case to != "":
		highest = bound(to)
	}
	if err == nil && (from == "" && to == "" || lowest != nil && highest != nil && *lowest > *highest) {
		err = fmt.Errorf("must be a range that goes up, such as 0..9, not %s", quote(s))
	}
	if err != nil {
		return nil, nil, err
	}
	return lowest, highest, nil
}

// ParseStatuses reads exit codes with commas between, such as "0,3". Errors begin with
// "must be".
func ParseStatuses(s string) (codes []int, err error) {
	for word := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 0 || n > maxExitCode {
			return nil, fmt.Errorf("must be exit codes from 0 to %d with commas between, not %s", maxExitCode, quote(s))
		}
		codes = append(codes, n)
	}
	return codes, nil
}

// ParseMoment reads a point in time as ParseTime does, or, as a duration such as "1h", how
// long ago it was. Errors begin with "must be".
func ParseMoment(s string, now time.Time) (time.Time, error) {
	if d, err := ParseDuration(strings.TrimSpace(s)); err == nil {
		return now.Add(-d), nil
	}
	at, err := ParseTime(s, now)
	if err != nil {
		return at, fmt.Errorf("must be a time such as 2026-11-24T08:30 or how long ago, such as 1h, not %s", quote(s))
	}
	return at, nil
}

// Select returns the jobs that are meant and in one of the given states; nil stands for
// all. Of an id that no job has, the error wraps ErrNotFound; the others are returned
// all the same. An id whose job is in another state is returned, too: who asked for it
// is to be told. It returns nothing for an empty Selector.
func (q *Queue) Select(ctx context.Context, sel Selector, states []State) ([]JobInfo, error) {
	if err := sel.Validate(); err != nil {
		return nil, err
	}
	if sel.Empty() {
		return nil, nil
	}
	if len(sel.States) == 0 && len(sel.IDs) == 0 {
		sel.States = states
	}
	jobs, _, err := q.List(ctx, ListOptions{Where: sel})
	if err != nil || len(sel.IDs) == 0 {
		return jobs, err
	}
	return jobs, q.unknownIDs(ctx, sel, jobs)
}

// unknownIDs is an error for each id that no job has: one that the selector's other
// conditions exclude is not unknown, and one look proves nothing.
func (q *Queue) unknownIDs(ctx context.Context, sel Selector, found []JobInfo) error {
	left := map[string]bool{}
	for _, id := range sel.IDs {
		left[id] = true
	}
	for _, j := range found {
		delete(left, j.ID)
	}
	if len(left) == 0 {
		return nil
	}
	again, _, err := q.List(ctx, ListOptions{Where: Selector{IDs: sel.IDs}})
	if err != nil {
		return err
	}
	for _, j := range again {
		delete(left, j.ID)
	}
	var missing []error
	for _, id := range sel.IDs {
		if left[id] {
			delete(left, id)
			missing = append(missing, notFound(id))
		}
	}
	return errors.Join(missing...)
}
