package fsq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// incarnation is a worker under one registration: it takes jobs until it is told to
// stop, or finds that its lease is lost. All but the fields behind mu belong to the
// goroutine of run.
type incarnation struct {
	w     *Worker
	q     *Queue
	lease *spool.Lease

	ready    spool.Ready
	watch    *spool.Watch // nil where there are no events
	busy     int
	draining bool
	active   time.Time     // when something last happened
	scanned  time.Time     // when the last scan began
	scanTook time.Duration // and how long it took
	promote  time.Time     // when scheduled jobs are next moved into pending/
	promoted time.Time     // when it was last looked for such
	filled   time.Time     // the time that the last fill went by: of what was due by then it knows
	retryAt  time.Time     // no claims before: the file system refuses them
	refused  time.Duration
	paused   *spool.Pause  // no claims while it holds
	limit    int           // so many jobs of the queue may run, over all workers; 0: no limit; -1: one that cannot be read
	crowded  time.Time     // no claims before: as many run as may
	rung     time.Time     // when something was last asked for, as far as is known
	settled  bool          // what was asked for after the last look bears another time
	obeyed   time.Time     // when it was last looked what
	blind    bool          // the last scan failed: what it did not see may be there
	looked   bool          // a scan was made since nothing has run in the pool
	lookedAt uint64        // the count of the pool then
	swept    chan struct{} // closed when dead workers were looked for once
	watching atomic.Bool   // events tell of other workers
	resting  atomic.Bool   // sweep looks only now and then, because of that
	stirred  chan struct{} // receives when sweep is to look before its time

	edited    time.Time     // when edits were last looked for that somebody left; of the goroutine of sweep
	queued    atomic.Bool   // elements of arrays wait for a turn
	shared    time.Time     // when their turns were last counted; of the goroutine of sweep
	shareTook time.Duration // and how long that took

	freed   *mailbox[freed]
	adopter *adopter
	commits *committer
	records *recorder

	drained  chan struct{}   // closed when no new jobs are taken
	runs     context.Context // cancelled to stop all running jobs
	stopRuns context.CancelCauseFunc
	lost     chan struct{} // closed when the lease is lost
	doubt    atomic.Bool   // it may be: no new claims
	mute     atomic.Bool   // the last beat could not be written
	pulse    *pulse

	recordPatience time.Duration // how long an outcome waits for its record
	readPatience   time.Duration // how long a claim waits for its file to be readable

	strays *mailbox[spool.Name]

	mu      sync.Mutex
	running map[string]*slot        // by the claim's file name
	unknown map[string]bool         // claims that the last audit saw and nobody runs
	failed  map[string]bool         // claims whose outcome could not be settled
	cut     map[string]bool         // claims whose job was stopped because the lease could be over
	cancels map[string]spool.Demand // jobs that are to be cancelled, by id
}

// freed is what a slot reports when it is free again.
type freed struct {
	again spool.Name // a name that went back to pending/, if it has an ID
}

func newIncarnation(w *Worker, lease *spool.Lease) *incarnation {
	in := &incarnation{
		w: w, q: w.q, lease: lease,
		freed: newMailbox[freed](), strays: newMailbox[spool.Name](), running: map[string]*slot{}, lost: make(chan struct{}), swept: make(chan struct{}), stirred: make(chan struct{}, 1),
		drained: make(chan struct{}), recordPatience: recordPatience, readPatience: copyPatience,
	}
	in.pulse = newPulse(w.q.cfg.Lease, bootTime())
	in.ready.Order = w.q.s.EnqueuedAt
	in.queued.Store(true) // until it is known
	in.runs, in.stopRuns = context.WithCancelCause(context.Background())
	in.commits = newCommitter(w, lease)
	in.adopter = newAdopter(w)
	in.records = newRecorder(w)
	return in
}

