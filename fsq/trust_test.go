package fsq

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/queuectl/queuectl/spool"
)

// What others may have written is not run: neither a drop nor a job that lay in pending/
// for them to change. In a spool for one user a drop under umask 002 is as good as any.
func TestFilesThatOthersMayWrite(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		group, trust, runs bool
	}{
		"a group's spool":                  {group: true},
		"a group's spool with trust-group": {group: true, trust: true, runs: true},
		"one user's spool":                 {runs: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, group := filepath.Join(t.TempDir(), "spool"), ""
			if test.group {
				group = strconv.Itoa(os.Getegid())
			}
			q, err := Init(dir, group)
			if err != nil {
				t.Fatal(err)
			}
			q.cfg.TrustGroup = test.trust
			enqueue(t, q, `{"id":"put","command":"true"}`)
			enqueue(t, q, `{"id":"changed","command":"true"}`)
			waiting := filepath.Join(dir, get(t, q, "changed").File)
			dropped := filepath.Join(dir, spool.DropPath("dropped.json"))
			for path, err := range map[string]error{
				waiting: os.Chmod(waiting, 0o664),
				dropped: os.WriteFile(dropped, []byte(`{"command":"true"}`), 0o600),
			} {
				if err != nil {
					t.Fatal(path, err)
				}
			}
			if err := os.Chmod(dropped, 0o664); err != nil {
				t.Fatal(err)
			}
			w := startWorker(t, q, WorkerOptions{})
			w.awaitJob(EventDone, "put")
			for job, rejected := range map[string]string{"changed": "changed", "dropped": "dropped.json"} {
				if test.runs {
					w.awaitJob(EventDone, job)
				} else if e := w.awaitJob(EventRejected, rejected); !strings.Contains(e.Error, "others may write") {
					t.Errorf("%s: %s", job, e.Error)
				}
			}
		})
	}
}

// Who can put jobs into a spool runs commands as its worker: one that strangers can write,
// or put another in the place of, has none.
func TestNoWorkerWhereStrangersWrite(t *testing.T) {
	t.Parallel()
	for _, open := range []string{"spool/pending", "spool", "."} {
		dir := filepath.Join(t.TempDir(), "dir")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		q, err := Init(filepath.Join(dir, "spool"), "")
		if err == nil {
			err = os.Chmod(filepath.Join(dir, open), 0o757)
		}
		if err != nil {
			t.Fatal(err)
		}
		enqueue(t, q, `{"command":"true"}`)
		var strangers *StrangersError
		if err := q.Work(t.Context(), WorkerOptions{Drain: true}); !errors.As(err, &strangers) || strangers.Path != filepath.Join(dir, open) {
			t.Errorf("%s: %v", open, err)
		}
		if s, err := q.Status(t.Context()); err != nil || s.Pending != 1 {
			t.Errorf("%s: %+v, %v", open, s, err)
		}
	}
}

// run-as-owner is for root's commands in root's own spool.
func TestWhoRunsJobsAsTheirOwners(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	q.cfg.RunAsOwner = true
	if err := q.Work(t.Context(), WorkerOptions{Handler: HandlerFunc(nil), Drain: true}); err == nil || !strings.Contains(err.Error(), "for commands") {
		t.Errorf("a handler: %v", err)
	}
	if err := q.mayBecome(1000); !errors.Is(err, ErrNotRoot) {
		t.Errorf("not root: %v", err)
	}
	group, err := Init(filepath.Join(t.TempDir(), "group"), strconv.Itoa(os.Getegid()))
	if err != nil {
		t.Fatal(err)
	}
	group.cfg.RunAsOwner = true
	if err := group.mayBecome(0); !errors.Is(err, ErrNoBoxes) {
		t.Errorf("a group's: %v", err)
	}
}

// In a group's spool a link may be another member's work, to a file of who would run it.
func TestLinkedFileInAGroupsSpool(t *testing.T) {
	t.Parallel()
	for _, trust := range []bool{false, true} {
		dir := t.TempDir()
		q, err := Init(filepath.Join(dir, "spool"), strconv.Itoa(os.Getegid()))
		if err != nil {
			t.Fatal(err)
		}
		q.cfg.TrustGroup = trust
		enqueue(t, q, `{"id":"linked","command":"true"}`)
		enqueue(t, q, `{"id":"bound","command":"true"}`)
		if err := os.Link(filepath.Join(q.Dir(), get(t, q, "linked").File), filepath.Join(dir, "elsewhere")); err != nil {
			t.Fatal(err)
		}
		w := startWorker(t, q, WorkerOptions{})
		w.awaitJob(EventDone, "bound")
		if trust {
			w.awaitJob(EventDone, "linked")
		} else if e := w.awaitJob(EventRejected, "linked"); !strings.Contains(e.Error, "hard link") {
			t.Error(e.Error)
		}
	}
}
