package fsq

import (
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