func (in *incarnation) run(ctx context.Context) error {
	var background sync.WaitGroup
	quit, stop := context.WithCancel(context.Background())
	for _, f := range []func(context.Context){in.heartbeat, in.sweep, in.tidy, in.adopter.run, in.commits.run, in.records.run} {
		background.Go(func() { f(quit) })
	}
	in.startWatch()
	in.w.emit(Event{Kind: EventReady, Count: in.w.opt.Slots})
	err := in.loop(ctx)
	in.stopRuns(ErrInterrupted)
	if in.watch != nil {
		_ = in.watch.Close()
	}
	stop()
	background.Wait()
	in.commits.flush()
	in.giveBack()
	if leaveErr := in.lease.Leave(); err == nil {
		err = leaveErr
	}
	in.records.close() // last: it may wait for the spool's lock, and others for these jobs
	if err == nil {
		in.w.emit(Event{Kind: EventStopped})
	}
	return err
}

// loop is the worker's life: fill the slots, then wait for whatever comes first.
func (in *incarnation) loop(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	rescan, done, interrupt, swept := true, ctx.Done(), in.w.stop, in.swept
	in.obeyRequests() // before the first claim: the queue may be paused
	ticked := time.Now()
	for {
		// A timer that is set anew with every event never fires while events come fast.
		if time.Since(ticked) >= tickAtLeast {
			in.obeyRequests()
			rescan, ticked = rescan || in.scanDue(), time.Now()
		}
		if rescan {
			in.scan()
			rescan = false
		}
		in.w.seat.round()
		if in.w.seat.pool.over() {
			in.drain()
		}
		if !in.draining {
			in.fill()
			in.lookForEnd()
		}
		if in.lease.Lost() {
			return in.abandon()
		}
		if in.draining && in.busy == 0 {
			return nil
		}
		timer.Reset(in.nextWake())
		var events <-chan struct{}
		if in.watch != nil {
			events = in.watch.C
		}
		select {
		case <-done:
			done = nil
			in.drain()
		case <-interrupt:
			interrupt = nil
			in.drain()
			in.stopRuns(ErrInterrupted)
		case <-in.lost:
			return in.abandon()
		case <-events:
			rescan = in.takeHints()
		case <-in.freed.C:
			in.takeFreed()
		case <-in.w.seat.wake:
		case <-swept:
			swept = nil
		case <-in.adopter.quiet.C:
		case <-in.adopter.found.C:
			in.takeFound()
		case <-in.strays.C:
			in.takeStrays()
		case <-timer.C:
			in.obeyRequests()
			rescan, ticked = in.scanDue(), time.Now()
		}
	}
}

// tickAtLeast is how long what the timer is for may wait while the worker is busy.
const tickAtLeast = time.Second

// giveBack releases what lies in this worker's directory although nothing runs: claims
// whose reply was lost just before the end; and those of a worker that has given itself up
// before others took it for dead, whose attempts count as lost as if they had.
func (in *incarnation) giveBack() {
	if in.lease.Lost() {
		return
	}
	names, err := in.lease.Claims()
	if err != nil {
		return // Leave will say so
	}
	for _, n := range names {
		if in.failed[n.String()] {
			continue // its outcome could not be settled; as a lost attempt it is counted
		}
		c, ok := in.lease.Resume(n)
		if !ok {
			continue
		}
		release := in.release
		if in.cut[n.String()] {
			release = in.lose
		}
		if err := release(c); err != nil && !errors.Is(err, ErrLost) {
			in.w.problem(err)
		}
	}
}

func (in *incarnation) release(c *spool.Claim) error {
	_, err := c.Release(in.q.s.Now())
	return err
}

func (in *incarnation) lose(c *spool.Claim) error {
	n := c.Name()
	_, d := in.q.lostFate(n, rand.Float64())
	v := spool.Verdict{}
	v.Worker, v.Host = in.lease.Worker(), spool.WorkerHost(in.lease.Worker())
	record := in.q.lostRecord(n, v, d)
	record.Error = "its worker was cut off for the time of its lease"
	_ = in.q.writeRecord(record) // as in reap: it is for people
	if d.Verdict == VerdictDead {
		settled, err := c.Bury(spool.Ending{Outcome: string(OutcomeLost), Lost: d.Lost})
		if err != nil {
			return err
		}
		in.w.emit(Event{Kind: EventDead, JobID: n.ID, Attempt: n.Attempt, MaxAttempts: n.Allowed, Outcome: string(OutcomeLost), Error: "its worker was cut off, once too often"})
		return in.q.s.SyncSettled(settled)
	}
	_, err := c.Lose(d.Due)
	return err
}

