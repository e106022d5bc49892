package fsq

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/queuectl/queuectl/spool"
)

func TestDecide(t *testing.T) {
	policy := Policy{Allowance: 4, BackoffBase: 2, BackoffMax: time.Hour, MaxLost: 2, SnoozeMax: 3}
	now := spool.Truncate(testNow)
	after := now.Add
	for name, tc := range map[string]struct {
		name    spool.Name
		outcome Outcome
		want    Decision
	}{
		"done":                       {spool.Name{Attempt: 1, Allowed: 4}, OutcomeDone, Decision{Verdict: VerdictDone, Due: now, Allowed: 4}},
		"done at the last attempt":   {spool.Name{Attempt: 4, Allowed: 4, Lost: 1}, OutcomeDone, Decision{Verdict: VerdictDone, Due: now, Allowed: 4, Lost: 1}},
		"failed":                     {spool.Name{Attempt: 1, Allowed: 4}, OutcomeFailed, Decision{Verdict: VerdictRetry, Due: after(2 * time.Second), Allowed: 4}},
		"failed again":               {spool.Name{Attempt: 3, Allowed: 4}, OutcomeFailed, Decision{Verdict: VerdictRetry, Due: after(8 * time.Second), Allowed: 4}},
		"failed for good":            {spool.Name{Attempt: 4, Allowed: 4}, OutcomeFailed, Decision{Verdict: VerdictDead, Due: now, Allowed: 4}},
		"timed out":                  {spool.Name{Attempt: 2, Allowed: 4}, OutcomeTimeout, Decision{Verdict: VerdictRetry, Due: after(4 * time.Second), Allowed: 4}},
		"timed out for good":         {spool.Name{Attempt: 4, Allowed: 4}, OutcomeTimeout, Decision{Verdict: VerdictDead, Due: now, Allowed: 4}},
		"failed after two losses":    {spool.Name{Attempt: 3, Allowed: 6, Lost: 2}, OutcomeFailed, Decision{Verdict: VerdictRetry, Due: after(2 * time.Second), Allowed: 6, Lost: 2}},
		"failed after a DLQ retry":   {spool.Name{Attempt: 5, Allowed: 8}, OutcomeFailed, Decision{Verdict: VerdictRetry, Due: after(2 * time.Second), Allowed: 8}},
		"unknown outcome":            {spool.Name{Attempt: 1, Allowed: 4}, "odd", Decision{Verdict: VerdictRetry, Due: after(2 * time.Second), Allowed: 4}},
		"interrupted":                {spool.Name{Attempt: 4, Allowed: 4}, OutcomeInterrupted, Decision{Verdict: VerdictRequeue, Due: now, Allowed: 5}},
		"lost":                       {spool.Name{Attempt: 4, Allowed: 4, Lost: 1}, OutcomeLost, Decision{Verdict: VerdictRequeue, Due: now, Allowed: 5, Lost: 2}},
		"lost once too often":        {spool.Name{Attempt: 2, Allowed: 6, Lost: 2}, OutcomeLost, Decision{Verdict: VerdictDead, Due: now, Allowed: 6, Lost: 3}},
		"cancelled":                  {spool.Name{Attempt: 1, Allowed: 4}, OutcomeCancelled, Decision{Verdict: VerdictDead, Due: now, Allowed: 4}},
		"failed, numbers are out":    {spool.Name{Attempt: spool.MaxAttempt, Allowed: spool.MaxAttempt}, OutcomeInterrupted, Decision{Verdict: VerdictDead, Due: now, Allowed: spool.MaxAttempt}},
		"allowance cannot go up":     {spool.Name{Attempt: 1, Allowed: spool.MaxAttempt}, OutcomeLost, Decision{Verdict: VerdictRequeue, Due: now, Allowed: spool.MaxAttempt, Lost: 1}},
		"done at the last number":    {spool.Name{Attempt: spool.MaxAttempt, Allowed: spool.MaxAttempt}, OutcomeDone, Decision{Verdict: VerdictDone, Due: now, Allowed: spool.MaxAttempt}},
		"settings lowered meanwhile": {spool.Name{Attempt: 2, Allowed: 9}, OutcomeFailed, Decision{Verdict: VerdictRetry, Due: after(2 * time.Second), Allowed: 9}},
		"fatal":                      {spool.Name{Attempt: 1, Allowed: 4}, OutcomeFatal, Decision{Verdict: VerdictDead, Due: now, Allowed: 4, Outcome: OutcomeFailed}},
		"snoozed":                    {spool.Name{Attempt: 1, Allowed: 4}, OutcomeSnoozed, Decision{Verdict: VerdictSnooze, Due: after(2 * time.Second), Allowed: 5, Snoozed: 1}},
		"snoozed at the last retry":  {spool.Name{Attempt: 4, Allowed: 4}, OutcomeSnoozed, Decision{Verdict: VerdictSnooze, Due: after(2 * time.Second), Allowed: 5, Snoozed: 1}},
		"snoozed a third time":       {spool.Name{Attempt: 3, Allowed: 6, Snoozed: 2}, OutcomeSnoozed, Decision{Verdict: VerdictSnooze, Due: after(8 * time.Second), Allowed: 7, Snoozed: 3}},
		"snoozed once too often":     {spool.Name{Attempt: 4, Allowed: 7, Snoozed: 3}, OutcomeSnoozed, Decision{Verdict: VerdictRetry, Due: after(2 * time.Second), Allowed: 7, Snoozed: 3, Outcome: OutcomeFailed}},
		"snoozed, no retry is left":  {spool.Name{Attempt: 7, Allowed: 7, Snoozed: 3}, OutcomeSnoozed, Decision{Verdict: VerdictDead, Due: now, Allowed: 7, Snoozed: 3, Outcome: OutcomeFailed}},
		"snoozed, numbers are out":   {spool.Name{Attempt: spool.MaxAttempt, Allowed: spool.MaxAttempt}, OutcomeSnoozed, Decision{Verdict: VerdictDead, Due: now, Allowed: spool.MaxAttempt, Outcome: OutcomeFailed}},
		"failed after two snoozes":   {spool.Name{Attempt: 3, Allowed: 6, Snoozed: 2}, OutcomeFailed, Decision{Verdict: VerdictRetry, Due: after(2 * time.Second), Allowed: 6, Snoozed: 2}},
		"interrupted when snoozed":   {spool.Name{Attempt: 2, Allowed: 5, Snoozed: 1}, OutcomeInterrupted, Decision{Verdict: VerdictRequeue, Due: now, Allowed: 6, Snoozed: 1}},
	} {
		if tc.want.Outcome == "" {
			tc.want.Outcome = tc.outcome
		}
		t.Run(name, func(t *testing.T) {
			if got := Decide(tc.name, tc.outcome, policy, testNow, 0.5); got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// A wait that was asked for takes the place of the backoff, whatever its length.
func TestDecideSnoozeFor(t *testing.T) {
	n := spool.Name{Attempt: 1, Allowed: 4, Snoozed: 2}
	for wait, want := range map[time.Duration]time.Duration{
		-time.Second: 8 * time.Second, 0: 8 * time.Second, time.Millisecond: time.Millisecond, 48 * time.Hour: 48 * time.Hour,
		math.MaxInt64: spool.Millis(math.MaxInt64),
	} {
		p := Policy{Allowance: 4, BackoffBase: 2, BackoffMax: time.Hour, SnoozeMax: 3, SnoozeFor: wait}
		d := Decide(n, OutcomeSnoozed, p, testNow, 0)
		if got := d.Due.Sub(spool.Truncate(testNow)); d.Verdict != VerdictSnooze || got != want {
			t.Errorf("%v: verdict %v after %v, want %v", wait, d.Verdict, got, want)
		}
		n.Due, n.ID = d.Due, "x"
		if again, err := spool.ParseName(n.String()); err != nil || again != n {
			t.Errorf("%v does not fit a name: %v, %v", n, again, err)
		}
	}
}

// TestDecideEndsEveryJob plays jobs to their end with drawn outcomes.
func TestDecideEndsEveryJob(t *testing.T) {
	outcomes := rapid.SampledFrom([]Outcome{OutcomeFailed, OutcomeTimeout, OutcomeLost, OutcomeInterrupted, OutcomeSnoozed, OutcomeFatal})
	rapid.Check(t, func(t *rapid.T) {
		retries := rapid.IntRange(0, 5).Draw(t, "max_retries")
		p := Policy{Allowance: 1 + retries, BackoffBase: 2, BackoffMax: time.Minute, BackoffJitter: 0.1, MaxLost: rapid.IntRange(0, 3).Draw(t, "max lost"), SnoozeMax: rapid.IntRange(0, 3).Draw(t, "snooze max")}
		n := spool.Name{Due: spool.Truncate(testNow), Allowed: p.Allowance, ID: "x"}
		failed, lost, interrupted, snoozed := 0, 0, 0, 0
		now := testNow
		for {
			n.Attempt++
			o := outcomes.Draw(t, "outcome")
			d := Decide(n, o, p, now, rapid.Float64Range(0, 0.999).Draw(t, "rnd"))
			wait := d.Due.Sub(spool.Truncate(now))
			switch o {
			case OutcomeLost:
				lost++
			case OutcomeInterrupted:
				interrupted++
			case OutcomeFatal:
				if d.Verdict != VerdictDead || d.Outcome != OutcomeFailed {
					t.Fatalf("fatal gives the verdict %v, outcome %s", d.Verdict, d.Outcome)
				}
				return
			case OutcomeSnoozed:
				if snoozed < p.SnoozeMax {
					snoozed++
				} else if failed++; d.Outcome != OutcomeFailed {
					t.Fatalf("snooze %d of %d counts as %s", snoozed+1, p.SnoozeMax, d.Outcome)
				}
			default:
				failed++
			}
			if d.Lost != lost || d.Snoozed != snoozed {
				t.Fatalf("%d losses and %d snoozes counted, there were %d and %d", d.Lost, d.Snoozed, lost, snoozed)
			}
			switch d.Verdict {
			case VerdictDead:
				if failed != p.Allowance && lost != p.MaxLost+1 {
					t.Fatalf("dead after %d failures of %d and %d losses of %d", failed, p.Allowance, lost, p.MaxLost)
				}
				return
			case VerdictRetry:
				want := Backoff(p.BackoffBase, failed, p.BackoffMax, 0, 0)
				if failed > retries || wait < want-time.Millisecond || wait > p.BackoffMax+time.Millisecond {
					t.Fatalf("failure %d of %d waits %v, want at least %v", failed, p.Allowance, wait, want)
				}
			case VerdictRequeue:
				if wait != 0 || d.Allowed != n.Allowed+1 || failed > retries || lost > p.MaxLost {
					t.Fatalf("%s waits %v, allowed %d after %d", o, wait, d.Allowed, n.Allowed)
				}
			case VerdictSnooze:
				want := Backoff(p.BackoffBase, snoozed, p.BackoffMax, 0, 0)
				if wait < want-time.Millisecond || wait > p.BackoffMax+time.Millisecond || d.Allowed != n.Allowed+1 || failed > retries {
					t.Fatalf("snooze %d of %d waits %v, want at least %v; allowed %d after %d", snoozed, p.SnoozeMax, wait, want, d.Allowed, n.Allowed)
				}
			default:
				t.Fatalf("%s gives the verdict %v", o, d.Verdict)
			}
			if d.Allowed != p.Allowance+lost+interrupted+snoozed {
				t.Fatalf("%d allowed after %d losses, %d interruptions and %d snoozes", d.Allowed, lost, interrupted, snoozed)
			}
			n.Due, n.Allowed, n.Lost, n.Snoozed, now = d.Due, d.Allowed, d.Lost, d.Snoozed, d.Due
			if again, err := spool.ParseName(n.String()); err != nil || again != n {
				t.Fatalf("%v does not fit a name: %v, %v", n, again, err)
			}
		}
	})
}

func TestBackoff(t *testing.T) {
	for name, tc := range map[string]struct {
		base        float64
		failures    int
		limit       time.Duration
		jitter, rnd float64
		want        time.Duration
	}{
		"first":               {2, 1, time.Hour, 0, 0, 2 * time.Second},
		"fifth":               {2, 5, time.Hour, 0, 0, 32 * time.Second},
		"capped":              {2, 50, time.Hour, 0, 0, time.Hour},
		"overflow":            {10, math.MaxInt, math.MaxInt64, 1, 0.9, math.MaxInt64},
		"fraction":            {0.5, 2, time.Hour, 0, 0, 250 * time.Millisecond},
		"base 1":              {1, 1000, time.Hour, 0, 0, time.Second},
		"jitter":              {2, 1, time.Hour, 0.1, 0.5, 2100 * time.Millisecond},
		"jitter is capped":    {2, 1, 2 * time.Second, 0.1, 0.5, 2 * time.Second},
		"negative jitter":     {2, 1, time.Hour, -1, 0.5, 2 * time.Second},
		"jitter is no number": {2, 1, time.Hour, math.NaN(), 0.5, 2 * time.Second},
		"infinite jitter":     {2, 1, time.Hour, math.Inf(1), 0.5, time.Hour},
		"no wait":             {2, 3, 0, 0.1, 0.5, 0},
		"negative limit":      {2, 3, -1, 0.1, 0.5, 0},
		"negative base":       {-2, 3, time.Hour, 0, 0, time.Hour},
		"base 0":              {0, 3, time.Hour, 0, 0, time.Hour},
		"base is no number":   {math.NaN(), 3, time.Hour, 0, 0, time.Hour},
		"infinite base":       {math.Inf(1), 3, time.Hour, 0, 0, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Backoff(tc.base, tc.failures, tc.limit, tc.jitter, tc.rnd); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestBackoffStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base, jitter := rapid.Float64().Draw(t, "base"), rapid.Float64().Draw(t, "jitter")
		failures := rapid.Int().Draw(t, "failures")
		limit := time.Duration(rapid.Int64().Draw(t, "limit"))
		got := Backoff(base, failures, limit, jitter, rapid.Float64Range(0, 0.999).Draw(t, "rnd"))
		if got < 0 || got > max(limit, 0) {
			t.Fatalf("%v is not from 0 to %v", got, limit)
		}
	})
}

func TestVerdictString(t *testing.T) {
	for v, want := range map[Verdict]string{
		VerdictDone: "done", VerdictRetry: "retry", VerdictDead: "dead", VerdictRequeue: "requeue", VerdictSnooze: "snooze", 9: "verdict 9",
	} {
		if got := v.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
