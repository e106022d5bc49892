package fsq

import (
	"errors"
	"fmt"
	"time"
)

// snoozeError asks for another try at no cost.
type snoozeError struct{ after time.Duration }

func (e *snoozeError) Error() string {
	if e.after <= 0 {
		return "snoozed"
	}
	return "snoozed for " + FormatDuration(e.after)
}

// Snooze is the error by which a Handler says: not now, try again after d. That costs
// none of the job's retries; a job that has asked for it more often than the setting
// snooze-max allows has failed instead. With d of 0 or less the job waits as after a
// failure: the backoff, by the number of its snoozes. Wrap it to say why:
//
//	return fmt.Errorf("the mail server is away: %w", fsq.Snooze(time.Minute))
func Snooze(d time.Duration) error { return &snoozeError{after: d} }

// fatalError is a failure that no retry mends.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }

func (e *fatalError) Unwrap() error { return e.err }

// Fatal is the error by which a Handler says that retries are of no use: the job is
// dead at once, whatever retries it has left. Fatal(nil) is nil.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err: err}
}

// killedAsOrphan reports whether an attempt ended as one does that a reaper kills.
func killedAsOrphan(err error, o Outcome) bool {
	var exit *ExitError
	return o == OutcomeFailed && errors.As(err, &exit) && exit.Signal == "SIGKILL"
}

// reason is the text of an attempt's error as its record and its events have it, with
// what the outcome adds to it.
func reason(err error, counts, asked Outcome, p Policy) string {
	switch {
	case asked == OutcomeFatal:
		return err.Error() + " (fatal: not tried again)"
	case asked == OutcomeSnoozed && counts != OutcomeSnoozed:
		return fmt.Sprintf("%s (snoozed more often than the %d times allowed)", err.Error(), p.SnoozeMax)
	}
	return err.Error()
}