func (in *incarnation) drain() {
	if !in.draining {
		in.draining = true
		close(in.drained)
		in.w.seat.rest()
		in.w.seat.pool.close()
		in.w.emit(Event{Kind: EventDraining, Count: in.busy})
	}
}

// abandon waits for the jobs that are not this worker's any more to be stopped.
func (in *incarnation) abandon() error {
	in.stopRuns(ErrLost)
	in.w.seat.rest()
	for in.busy > 0 {
		<-in.freed.C
		in.takeFreed()
	}
	return errLeaseLost
}

// shut reports whether no job may be claimed, whatever is due.
func (in *incarnation) shut() bool { return in.pausedNow() || in.limit < 0 }

// pausedNow reports whether somebody has paused the queue. A pause that is over needs nobody to
// end it.
func (in *incarnation) pausedNow() bool {
	if in.paused != nil && !in.paused.Until.IsZero() && !in.q.s.Now().Before(in.paused.Until) {
		_ = in.lookForPause() // it has told what the matter is
	}
	return in.paused != nil
}

func (in *incarnation) startWatch() {
	if in.q.s.Network() {
		return
	}
	watch, err := in.q.s.Watch()
	if err != nil {
		in.w.log.Warn("no events from the file system, polling instead", "error", err)
		return
	}
	in.watch = watch
	in.watching.Store(watch.TellsOfPeers())
}

// stir has sweep look now: there may be something for it that it does not expect.
func (in *incarnation) stir() {
	select {
	case in.stirred <- struct{}{}:
	default:
	}
}

// nextWake is how long the loop may sleep when nothing happens.
func (in *incarnation) nextWake() time.Duration {
	now := in.q.s.Now()
	wake := max(in.poll()-time.Since(in.scanned), 0)
	if in.watch == nil { // requests are looked for often, also where scans are slow and rare
		wake = min(wake, max(pollSlow, in.q.cfg.PollInterval))
	}
	// What was due when the slots were last filled waits for a slot, or for an end of what
	// keeps claims back: each of them wakes the loop, and a timer would only spin.
	if due := in.ready.NextDue(); due.After(in.filled) && !in.draining {
		wake = min(wake, due.Sub(now))
	}
	if !in.promote.IsZero() {
		wake = min(wake, in.promote.Sub(now))
	}
	if in.paused != nil && !in.paused.Until.IsZero() {
		wake = min(wake, in.paused.Until.Sub(now))
	}
	if !in.crowded.IsZero() && !in.draining {
		wake = min(wake, time.Until(in.crowded))
	}
	if !in.retryAt.IsZero() && !in.draining { // who drains claims nothing, and would wake for it for ever
		wake = min(wake, time.Until(in.retryAt))
	}
	if every := in.w.opt.AliveEvery; every > 0 {
		wake = min(wake, every)
	}
	return max(wake, time.Millisecond)
}

func (in *incarnation) poll() time.Duration {
	if in.blind {
		return pollFast
	}
	return pollInterval(in.q.cfg.PollInterval, in.watch != nil, time.Since(in.active), in.scanTook)
}

// scanDue reports, when the timer has fired, whether a scan is due: it may have been
// set for a job's time only.
func (in *incarnation) scanDue() bool {
	if !in.promote.IsZero() && !in.promote.After(in.q.s.Now()) {
		return true
	}
	return time.Since(in.scanned) >= in.poll()
}

// scan finds out what waits. It is the truth; events only spare it.
func (in *incarnation) scan() {
	in.scanned = time.Now()
	if !in.promote.IsZero() && !in.promote.After(in.q.s.Now()) || time.Since(in.promoted) >= pollNet {
		in.promoted = in.scanned
		next, err := in.q.s.Promote()
		if err != nil {
			in.w.problem(err)
		}
		in.promote = next
	}
	known := in.ready.Len()
	in.ready.Reset()
	now := in.q.s.Now()
	var drops []string
	err := in.q.s.Waiting(func(n spool.Name) { in.wait(n, now) }, func(base string) { drops = append(drops, base) })
	if err != nil {
		in.w.problem(err)
	}
	in.blind = err != nil
	drops = append(drops, in.boxed()...)
	in.adopter.offer(drops...)
	in.scanTook = time.Since(in.scanned)
	if in.ready.Len() > known || len(drops) > 0 {
		in.active = in.scanned
	}
}

