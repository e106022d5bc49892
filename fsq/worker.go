package fsq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Version is what workers tell of the program they run in.
const Version = "0.1.0"

// WorkerOptions are what a worker is made of.
type WorkerOptions struct {
	Slots   int          // jobs at a time; 1 if not given
	Handler Handler      // CommandHandler{} if not given
	Log     *slog.Logger // nothing is logged if not given
	// Events is told what the worker does, one event at a time. Of what a job became it
	// is told when that is durable, or as Uncertain if it cannot be made so.
	Events func(Event)

	Only    string        // take no job but the one with this id; "": all
	Drain   bool          // return when nothing is due any more
	MaxJobs int           // return when so many jobs have been taken and have ended; 0: no limit
	MaxTime time.Duration // take no job after this time and return when all have ended; 0: no limit

	// Alive is told, at least every AliveEvery, that the worker's loop goes on: from the
	// loop itself, so that one that hangs tells nothing.
	Alive      func()
	AliveEvery time.Duration
	// Later gives a Pool the queues that it does not know yet. It is called now and then,
	// and when a queue may have been made.
	Later func(known func(name string) bool) ([]Share, error)
}

// Event is something that a worker did.
type Event struct {
	Kind        string        `json:"event"` // see the constants
	Time        time.Time     `json:"time"`
	Worker      string        `json:"worker"`
	Queue       string        `json:"queue"`
	JobID       string        `json:"job_id,omitempty"`
	Command     string        `json:"command,omitempty"`
	DeadWorker  string        `json:"dead_worker,omitempty"` // of EventReaped
	Attempt     int           `json:"attempt,omitempty"`
	MaxAttempts int           `json:"max_attempts,omitempty"`
	Outcome     string        `json:"outcome,omitempty"`
	Fatal       bool          `json:"fatal,omitempty"` // the attempt said that retries are of no use
	Error       string        `json:"error,omitempty"`
	Duration    time.Duration `json:"-"`
	Seconds     float64       `json:"duration_seconds,omitempty"`
	Due         *time.Time    `json:"due_at,omitempty"`
	PID         int           `json:"pid,omitempty"`
	Count       int           `json:"count,omitempty"`
	Uncertain   bool          `json:"uncertain,omitempty"` // a power cut may undo what is told: fsync failed

	err error // of that fsync
}

// Kinds of events.
const (
	EventReady    = "ready"    // the worker is registered and takes jobs
	EventStarted  = "started"  // an attempt begins
	EventDone     = "done"     // a job is done
	EventRetry    = "retry"    // an attempt failed, another follows
	EventDead     = "dead"     // a job is given up
	EventRequeued = "requeued" // a job was given back unfinished
	EventLost     = "lost"     // another worker has the job: its result here is dropped
	EventAdopted  = "adopted"  // a dropped file became a job
	EventRejected = "rejected" // a file was set aside
	EventReaped   = "reaped"   // a dead worker's jobs were given back
	EventDraining = "draining" // no new jobs are taken
	EventPaused   = "paused"   // somebody paused the queue
	EventResumed  = "resumed"
	EventStopped  = "stopped"
	EventProblem  = "problem" // something went wrong that the worker goes on from
)

// Worker works a queue's jobs.
type Worker struct {
	q      *Queue
	opt    WorkerOptions
	log    *slog.Logger
	guard  *guard
	umask  string        // of this process when the worker began
	seat   *seat         // in the pool whose slots it uses
	shrunk chan struct{} // receives when there are fewer of them
	stop   chan struct{} // closed by Interrupt

	complaints complaints // guarded by the pool's events

	mu sync.Mutex
	id string // of the present incarnation
}

// NewWorker makes a worker. Run starts it.
func (q *Queue) NewWorker(opt WorkerOptions) *Worker {
	return NewPool([]Share{{Queue: q}}, opt).seats[0].worker
}

