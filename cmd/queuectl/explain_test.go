package main

import (
	"strings"
	"testing"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// Every reason has a sentence of its own, and none of them hands on what a stranger wrote.
func TestExplanation(t *testing.T) {
	now := testApp().now()
	at := func(d time.Duration) *time.Time { v := now.Add(d); return &v }
	limit, percent := 60.0, 42.0
	for _, test := range []struct {
		x    fsq.Explanation
		want string
	}{
		{fsq.Explanation{Reason: fsq.ReasonDropped, Workers: 1},
			"x is a file in pending/ that no worker has taken in yet. A worker does so when nobody writes to it any more."},
		{fsq.Explanation{Reason: fsq.ReasonDropped, Error: "not a job yet: it is empty"},
			"x is a file in pending/ that no worker has taken in yet. It is not a job yet: it is empty. No worker is running; queuectl worker start starts one."},
		{fsq.Explanation{Reason: fsq.ReasonHeld}, "x is held: it waits until queuectl release x."},
		{fsq.Explanation{Reason: fsq.ReasonArray}, "x waits for its array, of which only so many may run at a time: it gets its turn when another of them has ended."},
		{fsq.Explanation{Reason: fsq.ReasonScheduled, DueAt: at(10 * time.Minute)}, "x waits for its time: it is due in 10m (TIME)."},
		{fsq.Explanation{Reason: fsq.ReasonRetry, DueAt: at(4 * time.Second), Attempts: 2, MaxAttempts: 4, LastOutcome: "failed", Error: "exit status 1", LastLine: "no\x1b[2J"},
			`x waits for attempt 3 of 4, which is due in 4s (TIME). Attempt 2 failed: exit status 1; the last line on its stderr was "no\x1b[2J".`},
		{fsq.Explanation{Reason: fsq.ReasonRetry, DueAt: at(4 * time.Second), Attempts: 1, MaxAttempts: 4},
			"x waits for attempt 2 of 4, which is due in 4s (TIME). Attempt 1 failed: there is no record of why."},
		{fsq.Explanation{Reason: fsq.ReasonSnoozed, DueAt: at(4 * time.Second), Snoozed: 2, SnoozeMax: 100, Error: "exit status 75"},
			"x asked for a later try, which is due in 4s (TIME): exit status 75. That costs no retry; it has asked twice, of 100 times at most."},
		{fsq.Explanation{Reason: fsq.ReasonPaused, DueAt: at(-time.Minute), Paused: &fsq.Pause{Reason: "disk\x07", By: "ann", At: *at(-time.Hour)}, Workers: 1},
			`x has been due for 1m, but the queue was paused by ann 1h ago: disk\x07. queuectl resume ends that.`},
		{fsq.Explanation{Reason: fsq.ReasonPaused, DueAt: at(0), Paused: &fsq.Pause{At: *at(-time.Hour)}, Ahead: 1},
			"x is due, but the queue was paused 1h ago. queuectl resume ends that. Besides, no worker is running; queuectl worker start starts one. 1 job comes before it by earlier turn."},
		{fsq.Explanation{Reason: fsq.ReasonNoWorker, DueAt: at(0), Ahead: 12, AheadHigher: 12},
			"x is due, but no worker is running. queuectl worker start starts one. 12 jobs come before it by higher priority."},
		{fsq.Explanation{Reason: fsq.ReasonAllBusy, DueAt: at(0), Workers: 2, Slots: 8, Busy: 8, Ahead: 3, AheadHigher: 1, Attempts: 1, MaxAttempts: 4, LastOutcome: "lost", Error: "its worker died: killed"},
			"x is due, but all 8 slots of 2 workers are busy. 3 jobs come before it, 1 of them by higher priority. It has had 1 attempt of 4; attempt 1 was lost: its worker died: killed."},
		{fsq.Explanation{Reason: fsq.ReasonAllBusy, DueAt: at(0), Workers: 1, Slots: 1, Busy: 1},
			"x is due, but the only slot of the only worker is busy. It is the next one."},
		{fsq.Explanation{Reason: fsq.ReasonNext, DueAt: at(0), Workers: 1, Slots: 4, Busy: 1, Attempts: 1, MaxAttempts: 4, LastOutcome: "interrupted"},
			"x is due, and 3 of 4 slots are free. It is the next one. It has had 1 attempt of 4; attempt 1 was given back by its worker."},
		{fsq.Explanation{Reason: fsq.ReasonRunning, StartedAt: at(-3 * time.Second), TimeoutSeconds: &limit, Host: "web1", Worker: "web1.7.k", Attempts: 2, MaxAttempts: 4, Progress: &fsq.Progress{Percent: &percent, Text: "encoding"}},
			"x runs for 3s of at most 1m on host web1: attempt 2 of 4, by worker web1.7.k. It says that it is at 42% encoding. If it fails, it is tried again."},
		{fsq.Explanation{Reason: fsq.ReasonRunning, StartedAt: at(-3 * time.Second), Host: "web1", Worker: "w", Attempts: 4, MaxAttempts: 4},
			"x runs for 3s on host web1: attempt 4 of 4, by worker w. If it fails, it is dead: this is its last attempt."},
		{fsq.Explanation{Reason: fsq.ReasonOrphaned, Worker: "w", WorkerError: "no heartbeat for 7m"},
			"x was being run by worker w, which is dead (no heartbeat for 7m). No other is running; queuectl worker start starts one, which puts it back and runs it."},
		{fsq.Explanation{Reason: fsq.ReasonOrphaned, Worker: "w", WorkerError: "killed", Workers: 1},
			"x was being run by worker w, which is dead (killed). Another worker puts it back within seconds, and it runs again; that costs no retry."},
		{fsq.Explanation{Reason: fsq.ReasonDone, StartedAt: at(-5 * time.Second), EndedAt: at(-3 * time.Second), Attempts: 1, MaxAttempts: 4},
			"x is done: it succeeded 3s ago, at attempt 1 of 4, after it had run for 2s. queuectl logs x prints what it wrote."},
		{fsq.Explanation{Reason: fsq.ReasonExhausted, EndedAt: at(-3 * time.Second), Attempts: 4, MaxAttempts: 4, LastOutcome: "failed", Error: "exit status 1", LastLine: "no"},
			`x was given up 3s ago: attempt 4 of 4 failed: exit status 1; the last line on its stderr was "no". queuectl logs --stderr x has all that it wrote. queuectl retry x puts it back with all its retries.`},
		{fsq.Explanation{Reason: fsq.ReasonFatal, EndedAt: at(-3 * time.Second), Attempts: 1, MaxAttempts: 4, LastOutcome: "failed", Error: "exit status 100 (fatal: not tried again)"},
			"x was given up 3s ago: attempt 1 of 4 failed: exit status 100 (fatal: not tried again). queuectl retry x puts it back with all its retries."},
		{fsq.Explanation{Reason: fsq.ReasonLost, EndedAt: at(-3 * time.Second), Lost: 4},
			"x was given up 3s ago: it has lost its worker 4 times, and what kills its workers is not tried for ever. queuectl retry x puts it back with all its retries."},
		{fsq.Explanation{Reason: fsq.ReasonCancelled, EndedAt: at(-3 * time.Second)},
			"x was cancelled 3s ago. queuectl retry x puts it back with all its retries."},
		{fsq.Explanation{Reason: fsq.ReasonBuried, EndedAt: at(-3 * time.Second)},
			"x lies in dead/ because somebody has moved it there. queuectl retry x puts it back with all its retries."},
	} {
		test.x.ID = "x"
		have := explanation(test.x, "queuectl", now)
		for _, d := range []time.Duration{10 * time.Minute, 4 * time.Second} {
			have = strings.ReplaceAll(have, instant(now.Add(d)), "TIME")
		}
		if have != test.want {
			t.Errorf("%s:\nhave %s\nwant %s", test.x.Reason, have, test.want)
		}
	}
}

func TestArgument(t *testing.T) {
	for id, want := range map[string]string{"job-1.A_b": "job-1.A_b", "a b": "'a b'", "$(x)": "'$(x)'", "ünï": "'ünï'"} {
		if have := argument(id); have != want {
			t.Errorf("%q: have %s, want %s", id, have, want)
		}
	}
}
