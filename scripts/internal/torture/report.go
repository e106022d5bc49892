package main

import (
	"fmt"
	"time"
)

// shown is how many breaches are printed.
const shown = 30

// report prints the figures and the verdict.
func (t *trial) report(e evidence, breaches []string, late int) {
	var done, dead, attempts, lost, most int
	for _, s := range e.settled {
		switch s.State {
		case "done":
			done++
		case "dead":
			dead++
		}
		attempts += s.Attempts
		lost += s.Lost
		most = max(most, s.Attempts)
	}
	again := 0
	for _, w := range t.all {
		again += max(w.registrations()-1, 0)
	}
	p := func(name, format string, args ...any) {
		fmt.Fprintf(t.out, "  %-22s %s\n", name, fmt.Sprintf(format, args...))
	}
	p("jobs", "%d (%d dropped as files): %d done, %d dead", len(e.settled), t.count.dropped, done, dead)
	p("attempts", "%d, %d of them lost with their worker; at most %d for one job", attempts, lost, most)
	p("workers", "%d started, %d killed, %d suspended past the lease, %d for a shorter time", len(t.all), t.count.kills, t.count.long, t.count.short)
	p("registered anew", "%d times after a suspension", again)
	p("begun too late", "%d, by a worker that was suspended just before it started the job", late)
	p("mended by check", "%d registrations that a kill had cut short", t.count.mended)
	if len(t.hosts) > 0 {
		p("enqueues repeated", "%d, because of an error", t.asked)
		p("replies lost", "%d renames had been done although their program heard of an error", t.lostReplies())
		for _, f := range t.figures {
			p(f.name, "%s", f.value)
		}
	}
	p("jobs per second", "%.0f, over %v", float64(len(e.settled))/t.took.Seconds(), t.took.Round(time.Second/10))
	for i, b := range breaches {
		if i == shown {
			fmt.Fprintf(t.out, "  and %d more\n", len(breaches)-shown)
			break
		}
		fmt.Fprintf(t.out, "  BREACH %s\n", b)
	}
	if len(breaches) == 0 {
		fmt.Fprintln(t.out, "verdict: every job ran, each is in one of done and dead, none ran twice but for a reason, check is clean")
	} else {
		fmt.Fprintf(t.out, "verdict: %d breaches\n", len(breaches))
	}
}
