package main

import (
	"strings"
	"sync"
)

// statusLine is a line at the bottom of a terminal that is written over again and again.
// Off a terminal it says nothing. It is safe for concurrent use.
type statusLine struct {
	o  *output
	mu sync.Mutex
	on bool
}

// show puts text in the place of what stood there.
func (l *statusLine) show(text string) {
	if !l.o.terminal() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on = true
	// One column less than there are: some terminals wrap after the last one.
	l.o.printf("\r%s\x1b[K", shorten(clean(text), l.o.width-1))
}

// clear removes the line, so that something else can be said.
func (l *statusLine) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.on {
		l.on = false
		l.o.printf("\r\x1b[K")
	}
}

// bar is a filled part of width cells, for a terminal.
func bar(part, whole, width int) string {
	if whole <= 0 {
		return strings.Repeat("·", width)
	}
	n := min(max(part*width/whole, 0), width)
	return strings.Repeat("█", n) + strings.Repeat("·", width-n)
}
