package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

func newExplain(a *app) *command {
	return &command{
		name:  "explain",
		args:  "ID",
		least: 1,
		most:  1,
		short: "Say why a job is where it is, and what comes next",
		long: `In one paragraph: what the job waits for, who has it, or how it ended, and what there
is to do about it. queuectl show has the details.`,
		also: []string{"why", "whence"},
		examples: []example{
			{"Why a job does not run", "queuectl explain job-1"},
			{"The reason in a word, for a script", "queuectl explain --json job-1 | jq -r .reason"},
		},
		exits:  []exitStatus{{exitNotFound, "no such job, or no spool"}},
		queues: someQueue,
		run:    func(ctx context.Context, args []string) error { return a.explain(ctx, args[0]) },
	}
}

func (a *app) explain(ctx context.Context, id string) error {
	q, err := a.findOne(ctx, id)
	if err != nil {
		return err
	}
	x, err := q.Explain(ctx, id)
	if err != nil {
		return err
	}
	if a.json {
		return a.out.json(x)
	}
	text := explanation(x, a.ctl(), a.now())
	if a.out.terminal() {
		text = wrap(text, min(a.out.width, widestText))
	}
	a.out.printf("%s\n", text)
	return nil
}

// widestText is how wide running text may be and still be read with ease.
const widestText = 100

// explanation puts the facts into sentences. All that comes from elsewhere is cleaned.
// The commands that it names begin with ctl.
func explanation(x fsq.Explanation, ctl string, now time.Time) string {
	s := sentences{ctl: ctl}
	id := clean(x.ID)
	switch x.Reason {
	case fsq.ReasonDropped:
		s.add("%s is a file in pending/ that no worker has taken in yet", id)
		if x.Error != "" {
			s.add("It is %s", clean(x.Error))
		}
		s.addIf(x.Workers == 0, "No worker is running; queuectl worker start starts one")
		s.addIf(x.Workers > 0, "A worker does so when nobody writes to it any more")
	case fsq.ReasonHeld:
		s.add("%s is held: it waits until queuectl release %s", id, argument(x.ID))
	case fsq.ReasonArray:
		s.add("%s waits for its array, of which only so many may run at a time: it gets its turn when another of them has ended", id)
	case fsq.ReasonScheduled:
		s.add("%s waits for its time: it is due %s", id, due(x, now))
	case fsq.ReasonRetry:
		s.add("%s waits for attempt %d of %d, which is due %s", id, x.Attempts+1, x.MaxAttempts, due(x, now))
		s.add("Attempt %d %s", x.Attempts, endedBy(x))
	case fsq.ReasonSnoozed:
		s.add("%s asked for a later try, which is due %s: %s", id, due(x, now), because(x))
		s.add("That costs no retry; it has asked %s, of %s at most", times(x.Snoozed), times(x.SnoozeMax))
	case fsq.ReasonPaused, fsq.ReasonNoWorker, fsq.ReasonLimit, fsq.ReasonAllBusy, fsq.ReasonNext:
		explainDue(&s, x, now)
	case fsq.ReasonRunning:
		explainRunning(&s, x, now)
	case fsq.ReasonOrphaned:
		s.add("%s was being run by worker %s, which is dead (%s)", id, clean(x.Worker), clean(x.WorkerError))
		s.addIf(x.Workers > 0, "Another worker puts it back within seconds, and it runs again; that costs no retry")
		s.addIf(x.Workers == 0, "No other is running; queuectl worker start starts one, which puts it back and runs it")
	case fsq.ReasonDone:
		s.add("%s is done: it succeeded %s, at attempt %d of %d%s", id, ago(x.EndedAt, now), x.Attempts, x.MaxAttempts, ran(x))
		s.add("queuectl logs %s prints what it wrote", argument(x.ID))
	default:
		explainDead(&s, x, now)
	}
	return s.String()
}

// explainDue is about a job that could run now.
func explainDue(s *sentences, x fsq.Explanation, now time.Time) {
	id := clean(x.ID)
	since := "is due"
	if x.DueAt != nil && now.Sub(*x.DueAt) >= time.Second {
		since = "has been due for " + span(now.Sub(*x.DueAt))
	}
	turn := "It is the next one"
	if x.Ahead > 0 {
		turn = fmt.Sprintf("%s before it", comes(x.Ahead))
		switch {
		case x.AheadHigher == x.Ahead:
			turn += " by higher priority"
		case x.AheadHigher > 0:
			turn += fmt.Sprintf(", %d of them by higher priority", x.AheadHigher)
		default:
			turn += " by earlier turn"
		}
	}
	switch x.Reason {
	case fsq.ReasonPaused:
		s.add("%s %s, but the queue was %s", id, since, clean(pausedLine(x.Paused, now)))
		s.add("queuectl resume ends that")
		s.addIf(x.Workers == 0, "Besides, no worker is running; queuectl worker start starts one")
		s.addIf(x.Ahead > 0, "%s", turn)
	case fsq.ReasonNoWorker:
		s.add("%s %s, but no worker is running", id, since)
		s.add("queuectl worker start starts one")
		s.add("%s", turn)
	case fsq.ReasonLimit:
		if *x.Limit == 0 {
			s.add("%s %s, but the limit of its queue cannot be read, and none of its jobs is started", id, since)
			s.add("queuectl queue limit %s N sets another, none takes it away", x.Queue)
		} else {
			s.add("%s %s, but %d of its queue's jobs run, and no more than %d may at the same time", id, since, x.Running, *x.Limit)
			s.add("queuectl queue limit %s sets another limit", x.Queue)
		}
		s.add("%s", turn)
	case fsq.ReasonAllBusy:
		s.add("%s %s, but %s busy", id, since, slotsOf(x))
		s.add("%s", turn)
	default:
		s.add("%s %s, and %d of %s free", id, since, x.Slots-x.Busy, areSlots(x.Slots))
		s.add("%s", turn)
	}
	s.addIf(x.Attempts > 0, "It has had %s of %d; attempt %d %s", plural(x.Attempts, "attempt"), x.MaxAttempts, x.Attempts, endedBy(x))
}

