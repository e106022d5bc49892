package fsq

import "time"

// calibrate has the spool's time asked of the file server, once: until then it is this
// host's, which may be minutes off. On a local file system it does nothing.
func (q *Queue) calibrate() error {
	if q.askTime != nil {
		return q.askTime()
	}
	return q.s.Calibrate()
}

// ClockAhead is how far the spool's clock is ahead of this host's: that of the file server on a
// network file system, none on a local one. Whoever makes a time of "in ten minutes" adds
// it, or a host whose clock is wrong makes jobs that are due hours too early or too late.
// Who may not write to the spool cannot ask, and goes by his own clock.
func (q *Queue) ClockAhead() time.Duration {
	_ = q.calibrate()
	return q.s.ClockAhead()
}

// now is the spool's time for what only looks. Who may not write to the spool cannot ask
// for it, and looks by his own clock.
func (q *Queue) now() time.Time {
	_ = q.calibrate()
	return q.s.Now()
}
