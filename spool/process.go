package spool

import (
	"errors"
	"sync"

	"golang.org/x/sys/unix"
)

// presence is what this kernel tells of a process.
type presence int

const (
	// unseen proves nothing: /proc may be hidden from this user (hidepid), or there may
	// be no descriptor left to read it with.
	unseen presence = iota
	living
	vanished
)

// processes asks this kernel. Tests replace what it asks.
type processes struct {
	kill func(pid int) error                            // kill(2) with signal 0
	stat func(pid int) (start string, dead, known bool) // what proc(5) tells, where it can be read
}

func realProcesses() processes {
	return processes{kill: func(pid int) error { return unix.Kill(pid, 0) }, stat: processStat}
}

// look tells whether the process that began at start lives; of one whose start is not
// known it can only tell that it is gone. Only two answers prove death: there is no
// such process, or its entry was read and is of another or of a dead one. "I cannot
// see it" is neither: a live worker taken for dead has its jobs run twice.
func (p processes) look(pid int, start string) presence {
	if pid < 1 {
		return unseen // kill(2) would ask about a group
	}
	// EPERM is another user's process, which is there.
	if err := p.kill(pid); errors.Is(err, unix.ESRCH) {
		return vanished
	}
	now, dead, known := p.stat(pid)
	switch {
	case !known:
		return unseen
	case dead:
		return vanished
	case start == "":
		return unseen
	case now != start:
		return vanished
	default:
		return living
	}
}

// startOf is what look compares; "" if it cannot be told.
func (p processes) startOf(pid int) string {
	start, dead, known := p.stat(pid)
	if !known || dead {
		return ""
	}
	return start
}

// ownLeases are the registrations that this process holds, by worker: of these it needs
// to ask neither the kernel nor a lock.
var ownLeases sync.Map
