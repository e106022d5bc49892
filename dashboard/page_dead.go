package dashboard

import (
	"net/http"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type deadPage struct {
	frame
	TotalText string
	By        []choice
	Groups    []deadGroup
	More      bool
	Rejected  []fsq.Rejected
}

type deadGroup struct {
	Key, HTMLID          string
	Count                int
	Error, Exit, Command string
	Queue                string
	ShowQueue, Several   bool
	Newest, Oldest       time.Time
	Path                 string
	Sample               []jobLink
	Acts                 []act
}

type jobLink struct{ ID, Path string }

func (d *Dashboard) pageDead(w http.ResponseWriter, r *http.Request) {
	p := deadPage{frame: d.frame(w, r, "dead", "Dead letters")}
	p.TotalText = plural(p.snap.Status.Dead, "job")
	d.render(w, http.StatusOK, "dead", p)
}
