package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// progress is a line on a terminal that says how far something has come. It appears
// after a second: what is over by then needs none.
type progress struct {
	out   *output
	now   func() time.Time
	begun time.Time
	drawn time.Time
	shown bool
}

func newProgress(out *output, now func() time.Time) *progress {
	return &progress{out: out, now: now, begun: now()}
}

const (
	progressDelay = time.Second
	progressPause = 100 * time.Millisecond // what is read changes no faster
)

// draw shows that n are done, and which share of all that is; a negative one is unknown.
func (p *progress) draw(n int, share float64) {
	now := p.now()
	took := now.Sub(p.begun)
	if !p.out.terminal() || os.Getenv("TERM") == "dumb" || took < progressDelay || now.Sub(p.drawn) < progressPause {
		return
	}
	p.drawn, p.shown = now, true
	p.out.printf("\r%s\x1b[K", progressLine(n, share, took, p.out.width))
}

// clear takes the line away: it is no part of what remains on the terminal.
func (p *progress) clear() {
	if p.shown {
		p.shown, p.drawn = false, time.Time{}
		p.out.printf("\r\x1b[K")
	}
}

// progressLine fits a terminal of that width.
func progressLine(n int, share float64, took time.Duration, width int) string {
	text := fmt.Sprintf("%s, %.0f/s", plural(n, "job"), float64(n)/took.Seconds())
	if share >= 0 {
		text = fmt.Sprintf("%3.0f%%  %s", 100*share, text)
		if share > 0 && share < 1 {
			left := time.Duration(float64(took) * (1 - share) / share)
			text += ", " + span(left.Round(time.Second)) + " left"
		}
		// A bar that is shorter says nothing; the last column is left free, because some
		// terminals wrap there.
		if bar := min(width-len(text)-4, 40); bar >= 10 {
			full := int(share * float64(bar))
			text = "[" + strings.Repeat("#", full) + strings.Repeat("-", bar-full) + "] " + text
		}
	}
	return shorten(text, max(width-1, 1))
}
