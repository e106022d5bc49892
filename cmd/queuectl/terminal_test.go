package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/queuectl/queuectl/fsq"
)

// terminal is an environment in which both streams are terminals.
func terminal(columns int) environment { return environment{outWidth: columns, errWidth: columns} }

func TestTerminal(t *testing.T) {
	cleanEnv(t)
	t.Setenv("TERM", "xterm")
	t.Setenv("QUEUECTL_SPOOL", filepath.Join(t.TempDir(), "spool"))

	// The id alone is data; the sentence is for the person.
	r := queuectlIn(t, terminal(80), "enqueue", `{"id":"job-1","command":"`+strings.Repeat("x", 200)+`"}`)
	if r.code != 0 || r.stdout != "job-1\n" {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"job-1 is queued and runs as soon as a worker is free\n", "hint: no worker is running; queuectl worker start runs the jobs"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("stderr has no %q: %s", want, r.stderr)
		}
	}
	r = queuectlIn(t, terminal(80), "enqueue", `{"id":"later","command":"true","run_at":"2999-01-01T10:00:00"}`)
	if want := regexp.MustCompile(`^later is queued and runs at 2999-01-01T10:00:00(Z|[+-]\d\d:\d\d) \(in 292y\)\n`); !want.MatchString(r.stderr) {
		t.Errorf("stderr %q does not match %v", r.stderr, want)
	}
	r = queuectlIn(t, terminal(80), "enqueue", `{"id":"past","command":"true","run_at":"2001-01-01T10:00:00"}`)
	if want := "past is queued; its time was 2001-01-01T10:00:00"; !strings.HasPrefix(r.stderr, want) {
		t.Errorf("stderr %q does not begin with %q", r.stderr, want)
	}
	r = queuectlIn(t, terminal(80), "enqueue", `{"command":"true"}`, `{"command":"true"}`)
	if !strings.HasPrefix(r.stderr, "2 jobs are queued\n") {
		t.Errorf("stderr %q", r.stderr)
	}

	// A table fits a terminal, and is whole in a pipe.
	r = queuectlIn(t, terminal(80), "list", "--color", "never")
	for l := range strings.SplitSeq(r.stdout, "\n") {
		if width(l) > 80 {
			t.Errorf("%d columns: %s", width(l), l)
		}
	}
	if r = queuectl(t, "list"); !strings.Contains(r.stdout, strings.Repeat("x", 200)) {
		t.Errorf("the command is cut in a pipe: %s", r.stdout)
	}

	// Each stream is judged by itself.
	if r = queuectlIn(t, terminal(80), "list"); !strings.Contains(r.stdout, "\x1b[") {
		t.Errorf("no colours on a terminal: %q", r.stdout)
	}
	r = queuectlIn(t, environment{errWidth: 80}, "status")
	if strings.Contains(r.stdout, "\x1b[") || !strings.Contains(r.stderr, "\x1b[2mhint: ") {
		t.Errorf("stderr is a terminal and stdout is none: %q, %q", r.stdout, r.stderr)
	}
	if r = queuectlIn(t, terminal(80), "status", "--json"); strings.Contains(r.stdout, "\x1b[") {
		t.Errorf("colours in JSON: %q", r.stdout)
	}
	t.Setenv("NO_COLOR", "1")
	if r = queuectlIn(t, terminal(80), "list"); strings.Contains(r.stdout, "\x1b[") {
		t.Errorf("colours in spite of NO_COLOR: %q", r.stdout)
	}
}

// A job's texts are anybody's. None of them may reach a terminal raw.
func TestHostileJob(t *testing.T) {
	cleanEnv(t)
	t.Setenv("QUEUECTL_SPOOL", filepath.Join(t.TempDir(), "spool"))
	const turned = `\u202e\u2066\u2028`
	const evil = `\u001b]0;title\u0007\u001b[2J\u202e\u2066\u009b31m\r\nfake  done`
	r := queuectl(t, "enqueue", `{"id":"evil","command":"`+evil+`","tags":["`+turned+`"],"cwd":"/`+turned+`","env":{"`+turned+`":"x"},"`+evil+`":"`+evil+`","metadata":{"`+evil+`":1}}`)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	for _, args := range [][]string{{"list"}, {"show", "evil"}, {"show", evil}, {"list", "--json"}, {"show", "--json", "evil"}, {"enqueue", `{"id":"evil","command":"true"}`}, {"config", "get", "\x1b[2J"}, {"\x1b[2J"}, {"--\x1b[2J"}, {"list", "--state", "\x1b[2J"}, {"worker", "stop", "\x1b[2J"}} {
		r := queuectlIn(t, terminal(200), append(args, "--color", "never")...)
		for _, s := range []string{r.stdout, r.stderr} {
			if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }); i >= 0 {
				t.Errorf("%q: %q", args, s)
			}
			if strings.Contains(s, "\nfake") {
				t.Errorf("%q: a line of its own: %q", args, s)
			}
		}
	}
}

func TestEventLines(t *testing.T) {
	a := testApp()
	v := &eventView{app: a}
	for _, test := range []struct {
		event fsq.Event
		want  string
	}{
		{fsq.Event{Kind: fsq.EventReady, Worker: "w", Count: 1}, "worker w takes jobs from , 1 job at a time; Ctrl-C ends it"},
		{fsq.Event{Kind: fsq.EventStarted, JobID: "a\x1b", Command: "b\nc", Attempt: 1, MaxAttempts: 4}, `start   a\x1b attempt 1/4: b\nc`},
		{fsq.Event{Kind: fsq.EventLost, JobID: "a", Attempt: 1, MaxAttempts: 4}, "lost    a attempt 1/4 is another worker's now"},
		{fsq.Event{Kind: fsq.EventAdopted, JobID: "a", Command: "a.json"}, "adopt   a from the dropped file a.json"},
		{fsq.Event{Kind: fsq.EventRejected, JobID: "a", Error: "no\nreason"}, `reject  a no\nreason`},
		{fsq.Event{Kind: fsq.EventReaped, DeadWorker: "w", Error: "gone", Count: 2}, "worker w is dead (gone); 2 jobs went back to the queue"},
		{fsq.Event{Kind: fsq.EventDraining, Count: 2}, "stopping when the 2 running jobs have ended; a second Ctrl-C or queuectl worker stop --now interrupts"},
		{fsq.Event{Kind: fsq.EventProblem, Error: "disk full"}, "problem disk full"},
		{fsq.Event{Kind: fsq.EventRetry, JobID: "a", Attempt: 1, MaxAttempts: 2, Outcome: "timeout", Error: "timed out after 2s"}, "retry   a attempt 1/2 timed out after 2s; next soon"},
		{fsq.Event{Kind: fsq.EventLost, JobID: "a", Attempt: 1, MaxAttempts: 4, Uncertain: true}, "lost    a attempt 1/4 is another worker's now; fsync failed, a power cut may undo that"},
	} {
		if have := v.line(test.event); have != test.want {
			t.Errorf("%s:\nhave %s\nwant %s", test.event.Kind, have, test.want)
		}
	}
}
