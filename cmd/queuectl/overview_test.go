package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/queuectl/queuectl/fsq"
)

// Three steps, whatever the state, and those that matter in it come first.
func TestNextSteps(t *testing.T) {
	alive := []fsq.WorkerInfo{{State: fsq.WorkerAlive}}
	for _, test := range []struct {
		name  string
		s     fsq.Status
		there bool
		want  []string // what the steps begin with, behind "queuectl "
	}{
		{"no spool", fsq.Status{}, false, []string{"enqueue -- echo hello", "worker start runs jobs until", "help lists"}},
		{"empty", fsq.Status{Workers: alive}, true, []string{"enqueue", "help", "list shows"}},
		{"due, no worker", fsq.Status{Pending: 3}, true, []string{"worker start runs the 3 jobs that are due", "enqueue", "worker start runs jobs"}},
		{"one is due", fsq.Status{Pending: 1}, true, []string{"worker start runs the job that is due", "enqueue", "worker start runs jobs"}},
		{"dropped, no worker", fsq.Status{Dropped: 3, Unfinished: 1}, true, []string{"worker start runs the 2 jobs", "enqueue", "worker start runs jobs"}},
		{"at work", fsq.Status{Pending: 1, Processing: 1, Done: 1, Workers: alive}, true, []string{"list --state processing", "enqueue", "list --state done"}},
		{"dead letters", fsq.Status{Dead: 2, Rejected: 1, Workers: alive}, true, []string{"dlq list says why 2 jobs are dead", "dlq list says why 1 file is no job", "enqueue"}},
		{"paused, everything", fsq.Status{Paused: &fsq.Pause{}, Pending: 1, Dead: 1, Rejected: 1, Held: 1, Retrying: 1, Workers: []fsq.WorkerInfo{{State: fsq.WorkerLost}}}, true,
			[]string{"resume", "worker start runs the job", "worker list shows the 1 worker"}},
		{"held and retrying", fsq.Status{Held: 1, Retrying: 1, Workers: alive}, true, []string{"list --state held", "list --state retrying", "enqueue"}},
		{"scheduled, no worker", fsq.Status{Scheduled: 1}, true, []string{"worker start runs what is scheduled", "enqueue", "worker start runs jobs"}},
	} {
		have := nextSteps(test.s, test.there)
		if len(have) != 3 || !slices.EqualFunc(have, test.want, func(h, w string) bool { return strings.HasPrefix(h, "queuectl "+w) }) {
			t.Errorf("%s:\nhave %q\nwant %q", test.name, have, test.want)
		}
	}
}
