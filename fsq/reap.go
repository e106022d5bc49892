package fsq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// sweep gives dead workers' jobs back: at the start and regularly, not only at the
// start, or a worker's death would go unnoticed until somebody starts another.
func (in *incarnation) sweep(ctx context.Context) {
	census := in.lease.NewCensus()
	interval := in.w.sweepInterval()
	for first := true; ; first = false {
		in.reapDead(ctx, census, interval)
		if first {
			close(in.swept)
		}
		in.shareTurns()
		// Spread out, so that the workers of a host do not all look at once.
		pause := census.Soon(interval + time.Duration(rand.Int64N(int64(interval)/4+1)))
		// Each time that an idle process wakes costs it a millisecond. In this order: who comes
		// before Alone looks is seen by it, and who comes later stirs.
		in.resting.Store(in.watching.Load() && !in.queued.Load())
		if in.resting.Load() && census.Alone() {
			pause = max(pause, pollNet)
		} else {
			in.resting.Store(false)
		}
		select {
		case <-ctx.Done():
			return
		case <-in.stirred:
		case <-time.After(pause):
		}
	}
}

func (in *incarnation) reapDead(ctx context.Context, census *spool.Census, poll time.Duration) {
	in.finishEdits()
	if in.mute.Load() {
		census.Forget() // their jobs would be killed although nobody can take them
	}
	verdicts, err := census.Look(poll, in.q.cfg.Lease)
	if err != nil {
		in.w.problem(err)
		return
	}
	for _, v := range verdicts {
		if ctx.Err() != nil {
			return
		}
		if !v.Dead {
			continue
		}
		moved, err := in.q.reap(v)
		if err != nil {
			in.w.problem(err)
		}
		in.w.log.Info("a worker is dead", "worker", v.Worker, "reason", v.Reason, "jobs", len(moved))
		if len(moved) == 0 {
			continue // another was faster, or there was nothing to give back
		}
		back := 0
		for _, e := range moved {
			if e.State == spool.Pending {
				back++
				continue
			}
			in.w.emit(Event{Kind: EventDead, JobID: e.Name.ID, Attempt: e.Attempt, MaxAttempts: e.Allowed, Outcome: e.Outcome, Error: "its worker died, once too often"})
		}
		in.w.emit(Event{Kind: EventReaped, DeadWorker: v.Worker, Error: v.Reason, Count: back})
	}
}

// finishEdits puts the jobs back into the queue whose editors died.
func (in *incarnation) finishEdits() {
	if in.q.s.Network() && time.Since(in.edited) < pollNet {
		return // a request to the server that can wait
	}
	in.edited = time.Now()
	back, err := in.q.s.RecoverEdits(0)
	if err != nil {
		in.w.problem(err)
	}
	for _, e := range back {
		in.adopter.found.put(e.Name)
	}
}

// shareTurns looks whether an array has turns to give. It costs a listing of what waits,
// so it is done only while elements wait, and takes at most a twentieth of the time.
func (in *incarnation) shareTurns() {
	if !in.queued.Load() || time.Since(in.shared) < 20*in.shareTook {
		return
	}
	in.shared = time.Now()
	in.queued.Store(false) // an element that comes in meanwhile sets it again
	given, waiting, err := in.q.shareTurns()
	if err != nil {
		in.w.problem(err)
	}
	if waiting || err != nil {
		in.queued.Store(true)
	}
	in.shareTook = time.Since(in.shared)
	in.adopter.found.put(given...)
}

// reap gives a dead worker's jobs back, after making sure that none of them still
// runs on this host.
func (q *Queue) reap(v spool.Verdict) ([]spool.Entry, error) {
	claims, err := q.s.ClaimsOf(v.Worker)
	if err != nil {
		return nil, fmt.Errorf("reap worker %s: %w", v.Worker, err)
	}
	attempts := make(map[string]int, len(claims))
	for _, n := range claims {
		attempts[n.ID] = n.Attempt
	}
	// A worker that was suspended can have woken up since it was judged. It claims nothing
	// before it has beaten, so this look, after that at its claims, spares what it has
	// started since.
	if awake, err := q.s.Stirred(v); err != nil || awake {
		return nil, err
	}
	// What does not die hangs in the kernel and, with SIGKILL pending, runs no more code
	// of its own: it must not keep the jobs back for ever.
	orphansErr := killOrphans(v.Worker, attempts)
	// That can take seconds. What has woken up meanwhile goes on, and says of the jobs that
	// were killed that they were lost.
	if awake, err := q.s.Stirred(v); err != nil || awake {
		return nil, errors.Join(orphansErr, err)
	}
	moved, err := q.s.Reap(v.Worker, func(n spool.Name) spool.Fate {
		fate, d := q.lostFate(n, rand.Float64())
		// The record is for people; without it the job is given back all the same.
		_ = q.writeRecord(q.lostRecord(n, v, d))
		return fate
	})
	if v.Gone && err == nil {
		for _, r := range []spool.Request{spool.Drain, spool.Interrupt} {
			err = errors.Join(err, q.s.Withdraw(r, v.Worker))
		}
	}
	return moved, errors.Join(orphansErr, err)
}

func (q *Queue) lostRecord(n spool.Name, v spool.Verdict, d Decision) Attempt {
	a := Attempt{
		JobID: n.ID, Number: n.Attempt, Outcome: string(OutcomeLost), Worker: v.Worker, Host: v.Host, PID: 0,
		EndedAt: ptr(q.s.Now().UTC()), Error: "its worker died: " + v.Reason, Next: d.Verdict.String(),
		StdoutBytes: q.s.LogSize(n.ID, n.Attempt, kindStdout), StderrBytes: q.s.LogSize(n.ID, n.Attempt, kindStderr),
	}
	if at, err := q.s.ClaimTime(v.Worker, n); err == nil {
		a.StartedAt = ptr(at)
		a.WaitSeconds = ptr(max(at.Sub(n.Due), 0).Seconds())
		a.DurationSeconds = ptr(max(a.EndedAt.Sub(at), 0).Seconds())
	}
	if d.Verdict == VerdictRequeue {
		a.NextDue = ptr(d.Due)
	}
	return a
}

// tidy does what is not urgent, now and then.
func (in *incarnation) tidy(ctx context.Context) {
	pause := tidyDelay
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause + time.Duration(rand.Int64N(int64(pause)/4))):
		}
		in.w.tidyOnce(ctx)
		pause = tidyInterval
	}
}

func (w *Worker) tidyOnce(ctx context.Context) {
	if _, err := w.q.s.Sweep(0); err != nil {
		w.problem(err)
	}
	if _, err := w.q.s.SweepIDs(); err != nil {
		w.problem(err)
	}
	if err := errors.Join(w.q.s.SweepRequests(), w.q.s.SweepDemands()); err != nil {
		w.problem(err)
	}
	p, err := w.q.Prune(ctx, PruneOptions{})
	if err != nil && !errors.Is(err, ErrNoRetention) && ctx.Err() == nil {
		w.problem(err)
	}
	if p.Done+p.Dead > 0 {
		w.log.Info("pruned", "done", p.Done, "dead", p.Dead)
	}
}
