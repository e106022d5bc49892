package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type deadPage struct {
	frame
	TotalText string
	Queues    []choice
	Groups    []deadGroup
	Wrong     string
	Rejected  []fsq.Rejected
}

type deadGroup struct {
	Key            string
	Count          int
	Error          string // of one of them
	Alike          string // of all of them, without what differs
	Exit, Program  string
	Several        bool
	Newest, Oldest time.Time
	Path           string
	Sample         []jobLink
	Acts           []act
}

type jobLink struct{ ID, Path string }

const (
	// maxGroups is how many groups are shown, the greatest first.
	maxGroups = 100
	// maxRejected is how many rejected files are shown, the newest first.
	maxRejected = 100
)

func (d *Dashboard) pageDead(w http.ResponseWriter, r *http.Request) {
	p := deadPage{frame: d.frame(w, r, "dead", "Dead letters")}
	queue := r.URL.Query().Get("queue")
	if p.several() {
		p.Queues = append(p.Queues, choice{Label: "all queues", Path: "/dead", Current: queue == ""})
		for _, q := range p.snap.Queues {
			p.Queues = append(p.Queues, choice{Label: q.Name, Path: "/dead?" + url.Values{"queue": {q.Name}}.Encode(), Current: queue == q.Name})
		}
	}
	status := http.StatusOK
	qs, err := d.selected(filter{Queue: queue})
	if err == nil {
		err = p.groups(r.Context(), d, qs, queue)
	}
	if err != nil {
		status, p.Wrong = statusOfError(err), err.Error()
	}
	for _, q := range qs {
		rejected, err := q.Rejects()
		if err != nil {
			continue // what is dead is shown all the same
		}
		for i := len(rejected) - 1; i >= 0 && len(p.Rejected) < maxRejected; i-- {
			p.Rejected = append(p.Rejected, rejected[i])
		}
	}
	d.render(w, status, "dead", p)
}

func (p *deadPage) groups(ctx context.Context, d *Dashboard, qs []*fsq.Queue, queue string) error {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	all, err := share(&d.shared, "dead "+queue, p.Data, p.Now, func() (fsq.DeadGroups, error) { return d.dead.Groups(ctx, qs, readsAtOnce) })
	if err != nil {
		return err
	}
	p.TotalText = plural(all.Dead, "job")
	if n := len(all.Groups); n > 0 {
		p.TotalText += " in " + plural(n, "group")
	}
	if all.Unread > 0 {
		p.TotalText += fmt.Sprintf("; %s are still to be read", thousands(all.Unread))
	}
	if all.Rest > 0 {
		p.TotalText += fmt.Sprintf("; %s in smaller groups", thousands(all.Rest))
	}
	for _, g := range all.Groups[:min(len(all.Groups), maxGroups)] {
		p.Groups = append(p.Groups, p.group(g, queue))
	}
	return nil
}

func (p *deadPage) group(g fsq.DeadGroup, queue string) deadGroup {
	f := filter{state: string(fsq.Dead), Group: g.Key, Queue: queue}
	query := f.values().Encode()
	out := deadGroup{
		Key: g.Key, Count: g.Count, Error: visible(shorten(cmp.Or(g.Error, g.Outcome), shortText)),
		Program: visible(shorten(g.Program, 80)), Newest: g.Newest, Oldest: g.Oldest, Several: g.Count > 1, Path: "/jobs?" + query,
	}
	if e := visible(shorten(g.Example, shortText)); e != "" && e != out.Error {
		out.Alike, out.Error = out.Error, e
		if !out.Several {
			out.Alike = ""
		}
	}
	switch {
	case g.Signal != "":
		out.Exit = "ended by " + g.Signal
	case g.ExitCode != nil:
		out.Exit = "exit code " + strconv.Itoa(*g.ExitCode)
	default:
		out.Exit = g.Outcome
	}
	for _, j := range g.Jobs {
		out.Sample = append(out.Sample, jobLink{j.ID, jobPath(j.Queue, j.ID)})
	}
	if p.ReadOnly {
		return out
	}
	what := plural(g.Count, "job")
	add := func(label, action, ask string, danger bool) {
		out.Acts = append(out.Acts, act{
			Label: label, Of: what + ": " + g.Error, Path: "/api/v1/jobs/" + action, Back: p.Back, Ask: ask, Danger: danger,
			// No more than were seen: what dies meanwhile is not meant.
			Fields: map[string]string{"filter": query, "expect": strconv.Itoa(g.Count)},
			Body:   `{"filter":` + filterJSON(f) + `,"expect":` + strconv.Itoa(g.Count) + `}`,
		})
	}
	add("Retry "+what, "retry", "Retry "+what+"? They are due at once, with all their retries.", false)
	add("Delete", "delete", "Delete "+what+"? Their output and records go as well. Nothing brings them back.", true)
	return out
}
