package fsq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// bench works jobs by hand: what becomes of each is what the test says.
type bench struct {
	t *testing.T
	q *Queue
	l *spool.Lease
}

func newBench(t *testing.T, q *Queue) *bench {
	t.Helper()
	l, err := q.s.Register(1, "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Leave() })
	return &bench{t, q, l}
}

func (b *bench) claim(id string) *spool.Claim {
	b.t.Helper()
	e, err := b.q.find(id)
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := b.l.Claim(e.Name)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// end has the job end so, and records it.
func (b *bench) end(id string, end spool.Ending, a Attempt) {
	b.t.Helper()
	c := b.claim(id)
	a.JobID, a.Number, a.Outcome, a.Worker = id, c.Name().Attempt, end.Outcome, b.l.Worker()
	a.Host = cmp.Or(a.Host, spool.WorkerHost(a.Worker))
	if err := b.q.writeRecord(a); err != nil {
		b.t.Fatal(err)
	}
	settle := c.Bury
	if end.Outcome == string(OutcomeDone) {
		settle = c.Done
	}
	if _, err := settle(end); err != nil {
		b.t.Fatal(err)
	}
	nextMillisecond()
}

// nextMillisecond has what is done next be told apart in names from what is done already.
func nextMillisecond() {
	for now := spool.Truncate(time.Now()); !spool.Truncate(time.Now()).After(now); {
		runtime.Gosched()
	}
}

// A stock of jobs of every kind, in two queues.
func stock(t *testing.T) (qs []*Queue, worker string) {
	t.Helper()
	q := openQueue(t, testConfig())
	mail := named(t, q, "mail", testConfig())
	for _, doc := range []string{
		`{"id":"p1","command":"./render /a/b.png","priority":5,"tags":["x"]}`, `{"id":"p2","command":"make ALL"}`,
		`{"id":"s1","command":"true","run_at":"+10m","priority":-3}`, `{"id":"s2","command":"true","run_at":"+3h"}`,
		`{"id":"r1","command":"sleep 1"}`, `{"id":"d1","command":"true"}`, `{"id":"d2","command":"true","priority":5}`,
		`{"id":"x1","command":"exit 3"}`, `{"id":"x2","command":"./send a"}`, `{"id":"c1","command":"true"}`, `{"command":"./made"}`,
	} {
		enqueue(t, q, doc)
		nextMillisecond()
	}
	for _, doc := range []string{`{"id":"m1","command":"true"}`, `{"id":"m2","command":"true"}`, `{"id":"m3","command":"true","priority":5}`} {
		enqueue(t, mail, doc)
		nextMillisecond()
	}
	// An hour ago, one a second: they end after longer than they have been here.
	put := time.Now().Add(-time.Hour)
	for i, id := range strings.Fields("p1 p2 s1 s2 r1 d1 d2 x1 x2 c1 m1 m2 m3") {
		of := q
		if id[0] == 'm' {
			of = mail
		}
		e, err := of.find(id)
		if err == nil {
			err = os.Chtimes(filepath.Join(of.Dir(), e.Path), time.Time{}, put.Add(time.Duration(i)*time.Second))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b := newBench(t, q)
	ms := time.Millisecond
	b.end("d1", spool.Ending{Outcome: "done", Wait: 5 * ms, Run: 70 * time.Second}, Attempt{ExitCode: ptr(0)})
	b.end("d2", spool.Ending{Outcome: "done", Wait: 9 * ms, Run: 20 * time.Second}, Attempt{ExitCode: ptr(0), Host: "elsewhere"})
	b.end("x1", spool.Ending{Outcome: "failed", Wait: 7 * ms, Run: 30 * time.Second}, Attempt{ExitCode: ptr(3), Error: "exit status 3: disk 17 is full"})
	b.end("x2", spool.Ending{Outcome: "failed", Wait: 3 * ms, Run: 90 * time.Second}, Attempt{ExitCode: ptr(-1), Signal: "KILL", Error: "signal: killed"})
	b.claim("r1")
	if _, err := q.Cancel(t.Context(), "c1"); err != nil {
		t.Fatal(err)
	}
	nextMillisecond()
	newBench(t, mail).end("m2", spool.Ending{Outcome: "done", Wait: 6 * ms, Run: 50 * time.Second}, Attempt{ExitCode: ptr(0)})
	if err := os.WriteFile(filepath.Join(q.Dir(), spool.DropPath("drop.json")), []byte(`{"command":"x","priority":2}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return []*Queue{q, mail}, b.l.Worker()
}

func names(jobs []JobInfo) string {
	var ids []string
	for _, j := range jobs {
		if _, made := spool.IDTime(j.ID); made {
			j.ID = "made"
		}
		ids = append(ids, j.ID)
	}
	return strings.Join(ids, " ")
}

// What a name tells is judged by the name: the files of the other jobs are not read.
func TestSelectorReadsWhatItMust(t *testing.T) {
	t.Parallel()
	qs, worker := stock(t)
	here := spool.WorkerHost(worker)
	hour := time.Hour
	for what, c := range map[string]struct {
		sel   Selector
		want  string // sorted
		reads int
	}{
		"a priority":         {Selector{MinPriority: ptr(5)}, "d2 m3 p1", 0},
		"a range":            {Selector{MinPriority: ptr(-9), MaxPriority: ptr(-1)}, "s1", 0},
		"with drops":         {Selector{MinPriority: ptr(1), MaxPriority: ptr(4)}, "drop", 0},
		"a state":            {Selector{States: []State{Done}}, "d1 d2 m2", 0},
		"a worker":           {Selector{Workers: []string{worker, "nobody"}}, "d1 d2 r1 x1 x2", 5},
		"who runs":           {Selector{Workers: []string{worker}, States: []State{Processing}}, "r1", 0},
		"a host":             {Selector{Hosts: []string{here}, States: []State{Done, Processing}}, "d1 m2 r1", 3},
		"another host":       {Selector{Hosts: []string{"elsewhere"}}, "d2", 5},
		"an exit code":       {Selector{ExitCodes: []int{3, 4}}, "x1", 2},
		"success":            {Selector{ExitCodes: []int{0}}, "d1 d2 m2", 2},
		"an error":           {Selector{Error: "DISK"}, "x1", 2},
		"no error":           {Selector{Error: "disk", States: []State{Done, Processing, Pending}}, "", 0},
		"text":               {Selector{Contains: "RENDER"}, "p1", 14},
		"text of a priority": {Selector{Contains: "render", MinPriority: ptr(5)}, "p1", 3},
		"ended since":        {Selector{Since: time.Now().Add(-hour), States: []State{Done, Dead}}, "d1 d2 m2 x1 x2", 0},
		"ended until":        {Selector{Until: time.Now().Add(-hour), States: []State{Done, Dead}}, "", 0},
		"since":              {Selector{Since: time.Now().Add(-hour)}, "c1 d1 d2 drop m1 m2 m3 made p1 p2 r1 s1 s2 x1 x2", 8},
		"in the future":      {Selector{Since: time.Now().Add(hour)}, "", 8},
		"newer":              {Selector{Newer: &hour, States: []State{Done}}, "d1 d2 m2", 0},
		"a group":            {Selector{Group: "none"}, "", 2},
	} {
		page, err := Page(t.Context(), qs, ListOptions{Where: c.sel, Reads: 100, Total: true})
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		have := strings.Fields(names(page.Jobs))
		slices.Sort(have)
		if got := strings.Join(have, " "); got != c.want || page.Examined != c.reads || page.Next != "" || page.Partial {
			t.Errorf("%s: have %q, %d were read, want %q and %d: %+v", what, got, page.Examined, c.want, c.reads, page)
		}
		if known := page.Total != nil; known != (c.reads == 0) || known && *page.Total != len(have) {
			t.Errorf("%s: total %v of %d", what, page.Total, len(have))
		}
		if jobs, more, err := ListAll(t.Context(), qs, ListOptions{Where: c.sel}); err != nil || more || names(jobs) != names(page.Jobs) {
			t.Errorf("%s, without a bound: %q, %v", what, names(jobs), err)
		}
	}
	for what, sel := range map[string]Selector{
		"a bad glob":  {Command: "[a"},
		"a bad range": {MinPriority: ptr(1), MaxPriority: ptr(0)},
		"a bad time":  {Since: time.Now(), Until: time.Now().Add(-hour)},
	} {
		if _, err := Page(t.Context(), qs, ListOptions{Where: sel}); !errors.As(err, new(*FieldError)) {
			t.Errorf("%s: %v, want a FieldError", what, err)
		}
	}
}

func TestReadSelection(t *testing.T) {
	t.Parallel()
	show := func(n *int) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	for in, want := range map[string]string{
		"5": "5 5", "5..": "5 -", "..-1": "- -1", "-5..5": "-5 5", "0..0": "0 0",
		"": "", "..": "", "5..1": "", "x": "", "1..x": "", "1000": "", "..-1000": "",
	} {
		lowest, highest, err := ParsePriorities(in)
		if have := show(lowest) + " " + show(highest); (err == nil) != (want != "") || err == nil && have != want {
			t.Errorf("priorities %q: %s, %v", in, have, err)
		}
	}
	now := time.Date(2026, 11, 24, 8, 30, 0, 0, time.UTC)
	for in, want := range map[string]time.Time{"1h": now.Add(-time.Hour), "2026-11-24T08:00": now.Add(-30 * time.Minute), "2026-11-23": now.Add(-32*time.Hour - 30*time.Minute), "soon": {}} {
		if at, err := ParseMoment(in, now); !at.Equal(want) || (err == nil) == want.IsZero() {
			t.Errorf("moment %q: %s, %v", in, at, err)
		}
	}
	for in, want := range map[string]string{"0": "[0]", "3, 255": "[3 255]", "256": "", "-1": "", "": "", "x": ""} {
		if codes, err := ParseStatuses(in); (err == nil) != (want != "") || err == nil && fmt.Sprint(codes) != want {
			t.Errorf("codes %q: %v, %v", in, codes, err)
		}
	}
}

// Whatever the order and the size of a page: page by page it is the same list.
func TestPageOrders(t *testing.T) {
	t.Parallel()
	qs, _ := stock(t)
	for sort, want := range map[string]string{
		"turn":      "r1 p1 m3 p2 made m1 drop s1 s2 m2 c1 x2 x1 d2 d1",
		"-turn":     "d1 d2 x1 x2 c1 m2 s2 s1 drop m1 made p2 m3 p1 r1",
		"due":       "p1 p2 r1 made m1 m3 s1 s2 … c1 d1 d2 drop m2 x1 x2",
		"enqueued":  "p1 p2 s1 s2 r1 d1 d2 x1 x2 c1 m1 m2 m3 made drop",
		"-enqueued": "drop made m3 m2 m1 c1 x2 x1 d2 d1 r1 s2 s1 p2 p1",
		"ended":     "d1 d2 x1 x2 c1 m2 … drop m1 m3 made p1 p2 r1 s1 s2",
		"-ended":    "m2 c1 x2 x1 d2 d1 … drop m1 m3 made p1 p2 r1 s1 s2",
		"-wait":     "",
		"run":       "",
		"attempts":  "",
		"-priority": "",
	} {
		by, reverse, err := ParseSort(sort)
		if err != nil {
			t.Fatal(err)
		}
		opt := ListOptions{Sort: by, Reverse: reverse, Details: true}
		whole, err := Page(t.Context(), qs, opt)
		if err != nil || whole.Next != "" || len(whole.Jobs) != 15 {
			t.Fatalf("%s: %d jobs, %v", sort, len(whole.Jobs), err)
		}
		if valued, rest, _ := strings.Cut(want, " …"); want != "" {
			have := names(whole.Jobs)
			n := len(strings.Fields(valued))
			tail := strings.Fields(have)[n:]
			slices.Sort(tail) // those without a value are in some order
			if strings.Join(strings.Fields(have)[:n], " ") != valued || strings.Join(tail, " ") != strings.TrimSpace(rest) {
				t.Errorf("%s: have %q, want %q", sort, have, want)
			}
		}
		for limit := 1; limit <= 15; limit += 3 {
			opt := opt
			opt.Limit, opt.Total = limit, limit == 4
			var pages []JobInfo
			for more := true; more; more = opt.After != "" {
				page, err := Page(t.Context(), qs, opt)
				if err != nil || len(page.Jobs) > limit || len(page.Jobs) == 0 || len(pages) > len(whole.Jobs) {
					t.Fatalf("%s, %d a page: %d jobs, %v", sort, limit, len(page.Jobs), err)
				}
				if opt.Total && *page.Total != 15 {
					t.Errorf("%s: %d in all", sort, *page.Total)
				}
				pages, opt.After = append(pages, page.Jobs...), page.Next
			}
			if names(pages) != names(whole.Jobs) {
				t.Errorf("%s, %d a page: have %q, want %q", sort, limit, names(pages), names(whole.Jobs))
			}
		}
	}
	first, err := Page(t.Context(), qs, ListOptions{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	for what, opt := range map[string]ListOptions{
		"no cursor":             {After: "x!"},
		"no JSON":               {After: "eHh4"},
		"a cursor without end":  {After: strings.Repeat("A", 1<<20)},
		"of another order":      {After: first.Next, Sort: SortRun},
		"of the reversed order": {After: first.Next, Reverse: true},
		"no order":              {Sort: "size"},
	} {
		if _, err := Page(t.Context(), qs, opt); !errors.As(err, new(*FieldError)) {
			t.Errorf("%s: %v, want a FieldError", what, err)
		}
	}
	if _, _, err := ParseSort("-"); !errors.As(err, new(*FieldError)) {
		t.Errorf("no order: %v", err)
	}
}

// A page that has to read files reads so many at most, says how many, and is gone on from
// where it has stopped.
func TestPageReadsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	jobs := make([]Job, 60)
	for i := range jobs {
		jobs[i] = Job{ID: fmt.Sprintf("j%02d", i), Command: shell("true"), Priority: i % 7}
		if i%10 == 3 {
			jobs[i].Tags = []string{"rare"}
		}
	}
	for _, r := range q.EnqueueBatch(t.Context(), jobs) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	all, _, err := q.List(t.Context(), ListOptions{Where: Selector{Tags: []string{"rare"}}, Sort: SortPriority})
	if err != nil || len(all) != 6 {
		t.Fatalf("%d, %v", len(all), err)
	}
	for _, c := range []struct{ limit, reads, pages int }{{2, 7, 9}, {2, 60, 4}, {10, 13, 5}, {0, 25, 3}, {0, 60, 1}} {
		opt := ListOptions{Where: Selector{Tags: []string{"rare"}}, Sort: SortPriority, Limit: c.limit, Reads: c.reads, Total: true}
		var have []JobInfo
		n, examined := 0, 0
		for more := true; more; more = opt.After != "" {
			p, err := Page(t.Context(), []*Queue{q}, opt)
			if err != nil || n > len(jobs) || p.Examined > c.reads || p.Total != nil || c.limit > 0 && len(p.Jobs) > c.limit {
				t.Fatalf("%+v: %+v, %v", c, p, err)
			}
			if short := p.Next != "" && len(p.Jobs) < c.limit; short && !p.Partial {
				t.Errorf("%+v: a page of %d does not say that it is not whole", c, len(p.Jobs))
			}
			have, opt.After = append(have, p.Jobs...), p.Next
			n, examined = n+1, examined+p.Examined
		}
		if names(have) != names(all) || examined != len(jobs) || n > c.pages {
			t.Errorf("%+v: %d pages, %d read: %q, want %q", c, n, examined, names(have), names(all))
		}
	}
	// Who has no time left gets what there is, and else an error.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := Page(ctx, []*Queue{q}, ListOptions{Where: Selector{Tags: []string{"rare"}}, Reads: 60}); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", p, err)
	}
}

// Jobs come, run and end while a list is gone through: those that stay are on it once.
func TestPagesWhileJobsMove(t *testing.T) {
	t.Parallel()
	n := 20_000
	if testing.Short() {
		n = 2_000
	}
	q := openQueue(t, testConfig())
	put := func(ids string, n int, opt EnqueueOptions) {
		jobs := make([]Job, n)
		for i := range jobs {
			jobs[i] = Job{ID: fmt.Sprintf("%s-%d", ids, i), Command: shell("true"), Priority: i % 5}
		}
		for _, r := range q.Prepare(t.Context(), jobs, opt).Put() {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
	}
	put("held", n/2, EnqueueOptions{Hold: true})
	put("work", n/2, EnqueueOptions{})
	w := startWorker(t, q, WorkerOptions{Slots: 8, Handler: HandlerFunc(func(_ context.Context, r *Run) error {
		if strings.HasSuffix(r.ID, "7") {
			return errors.New("no")
		}
		return nil
	})})
	var over atomic.Bool
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		for i := 0; i < n/100 && !over.Load(); i++ {
			put(fmt.Sprintf("more%d", i), 50, EnqueueOptions{})
		}
	}()
	var settled []State
	for _, sort := range []string{"turn", "-attempts", "priority"} {
		by, reverse, err := ParseSort(sort)
		if err != nil {
			t.Fatal(err)
		}
		opt := ListOptions{Sort: by, Reverse: reverse, Limit: n / 8}
		seen := map[string]int{}
		pages := 0
		for more := true; more; more = opt.After != "" {
			p, err := Page(t.Context(), []*Queue{q}, opt)
			if err != nil || pages > n {
				t.Fatalf("%d pages, %v", pages, err)
			}
			for _, j := range p.Jobs {
				if strings.HasPrefix(j.ID, "held-") {
					seen[j.ID]++
				}
				if j.EndedAt != nil {
					settled = append(settled, j.State)
				}
			}
			opt.After = p.Next
			pages++
		}
		once := 0
		for id, times := range seen {
			if once++; times > 1 {
				t.Errorf("%s: %s is on the list %d times", sort, id, times)
			}
		}
		if once != n/2 || pages < 4 {
			t.Errorf("%s: %d pages have %d of %d jobs that stay", sort, pages, once, n/2)
		}
	}
	over.Store(true)
	<-fed
	if len(settled) == 0 {
		t.Error("nothing moved meanwhile")
	}
	w.cancel()
}
