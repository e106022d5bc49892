package fsq

import (
	"context"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// By the time at which others may run its jobs, a worker that is cut off has stopped them:
// a beat passes between two looks at how long it has been silent.
func TestSilentWorkerStopsABeatBeforeItsLeaseIsOver(t *testing.T) {
	t.Parallel()
	p := newPulse(12*time.Second, time.Hour)
	for _, c := range []struct {
		silent        time.Duration
		suspect, over bool
	}{
		{0, false, false},
		{8*time.Second - 1, false, false},
		{8 * time.Second, true, false},
		{11*time.Second - 1, true, false},
		{11 * time.Second, true, true},
	} {
		suspect, over := p.at(time.Hour + c.silent)
		if suspect != c.suspect || over != c.over {
			t.Errorf("silent for %v: suspect %v, over %v", c.silent, suspect, over)
		}
	}
}

func TestLapseOfALease(t *testing.T) {
	t.Parallel()
	const s = time.Second
	p := newPulse(12*s, 0)
	want := func(then, now time.Duration, lapsed bool) {
		t.Helper()
		if got := p.lapsedSince(then, now); got != lapsed {
			t.Errorf("lapsed between %v and %v: %t", then, now, got)
		}
	}
	p.beaten(10 * s)
	want(0, 20*s, false)
	want(0, 21*s, true) // it is over now
	p.beaten(25 * s)
	want(0, 26*s, true) // it was over before that beat
	want(24*s, 26*s, true)
	want(25*s, 26*s, false)
	p.beaten(15 * s) // answered late
	want(25*s, 36*s-1, false)
}

// A worker whose beats nobody lets it write claims nothing, and keeps its jobs for as long
// as it finds that nobody has taken them.
func TestPulseOfRefusedBeats(t *testing.T) {
	t.Parallel()
	const s = time.Second
	p := newPulse(12*s, 0)
	for now := s; now < 100*s; now += s {
		p.kept(now)
		if suspect, over := p.at(now + s/2); suspect != (now+s/2 >= 8*s) || over {
			t.Errorf("after %v: suspect %v, over %v", now, suspect, over)
		}
	}
	if p.lapsedSince(0, 100*s) {
		t.Error("others could take it for dead")
	}
	if _, over := p.at(110 * s); !over {
		t.Error("it looks no more, and trusts its lease all the same")
	}
	p.beaten(120 * s)
	if suspect, over := p.at(121 * s); suspect || over || !p.lapsedSince(0, 121*s) {
		t.Errorf("when it beats again: suspect %v, over %v, lapsed %v", suspect, over, p.lapsedSince(0, 121*s))
	}
}

// suspended has the worker's last beat so long ago that others may have taken its jobs.
func (in *incarnation) suspended() { in.pulse = newPulse(time.Minute, bootTime()-time.Hour) }

// A worker that wakes up with a job in its hands that it was about to start asks first: it
// may run elsewhere by now.
func TestNoJobStartsWithALeaseThatMayBeOver(t *testing.T) {
	t.Parallel()
	for name, taken := range map[string]bool{"taken": true, "not taken": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ran := false
			in, c := strayed(t, HandlerFunc(func(context.Context, *Run) error {
				ran = true
				return nil
			}))
			s := newSlot(in, c)
			e := func() ending {
				if taken {
					if _, err := in.q.s.Reap(in.lease.Worker(), func(n spool.Name) spool.Fate { return spool.Fate{Name: n} }); err != nil {
						t.Fatal(err)
					}
				}
				in.suspended()
				return s.attempt(Job{ID: "one", Command: Command{Shell: "true"}})
			}()
			if want := map[bool]Outcome{true: OutcomeLost, false: OutcomeDone}[taken]; ran == taken || e.outcome != want {
				t.Errorf("ran: %t, outcome %s", ran, e.outcome)
			}
			if suspect := in.suspect(); suspect != taken {
				t.Errorf("in doubt afterwards: %t", suspect)
			}
		})
	}
}

// A reaper kills a suspended worker's jobs before it takes them. The worker can wake up in
// between: that a job of its was killed is then not the job's fault.
func TestJobThatAReaperKilledIsLostNotFailed(t *testing.T) {
	t.Parallel()
	killed := &ExitError{Code: 137, Signal: "SIGKILL"}
	for name, c := range map[string]struct {
		err     error
		suspend bool
		lost    int
		outcome Outcome
	}{
		"killed while suspended":      {killed, true, 1, OutcomeLost},
		"killed otherwise":            {killed, false, 0, OutcomeFailed},
		"failed while suspended":      {&ExitError{Code: 1}, true, 0, OutcomeFailed},
		"ended by another signal":     {&ExitError{Code: 143, Signal: "SIGTERM"}, true, 0, OutcomeFailed},
		"succeeded, though suspended": {nil, true, 0, OutcomeDone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var in *incarnation
			in, claim := strayed(t, HandlerFunc(func(context.Context, *Run) error {
				if c.suspend {
					in.suspended()
				}
				return c.err
			}))
			again := newSlot(in, claim).work()
			i := get(t, in.q, "one")
			if again.Lost != c.lost || i.Lost != c.lost || len(i.Records) != 1 || i.Records[0].Outcome != string(c.outcome) {
				t.Fatalf("waits again as %q, %d lost, %+v", again, i.Lost, i.Records)
			}
			if left := again.Allowed - again.Attempt; c.lost > 0 && left != claim.Name().Allowed {
				t.Errorf("it has %d attempts left, and had %d", left, claim.Name().Allowed)
			}
		})
	}
}

// One that loses too many workers is dead, and its name tells of each.
func TestJobThatAReaperKilledOnceTooOften(t *testing.T) {
	t.Parallel()
	var in *incarnation
	in, claim := strayed(t, HandlerFunc(func(context.Context, *Run) error {
		in.suspended()
		return &ExitError{Code: 137, Signal: "SIGKILL"}
	}))
	in.q.cfg.MaxLost = 0
	newSlot(in, claim).work()
	if i := get(t, in.q, "one"); i.State != Dead || i.Lost != 1 || i.Outcome != string(OutcomeLost) {
		t.Errorf("%+v", i)
	}
}

// A worker that stops its jobs before others may take it for dead, and then gets through
// again, counts their attempts as those would have.
func TestCutOffWorkerCountsItsJobsAsLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		maxLost int
		state   State
	}{"once": {1, Pending}, "once too often": {0, Dead}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var in *incarnation
			in, claim := strayed(t, HandlerFunc(func(ctx context.Context, _ *Run) error {
				in.giveUp()
				<-ctx.Done()
				return context.Cause(ctx)
			}))
			in.q.cfg.MaxLost = c.maxLost
			newSlot(in, claim).work()
			in.giveBack()
			i := get(t, in.q, "one")
			if i.State != c.state || i.Lost != 1 || len(i.Records) != 1 || i.Records[0].Outcome != string(OutcomeLost) {
				t.Errorf("%+v", i)
			}
		})
	}
}

// What was claimed and never begun is given back, and is no loss.
func TestClaimThatNeverBeganIsNoLoss(t *testing.T) {
	t.Parallel()
	in, claim := strayed(t, nil)
	claim.Abandon()
	in.giveUp()
	in.giveBack()
	if i := get(t, in.q, "one"); i.State != Pending || i.Lost != 0 {
		t.Errorf("%+v", i)
	}
}
