package dashboard

import (
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// snapshot is the queues at a moment: all that pages, calls and events show over and over.
// Nobody changes it.
type snapshot struct {
	Version uint64        // rises when there is something new to see
	At      time.Time     // when it was taken
	Cost    time.Duration // what that took
	Polled  bool          // changes are found by looking again and again: the file system tells of none
	Err     error         // why it may be out of date; nil: it is not

	Dir    string
	Queues []queueSnapshot // in order: the default queue first
	Status fsq.Status      // of all together
	View   fsq.LiveView    // of all together
	Disk   *fsq.Disk       // nil: nobody knows
}

// queueSnapshot is one queue of a snapshot.
type queueSnapshot struct {
	Name   string
	Status fsq.Status
	View   fsq.LiveView
	Config fsq.Config        // as it holds for the queue
	Own    map[string]string // the settings in the queue's own file
	Dir    string
}

// queue is one of the queues; nil if there is none of that name.
func (s *snapshot) queue(name string) *queueSnapshot {
	for i := range s.Queues {
		if s.Queues[i].Name == name {
			return &s.Queues[i]
		}
	}
	return nil
}

// facts are what a view does not tell of, and what changes seldom.
type facts struct {
	rejected, dropped, unfinished int
	config                        fsq.Config
	own                           map[string]string
}

// statusOf is a view as a Status.
func statusOf(root string, v fsq.LiveView, f facts, now time.Time) fsq.Status {
	st := fsq.Status{
		Spool: root, Queue: v.Queue,
		Pending: v.Counts[fsq.Pending], Scheduled: v.Counts[fsq.Scheduled], Retrying: v.Counts[fsq.Retrying],
		Held: v.Counts[fsq.Held], Processing: v.Counts[fsq.Processing], Done: v.Counts[fsq.Done],
		Dead: v.Counts[fsq.Dead], Cancelled: v.Counts[fsq.Cancelled],
		Rejected: f.rejected, Dropped: f.dropped, Unfinished: f.unfinished,
		Paused: v.Paused, Limit: v.Limit, Workers: v.Workers,
	}
	if st.Workers == nil {
		st.Workers = []fsq.WorkerInfo{}
	}
	if !v.Oldest.IsZero() {
		age := max(now.Sub(v.Oldest).Seconds(), 0)
		st.OldestDueSeconds = &age
	}
	if !v.Next.IsZero() {
		next := v.Next
		st.NextDueAt = &next
	}
	return st
}
