package fsq

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/queuectl/queuectl/spool"
)

// A power cut can leave a job under two names on btrfs, and the first who comes to it
// need not be a worker. What he does to the job he does to all of it.
func TestChangesAfterAPowerCut(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for what, c := range map[string]struct {
		name string // further on than that in pending/
		do   func(q *Queue) error
		want State // "": it is gone
	}{
		"dlq remove": {"dead/20261125T090000000Z.p0.a1-1=failed,w0,r0.x.json", func(q *Queue) error { return q.RemoveDead(ctx, "x") }, ""},
		"dlq retry":  {"dead/20261125T090000000Z.p0.a1-1=failed,w0,r0.x.json", func(q *Queue) error { return q.RetryDead(ctx, "x") }, Pending},
		"delete":     {"done/20261125/09/20261125T090000000Z.p0.a1-1=done,w0,r0.x.json", func(q *Queue) error { return q.Delete(ctx, "x") }, ""},
		"prune": {"done/20261125/09/20261125T090000000Z.p0.a1-1=done,w0,r0.x.json", func(q *Queue) error {
			_, err := q.Prune(ctx, PruneOptions{Where: Selector{IDs: []string{"x"}}})
			return err
		}, ""},
		"cancel": {"pending/20361125T090000000Z.p0.a0-1c1.x.json", func(q *Queue) error { _, err := q.Cancel(ctx, "x"); return err }, Cancelled},
		"hold":   {"pending/20361125T090000000Z.p0.a0-1c1.x.json", func(q *Queue) error { return q.Hold(ctx, "x") }, Held},
		"edit": {"pending/20361125T090000000Z.p0.a0-1c1.x.json", func(q *Queue) error {
			d, err := q.Draft(ctx, "x")
			if err != nil {
				return err
			}
			return q.Edit(ctx, d, Job{Command: Command{Shell: "false"}, RunAt: d.Job.RunAt})
		}, Scheduled},
	} {
		q, err := Open(t.TempDir()+"/spool", DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := q.Enqueue(ctx, Job{ID: "x", Command: Command{Shell: "true"}}); err != nil {
			t.Fatal(err)
		}
		e, err := q.find("x")
		if err != nil {
			t.Fatal(err)
		}
		twin := q.Dir() + "/" + c.name
		if err := errors.Join(os.MkdirAll(path.Dir(twin), 0o700), os.Link(q.Dir()+"/"+e.Path, twin)); err != nil {
			t.Fatal(err)
		}

		if err := c.do(q); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		var left []string
		if err := q.s.Each(func(e spool.Entry) error {
			left = append(left, e.Path)
			return nil
		}, spool.Pending, spool.Processing, spool.Done, spool.Dead); err != nil {
			t.Fatal(err)
		}
		if c.want == "" {
			if len(left) > 0 {
				t.Errorf("%s: it is removed, and %q is there", what, left)
			}
			continue
		}
		if i, err := q.Get(ctx, "x"); err != nil || i.State != c.want || len(left) != 1 {
			t.Errorf("%s: it is %s, %v, and its names are %s", what, i.State, err, strings.Join(left, " "))
		}
	}
}
