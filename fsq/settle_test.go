package fsq

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// obstruct puts a file in the way of everything below dir, so that it is refused for a
// reason that trying again does not change. The function that it returns takes it away.
func obstruct(t *testing.T, dir string) (clear func()) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Rename(dir, dir+".kept"), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := errors.Join(os.Remove(dir), os.Rename(dir+".kept", dir)); err != nil {
			t.Fatal(err)
		}
	}
}

// records is where the records of job "one" are, and ended where it goes when it is done.
func records(q *Queue) string { return filepath.Dir(q.s.LogPath("one", 1, kindRecord)) }

func ended(q *Queue) string { return filepath.Join(q.Dir(), "done") }

// settlement is a slot whose attempt is over, and what it told.
func settlement(t *testing.T) (s *slot, e ending, told func(kind string) bool) {
	t.Helper()
	in, c := strayed(t, HandlerFunc(func(context.Context, *Run) error { return nil }))
	kinds := map[string]bool{}
	in.w.opt.Events = func(e Event) { kinds[e.Kind] = true }
	e = ending{outcome: OutcomeDone, run: 1500 * time.Millisecond}
	e.record = Attempt{JobID: "one", Number: 1, Outcome: string(OutcomeDone), Worker: in.lease.Worker()}
	return newSlot(in, c), e, func(kind string) bool { return kinds[kind] }
}

func TestOutcomeSurvivesItsRecord(t *testing.T) {
	t.Parallel()
	interrupted := func(s *slot) { s.in.w.Interrupt() }
	leaseLost := func(s *slot) { close(s.in.lost) }
	for name, test := range map[string]struct {
		noRecord, noRename bool
		meanwhile          func(*slot)
		patience           time.Duration
		state              State
		records            int
		lost               bool
	}{
		"no space for the record, interrupted":           {noRecord: true, meanwhile: interrupted, patience: time.Hour, state: Done},
		"no space for the record, lease lost":            {noRecord: true, meanwhile: leaseLost, patience: time.Hour, state: Done},
		"no space for the record for too long":           {noRecord: true, patience: 0, state: Done},
		"no space for the rename, interrupted":           {noRename: true, meanwhile: interrupted, patience: time.Hour, state: Processing, lost: true},
		"no space for the rename, lease lost":            {noRename: true, meanwhile: leaseLost, patience: time.Hour, state: Processing, lost: true},
		"no space at all, interrupted":                   {noRecord: true, noRename: true, meanwhile: interrupted, patience: time.Hour, state: Processing, lost: true},
		"no space at all, lease lost":                    {noRecord: true, noRename: true, meanwhile: leaseLost, patience: time.Hour, state: Processing, lost: true},
		"no space at all for too long, then interrupted": {noRecord: true, noRename: true, meanwhile: interrupted, patience: 0, state: Processing, lost: true},
		"space, interrupted":                             {meanwhile: interrupted, patience: time.Hour, state: Done},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, e, told := settlement(t)
			q := s.in.q
			s.in.recordPatience = test.patience
			var undo []func()
			if test.noRecord {
				undo = append(undo, obstruct(t, records(q)))
			}
			if test.noRename {
				undo = append(undo, obstruct(t, ended(q)))
			}
			if test.meanwhile != nil {
				test.meanwhile(s)
			}
			s.settle(e)
			for _, f := range undo {
				f()
			}
			i := get(t, q, "one")
			if i.State != test.state || told(EventLost) != test.lost {
				t.Fatalf("it is %s, told that it is lost: %t", i.State, told(EventLost))
			}
			if len(i.Records) != 1 {
				t.Fatalf("its attempts: %+v", i.Records)
			}
			if a := i.Records[0]; test.state == Done && (a.Outcome != string(OutcomeDone) || a.Number != 1 || a.Next != "done" && !test.noRecord) {
				t.Errorf("its attempt: %+v", a)
			} else if test.state == Done && test.noRecord && (a.EndedAt == nil || a.DurationSeconds == nil || *a.DurationSeconds != 1.5) {
				t.Errorf("its attempt without a record: %+v", a)
			}
		})
	}
}

// A drain alone throws no record away.
func TestRecordIsWaitedFor(t *testing.T) {
	t.Parallel()
	s, e, _ := settlement(t)
	q := s.in.q
	e.record.Error = "kept"
	clear := obstruct(t, records(q))
	problem := make(chan struct{}, 1)
	s.in.w.opt.Events = func(e Event) {
		if e.Kind == EventProblem {
			problem <- struct{}{}
		}
	}
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		s.settle(e)
	}()
	<-problem
	if i := get(t, q, "one"); i.State != Processing {
		t.Errorf("without its record it is %s", i.State)
	}
	clear()
	<-settled
	if i := get(t, q, "one"); i.State != Done || len(i.Records) != 1 || i.Records[0].Error != "kept" {
		t.Errorf("it is %s, its attempts are %+v", i.State, i.Records)
	}
}

// What show tells of an attempt whose record is missing.
func TestAttemptWithoutARecord(t *testing.T) {
	t.Parallel()
	due := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	name := spool.Name{ID: "one", Due: due, Attempt: 2, Allowed: 4}
	of := func(change func(*spool.Name)) spool.Name {
		n := name
		change(&n)
		return n
	}
	for what, test := range map[string]struct {
		e             spool.Entry
		outcome, next string
	}{
		"done":                {spool.Entry{State: spool.Done, Name: of(func(n *spool.Name) { n.Outcome = "done" })}, "done", "done"},
		"dead":                {spool.Entry{State: spool.Dead, Name: of(func(n *spool.Name) { n.Outcome = "timeout" })}, "timeout", "dead"},
		"waiting again":       {spool.Entry{State: spool.Pending, Name: name}, OutcomeUnknown, "retry"},
		"given back, twice":   {spool.Entry{State: spool.Pending, Name: of(func(n *spool.Name) { n.Given = 2 })}, "", ""},
		"moved there by hand": {spool.Entry{State: spool.Dead, Name: name}, "", ""},
	} {
		a, ok := unrecorded(test.e)
		if ok != (test.outcome != "") || a.Outcome != test.outcome || a.Next != test.next || ok && a.Number != 2 {
			t.Errorf("%s: %+v, %t", what, a, ok)
		}
	}
}

// A settlement that cannot be made while the worker is taken for dead is told of as
// lost: Done would wait for it for ever.
func TestLeaseLostWhileSettling(t *testing.T) {
	t.Parallel()
	cfg := testConfig()
	cfg.Lease = time.Second
	q := openQueue(t, cfg)
	enqueue(t, q, `{"id":"one","command":"x"}`)
	ctx, cancel := context.WithTimeout(context.Background(), hang)
	defer cancel()
	l := q.Lease(nil)
	defer l.Close()
	c, err := l.Claim(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer obstruct(t, ended(q))()
	if err := os.Remove(filepath.Join(q.Dir(), spool.WorkerPath(c.Worker))); err != nil {
		t.Fatal(err)
	}
	if err := c.Done(ctx); !errors.Is(err, ErrLost) {
		t.Errorf("want ErrLost, have %v", err)
	}
}

// Cancelled is settled, too.
func TestClaimThatIsCancelledIsSettled(t *testing.T) {
	t.Parallel()
	l := &Lease{claims: map[claimKey]chan Event{}}
	ch := make(chan Event, 1)
	l.claims[claimKey{"one", 1}] = ch
	l.settled(Event{Kind: EventCancelled, JobID: "one", Attempt: 1})
	if len(ch) != 1 {
		t.Error("nobody is told")
	}
}
