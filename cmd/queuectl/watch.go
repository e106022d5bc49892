package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

func newWatch(a *app) *command {
	return &command{
		name:  "watch",
		short: "Show the queue on a live screen",
		long: `Shows what waits, what runs and how far it is, the workers, the throughput of the last
minutes, and the last failures, until q or Ctrl-C. It needs a terminal, of 80 columns and
24 lines or more.`,
		also: []string{"top", "tui", "ui"},
		examples: []example{
			{"The queue", "queuectl watch"},
			{"All queues together", "queuectl watch --queue '*'"},
			{"The queue of a spool of your own", "queuectl watch --spool ./spool"},
		},
		queues:  someQueue,
		exits:   []exitStatus{{exitNotFound, "no spool"}, {exitSignal + int(syscall.SIGINT), "stopped by Ctrl-C"}},
		run:     func(ctx context.Context, _ []string) error { return a.watch(ctx) },
		signals: true,
	}
}

func (a *app) watch(ctx context.Context) error {
	if !a.out.terminal() || !a.inTerm {
		return &usageError{"queuectl watch needs a terminal", "queuectl status and queuectl events are for scripts"}
	}
	qs, err := a.queues()
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	lives, err := a.live(watching, qs, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	s, err := openScreen(a.out)
	if err != nil {
		return err
	}
	defer s.close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		width, height := s.size()
		s.draw(a.frame(lives.view(), a.watched(qs), width, height))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case key := <-s.keys:
			if key == 'q' || key == 'Q' {
				return nil
			}
		case <-s.resized:
		case <-changed:
			// What comes fast is drawn together: no one reads more than some frames a second.
			select {
			case <-time.After(framePause):
			case <-ctx.Done():
			}
		case <-tick.C:
		}
	}
}

// lives are the views of the queues that are watched. It is safe for concurrent use.
type lives struct {
	changed func()

	mu  sync.Mutex
	all []liveQueue
	err error // why there are not all
}

type liveQueue struct {
	name string
	*fsq.Live
	stop context.CancelFunc
}

// live begins to look at the queues, and for * at those that are made later.
func (a *app) live(ctx context.Context, qs []*fsq.Queue, changed func()) (*lives, error) {
	l := &lives{changed: changed}
	for _, q := range qs {
		if err := l.add(ctx, q); err != nil {
			return nil, err
		}
	}
	if a.names(everyQueue) {
		go fsq.WatchQueues(ctx, a.spool, func() { l.look(ctx, a) })
	}
	return l, nil
}

func (l *lives) add(ctx context.Context, q *fsq.Queue) error {
	ctx, stop := context.WithCancel(ctx)
	live, err := q.Live(ctx, l.changed)
	if err != nil {
		stop()
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, liveQueue{q.Name(), live, stop})
	return nil
}

// look takes in the queues that were made and leaves those that were removed.
func (l *lives) look(ctx context.Context, a *app) {
	names, err := fsq.QueueNames(a.spool)
	l.mu.Lock()
	known := map[string]bool{}
	for _, q := range l.all {
		known[q.name] = true
	}
	if err == nil {
		l.all = slices.DeleteFunc(l.all, func(q liveQueue) bool {
			gone := !slices.Contains(names, q.name)
			if gone {
				q.stop()
			}
			return gone
		})
	}
	l.mu.Unlock()
	made, laterErr := a.laterQueues(func(name string) bool { return known[name] })
	err = errors.Join(err, laterErr)
	for _, q := range made {
		err = errors.Join(err, l.add(ctx, q))
	}
	l.mu.Lock()
	l.err = err
	l.mu.Unlock()
	l.changed()
}

// view is that of the one queue, or of all taken together.
func (l *lives) view() fsq.LiveView {
	l.mu.Lock()
	all, err := slices.Clone(l.all), l.err
	l.mu.Unlock()
	if len(all) == 1 && err == nil {
		return all[0].View()
	}
	views := make([]fsq.LiveView, 0, len(all))
	for _, live := range all {
		views = append(views, live.View())
	}
	sum := fsq.SumViews(views)
	sum.Err = errors.Join(sum.Err, err)
	return sum
}

// watched is the title of the screen.
func (a *app) watched(qs []*fsq.Queue) string {
	if !a.manyQueues() {
		return qs[0].Dir()
	}
	return a.spool + ", queues " + strings.ReplaceAll(a.queue, ",", ", ")
}

