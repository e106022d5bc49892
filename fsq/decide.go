package fsq

import (
	"math"
	"strconv"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Outcome is how one attempt ended.
type Outcome string

// The outcomes, as names, records and messages spell them.
const (
	OutcomeDone        Outcome = "done"
	OutcomeFailed      Outcome = "failed"
	OutcomeTimeout     Outcome = "timeout"
	OutcomeLost        Outcome = "lost"        // its worker died
	OutcomeInterrupted Outcome = "interrupted" // its worker gave it back
	OutcomeCancelled   Outcome = "cancelled"
	OutcomeSnoozed     Outcome = "snoozed" // it asked to be tried later
	// OutcomeFatal is a failure after which no retry helps. Decide makes OutcomeFailed
	// of it, so no name and no record spells it.
	OutcomeFatal Outcome = "fatal"
)

// Policy is what decides about a job's next attempt: its own fields, and the
// settings for what it does not say.
type Policy struct {
	Allowance     int           // attempts of a fresh job: 1 and its retries
	BackoffBase   float64       // in seconds
	BackoffMax    time.Duration // the longest wait before a retry; 0: no wait
	BackoffJitter float64       // up to this fraction of the wait is added
	MaxLost       int           // more lost attempts than this are too many
	SnoozeMax     int           // more snoozed attempts than this count as failed
	SnoozeFor     time.Duration // the wait that a snoozed attempt asked for; 0 or less: the backoff
}

// Verdict is where a job goes after an attempt.
type Verdict int

// The verdicts.
const (
	VerdictDone    Verdict = iota // finished
	VerdictRetry                  // waits for its next attempt
	VerdictDead                   // given up, or cancelled
	VerdictRequeue                // goes back as it was: the attempt was not its fault
	VerdictSnooze                 // waits as it was: the attempt asked for it
)

func (v Verdict) String() string {
	switch v {
	case VerdictDone:
		return "done"
	case VerdictRetry:
		return "retry"
	case VerdictDead:
		return "dead"
	case VerdictRequeue:
		return "requeue"
	case VerdictSnooze:
		return "snooze"
	default:
		return "verdict " + strconv.Itoa(int(v))
	}
}

// Decision is what the job's next name says.
type Decision struct {
	Verdict Verdict
	Due     time.Time // of the next attempt, or when it was settled; UTC, whole milliseconds
	Allowed int       // attempts that may be begun, ever
	Lost    int       // attempts whose worker died, ever
	Snoozed int       // attempts that asked to be tried later
	Outcome Outcome   // as what the attempt counts
}

// Decide says what becomes of a job whose attempt ended with o at now. n is the
// claim's name, so n.Attempt counts that attempt. rnd is a random number of
// [0, 1) for the jitter. An outcome that it does not know counts as failed.
//
// Losses, interruptions and snoozes raise the allowance with the attempt, so they
// cost a job none of its retries. Lost workers and snoozes have limits of their own:
// a job that kills its workers must not do so for ever, and one that waits for what
// never comes must end up where somebody sees it.
func Decide(n spool.Name, o Outcome, p Policy, now time.Time, rnd float64) Decision {
	d := Decision{Verdict: VerdictDead, Due: spool.Truncate(now), Allowed: n.Allowed, Lost: n.Lost, Snoozed: n.Snoozed, Outcome: o}
	if o == OutcomeLost {
		d.Lost = min(d.Lost+1, spool.MaxAttempt)
	}
	if o == OutcomeFatal || o == OutcomeSnoozed && (n.Snoozed >= p.SnoozeMax || n.Attempt >= spool.MaxAttempt) {
		d.Outcome = OutcomeFailed
	}
	switch {
	case o == OutcomeDone:
		d.Verdict = VerdictDone
	case o == OutcomeCancelled, o == OutcomeFatal:
	// A name has no room for a higher number, and numbers never go back.
	case n.Attempt >= spool.MaxAttempt:
	case o == OutcomeLost && d.Lost > p.MaxLost:
	case o == OutcomeLost, o == OutcomeInterrupted:
		d.Verdict = VerdictRequeue
		d.Allowed = min(d.Allowed+1, spool.MaxAttempt)
	case d.Outcome == OutcomeSnoozed:
		d.Verdict = VerdictSnooze
		d.Allowed = min(d.Allowed+1, spool.MaxAttempt)
		d.Snoozed = min(d.Snoozed+1, spool.MaxAttempt)
		wait := p.SnoozeFor
		if wait <= 0 {
			wait = Backoff(p.BackoffBase, d.Snoozed, p.BackoffMax, p.BackoffJitter, rnd)
		}
		d.Due = spool.Truncate(now.Add(spool.Millis(wait)))
	case n.Attempt < n.Allowed:
		d.Verdict = VerdictRetry
		wait := Backoff(p.BackoffBase, failures(n, p), p.BackoffMax, p.BackoffJitter, rnd)
		d.Due = spool.Truncate(now.Add(wait))
	}
	return d
}

// failures counts the attempts that failed by themselves, this one included.
// Allowed - Attempt is what is left of the allowance. It is 1 again after a dead
// letter got a fresh allowance.
func failures(n spool.Name, p Policy) int {
	spent := p.Allowance - (n.Allowed - n.Attempt)
	return max(min(spent, n.Attempt), 1)
}

// Backoff is the wait before a retry: base to the power of failures in seconds,
// at most limit, and up to the fraction jitter of that added by rnd of [0, 1),
// again at most limit. It is never negative. A base that is not a positive number
// gives limit, so that a mistake does not make a busy loop.
func Backoff(base float64, failures int, limit time.Duration, jitter, rnd float64) time.Duration {
	if limit <= 0 {
		return 0
	}
	wait := limit
	if nanos := math.Pow(base, float64(failures)) * float64(time.Second); base > 0 && nanos < float64(limit) {
		wait = time.Duration(nanos)
	}
	extra := float64(wait) * jitter * rnd
	switch {
	case !(extra > 0):
		return wait
	case extra >= float64(limit-wait):
		return limit
	default:
		return wait + time.Duration(extra)
	}
}
