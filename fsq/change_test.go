package fsq

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func command(t *testing.T, q *Queue, id string) (JobInfo, string) {
	t.Helper()
	i, err := q.Get(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return i, i.Command.String()
}

// TestChangesOfWaitingJobs: each is one step, what is as it should be stays as it is, and
// a job that does not wait is refused.
func TestChangesOfWaitingJobs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	q, err := Open(t.TempDir()+"/spool", DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	in := time.Now().Add(3 * time.Hour)
	for _, id := range []string{"a", "gone"} {
		if _, err := q.Enqueue(ctx, Job{ID: id, Command: Command{Shell: "true"}, RunAt: in}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.Cancel(ctx, "gone"); err != nil {
		t.Fatal(err)
	}
	five, soon := 5, time.Now().Add(2*time.Minute)
	for _, step := range []struct {
		name string
		do   func(id string) error
		want State
		prio int
	}{
		{"hold", func(id string) error { return q.Hold(ctx, id) }, Held, 0},
		{"hold again", func(id string) error { return q.Hold(ctx, id) }, Held, 0},
		{"priority", func(id string) error { return q.Reschedule(ctx, id, Change{Priority: &five}) }, Held, 5},
		{"release", func(id string) error { return q.Release(ctx, id) }, Scheduled, 5},
		{"time", func(id string) error { return q.Reschedule(ctx, id, Change{RunAt: &soon}) }, Scheduled, 5},
		{"hold once more", func(id string) error { return q.Hold(ctx, id) }, Held, 5},
		{"run now", func(id string) error { return q.RunNow(ctx, id) }, Pending, 5},
		{"run now again", func(id string) error { return q.RunNow(ctx, id) }, Pending, 5},
	} {
		if err := step.do("a"); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if i, _ := command(t, q, "a"); i.State != step.want || i.Priority != step.prio {
			t.Errorf("%s: the job is %s, priority %d", step.name, i.State, i.Priority)
		}
		if err := step.do("nope"); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s of no job: %v", step.name, err)
		}
		if err := step.do("gone"); !errors.Is(err, ErrState) {
			t.Errorf("%s of a cancelled job: %v", step.name, err)
		}
	}
	high := MaxPriority + 1
	if err := q.Reschedule(ctx, "a", Change{Priority: &high}); err == nil || errors.Is(err, ErrState) {
		t.Errorf("a priority of %d: %v", high, err)
	}
}

// TestEdit: the new document takes the old one's place, what it does not touch stays, and
// what was done to the job meanwhile wins.
func TestEdit(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	q, err := Open(t.TempDir()+"/spool", DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	made, err := q.Enqueue(ctx, Job{Command: Command{Shell: "old"}, Tags: []string{"kept"}})
	if err != nil {
		t.Fatal(err)
	}
	id, four := made.ID, 4
	if err := q.Reschedule(ctx, id, Change{Priority: &four}); err != nil {
		t.Fatal(err)
	}
	if err := q.Hold(ctx, id); err != nil {
		t.Fatal(err)
	}
	d, err := q.Draft(ctx, id)
	if err != nil || d.Job.Priority != 4 || !d.Job.RunAt.IsZero() {
		t.Fatalf("the draft is %+v, %v", d.Job, err)
	}
	j, retries := d.Job, 9
	j.Command, j.MaxRetries, j.EnqueuedAt = Command{Shell: "new"}, &retries, time.Time{}
	if err := q.Edit(ctx, d, j); err != nil {
		t.Fatal(err)
	}
	i, got := command(t, q, id)
	if got != "new" || i.State != Held || i.Priority != 4 || i.MaxAttempts != 10 || strings.Join(i.Tags, "") != "kept" {
		t.Errorf("after the edit: %s, %+v", got, i)
	}
	if !i.EnqueuedAt.Equal(made.EnqueuedAt) {
		t.Errorf("enqueued at %s, want %s", i.EnqueuedAt, made.EnqueuedAt)
	}
	if err := q.Edit(ctx, d, j); !errors.Is(err, ErrState) {
		t.Errorf("a second edit of one draft: %v", err)
	}
	if d, err = q.Draft(ctx, id); err != nil {
		t.Fatal(err)
	}
	var field *FieldError
	renamed := d.Job
	renamed.ID = "another"
	if err := q.Edit(ctx, d, renamed); !errors.As(err, &field) {
		t.Errorf("another id: %v", err)
	}
	if err := q.Edit(ctx, d, Job{ID: id}); !errors.As(err, &field) {
		t.Errorf("no command: %v", err)
	}
	later := d.Job
	later.RunAt = time.Now().Add(time.Hour)
	if err := q.Edit(ctx, d, later); err != nil {
		t.Fatal(err)
	}
	if i, _ := command(t, q, id); i.DueAt.Sub(later.RunAt).Abs() > time.Millisecond {
		t.Errorf("due at %s, want %s", i.DueAt, later.RunAt)
	}
	if d, err = q.Draft(ctx, id); err != nil || d.Job.RunAt.IsZero() {
		t.Fatalf("the draft is %+v, %v", d.Job, err)
	}
	now := d.Job
	now.RunAt = time.Time{}
	if err := q.Edit(ctx, d, now); err != nil {
		t.Fatal(err)
	}
	if i, _ := command(t, q, id); i.DueAt.After(time.Now()) {
		t.Errorf("without run_at it is due at %s", i.DueAt)
	}
	if r, err := q.Check(ctx, CheckOptions{}); err != nil || len(r.Breaches) > 0 {
		t.Errorf("check: %+v, %v", r.Breaches, err)
	}
}
