package dashboard

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

type jobsPage struct {
	frame
	Filter     filter
	FilterJSON string // as the body of an action names it
	Filtered   bool
	More       bool // conditions that are folded away are given
	Wrong      string
	StateText  string
	Tag        string
	OtherTags  []string
	ExitCode   string
	QueueNames []string
	Limits     []int
	Enqueue    bool // jobs can be enqueued here

	Chips       []chip
	TotalText   string
	Matching    string // how many match; "": nobody has counted
	Columns     []column
	Jobs        []row
	First, Next string
	Partial     bool   // no more were to be read
	ReadText    string // how many were read so far
	read        int
	Bulk        []act
}

type chip struct {
	State, Label, Path string
	Count              int
	Current            bool
}

type column struct {
	Label, Class, Path, Sorted string
}

func (d *Dashboard) pageJobs(w http.ResponseWriter, r *http.Request) {
	p := jobsPage{frame: d.frame(w, r, "jobs", "Jobs"), Limits: []int{25, 50, 100, 250, 500}}
	p.Enqueue = d.opt.AllowEnqueue && !p.ReadOnly
	f, err := parseFilter(r.URL.Query())
	p.Filter = f
	for _, q := range p.snap.Queues {
		p.QueueNames = append(p.QueueNames, q.Name)
	}
	if err == nil {
		err = p.list(r, d)
	}
	if err != nil {
		p.Wrong = err.Error()
	}
	p.form()
	p.chips()
	p.columns()
	status := http.StatusOK
	switch {
	case errors.Is(err, errGone):
		status = http.StatusServiceUnavailable
	case p.Wrong != "":
		status = http.StatusBadRequest
	}
	d.render(w, status, "jobs", p)
}

// list reads the page's jobs.
func (p *jobsPage) list(r *http.Request, d *Dashboard) error {
	page, err := share(&d.shared, "jobs "+p.Filter.values().Encode(), p.Data, p.Now, func() (fsq.JobPage, error) { return d.page(r.Context(), p.Filter) })
	if err != nil {
		return err
	}
	running := map[string]*fsq.Job{} // a list has no documents; of what runs the snapshot has
	for _, i := range p.snap.View.Running {
		running[i.Queue+"/"+i.ID] = i.Job
	}
	for _, i := range page.Jobs {
		if i.State == fsq.Processing {
			i.Job = running[i.Queue+"/"+i.ID]
		}
		p.Jobs = append(p.Jobs, d.row(i, p.Now, p.several() && p.Filter.Queue == "", timeoutOf(i, p.config(i.Queue))))
	}
	before, _ := strconv.Atoi(r.URL.Query().Get("read"))
	p.Partial, p.read = page.Partial, max(before, 0)+page.Examined
	p.ReadText = thousands(p.read) + " of about " + thousands(max(p.candidates(), p.read)) + " read"
	p.total(page)
	if page.Next != "" {
		next := p.Filter
		next.After = page.Next
		p.Next = "/jobs?" + next.values().Encode()
		if page.Partial {
			p.Next += "&read=" + strconv.Itoa(p.read)
		}
	}
	if p.Filter.After != "" {
		first := p.Filter
		first.After = ""
		p.First = "/jobs?" + first.values().Encode()
	}
	return nil
}

func (p *jobsPage) total(page fsq.JobPage) {
	shown := len(page.Jobs)
	switch {
	case page.Total != nil:
		p.Matching = strconv.Itoa(*page.Total)
		p.TotalText = plural(*page.Total, "job")
		if *page.Total > shown {
			p.TotalText = thousands(shown) + " of " + p.TotalText
		}
	case page.Next == "" && p.Filter.After == "":
		p.Matching = strconv.Itoa(shown)
		p.TotalText = plural(shown, "job")
	case page.Partial:
		p.TotalText = plural(shown, "job") + " so far, " + p.ReadText
		if shown == 0 {
			p.TotalText = "none so far, " + p.ReadText
		}
	default:
		p.TotalText = plural(shown, "job") + " on this page"
	}
}

