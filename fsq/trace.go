package fsq

import (
	"math"

	"github.com/queuectl/queuectl/spool"
)

// trace is what has to be known of a job to tell what is new about it: 24 bytes without a
// pointer, where an Entry takes ten times as much. Each change of a job makes another one.
type trace struct {
	due                  int64 // ms
	attempt              int32
	lost, given, snoozed uint16 // or more
	changed              uint16 // its last 16 bits
	priority             int16
	marks                traceMarks
	round                uint8 // of the follower's scans, that has seen it last
}

type traceMarks uint8

const (
	traceRuns traceMarks = 1 << iota // else it waits, if it is not dead
	traceDead
	traceCancelled // with traceDead
	traceHeld
	traceQueued
	traceTurn
)

func traceOf(e spool.Entry) trace {
	t := trace{
		due: e.Due.UnixMilli(), attempt: int32(e.Attempt), lost: atMost16(e.Lost), given: atMost16(e.Given), snoozed: atMost16(e.Snoozed),
		changed: uint16(e.Changed), priority: int16(e.Priority),
	}
	for _, m := range []struct {
		mark traceMarks
		has  bool
	}{
		{traceRuns, e.State == spool.Processing},
		{traceDead, e.State == spool.Dead},
		{traceCancelled, e.State == spool.Dead && e.Outcome == string(OutcomeCancelled)},
		{traceHeld, e.Held},
		{traceQueued, e.Queued},
		{traceTurn, e.Turn},
	} {
		if m.has {
			t.marks |= m.mark
		}
	}
	return t
}

func atMost16(n int) uint16 { return uint16(min(n, math.MaxUint16)) }

func (t *trace) is(m traceMarks) bool { return t.marks&m != 0 }

func (t *trace) waits() bool { return !t.is(traceRuns | traceDead) }

// same reports whether it is the same name in the same state.
func (t *trace) same(o trace) bool {
	o.round = t.round
	return *t == o
}

// stateAt is stateOf at a time in ms.
func (t *trace) stateAt(now int64) State {
	switch {
	case t.is(traceCancelled):
		return Cancelled
	case t.is(traceDead):
		return Dead
	case t.is(traceRuns):
		return Processing
	case t.is(traceHeld | traceQueued):
		return Held
	case t.due <= now:
		return Pending
	case t.attempt > 0:
		return Retrying
	default:
		return Scheduled
	}
}
