package fsq

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestSnoozeCostsNoRetry: exit status 75 means later, as often as the setting allows;
// then the attempts count.
func TestSnoozeCostsNoRetry(t *testing.T) {
	cfg := testConfig()
	cfg.SnoozeMax = 3
	q := openQueue(t, cfg)
	enqueue(t, q, `{"id":"later","command":"[ $QUEUECTL_ATTEMPT -gt 3 ] || exit 75","max_retries":0}`)
	enqueue(t, q, `{"id":"never","command":"exit 75","max_retries":1}`)
	w := startWorker(t, q, WorkerOptions{})
	snoozed := w.awaitJob(EventSnoozed, "later")
	if snoozed.Outcome != "snoozed" || snoozed.Error != "exit status 75" || snoozed.Due == nil || snoozed.Attempt != 1 || snoozed.MaxAttempts != 1 {
		t.Errorf("event of a snooze: %+v", snoozed)
	}
	w.awaitJob(EventDone, "later")
	dead := w.awaitJob(EventDead, "never")
	if dead.Outcome != "failed" || dead.Attempt != 5 || dead.Error != "exit status 75 (snoozed more often than the 3 times allowed)" {
		t.Errorf("event of the dead job: %+v", dead)
	}
	w.drain()

	later := get(t, q, "later")
	if later.State != Done || later.Attempts != 4 || later.MaxAttempts != 4 || later.Snoozed != 3 || later.LastOutcome != "done" {
		t.Errorf("later: %+v", later)
	}
	if r := later.Records[0]; r.Outcome != "snoozed" || r.Next != "snooze" || r.NextDue == nil || *r.ExitCode != 75 {
		t.Errorf("record of a snooze: %+v", r)
	}
	never := get(t, q, "never")
	if never.State != Dead || never.Outcome != "failed" || never.Snoozed != 3 || len(never.Records) != 5 || never.Records[3].Next != "retry" {
		t.Errorf("never: %+v", never)
	}
	s, err := q.Stats(context.Background())
	if err != nil || s.SnoozedAttempts != 6 || s.FailedAttempts != 2 {
		t.Errorf("stats: %+v, %v", s, err)
	}
	sound(t, q)
}

// TestFatalIsDeadAtOnce: exit status 100 ends a job whatever it has left.
func TestFatalIsDeadAtOnce(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"x","command":"exit 100"}`)
	w := startWorker(t, q, WorkerOptions{})
	dead := w.awaitJob(EventDead, "x")
	if dead.Outcome != "failed" || !dead.Fatal || dead.Attempt != 1 || dead.Error != "exit status 100 (fatal: not tried again)" {
		t.Errorf("event: %+v", dead)
	}
	w.drain()
	x := get(t, q, "x")
	if x.Outcome != "failed" || x.Attempts != 1 || x.MaxAttempts != 4 || !x.Records[0].Fatal || x.Records[0].Next != "dead" {
		t.Errorf("%+v", x)
	}
	sound(t, q)
}

// TestOutcomeOf: what counts before what.
func TestOutcomeOf(t *testing.T) {
	codes := exitMeaning{snooze: Codes(75, 9), fatal: Codes(100, 127, 9)}
	exit := func(code int) error { return &ExitError{Code: code} }
	for name, tc := range map[string]struct {
		err, cause error
		want       Outcome
	}{
		"done":                      {nil, nil, OutcomeDone},
		"done just then":            {nil, ErrInterrupted, OutcomeDone},
		"failed":                    {exit(1), nil, OutcomeFailed},
		"exit status 0 after all":   {fmt.Errorf("x: %w", exit(0)), nil, OutcomeFailed},
		"snoozed":                   {exit(75), nil, OutcomeSnoozed},
		"fatal":                     {exit(100), nil, OutcomeFatal},
		"both":                      {exit(9), nil, OutcomeFatal},
		"no such program, as asked": {&StartError{Code: 127, Err: errors.New("no")}, nil, OutcomeFatal},
		"cannot be run":             {&StartError{Code: 126, Err: errors.New("no")}, nil, OutcomeFailed},
		"a signal":                  {&ExitError{Code: -1, Signal: "SIGKILL"}, nil, OutcomeFailed},
		"snoozed by error":          {fmt.Errorf("away: %w", Snooze(time.Second)), nil, OutcomeSnoozed},
		"fatal by error":            {fmt.Errorf("x: %w", Fatal(errors.New("y"))), nil, OutcomeFatal},
		"a fatal snooze":            {Fatal(Snooze(0)), nil, OutcomeFatal},
		"75 when interrupted":       {fmt.Errorf("%w: %w", ErrInterrupted, exit(75)), ErrInterrupted, OutcomeInterrupted},
		"100 when lost":             {fmt.Errorf("%w: %w", ErrLost, exit(100)), ErrLost, OutcomeLost},
		"75 at the time-out":        {&timeoutError{after: 1, err: exit(75)}, nil, OutcomeTimeout},
	} {
		if got := outcomeOf(tc.err, tc.cause, codes); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
	if Fatal(nil) != nil {
		t.Error("Fatal(nil) is an error")
	}
}

// TestCodesOfTheJob: what a job says of its exit statuses counts before the settings,
// an empty list too.
func TestCodesOfTheJob(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"seven","command":"exit 7","fatal_codes":[7]}`)
	enqueue(t, q, `{"id":"hundred","command":"exit 100","fatal_codes":[],"max_retries":1}`)
	enqueue(t, q, `{"id":"eight","command":"exit 8","snooze_codes":[8],"snooze_max":2,"max_retries":0}`)
	w := startWorker(t, q, WorkerOptions{})
	for id, want := range map[string]int{"seven": 1, "hundred": 2, "eight": 3} {
		if dead := w.awaitJob(EventDead, id); dead.Attempt != want {
			t.Errorf("%s is dead after %d attempts, want %d: %+v", id, dead.Attempt, want, dead)
		}
	}
	w.drain()
	sound(t, q)
}

// TestSnoozeOfAHandler: the wait that it asks for is the one that it gets.
func TestSnoozeOfAHandler(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"x","command":"x"}`)
	w := startWorker(t, q, WorkerOptions{Handler: HandlerFunc(func(context.Context, *Run) error {
		return fmt.Errorf("no licence is free: %w", Snooze(30*time.Minute))
	})})
	e := w.awaitJob(EventSnoozed, "x")
	w.drain()
	if wait := e.Due.Sub(e.Time); wait < 29*time.Minute || wait > 30*time.Minute {
		t.Errorf("the next attempt is %v away", wait)
	}
	x := get(t, q, "x")
	if x.State != Retrying || x.Error != "no licence is free: snoozed for 30m" || x.LastOutcome != "snoozed" || x.MaxAttempts != 5 {
		t.Errorf("%+v", x)
	}
	sound(t, q)
}