func newWorker(q *Queue, opt WorkerOptions, s *seat) *Worker {
	if opt.Handler == nil {
		opt.Handler = CommandHandler{}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Worker{q: q, opt: opt, log: opt.Log, seat: s, stop: s.pool.stop, shrunk: make(chan struct{}, 1)}
}

// resize changes how many jobs the worker takes at a time.
func (w *Worker) resize(by int) {
	w.seat.pool.resize(by)
	if by <= 0 {
		select {
		case w.shrunk <- struct{}{}:
		default:
		}
	}
}

// excess reports whether more jobs are claimed than are asked for.
func (w *Worker) excess() bool { return w.seat.pool.excess() }

// Work runs a worker until ctx is cancelled; see Worker.Run.
func (q *Queue) Work(ctx context.Context, opt WorkerOptions) error {
	return q.NewWorker(opt).Run(ctx)
}

// ID is the name under which the worker is registered now: it changes if the worker
// is taken for dead and registers anew. "" before Run.
func (w *Worker) ID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.id
}

// Interrupt makes Run give the running jobs back and return.
func (w *Worker) Interrupt() { w.seat.pool.Interrupt() }

// errLeaseLost ends an incarnation: others have taken the worker for dead.
var errLeaseLost = errors.New("taken for dead by another worker")

// Run works jobs until ctx is cancelled, or somebody asks the worker to stop, or the
// options say that it is done, and then finishes the running ones: it returns nil when
// all are settled. After Interrupt it gives them back instead. A worker that was suspended for longer than
// its lease finds that others have its jobs; it stops working on them and goes on
// under a new name.
func (w *Worker) Run(ctx context.Context) error { return w.seat.pool.Run(ctx) }

// live is a worker's life from its first registration to the end of its last one.
func (w *Worker) live(ctx context.Context) error {
	if w.q.s.Foreign() {
		return fmt.Errorf("start a worker in %s: %w", w.q.Dir(), ErrForeign)
	}
	if err := w.q.mayWork(w.opt.Handler); err != nil {
		return fmt.Errorf("start a worker in %s: %w", w.q.Dir(), err)
	}
	removed, err := w.q.s.Recover()
	if err != nil {
		return err
	}
	if len(removed) > 0 {
		w.log.Warn("jobs had two names after a power cut", "count", len(removed))
	}
	lease, err := w.register()
	for err == nil {
		w.mu.Lock()
		w.id = lease.Worker()
		w.mu.Unlock()
		in := newIncarnation(w, lease)
		err = in.run(ctx)
		if !errors.Is(err, errLeaseLost) {
			if err == nil {
				// It has done what it was asked. If it was taken for dead meanwhile, the
				// request is still there.
				w.asked(lease.Worker())
			}
			return err
		}
		w.problem(fmt.Errorf("worker %s: %w", lease.Worker(), err))
		if asked := w.asked(lease.Worker()); asked || w.seat.pool.over() {
			return nil
		}
		lease, err = w.registerAgain(ctx)
	}
	return err
}

// register asks a file server for its time first: what a worker claims, gives back and
// retries before its first heartbeat would be due by its own clock.
func (w *Worker) register() (*spool.Lease, error) {
	if err := w.q.calibrate(); err != nil {
		return nil, err
	}
	return w.q.s.RegisterFor(w.opt.Only, w.opt.Slots, Version, w.q.cfg.Lease)
}

// asked reports whether this worker was asked to stop under a name that it has lost,
// while it was suspended.
func (w *Worker) asked(id string) bool {
	asked, err := w.q.asked(id)
	if err != nil {
		w.problem(err)
	}
	if asked {
		for _, r := range []spool.Request{spool.Drain, spool.Interrupt} {
			_ = w.q.s.Withdraw(r, id) // else it is swept
		}
	}
	return asked
}

