package fsq

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Selector says which jobs are meant. What is not given does not restrict; all that is
// given must hold. The zero Selector means no job: see All.
type Selector struct {
	IDs     []string
	States  []State
	Tags    []string       // each of them
	Command string         // a glob for the whole command, as in path.Match; "*" is any text
	Error   string         // a part of the last attempt's error, in any case
	Older   *time.Duration // it ended, or else was enqueued, so long ago or longer
	Newer   *time.Duration // or less long
	All     bool           // says that no restriction is meant
}

// Empty reports whether nothing is given, not even that all are meant.
func (s Selector) Empty() bool { return !s.All && !s.restricts() }

func (s Selector) restricts() bool {
	return len(s.IDs) > 0 || len(s.States) > 0 || len(s.Tags) > 0 || s.Command != "" || s.Error != "" || s.Older != nil || s.Newer != nil
}

// reads reports whether a job's name alone does not tell if it is meant.
func (s Selector) reads() bool { return len(s.Tags) > 0 || s.Command != "" || s.Error != "" }

// matchName judges by what the name says.
func (s Selector) matchName(e spool.Entry, st State) bool {
	return (len(s.States) == 0 || slices.Contains(s.States, st)) && (len(s.IDs) == 0 || slices.Contains(s.IDs, e.Name.ID))
}

// matchDetail judges by what else is known of the job.
func (s Selector) matchDetail(i *JobInfo, now time.Time) bool {
	for _, tag := range s.Tags {
		if !slices.Contains(i.Tags, tag) {
			return false
		}
	}
	if s.Command != "" && (i.Command == nil || !globMatch(s.Command, i.Command.String())) {
		return false
	}
	if s.Error != "" && !strings.Contains(strings.ToLower(i.Error), strings.ToLower(s.Error)) {
		return false
	}
	if s.Older == nil && s.Newer == nil {
		return true
	}
	since := i.EndedAt
	if since == nil {
		since = i.EnqueuedAt
	}
	if since == nil {
		return false
	}
	age := now.Sub(*since)
	return (s.Older == nil || age >= *s.Older) && (s.Newer == nil || age < *s.Newer)
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
	return nil
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
	jobs, _, err := q.List(ctx, ListOptions{Where: sel, Details: true})
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
