package main

import (
	"strings"
	"sync"
)

// progress is a line at the bottom of a terminal that is written over again and again.
// Off a terminal it says nothing. It is safe for concurrent use.
type progress struct {
	o  *output
	mu sync.Mutex
	on bool
}

// show puts text in the place of what stood there.
func (p *progress) show(text string) {
	if !p.o.terminal() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = true
	// One column less than there are: some terminals wrap after the last one.
	p.o.printf("\r%s\x1b[K", shorten(clean(text), p.o.width-1))
}

// clear removes the line, so that something else can be said.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.on {
		p.on = false
		p.o.printf("\r\x1b[K")
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
