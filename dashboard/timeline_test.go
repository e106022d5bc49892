package dashboard

import (
	"strings"
	"testing"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// TestTimeline: what happened is told once, and in order.
func TestTimeline(t *testing.T) {
	f := newFixture(t, 0)
	q, err := fsq.OpenExisting(f.dir, fsq.DefaultConfig())
	must(t, err)
	at := func(seconds float64) time.Time {
		return f.now.Add(time.Duration(seconds * float64(time.Second)))
	}
	ran := func(due, started, ended float64) fsq.Attempt {
		return fsq.Attempt{
			Number: 1, Outcome: "done", Worker: "w", Host: "h", PID: 7,
			StartedAt: ptrTo(at(started)), EndedAt: ptrTo(at(ended)), WaitSeconds: ptrTo(started - due),
		}
	}
	acted := func(action string, when float64) []fsq.Action {
		return []fsq.Action{{Action: action, By: "ann", At: at(when)}}
	}
	for name, c := range map[string]struct {
		job  fsq.JobInfo
		want string
	}{
		"acted on often": {
			fsq.JobInfo{State: fsq.Held, Actions: acted(fsq.ActionHold, 9), ActionsCut: 7}, "Enqueued, 7 earlier actions left out, Held by hand, Held",
		},
		"at once":   {fsq.JobInfo{State: fsq.Pending, DueAt: ptrTo(at(0))}, "Enqueued"},
		"scheduled": {fsq.JobInfo{State: fsq.Scheduled, DueAt: ptrTo(at(60)), Job: &fsq.Job{RunAt: at(60)}}, "Enqueued, Due"},
		"cancelled": {fsq.JobInfo{State: fsq.Cancelled, EndedAt: ptrTo(at(5)), Job: &fsq.Job{RunAt: at(60)}}, "Enqueued, Cancelled"},
		"cancelled when due": {
			fsq.JobInfo{State: fsq.Cancelled, EndedAt: ptrTo(at(90)), Job: &fsq.Job{RunAt: at(60)}}, "Enqueued, Due, Cancelled",
		},
		"has run": {
			fsq.JobInfo{State: fsq.Done, Records: []fsq.Attempt{ran(60, 61, 62)}, Job: &fsq.Job{RunAt: at(60)}}, "Enqueued, Due, Attempt 1 succeeded",
		},
		"run now": {
			fsq.JobInfo{State: fsq.Done, Records: []fsq.Attempt{ran(5, 5.001, 5.003)}, Job: &fsq.Job{RunAt: at(60)}, Actions: acted(fsq.ActionRunNow, 5.02)},
			"Enqueued, Made due, Attempt 1 succeeded",
		},
		"retried": {
			fsq.JobInfo{State: fsq.Pending, DueAt: ptrTo(at(9)), Records: []fsq.Attempt{ran(0, 1, 2)}, Actions: acted(fsq.ActionRetry, 9)},
			"Enqueued, Attempt 1 succeeded, Retried by hand, Due",
		},
	} {
		c.job.EnqueuedAt = ptrTo(at(0))
		p := jobPage{frame: frame{Now: f.now}, Job: c.job}
		p.timeline(q)
		var titles []string
		for _, m := range p.Timeline {
			titles = append(titles, m.Title)
			if strings.HasPrefix(m.Title, "Attempt") && !strings.HasPrefix(m.Text, "on h · worker w · pid 7 · waited") {
				t.Errorf("%s: %s", name, m.Text)
			}
		}
		if got := strings.Join(titles, ", "); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
}

// TestProcesses: a process that serves several queues is one.
func TestProcesses(t *testing.T) {
	t.Parallel()
	worker := func(queue, host string, pid, slots, busy int, state string) fsq.WorkerInfo {
		return fsq.WorkerInfo{ID: queue + host, Queue: queue, Host: host, PID: pid, Slots: slots, Busy: busy, State: state, RSSBytes: nil}
	}
	all := processes([]fsq.WorkerInfo{
		worker("a", "h", 1, 4, 1, fsq.WorkerAlive), worker("a", "h", 2, 4, 0, fsq.WorkerAlive), worker("a", "g", 1, 4, 0, fsq.WorkerAlive),
		worker("b", "h", 1, 4, 2, fsq.WorkerStopping), worker("b", "h", 2, 3, 0, fsq.WorkerAlive), worker("a", "h", 1, 4, 0, fsq.WorkerAlive),
	})
	if len(all) != 5 || len(all[0].In) != 2 || all[0].Slots != 4 || all[0].Busy != 3 || all[0].State != fsq.WorkerStopping {
		t.Errorf("%+v", all)
	}
}

// TestThroughputOfNow: what has just ended counts before it is written down.
func TestThroughputOfNow(t *testing.T) {
	t.Parallel()
	v := fsq.LiveView{Ended: make([]int, fsq.LiveSeconds), Failed: make([]int, fsq.LiveSeconds)}
	if got := throughIn("hour", fsq.History{}, v); got.Known {
		t.Errorf("%+v", got)
	}
	v.Failed[10] = 13
	h := fsq.History{Points: []fsq.HistoryPoint{{Ended: &fsq.Ended{Done: 5}}}}
	if got := throughIn("hour", h, v); !got.Known || got.Done != 5 || got.Failed != 13 {
		t.Errorf("%+v", got)
	}
}
