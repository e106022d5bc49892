package dashboard

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type queuesPage struct {
	frame
	Queues []queueCard
}

type queueCard struct {
	Name, Path            string
	Paused                bool
	PausedAt, PausedUntil time.Time
	PausedBy, Reason      string
	States                []stateCount
	Oldest                bool
	Latency               float64
	NextDue               *time.Time
	Workers               string
	Limit, Running        int // as many may run at the same time, if that is limited
	BadLimit              bool
	Spark                 template.HTML
	Acts                  []act
	PausePath, ConfigPath string
	LimitPath             string
	Settings              []settingLine
	OwnCount              int
}

type stateCount struct {
	State fsq.State
	Path  string
	Count int
}

type settingLine struct {
	Key, Help, Value, OwnValue string
	Own                        bool
	Locked                     bool // it decides whom to trust: not over the web
}

func (d *Dashboard) pageQueues(w http.ResponseWriter, r *http.Request) {
	p := queuesPage{frame: d.frame(w, r, "queues", "Queues")}
	for _, q := range p.snap.Queues {
		p.Queues = append(p.Queues, p.card(q))
	}
	d.render(w, http.StatusOK, "queues", p)
}

func (p *queuesPage) card(q queueSnapshot) queueCard {
	st := q.Status
	c := queueCard{
		Name: q.Name, Path: "/jobs?" + url.Values{"queue": {q.Name}}.Encode(), NextDue: st.NextDueAt, Spark: sparkline(q.View.Ended, q.View.Failed, 30),
		PausePath: queueCall(q.Name, "pause"), ConfigPath: queueCall(q.Name, "config"), LimitPath: queueCall(q.Name, "limit"), Running: st.Processing, OwnCount: len(q.Own),
	}
	if st.Limit != nil {
		c.Limit, c.BadLimit = *st.Limit, *st.Limit == 0
	}
	if st.OldestDueSeconds != nil {
		c.Oldest, c.Latency = true, *st.OldestDueSeconds
	}
	for _, s := range fsq.States() {
		c.States = append(c.States, stateCount{s, "/jobs?" + url.Values{"queue": {q.Name}, "state": {string(s)}}.Encode(), countIn(st, s)})
	}
	workers, busy, slots := 0, 0, 0
	for _, w := range processes(q.View.Workers) {
		if w.State != fsq.WorkerLost {
			workers, busy, slots = workers+1, busy+w.Busy, slots+w.Slots
		}
	}
	c.Workers = "none: queuectl worker start --queue " + q.Name
	if q.Name == fsq.DefaultQueue {
		c.Workers = "none: queuectl worker start"
	}
	if workers > 0 {
		c.Workers = fmt.Sprintf("%s, %d of %s busy", plural(workers, "worker"), busy, plural(slots, "slot"))
	}
	if pause := st.Paused; pause != nil {
		c.Paused, c.PausedAt, c.PausedUntil, c.PausedBy, c.Reason = true, pause.At, pause.Until, pause.By, pause.Reason
		c.Acts = append(c.Acts, act{Label: "Resume", Of: "queue " + q.Name, Path: queueCall(q.Name, "resume"), Back: p.Back})
	}
	for _, s := range fsq.Settings() {
		value := q.Config.Get(s.Key)
		own, has := q.Own[s.Key]
		c.Settings = append(c.Settings, settingLine{Key: s.Key, Help: s.Help, Value: value, OwnValue: own, Own: has, Locked: s.Key == "trust-group" || s.Key == "run-as-owner"})
	}
	return c
}

func queueCall(queue, action string) string {
	return "/api/v1/queues/" + url.PathEscape(queue) + "/" + action
}
