package spool

import (
	"sync"
	"time"
)

// gate lets one goroutine in at a time, in the order in which they come. It is a mutex
// for which one does not wait for ever: who is in may hang in a system call on a file
// server that is away. The zero value is open.
type gate struct {
	once sync.Once
	in   chan struct{}
}

func (g *gate) enter(patience time.Duration) bool {
	g.once.Do(func() { g.in = make(chan struct{}, 1) })
	select {
	case g.in <- struct{}{}:
		return true
	default:
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case g.in <- struct{}{}:
		return true
	case <-t.C:
		return false
	}
}

func (g *gate) leave() { <-g.in }