const framePause = 100 * time.Millisecond

// frame is what the screen shows: exactly height lines of at most width cells.
func (a *app) frame(v fsq.LiveView, dir string, width, height int) []string {
	now := a.now()
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }

	clock := now.Local().Format(time.TimeOnly)
	title := shorten(clean(dir), max(width-len(clock)-2, 10))
	add("%s%s%s", a.out.paint(bold, title), strings.Repeat(" ", max(width-len(clock)-1-cells(title), 1)), clock)
	add("%s", a.countsLine(v, width))
	add("%s", a.workLine(v, now, width))
	if v.Paused != nil {
		add("%s", a.out.paint(yellow, shorten(clean(pausedLine(v.Paused, now)), width-1)))
	}
	if v.Limit != nil && *v.Limit == 0 {
		add("%s", a.out.paint(yellow, shorten(limitLine(0), width-1)))
	}
	if len(v.PausedQueues) > 0 {
		add("%s", a.out.paint(yellow, shorten(clean("paused: "+strings.Join(v.PausedQueues, ", ")), width-1)))
	}
	if v.Err != nil {
		add("%s", a.out.paint(red, shorten(clean(v.Err.Error()), width-1)))
	}
	add("%s", a.sparkLine(v, width))
	add("")

	// The rest is shared: what runs first, then failures, then workers, each with what it
	// needs and no more than its part.
	room := height - len(lines) - 1
	failures := min(len(v.Failures), max(room/4, 2))
	workers := min(len(v.Workers), max(room/4, 2))
	running := max(room-failures-workers-5, 1)
	lines = append(lines, a.section(a.runningRows(v, now), running, width)...)
	lines = append(lines, a.section(a.failureRows(v, now), failures, width)...)
	lines = append(lines, a.section(a.workerRows(v), workers, width)...)
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	lines = lines[:height-1]
	return append(lines, a.out.paint(dim, shorten("q quits", width-1)))
}

// cells is how many columns a text takes that has no styles in it.
func cells(s string) int { return width(s) }

// countsLine leaves out what is 0 where there is no room for it.
func (a *app) countsLine(v fsq.LiveView, width int) string {
	for _, always := range []bool{true, false} {
		var painted, plain []string
		for _, s := range fsq.States() {
			n := v.Counts[s]
			if n == 0 && (!always || s == fsq.Held || s == fsq.Cancelled) {
				continue
			}
			text, style := fmt.Sprintf("%s %d", s, n), stateStyle[s]
			if n == 0 {
				style = dim
			}
			plain, painted = append(plain, text), append(painted, a.out.paint(style, text))
		}
		if line := strings.Join(plain, "  "); cells(line) < width {
			return strings.Join(painted, "  ")
		} else if !always {
			return shorten(line, width-1)
		}
	}
	return ""
}

func (a *app) workLine(v fsq.LiveView, now time.Time, width int) string {
	// A process that works several queues is a worker of each, and they share its slots.
	type process struct {
		host string
		pid  int
	}
	counted := map[process]bool{}
	slots, busy, lost := 0, 0, 0
	for _, w := range v.Workers {
		if w.State == fsq.WorkerLost {
			lost++
			continue
		}
		if w.Only != "" {
			continue // for nobody else's jobs
		}
		if p := (process{w.Host, w.PID}); !counted[p] {
			counted[p] = true
			slots += w.Slots
		}
		busy += w.Busy
	}
	s, style := fmt.Sprintf("%s, %d of %s busy", plural(alive(v.Workers), "worker"), busy, plural(slots, "slot")), plain
	if slots == 0 {
		s, style = "no worker is alive", red
	}
	if lost > 0 {
		s, style = s+fmt.Sprintf(", %d lost", lost), red
	}
	switch {
	case !v.Oldest.IsZero():
		s += "; the oldest job is due since " + span(now.Sub(v.Oldest).Truncate(time.Second))
	case !v.Next.IsZero():
		s += "; the next job is due " + relative(v.Next, now)
	}
	return a.out.paint(style, shorten(s, width-1))
}

// sparkSeconds is the time that each column of the sparkline stands for.
const sparkSeconds = 5

