package fsq

// lookForEnd finds out whether a worker that is to drain its queue has done so. It looks
// once that nothing runs and dead workers' jobs have been given back: a scan, the dropped
// files that are ready, and then nothing may be due. What comes after the scan may be
// left: it is pending, for the next worker. A queue that is paused has nothing to do.
// One whose limit is reached has: it waits.
func (in *incarnation) lookForEnd() {
	if !in.w.opt.Drain || !isClosed(in.swept) || in.suspect() {
		return
	}
	at, idle := in.w.seat.pool.idleAt()
	if !idle {
		in.looked = false
		return
	}
	if !in.looked || in.lookedAt != at {
		in.looked, in.lookedAt = true, at
		in.scan()
		in.fill() // what it claims counts on, and the next look begins anew
	}
	if in.blind {
		return // the next scan is due within a poll
	}
	// In this order: a file is found before the adopter is quiet.
	if !in.adopter.isQuiet() || in.adopter.found.any() || in.ready.Due(in.q.s.Now()) && !in.shut() {
		return
	}
	in.w.seat.nothingDue(at)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
