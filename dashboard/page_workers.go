package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"

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
	for _, wk := range p.snap.View.Workers {
		if wk.State == fsq.WorkerLost {
			lost++
		} else {
			slots, busy = slots+wk.Slots, busy+wk.Busy
		}
		p.Workers = append(p.Workers, p.worker(wk))
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

func (p *workersPage) worker(wk fsq.WorkerInfo) workerRow {
	row := workerRow{workerLine: workerLine{wk, load(wk)}}
	for _, id := range wk.Jobs[:min(len(wk.Jobs), maxWorkerJobs)] {
		row.Jobs = append(row.Jobs, jobLink{id, jobPath(wk.Queue, id)})
	}
	if wk.RSSBytes != nil {
		row.Memory = sizeOf(*wk.RSSBytes)
	}
	row.MoreJobs = len(wk.Jobs) - len(row.Jobs)
	path := "/api/v1/workers/" + url.PathEscape(wk.ID) + "/stop?" + url.Values{"queue": {wk.Queue}}.Encode()
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
