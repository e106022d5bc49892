package fsq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// Lease claims jobs one by one, for programs that would rather ask for work than be
// called with it. It is a Worker underneath: registered, with a heartbeat, sweeping
// and adopting like any other. Its methods are safe for concurrent use.
type Lease struct {
	w      *Worker
	stop   context.CancelFunc
	offers chan *Claim
	ended  chan struct{}
	err    error // of Run; read after ended

	mu     sync.Mutex
	claims map[claimKey]chan Event // who waits for which settlement
}

type claimKey struct {
	id      string
	attempt int
}

// ErrClosed says that the Lease has ended.
var ErrClosed = errors.New("closed")

// errReleased is what a claim's handler returns for Release.
var errReleased = errors.New("released")

// Lease registers this program as a worker that claims only what it asks for. Close
// ends it.
func (q *Queue) Lease(log *slog.Logger) *Lease {
	l := &Lease{offers: make(chan *Claim), ended: make(chan struct{}), claims: map[claimKey]chan Event{}}
	l.w = q.NewWorker(WorkerOptions{Log: log, Handler: HandlerFunc(l.offer), Events: l.settled})
	l.w.resize(-1) // none until somebody asks
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	go func() {
		defer close(l.ended)
		l.err = l.w.Run(ctx)
	}()
	return l
}

// Claim waits for the next job whose turn it is and takes it. The error wraps ErrClosed
// if the Lease has ended, else it is ctx's.
func (l *Lease) Claim(ctx context.Context) (*Claim, error) {
	l.w.resize(1)
	select {
	case c := <-l.offers:
		return c, nil
	case <-ctx.Done():
		l.w.resize(-1)
		return nil, fmt.Errorf("claim a job: %w", context.Cause(ctx))
	case <-l.ended:
		return nil, fmt.Errorf("claim a job: %w", errors.Join(ErrClosed, l.err))
	}
}

// Close gives unsettled claims back and ends the registration.
func (l *Lease) Close() error {
	l.stop()
	l.w.Interrupt()
	<-l.ended
	return l.err
}

// offer hands a run to whoever asks for one, and waits for the verdict.
func (l *Lease) offer(ctx context.Context, r *Run) error {
	c := &Claim{Run: r, lease: l, ctx: ctx, verdict: make(chan error, 1)}
	key := claimKey{r.ID, r.Attempt}
	l.mu.Lock()
	c.settled = make(chan Event, 1)
	l.claims[key] = c.settled
	l.mu.Unlock()
	for {
		select {
		case l.offers <- c:
			defer l.w.resize(-1)
			select {
			case err := <-c.verdict:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		case <-l.w.shrunk:
			// Whoever asked has gone; unless somebody else asks, the job goes back.
			if l.w.excess() {
				l.w.resize(0) // another may be in excess as well
				return errReleased
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// settled passes the news of a settlement to who waits for it.
func (l *Lease) settled(e Event) {
	switch e.Kind {
	case EventDone, EventRetry, EventSnoozed, EventDead, EventCancelled, EventRequeued, EventLost:
	default:
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := claimKey{e.JobID, e.Attempt}
	if ch := l.claims[key]; ch != nil {
		delete(l.claims, key)
		ch <- e
	}
}

// Claim is a job that this program has taken. One of Done, Fail and Release settles
// it; each returns when that is durable. After an error that wraps ErrLost the job
// is somebody else's, and what was done here does not count.
type Claim struct {
	*Run
	lease   *Lease
	ctx     context.Context
	verdict chan error
	settled chan Event
	once    sync.Once
}

// Context is cancelled when the job must be given up: its timeout has come
// (ErrTimeout), the lease was lost (ErrLost) or closed (ErrInterrupted).
func (c *Claim) Context() context.Context { return c.ctx }

// Done says that the job is done.
func (c *Claim) Done(ctx context.Context) error { return c.settle(ctx, nil) }

// Fail says that the attempt failed because of err: the job is retried or, when it
// has no attempts left, buried.
func (c *Claim) Fail(ctx context.Context, err error) error {
	if err == nil {
		err = errors.New("failed")
	}
	return c.settle(ctx, err)
}

// Release gives the job back as if it had not been claimed.
func (c *Claim) Release(ctx context.Context) error { return c.settle(ctx, errReleased) }

func (c *Claim) settle(ctx context.Context, verdict error) error {
	first := false
	c.once.Do(func() { first = true })
	if !first {
		return fmt.Errorf("settle job %q: %w: it is settled already", c.ID, ErrState)
	}
	c.verdict <- verdict
	var e Event
	select {
	case e = <-c.settled:
	case <-ctx.Done():
		return fmt.Errorf("settle job %q: %w", c.ID, context.Cause(ctx))
	case <-c.lease.ended:
		select {
		case e = <-c.settled:
		default:
		}
	}
	if !confirms(e.Kind, verdict) {
		return fmt.Errorf("settle job %q: %w", c.ID, ErrLost)
	}
	if e.err != nil {
		return fmt.Errorf("settle job %q: %w: %w", c.ID, ErrUncertain, e.err)
	}
	return nil
}

// confirms reports whether a settlement is the one that was asked for: a job whose
// time ran out, or whose Lease was closed, was settled before.
func confirms(kind string, verdict error) bool {
	switch {
	case verdict == nil:
		return kind == EventDone
	case errors.Is(verdict, errReleased):
		return kind == EventRequeued
	default:
		return kind == EventRetry || kind == EventDead
	}
}