func (a *app) sparkLine(v fsq.LiveView, width int) string {
	const label = "ended "
	minute, failed := 0, 0
	for i := max(len(v.Ended)-60, 0); i < len(v.Ended); i++ {
		minute += v.Ended[i]
		failed += v.Failed[i]
	}
	tail := fmt.Sprintf(" %d in the last minute", minute)
	failedText := ""
	if failed > 0 {
		failedText = ", " + plural(failed, "failed attempt")
	}
	columns := min(len(v.Ended)/sparkSeconds, width-len(label)-len(tail)-len(failedText)-1)
	if columns < 5 {
		return label + tail[1:] + a.out.paint(red, failedText)
	}
	sums := make([]int, columns)
	for i := range sums {
		at := len(v.Ended) - (columns-i)*sparkSeconds
		for _, n := range v.Ended[at : at+sparkSeconds] {
			sums[i] += n
		}
	}
	return label + a.out.paint(green, sparkline(sums)) + tail + a.out.paint(red, failedText)
}

// sparkline draws numbers as bars of eight heights.
func sparkline(values []int) string {
	most := 1
	for _, n := range values {
		most = max(most, n)
	}
	var b strings.Builder
	for _, n := range values {
		if n == 0 {
			b.WriteString("·")
			continue
		}
		b.WriteRune([]rune("▁▂▃▄▅▆▇█")[min((n*8-1)/most, 7)])
	}
	return b.String()
}

// section is a table of at most limit rows, and an empty line. The first title tells how
// many more there are.
func (a *app) section(t *table, limit, width int) []string {
	if len(t.rows) == 0 {
		return nil
	}
	more := len(t.rows) - limit
	if more > 0 {
		t.rows = t.rows[:limit]
		t.head[0] += fmt.Sprintf(" (+%d)", more)
	}
	var b strings.Builder
	t.write(&output{w: &b, width: width, color: a.out.color})
	rows := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	return append(rows, "")
}

func (a *app) runningRows(v fsq.LiveView, now time.Time) *table {
	t := &table{head: []string{"RUNNING", ">FOR", "LIMIT", ">TRY", "PROGRESS", "COMMAND"}, shrink: 4, idle: map[int]string{2: "", 4: ""}}
	for _, j := range v.Running {
		var took time.Duration
		if j.StartedAt != nil {
			took = max(now.Sub(*j.StartedAt), 0)
		}
		limit := ""
		if j.Job != nil && j.Job.Timeout > 0 {
			limit = bar(int(took.Milliseconds()), int(j.Job.Timeout.Milliseconds()), 8) + " " + fsq.FormatDuration(j.Job.Timeout)
		}
		progress := ""
		if j.Progress != nil {
			progress = clean(j.Progress.String())
		}
		style := bold
		if j.WorkerLost {
			style = red
		}
		t.add(cell{clean(j.ID), style}, cell{span(took.Truncate(time.Second)), cyan}, cell{text: limit}, cell{text: attemptsOf(j)}, cell{text: progress}, cell{text: commandOf(j)})
	}
	a.queueColumn(t, 1, func(row int) string { return v.Running[row].Queue })
	return t
}

func (a *app) failureRows(v fsq.LiveView, now time.Time) *table {
	t := &table{head: []string{"FAILED", "WHEN", ">TRY", "WHAT", "ERROR"}}
	for _, f := range v.Failures {
		style := yellow
		if f.Event == fsq.EventDead {
			style = red
		}
		t.add(cell{clean(f.JobID), bold}, cell{text: relative(f.Time, now)}, cell{text: fmt.Sprintf("%d/%d", f.Attempt, f.MaxAttempts)}, cell{f.Event, style}, cell{text: clean(f.Error)})
	}
	a.queueColumn(t, 1, func(row int) string { return v.Failures[row].Queue })
	return t
}

func (a *app) workerRows(v fsq.LiveView) *table {
	t := &table{head: []string{"WORKER", "STATE", ">BUSY", "HEARTBEAT"}}
	for _, w := range v.Workers {
		t.add(cell{clean(w.ID), plain}, cell{clean(w.State), workerStyle[w.State]}, cell{text: fmt.Sprintf("%d/%d", w.Busy, w.Slots)},
			cell{text: span(seconds(w.HeartbeatAgeSeconds).Truncate(time.Second)) + " ago"})
	}
	a.queueColumn(t, 1, func(row int) string { return v.Workers[row].Queue })
	return t
}
