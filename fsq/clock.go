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

// now is the spool's time for what only looks. Who may not write to the spool cannot ask
// for it, and looks by his own clock.
func (q *Queue) now() time.Time {
	_ = q.calibrate()
	return q.s.Now()
}
