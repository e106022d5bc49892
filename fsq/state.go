package fsq

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// State is what a person asks about: the four directories, with the jobs of pending/
// that are not due or held told apart, and those of dead/ that somebody cancelled.
type State string

// The states. A job that waits for its time is scheduled before its first attempt
// and retrying after it.
const (
	Pending    State = "pending"
	Scheduled  State = "scheduled"
	Retrying   State = "retrying"
	Held       State = "held" // until somebody releases it, or its array has a turn for it
	Processing State = "processing"
	Done       State = "done"
	Dead       State = "dead"
	Cancelled  State = "cancelled"
)

// States are all, in the order of a job's life.
func States() []State {
	return []State{Pending, Scheduled, Retrying, Held, Processing, Done, Dead, Cancelled}
}

// synonyms are what other queues call them.
var synonyms = map[string][]State{
	"completed": {Done}, "complete": {Done}, "finished": {Done}, "success": {Done}, "succeeded": {Done},
	"failed": {Dead, Retrying}, "running": {Processing}, "active": {Processing}, "queued": {Pending}, "waiting": {Pending, Scheduled, Retrying, Held},
	"canceled": {Cancelled}, "aborted": {Cancelled}, "stashed": {Held}, "hold": {Held}, "delayed": {Scheduled}, "retry": {Retrying}, "discarded": {Dead}, "all": States(),
}

// UnknownStateError names a state that there is not, and the nearest that there is.
type UnknownStateError struct{ State, Nearest string }

func (e *UnknownStateError) Error() string {
	return fmt.Sprintf("no such state: %s (there are %s)", quote(e.State), stateNames())
}

func stateNames() string {
	var names []string
	for _, s := range States() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// ParseState reads a state, or what another queue calls it: completed is done, failed
// is dead or retrying. Several can be given with commas. The error is an
// *UnknownStateError.
func ParseState(s string) (states []State, err error) {
	for word := range strings.SplitSeq(s, ",") {
		word = strings.ToLower(strings.TrimSpace(word))
		switch {
		case slices.Contains(States(), State(word)):
			states = append(states, State(word))
		case synonyms[word] != nil:
			states = append(states, synonyms[word]...)
		default:
			known := strings.Split(stateNames(), ", ")
			for w := range synonyms {
				known = append(known, w)
			}
			slices.Sort(known)
			return nil, &UnknownStateError{State: word, Nearest: Nearest(word, known)}
		}
	}
	return states, nil
}

// stateOf tells the state of a job from its name and directory.
func stateOf(e spool.Entry, now time.Time) State {
	switch {
	case e.State == spool.Dead && e.Outcome == string(OutcomeCancelled):
		return Cancelled
	case e.State != spool.Pending:
		return State(e.State)
	case e.Held, e.Queued:
		return Held
	case !e.Due.After(now):
		return Pending
	case e.Attempt > 0:
		return Retrying
	default:
		return Scheduled
	}
}

// directories are those that hold jobs of the given states.
func directories(states []State) (dirs []spool.State) {
	for _, d := range []spool.State{spool.Processing, spool.Pending, spool.Dead, spool.Done} {
		if slices.ContainsFunc(states, func(s State) bool {
			return s == State(d) || d == spool.Pending && (s == Scheduled || s == Retrying || s == Held) || d == spool.Dead && s == Cancelled
		}) {
			dirs = append(dirs, d)
		}
	}
	return dirs
}
