package fsq

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Draft is a job that waits, as it is to be edited: what its document says, and where the
// name says otherwise by now (priority, due time), that.
type Draft struct {
	Job Job

	entry spool.Entry
}

// Draft returns a job that waits, to be edited. The errors are those of Hold; one that
// wraps ErrState also says that its document is none.
func (q *Queue) Draft(ctx context.Context, id string) (Draft, error) {
	e, err := q.waiting(ctx, jobNamed(id))
	if err != nil {
		return Draft{}, err
	}
	data, err := q.s.Read(e)
	if err != nil {
		return Draft{}, fmt.Errorf("read job %q: %w", id, err)
	}
	j, err := ParseJob(data, time.Now())
	if err != nil {
		return Draft{}, fmt.Errorf("job %q is no job: %w: %w", id, err, ErrState)
	}
	j.ID, j.Priority = id, e.Priority
	if j.RunAt.IsZero() && e.Due.After(q.s.Now()) || !j.RunAt.IsZero() && !j.RunAt.Equal(e.Due) {
		j.RunAt = e.Due
	}
	return Draft{Job: j, entry: e}, nil
}

// Edit replaces the document of a job that waits by j, under the same id. Nothing else is
// lost: its attempts, and that it is held, stay. Changes of priority, run_at and
// max_retries take effect; a run_at that is left out means now. When it returns nil, the
// new document survives a power cut. The error is a *FieldError if j is not valid or has
// another id, and wraps ErrState if the job was claimed, cancelled or changed since the
// Draft was made: nothing is changed then. After one that wraps ErrUncertain it may be.
func (q *Queue) Edit(ctx context.Context, d Draft, j Job) error {
	id := d.entry.Name.ID
	if j.ID == "" {
		j.ID = id
	}
	if j.ID != id {
		return fieldErrorf("id", "must stay %s: an edit does not rename a job", quote(id))
	}
	if j.EnqueuedAt.IsZero() {
		j.EnqueuedAt = d.Job.EnqueuedAt
	}
	data, err := j.MarshalJSON()
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err = q.s.Edit(d.entry, q.edited(d, j), append(data, '\n'))
	switch {
	case err == nil:
		q.acted(ctx, id, ActionEdit, edits(d.Job, j))
		return nil
	case errors.Is(err, spool.ErrTooLarge):
		return &FieldError{Problem: err.Error()}
	case errors.Is(err, spool.ErrUncertain), !errors.Is(err, ErrLost):
		return err
	}
	return q.movedOn(id)
}

// edits names the fields that an edit has changed, without their values: some are secret.
func edits(was, is Job) string {
	fields := func(j Job) (all map[string]json.RawMessage) {
		data, err := j.MarshalJSON()
		if err == nil {
			_ = json.Unmarshal(data, &all)
		}
		return all
	}
	before, after := fields(was), fields(is)
	var changed []string
	for name, value := range after {
		if !bytes.Equal(before[name], value) {
			changed = append(changed, name)
		}
	}
	for name := range before {
		if _, kept := after[name]; !kept {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return strings.Join(changed, ", ")
}

// movedOn says why a job could not be edited.
func (q *Queue) movedOn(id string) error {
	what := "it was changed meanwhile"
	if e, err := q.find(id); errors.Is(err, ErrNotFound) {
		what = "it is gone"
	} else if err == nil && e.State != spool.Pending {
		what = "it is " + string(stateOf(e, q.s.Now()))
	}
	return fmt.Errorf("job %q was not edited: %s: %w", id, what, ErrState)
}

// edited is the name of a job after an edit: what the edit did not touch stays as it was.
func (q *Queue) edited(d Draft, j Job) spool.Name {
	n := d.entry.Name
	n.Priority = j.Priority
	switch {
	case j.RunAt.IsZero() && n.Due.After(q.s.Now()):
		n.Due = spool.Truncate(q.s.Now())
	case !j.RunAt.IsZero() && !j.RunAt.Equal(d.Job.RunAt):
		n.Due = spool.Truncate(j.RunAt)
	}
	more := q.allowance(j) - q.allowance(d.Job)
	n.Allowed = min(max(n.Allowed+more, n.Attempt, 1), spool.MaxAttempt)
	return n
}
