package main

import "strconv"

// fate is what must be true of a job, as far as it was acknowledged and nothing has
// begun since that may change it.
type fate struct {
	id       string // "" if it is not known
	acked    bool   // it is in the queue
	version  int    // of its document, at least
	latest   int    // the same at most
	state    string // done, dead or cancelled; "" if nothing is known
	attempt  int    // with which it ended; after a retry, that one is over
	retried  bool
	removing bool // from here on it may be gone
	removed  bool // it is gone
	pruned   bool // it is gone until the next cut, which may bring it back
	held     bool
	priority string // "" if it is not known
	ran      int    // the last attempt that is known to have begun
}

// unfinished reports whether it is of a job whose enqueue the cut has stopped half-way:
// check finishes that, or clears it up.
func (f *fate) unfinished() bool { return f != nil && !f.acked && !f.removed }

// ledger is the fate of each job by its key.
type ledger map[string]*fate

func (l ledger) of(key string) *fate {
	f := l[key]
	if f == nil {
		f = &fate{}
		l[key] = f
	}
	return f
}

// read draws the consequences of a record.
func (l ledger) read(notes []note) {
	for _, n := range notes {
		if n.op == "load" || n.op == "worker" {
			continue
		}
		f := l.of(n.key)
		switch n.kind {
		case begins:
			f.begin(n)
		case acked:
			f.ack(n)
		case seen:
			*f = fate{id: n.arg(0), acked: n.op != "gone", removed: n.op == "gone", state: n.op}
			f.attempt, _ = strconv.Atoi(n.arg(1))
			f.version, _ = strconv.Atoi(n.arg(2))
			f.latest, f.ran = f.version, f.attempt
			if n.op == "parked" {
				f.state = ""
			}
		case ran:
			attempt, _ := strconv.Atoi(n.arg(0))
			f.ran = max(f.ran, attempt)
		}
	}
}

// begin is about a step that may have been taken or not.
func (f *fate) begin(n note) {
	switch n.op {
	case "put", "drop":
		f.id, f.version, f.latest = n.arg(0), 1, 1
	case "remove", "prune":
		f.removing = true
	case "retry":
		f.state = ""
	case "cancel", "release":
		f.state, f.held, f.priority = "", false, ""
	case "hold":
		f.held = false
	case "priority":
		f.priority = ""
	case "edit":
		f.latest++
	}
}

func (f *fate) ack(n note) {
	switch n.op {
	case "put", "drop":
		f.acked, f.id = true, n.arg(0)
	case "done", "dead":
		attempt, _ := strconv.Atoi(n.arg(0))
		f.state, f.attempt, f.retried = n.op, attempt, false
		f.acked = true
	case "remove":
		f.removed = true
	case "prune":
		f.pruned = true
	case "retry":
		// It may have ended anew before the command that retried it could say so.
		f.retried = f.state == ""
	case "cancel":
		f.state = "cancelled"
	case "hold":
		f.held = true
	case "priority":
		f.priority = n.arg(0)
	case "edit":
		f.version = f.latest
	}
}