// wait takes note of a job in pending/.
func (in *incarnation) wait(n spool.Name, now time.Time) {
	if only := in.w.opt.Only; only != "" && n.ID != only {
		return
	}
	if n.Queued && !in.queued.Swap(true) {
		in.stir()
	}
	in.ready.Add(n, now)
}

// fill claims jobs as long as there are free slots and it is this queue's turn.
func (in *incarnation) fill() {
	in.filled = in.q.s.Now()
	for _, at := range []*time.Time{&in.retryAt, &in.crowded} {
		if !time.Now().Before(*at) {
			*at = time.Time{}
		}
	}
	if !in.retryAt.IsZero() || !in.crowded.IsZero() || in.suspect() || in.shut() {
		in.w.seat.rest()
		return
	}
	for scanned := false; ; {
		now := in.q.s.Now()
		in.filled = now
		if !in.ready.Due(now) {
			// Once a call: what every scan finds and no claim gets must not keep the loop.
			if scanned || !in.ready.NeedsScan(now) {
				in.w.seat.rest()
				return
			}
			in.scan()
			scanned = true
			continue
		}
		if !in.w.seat.ask() {
			return
		}
		n, ok := in.ready.Next(now)
		if !ok {
			in.w.seat.giveBack()
			return
		}
		if !in.claim(n) {
			return
		}
	}
}

// claim takes one job and starts it; false means that no more can be taken now.
func (in *incarnation) claim(n spool.Name) bool {
	c, err := in.claimWithin(n)
	switch {
	case errors.Is(err, spool.ErrFull):
		in.w.seat.giveBack()
		in.w.seat.rest()
		in.ready.Add(n, in.q.s.Now())
		in.crowded = time.Now().Add(in.crowdedPause())
		return false
	case errors.Is(err, ErrLost):
		in.w.seat.giveBack()
		return !in.lease.Lost()
	case errors.Is(err, spool.ErrUnclaimable):
		in.w.seat.giveBack()
		in.w.problem(err)
		return true // the next scan finds it again; the others must not wait for it
	case err != nil:
		in.w.seat.giveBack()
		in.w.seat.rest()
		in.w.problem(err)
		in.ready.Add(n, in.q.s.Now())
		in.refused = min(max(2*in.refused, claimBackoff), claimBackoffMax)
		in.retryAt = time.Now().Add(in.refused)
		return false
	}
	in.refused, in.retryAt = 0, time.Time{}
	if c.Name().Attempt == 1 {
		in.commits.addClaim()
	}
	in.start(c, true)
	return true
}

func (in *incarnation) claimWithin(n spool.Name) (*spool.Claim, error) {
	if in.limit > 0 {
		return in.lease.ClaimWithin(n, in.limit)
	}
	return in.lease.Claim(n)
}

// crowdedPause is how long a worker waits, in a queue with a limit that is reached, until
// it counts again what runs. A job of its own that ends makes it do so at once; nobody
// tells of those of others. Many workers must not all count at the same moment.
func (in *incarnation) crowdedPause() time.Duration {
	pause := pollFast
	if in.q.s.Network() {
		pause = pollSlow // some requests for each worker there is
	}
	return pause/2 + rand.N(pause)
}

// claimBackoff is the first pause after the file system refused a claim, because it is
// full, read only or gone; each further one is twice as long.
const (
	claimBackoff    = time.Second
	claimBackoffMax = 30 * time.Second
)

// start runs a claim; asked says that its slot was asked for.
func (in *incarnation) start(c *spool.Claim, asked bool) {
	s := newSlot(in, c)
	in.mu.Lock()
	in.running[c.Name().String()] = s
	in.mu.Unlock()
	in.busy++
	in.w.seat.start(asked)
	in.active = time.Now()
	go func() {
		again := s.work()
		in.mu.Lock()
		delete(in.running, c.Name().String())
		in.mu.Unlock()
		in.freed.put(freed{again: again})
	}()
}

