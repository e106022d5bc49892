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
// The way of a job through the files: enqueue.go puts it in, or adopt.go takes in a file
// that was dropped. A [Worker] (worker.go), whose
// slots a pool.go may share among several queues, lives one incarnation.go for each time
// that it is registered, whose lease heartbeat.go and pulse.go look after: that loop waits
// for what is due and claims it. slot.go has the claim: read.go reads the job, run.go has it
// run (handler.go; of commands command.go, process.go, guard.go and output.go, which limit.go
// keeps short), settle.go asks decide.go what follows and does it; commit.go makes ends
// durable together, and reap.go gives back what dead workers had.
//
// Package spool below it is the protocol on the disk.
package fsq
