// Package fsq is a job queue that is a directory: enqueue jobs, work them with
// retries, timeouts, priorities and schedules, look at them, and clear up.
//
//	enqueue ─▶ pending ─▶ claim ─▶ run ─▶ decide (pure) ─▶ settle: the record first, then one rename
//	              ▲                                           │
//	              └────── retry, later ◀──────────────────────┴─▶ done │ dead
//
// A [Queue] is safe for concurrent use by goroutines, processes and hosts. A job is
// run at least once: it runs again if its worker dies before it is settled. What a
// call has acknowledged survives a power cut.
//
// Package spool below it is the protocol on the disk.
package fsq