// cutShort takes note of a claim whose job was stopped and that others may have by now.
func (in *incarnation) cutShort(n spool.Name) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.cut == nil {
		in.cut = map[string]bool{}
	}
	in.cut[n.String()] = true
}

// unsettled takes note of a claim whose outcome could not be settled.
func (in *incarnation) unsettled(n spool.Name) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.failed == nil {
		in.failed = map[string]bool{}
	}
	in.failed[n.String()] = true
}

func (in *incarnation) takeFreed() {
	for _, f := range in.freed.take() {
		in.busy--
		in.active = time.Now()
		in.crowded = time.Time{} // there may be room
		if f.again.ID != "" {
			in.ready.Add(f.again, in.q.s.Now())
		}
		in.w.seat.done()
	}
}

// takeStrays runs claims that the audit found and nobody ran. It looks again: the
// audit may have come between a claim's rename and its start, which an fsync can hold
// apart for long, and by now the job may run, or be done.
func (in *incarnation) takeStrays() {
	for _, n := range in.strays.take() {
		c, ok := in.lease.Resume(n)
		if !ok {
			continue
		}
		if held, err := c.Held(); err != nil || !held {
			c.Abandon() // after an error the next audit finds it again
			continue
		}
		in.start(c, false)
	}
}

func (in *incarnation) takeFound() {
	now := in.q.s.Now()
	for _, n := range in.adopter.found.take() {
		in.wait(n, now)
	}
}

// takeHints adds what events have told of and reports whether a scan is needed.
func (in *incarnation) takeHints() (rescan bool) {
	h := in.watch.Take()
	now := in.q.s.Now()
	for _, base := range h.Names {
		if n, err := spool.ParseName(base); err == nil {
			in.wait(n, now)
		} else if spool.IsDrop(base) {
			in.adopter.offer(base)
		}
	}
	if h.Asked {
		in.obeyRequests()
	}
	if h.Boxed {
		in.adopter.offer(in.boxed()...)
	}
	if h.Broken != nil {
		in.w.log.Warn("the watch of the file system ended", "error", h.Broken)
		_ = in.watch.Close()
		in.watch = nil
		in.watching.Store(false)
		in.startWatch()
	}
	// Who does not rest looks soon: not all workers of a host at each newcomer.
	if h.Peers && in.resting.Load() || h.Rescan || h.Broken != nil {
		in.stir()
	}
	return h.Rescan
}

// obeyUnrung is how often a worker looks for what was asked for without ringing: with
// touch(1), or by an earlier version.
const obeyUnrung = time.Minute

// unrung reports whether nothing can be asked for that is not known.
func (in *incarnation) unrung() bool {
	if !in.q.s.Network() {
		return false
	}
	at, settled, err := in.q.s.Rung()
	if err == nil && !mustLook(at, in.rung, in.settled, time.Since(in.obeyed)) {
		return true
	}
	in.rung, in.settled, in.obeyed = at, settled && err == nil, time.Now() // before it is looked for
	return false
}

// mustLook decides whether something may be asked for that is not known: it was rung, or
// could have been right after the last look without another time, or that is so long ago.
func mustLook(rung, known time.Time, settledThen bool, since time.Duration) bool {
	return !settledThen || !rung.Equal(known) || since >= obeyUnrung
}

// obeyRequests looks for what others ask of this worker.
func (in *incarnation) obeyRequests() {
	if in.unrung() {
		return
	}
	errs := []error{in.obeyDemands(), in.lookForPause(), in.lookForLimit()}
	for r, obey := range map[spool.Request]func(){
		spool.Drain:     in.drain,
		spool.Interrupt: func() { in.w.Interrupt() },
	} {
		asked, err := in.q.s.Asked(r, in.lease.Worker())
		if err != nil {
			in.w.problem(fmt.Errorf("look for requests: %w", err))
		}
		errs = append(errs, err)
		if asked {
			obey()
		}
	}
	if errors.Join(errs...) != nil {
		in.settled = false // what was not seen is looked for again
	}
}
