package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// eventView shows what a worker does: a line on stderr for people, or a JSON
// object on a line of stdout. The worker calls it for one event at a time.
type eventView struct {
	*app
	stream output // stdout, with an error of its own: nobody reading is no failure of the worker
	many   bool   // of several queues
}

func (v *eventView) event(e fsq.Event) {
	if v.json {
		_ = v.stream.jsonLine(e)
		return
	}
	line := v.line(e)
	if v.many {
		line = v.err.paint(dim, clean(e.Queue)+":") + " " + line
	}
	v.err.printf("%s %s\n", v.err.paint(dim, e.Time.Local().Format(time.TimeOnly)), line)
}

func (v *eventView) line(e fsq.Event) string {
	if e.Uncertain {
		return v.told(e) + "; fsync failed, a power cut may undo that"
	}
	return v.told(e)
}

func (v *eventView) told(e fsq.Event) string {
	id, reason := clean(e.JobID), clean(e.Error)
	verb := func(s style, word string) string { return v.err.paint(s, fmt.Sprintf("%-7s", word)) + " " + id }
	attempt := fmt.Sprintf("attempt %d/%d", e.Attempt, e.MaxAttempts)
	ended := fmt.Sprintf("%s %s after %s", attempt, e.Outcome, span(e.Duration))
	next := "soon"
	if e.Due != nil {
		next = relative(*e.Due, v.now())
	}
	switch fsq.Outcome(e.Outcome) {
	case fsq.OutcomeFailed, fsq.OutcomeSnoozed:
		ended += ": " + reason
	case fsq.OutcomeTimeout:
		ended = attempt + " " + reason // it says how long it took
	}
	switch e.Kind {
	case fsq.EventReady:
		return fmt.Sprintf("worker %s takes jobs from %s, %s at a time; Ctrl-C ends it",
			clean(e.Worker), clean(fsq.QueueDir(v.spool, cmp.Or(e.Queue, fsq.DefaultQueue))), plural(e.Count, "job"))
	case fsq.EventStarted:
		return fmt.Sprintf("%s %s: %s", verb(cyan, "start"), attempt, shorten(clean(e.Command), commandWidth))
	case fsq.EventDone:
		return verb(green, "done") + " " + ended
	case fsq.EventRetry:
		return fmt.Sprintf("%s %s; next %s", verb(yellow, "retry"), ended, next)
	case fsq.EventSnoozed:
		return fmt.Sprintf("%s %s; next %s", verb(yellow, "snooze"), ended, next)
	case fsq.EventDead:
		if e.Fatal {
			return verb(red, "dead") + " " + ended
		}
		return verb(red, "dead") + " " + ended + "; no retries left"
	case fsq.EventCancelled:
		return verb(yellow, "cancel") + " " + cancelledText(e)
	case fsq.EventPaused:
		return "the queue is paused" + pausedEvent(e, v.now()) + "; no jobs are taken"
	case fsq.EventResumed:
		return "the queue is not paused any more"
	case fsq.EventRequeued:
		return verb(yellow, "requeue") + " " + ended + "; it is back in the queue"
	case fsq.EventLost:
		if e.Error != "" {
			return verb(yellow, "lost") + " " + attempt + ": " + reason
		}
		return verb(yellow, "lost") + " " + attempt + " is another worker's now"
	case fsq.EventAdopted:
		return verb(plain, "adopt") + " from the dropped file " + clean(e.Command)
	case fsq.EventRejected:
		return verb(red, "reject") + " " + reason
	case fsq.EventReaped:
		return fmt.Sprintf("worker %s is dead (%s); %s went back to the queue", clean(e.DeadWorker), reason, plural(e.Count, "job"))
	case fsq.EventDraining:
		if e.Count == 0 {
			return "stopping"
		}
		return fmt.Sprintf("stopping when %s ended; a second Ctrl-C or queuectl worker stop --now interrupts", haveEnded(e.Count))
	case fsq.EventStopped:
		return "stopped"
	case fsq.EventProblem:
		return v.err.paint(red, "problem") + " " + reason
	}
	return verb(plain, e.Kind) + " " + reason
}

func cancelledText(e fsq.Event) string {
	if e.PID == 0 {
		return "it did not run"
	}
	return fmt.Sprintf("attempt %d/%d cancelled after %s", e.Attempt, e.MaxAttempts, span(e.Duration))
}

func pausedEvent(e fsq.Event, now time.Time) (s string) {
	if e.Due != nil {
		s = untilText(*e.Due, now)
	}
	if e.Error != "" {
		s += ": " + clean(e.Error)
	}
	return s
}

// commandWidth keeps a start on one line of most terminals and of every log.
const commandWidth = 100

func haveEnded(n int) string {
	if n == 1 {
		return "the running job has"
	}
	return fmt.Sprintf("the %d running jobs have", n)
}
