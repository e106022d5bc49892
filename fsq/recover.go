package fsq

// recover clears up what a power cut has left, if no worker has done so since the boot.
// Who removes a job, retries it or changes it comes here before he looks for it: while it
// is there under two names (see spool.Spool.Recover), the other one would bring back what
// he removed, or undo what he did.
func (q *Queue) recover() error {
	_, err := q.s.Recover()
	return err
}