// registerAgain registers a worker that was taken for dead. It has been at work, so
// it waits for better times where a new one would fail.
func (w *Worker) registerAgain(ctx context.Context) (*spool.Lease, error) {
	for pause := registerPause; ; pause = min(2*pause, registerPauseMax) {
		lease, err := w.register()
		if err == nil {
			return lease, nil
		}
		w.problemAs("register: "+cause(err).Error(), err) // each try is under a new name
		w.seat.round()
		select {
		case <-ctx.Done():
			return nil, err
		case <-w.seat.pool.ended:
			return nil, err
		case <-w.stop:
			return nil, err
		case <-time.After(pause):
		}
	}
}

func (w *Worker) emit(e Event) {
	e.Time = w.q.s.Now().UTC()
	e.Seconds = e.Duration.Seconds()
	e.Worker, e.Queue = w.ID(), w.q.Name()
	w.seat.pool.events.Lock()
	defer w.seat.pool.events.Unlock()
	if w.opt.Events != nil {
		w.opt.Events(e)
	}
}

// mailbox hands values from many goroutines to one, which never keeps them waiting.
type mailbox[T any] struct {
	C    chan struct{} // receives when there is something to take
	mu   sync.Mutex
	list []T
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{C: make(chan struct{}, 1)} }

func (m *mailbox[T]) put(v ...T) {
	m.mu.Lock()
	m.list = append(m.list, v...)
	m.mu.Unlock()
	select {
	case m.C <- struct{}{}:
	default:
	}
}

// any reports whether there is something to take.
func (m *mailbox[T]) any() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.list) > 0
}

func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.list
	m.list = nil
	return v
}

// pollInterval is how long a worker that is not told of changes waits until it scans
// again: idle is how long nothing has happened, scan how long the last scan took.
func pollInterval(setting time.Duration, told bool, idle, scan time.Duration) time.Duration {
	switch {
	case setting > 0:
		return setting
	case told:
		return pollNet
	default:
		// At most a twentieth of the time is spent scanning. But a scan that hung until the
		// file server was back says nothing of what the next one costs.
		return max(min(max(idle, pollFast), pollSlow), min(20*scan, pollLate))
	}
}

const (
	pollNet  = time.Minute            // where events arrive, in case one did not
	pollFast = 500 * time.Millisecond // where none do: soon after something happened
	pollSlow = 5 * time.Second        // and when nothing has for a while
	pollLate = time.Minute            // at the latest, however long a scan takes

	// heartbeats a lease: some may be late or lost before it runs out.
	beatsPerLease = 12
	minBeat       = 50 * time.Millisecond

	// On a local file system a look at another worker is a lock that is tried, some
	// microseconds; on a network it is a few requests to the server.
	sweepLocal   = 2 * time.Second
	sweepNetwork = 15 * time.Second

	// Clearing up after dead writers and pruning are not urgent, and a worker that
	// starts has better things to do.
	tidyDelay    = time.Minute
	tidyInterval = time.Hour

	// A worker that was taken for dead registers again as soon as it can. What refuses it,
	// a full disk say, may last for hours.
	registerPause    = time.Second
	registerPauseMax = 10 * time.Second
)

func (w *Worker) beatInterval() time.Duration {
	return max(w.q.cfg.Lease/beatsPerLease, minBeat)
}

func (w *Worker) sweepInterval() time.Duration {
	d := sweepLocal
	if w.q.s.Network() {
		d = sweepNetwork
	}
	return min(d, max(w.q.cfg.Lease/4, minBeat))
}

// lostFate is what a lost attempt makes of a claim's name.
func (q *Queue) lostFate(n spool.Name, rnd float64) (spool.Fate, Decision) {
	d := Decide(n, OutcomeLost, Policy{MaxLost: q.cfg.MaxLost}, q.s.Now(), rnd)
	n.Due, n.Allowed, n.Lost = d.Due, d.Allowed, d.Lost
	if d.Verdict == VerdictDead {
		n.Outcome = string(OutcomeLost)
	}
	return spool.Fate{Dead: d.Verdict == VerdictDead, Name: n}, d
}