// candidates is how many jobs there are of the states and the queue that are asked for.
func (p *jobsPage) candidates() (n int) {
	st := p.snap.Status
	if q := p.snap.queue(p.Filter.Queue); q != nil {
		st = q.Status
	}
	for _, s := range fsq.States() {
		if len(p.Filter.States) == 0 || slices.Contains(p.Filter.States, s) {
			n += countIn(st, s)
		}
	}
	return n
}

// form fills in what the filter says.
func (p *jobsPage) form() {
	f := p.Filter
	p.StateText = f.state
	if len(f.Tags) > 0 {
		p.Tag, p.OtherTags = f.Tags[0], f.Tags[1:]
	}
	p.ExitCode = f.ExitCode
	p.More = f.Host != "" || f.Worker != "" || f.ExitCode != "" || f.Priority != "" || f.Until != ""
	bare := f
	bare.Sort, bare.After, bare.Limit = "", "", 0
	p.Filtered = len(bare.values()) > 0
	p.FilterJSON = filterJSON(bare)
	for _, a := range []act{{Label: "Retry"}, {Label: "Run now"}, {Label: "Hold"}, {Label: "Release"}, {Label: "Cancel", Danger: true}, {Label: "Delete", Danger: true}} {
		name := strings.ReplaceAll(strings.ToLower(a.Label), " ", "-")
		a.Path = "/api/v1/jobs/" + name
		allowed := fsq.Act{Action: name}.States()
		if len(f.States) > 0 && !slices.ContainsFunc(f.States, func(s fsq.State) bool { return slices.Contains(allowed, s) }) {
			a.Why = a.Label + " is for jobs that are " + statesInWords(allowed)
		}
		var words []string
		for _, s := range allowed {
			words = append(words, string(s))
		}
		a.Fields = map[string]string{"for": strings.Join(words, " "), "not": a.Label + " is for jobs that are " + statesInWords(allowed)}
		p.Bulk = append(p.Bulk, a)
	}
}

func statesInWords(states []fsq.State) string {
	var words []string
	for _, s := range states {
		words = append(words, string(s))
	}
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
	}
	return strings.Join(words, "")
}

// filterJSON is a filter as the body of an action has it.
func filterJSON(f filter) string {
	m := map[string]any{}
	for key, values := range f.values() {
		switch key {
		case "tag":
			m[key] = values
		case "limit":
		default:
			m[key] = values[0]
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		return "{}"
	}
	return string(data)
}

func (p *jobsPage) chips() {
	st := p.snap.Status
	if q := p.snap.queue(p.Filter.Queue); q != nil {
		st = q.Status
	}
	with := func(state string) string {
		f := p.Filter
		f.state, f.After = state, ""
		return strings.TrimSuffix("/jobs?"+f.values().Encode(), "?")
	}
	all := chip{Label: "all", Path: with(""), Current: p.Filter.state == ""}
	for _, s := range fsq.States() {
		n := countIn(st, s)
		all.Count += n
		p.Chips = append(p.Chips, chip{
			State: string(s), Label: string(s), Path: with(string(s)), Count: n, Current: slices.Contains(p.Filter.States, s),
		})
	}
	p.Chips = append([]chip{all}, p.Chips...)
}

// columns are the heads of the table; those that can be sorted by are links.
func (p *jobsPage) columns() {
	f := p.Filter
	by, reverse := strings.CutPrefix(f.Sort, "-")
	for _, c := range []struct{ label, class, sort string }{
		{"State", "w-state", "turn"}, {"Job", "w-id", "enqueued"}, {"Command", "", ""}, {"Priority", "num w-n opt", "priority"}, {"Tries", "num w-n", "attempts"},
		{"When", "w-when", "ended"}, {"Wait", "num w-t opt", "wait"}, {"Run", "num w-t", "run"}, {"Detail", "w-why", ""},
	} {
		col := column{Label: c.label, Class: c.class}
		if c.sort != "" {
			next := f
			next.After, next.Sort = "", c.sort
			if by == c.sort || by == "" && c.sort == "turn" {
				col.Sorted = "ascending"
				if reverse {
					col.Sorted = "descending"
				} else {
					next.Sort = "-" + c.sort
				}
			}
			col.Path = "/jobs?" + next.values().Encode()
		}
		p.Columns = append(p.Columns, col)
	}
}