func explainRunning(s *sentences, x fsq.Explanation, now time.Time) {
	runs := "runs"
	if x.StartedAt != nil {
		runs += " for " + span(now.Sub(*x.StartedAt).Truncate(time.Second))
	}
	if x.TimeoutSeconds != nil {
		runs += " of at most " + span(seconds(*x.TimeoutSeconds))
	}
	s.add("%s %s on host %s: attempt %d of %d, by worker %s", clean(x.ID), runs, clean(x.Host), x.Attempts, x.MaxAttempts, clean(x.Worker))
	if x.Progress != nil {
		s.add("It says that it is at %s", clean(x.Progress.String()))
	}
	s.addIf(x.Attempts >= x.MaxAttempts, "If it fails, it is dead: this is its last attempt")
	s.addIf(x.Attempts < x.MaxAttempts, "If it fails, it is tried again")
}

func explainDead(s *sentences, x fsq.Explanation, now time.Time) {
	id := clean(x.ID)
	switch x.Reason {
	case fsq.ReasonCancelled:
		s.add("%s was cancelled %s%s", id, ago(x.EndedAt, now), ran(x))
	case fsq.ReasonBuried:
		s.add("%s lies in dead/ because somebody has moved it there", id)
	case fsq.ReasonLost:
		s.add("%s was given up %s: it has lost its worker %s, and what kills its workers is not tried for ever", id, ago(x.EndedAt, now), times(x.Lost))
	case fsq.ReasonFatal:
		s.add("%s was given up %s: attempt %d of %d %s", id, ago(x.EndedAt, now), x.Attempts, x.MaxAttempts, endedBy(x))
	default:
		s.add("%s was given up %s: attempt %d of %d %s", id, ago(x.EndedAt, now), x.Attempts, x.MaxAttempts, endedBy(x))
	}
	s.addIf(x.Attempts > 0 && x.LastLine != "", "queuectl logs --stderr %s has all that it wrote", argument(x.ID))
	s.add("queuectl retry %s puts it back with all its retries", argument(x.ID))
}

// sentences are collected with a full stop behind each.
type sentences struct {
	all []string
	ctl string // how queuectl is called for the queue that they are about
}

// add takes the name of queuectl in the format, never in what it is filled with, for a
// command to type.
func (s *sentences) add(format string, args ...any) {
	format = strings.ReplaceAll(format, "queuectl ", s.ctl+" ")
	text := strings.TrimRight(fmt.Sprintf(format, args...), ".")
	s.all = append(s.all, text+".")
}

func (s *sentences) addIf(holds bool, format string, args ...any) {
	if holds {
		s.add(format, args...)
	}
}

func (s *sentences) String() string { return strings.Join(s.all, " ") }

// due is when the next attempt comes.
func due(x fsq.Explanation, now time.Time) string {
	if x.DueAt == nil {
		return "soon"
	}
	return relative(*x.DueAt, now) + " (" + instant(*x.DueAt) + ")"
}

// argument is an id as it is typed: quoted only if a shell needs that.
func argument(id string) string {
	if strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == "" {
		return id
	}
	return clean(shellQuote(id))
}

func ago(t *time.Time, now time.Time) string {
	if t == nil {
		return "some time ago"
	}
	return relative(*t, now)
}

// ran is how long the last attempt took.
func ran(x fsq.Explanation) string {
	if x.StartedAt == nil || x.EndedAt == nil || x.Attempts == 0 {
		return ""
	}
	return ", after it had run for " + span(x.EndedAt.Sub(*x.StartedAt))
}

// because is the error of the last attempt, with its last line on stderr.
func because(x fsq.Explanation) string {
	why := clean(x.Error)
	if why == "" {
		why = "there is no record of why"
	}
	if x.LastLine != "" {
		why += `; the last line on its stderr was "` + shorten(clean(x.LastLine), lastLineWidth) + `"`
	}
	return why
}

// lastLineWidth is about two lines of a terminal.
const lastLineWidth = 160

// endedBy is how the last attempt ended, behind its number.
func endedBy(x fsq.Explanation) string {
	switch fsq.Outcome(x.LastOutcome) {
	case fsq.OutcomeLost:
		return "was lost: " + because(x)
	case fsq.OutcomeInterrupted:
		return "was given back by its worker"
	case fsq.OutcomeSnoozed:
		return "asked for a later try: " + because(x)
	}
	return "failed: " + because(x)
}

func comes(n int) string {
	if n == 1 {
		return "1 job comes"
	}
	return fmt.Sprintf("%d jobs come", n)
}

// slotsOf says of the slots that they are all taken.
func slotsOf(x fsq.Explanation) string {
	if x.Slots == 1 {
		return "the only slot of the only worker is"
	}
	return fmt.Sprintf("all %d slots of %s are", x.Slots, plural(x.Workers, "worker"))
}

func areSlots(n int) string {
	if n == 1 {
		return "1 slot is"
	}
	return fmt.Sprintf("%d slots are", n)
}
