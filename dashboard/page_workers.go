package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

type workersPage struct {
	frame
	TotalText string
	ShowQueue bool
	Acts      []act
	Workers   []workerRow
}

type workerRow struct {
	workerLine
	Queues   []string
	Jobs     []jobLink
	MoreJobs int
	Memory   string
	Acts     []act
}

// maxWorkerJobs is how many of the jobs of one worker are named.
const maxWorkerJobs = 8

func (d *Dashboard) pageWorkers(w http.ResponseWriter, r *http.Request) {
	p := workersPage{frame: d.frame(w, r, "workers", "Workers")}
	p.ShowQueue = p.several()
	slots, busy, lost := 0, 0, 0
	for _, ps := range processes(p.snap.View.Workers) {
		if ps.State == fsq.WorkerLost {
			lost++
		} else {
			slots, busy = slots+ps.Slots, busy+ps.Busy
		}
		p.Workers = append(p.Workers, p.worker(ps))
	}
	slices.SortStableFunc(p.Workers, func(a, b workerRow) int {
		return cmp.Or(boolFirst(a.State == fsq.WorkerLost, b.State == fsq.WorkerLost), cmp.Compare(a.Host, b.Host), a.StartedAt.Compare(b.StartedAt))
	})
	if n := len(p.Workers); n > 0 {
		p.TotalText = fmt.Sprintf("%s, %d of %s busy", plural(n-lost, "worker"), busy, plural(slots, "slot"))
		if lost > 0 {
			p.TotalText += fmt.Sprintf("; %d lost", lost)
		}
	}
	all := plural(len(p.Workers)-lost, "worker")
	p.Acts = []act{
		{Label: "Drain all", Of: "workers", Path: "/api/v1/workers/stop", Back: p.Back, Fields: map[string]string{"drain": "true"}, Ask: "Drain " + all + "? They finish what they run, take nothing more and end."},
		{Label: "Stop all", Of: "workers", Path: "/api/v1/workers/stop", Back: p.Back, Fields: map[string]string{"drain": "false"}, Danger: true, Ask: "Stop " + all + "? What they run is stopped and given back; it runs again."},
	}
	d.render(w, http.StatusOK, "workers", p)
}

// process is a worker process. One that serves several queues has registered in each, with
// all its slots: it is shown, and they are counted, once. Other slots are those of another
// worker in the same program.
type process struct {
	fsq.WorkerInfo                  // of its first queue; Busy is of all
	In             []fsq.WorkerInfo // as it has registered, the same in the first place
}

// processes gathers workers by their process. Two that serve the same queue are two.
func processes(workers []fsq.WorkerInfo) []process {
	var all []process
	for _, wk := range workers {
		at := slices.IndexFunc(all, func(ps process) bool {
			return ps.Host == wk.Host && ps.PID == wk.PID && ps.Slots == wk.Slots && !slices.ContainsFunc(ps.In, func(o fsq.WorkerInfo) bool { return o.Queue == wk.Queue })
		})
		if at < 0 {
			all = append(all, process{wk, []fsq.WorkerInfo{wk}})
			continue
		}
		ps := &all[at]
		ps.In = append(ps.In, wk)
		ps.Busy += wk.Busy
		ps.RSSBytes = cmp.Or(ps.RSSBytes, wk.RSSBytes)
		if wk.HeartbeatAt.After(ps.HeartbeatAt) {
			ps.HeartbeatAt = wk.HeartbeatAt
		}
		if stateRank(wk.State) > stateRank(ps.State) {
			ps.State, ps.Error = wk.State, wk.Error
		}
	}
	return all
}

// stateRank orders states of a worker by what has to be known first.
func stateRank(state string) int {
	return slices.Index([]string{fsq.WorkerAlive, fsq.WorkerStopping, fsq.WorkerSilent, fsq.WorkerLost}, state)
}

func (p *workersPage) worker(ps process) workerRow {
	wk := ps.WorkerInfo
	row := workerRow{workerLine: workerLine{wk, load(wk)}}
	jobs := 0
	for _, in := range ps.In {
		row.Queues = append(row.Queues, in.Queue)
		jobs += len(in.Jobs)
		for _, id := range in.Jobs[:min(len(in.Jobs), maxWorkerJobs-len(row.Jobs))] {
			row.Jobs = append(row.Jobs, jobLink{id, jobPath(in.Queue, id)})
		}
	}
	row.MoreJobs = jobs - len(row.Jobs)
	if wk.RSSBytes != nil {
		row.Memory = sizeOf(*wk.RSSBytes)
	}
	var ids []string
	for _, in := range ps.In {
		ids = append(ids, in.ID)
	}
	path := "/api/v1/workers/" + url.PathEscape(strings.Join(ids, ",")) + "/stop"
	if len(ids) == 1 {
		path += "?" + url.Values{"queue": {wk.Queue}}.Encode()
	}
	who := fmt.Sprintf("worker %d on %s", wk.PID, visible(wk.Host))
	drain := act{Label: "Drain", Of: who, Path: path, Back: p.Back, Fields: map[string]string{"drain": "true"}}
	stop := act{Label: "Stop", Of: who, Path: path, Back: p.Back, Fields: map[string]string{"drain": "false"}, Danger: true, Ask: "Stop " + who + "? What it runs is stopped and given back; it runs again."}
	switch wk.State {
	case fsq.WorkerStopping:
		drain.Why = "It is stopping already"
	case fsq.WorkerLost:
		drain.Why = "It is dead"
		stop.Label, stop.Ask = "Clear away", "Clear "+who+" away? It is dead; its jobs are given back and run again."
	}
	row.Acts = []act{drain, stop}
	return row
}
