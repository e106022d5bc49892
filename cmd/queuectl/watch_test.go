package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// aView is a queue with so much of everything.
func aView(n int, now time.Time) fsq.LiveView {
	v := fsq.LiveView{
		Queue: "default", Counts: map[fsq.State]int{}, Oldest: now.Add(-time.Minute),
		Ended: make([]int, fsq.LiveSeconds), Failed: make([]int, fsq.LiveSeconds),
	}
	for i, s := range fsq.States() {
		v.Counts[s] = n * (i + 1)
	}
	for i := range v.Ended {
		v.Ended[i], v.Failed[i] = i*n/100, n
	}
	for i := range n {
		started := now.Add(-time.Duration(i) * time.Second)
		percent := 42.0
		v.Running = append(v.Running, fsq.JobInfo{
			ID: fmt.Sprintf("job-%d\x1b[31m", i), Queue: "mail", Attempts: 1, MaxAttempts: 4, StartedAt: &started, Worker: "w",
			Command: &fsq.Command{Shell: strings.Repeat("a long command ", 20)}, Job: &fsq.Job{Timeout: 10 * time.Second},
			Progress: &fsq.Progress{Percent: &percent, Text: "encoding 世界"},
		})
		v.Workers = append(v.Workers, fsq.WorkerInfo{ID: fmt.Sprintf("web%d.4711.aaaaaaaaaaaaa", i), Host: fmt.Sprintf("web%d", i), PID: 4711, State: "alive", Slots: 4, Busy: 1})
		v.Failures = append(v.Failures, fsq.Failure{
			Transition: fsq.Transition{Event: fsq.EventDead, JobID: fmt.Sprintf("job-%d", i), Time: started, Attempt: 4, MaxAttempts: 4},
			Error:      "exit status 1: " + strings.Repeat("because ", 30),
		})
	}
	return v
}

var sgr = regexp.MustCompile(`\x1b\[\d*m`)

// A frame fits its terminal, whatever the queue is like and however small the terminal.
func TestFrameFits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, n := range []int{0, 1, 3, 1000} {
		for _, size := range [][2]int{{80, 24}, {132, 50}, {40, 10}, {20, 4}} {
			for i, queue := range []string{fsq.DefaultQueue, everyQueue, fsq.DefaultQueue, everyQueue} {
				paused := i > 1
				a := &app{chosen: []queueChoice{{name: queue}}, out: &output{w: io.Discard, width: size[0], color: true}, now: func() time.Time { return now }}
				v := aView(n, now)
				if paused {
					v.Paused = &fsq.Pause{Reason: strings.Repeat("maintenance ", 20), By: "ann@host", At: now}
					v.PausedQueues = []string{"default", strings.Repeat("long-", 30)}
				}
				lines := a.frame(v, "/var/spool/queuectl", size[0], size[1])
				if len(lines) != size[1] {
					t.Errorf("%d of each, %v: %d lines", n, size, len(lines))
				}
				for _, l := range lines {
					bare := sgr.ReplaceAllString(l, "")
					if strings.ContainsAny(bare, "\x1b\n\r") {
						t.Errorf("%d of each, %v: %q has control characters", n, size, bare)
					}
					if size[0] >= 80 && width(bare) > size[0] {
						t.Errorf("%d of each, %v: %d columns: %s", n, size, width(bare), bare)
					}
				}
				if size[1] < 24 {
					continue
				}
				all := sgr.ReplaceAllString(strings.Join(lines, "\n"), "")
				for _, want := range []string{"/var/spool/queuectl", "pending ", "q quits"} {
					if !strings.Contains(all, want) {
						t.Errorf("%d of each, %v: no %q in\n%s", n, size, want, all)
					}
				}
				for _, want := range []string{"RUNNING", "job-0", "FAILED", "WORKER", "web0", "42%"} {
					if n > 0 && !strings.Contains(all, want) {
						t.Errorf("%d of each, %v: no %q in\n%s", n, size, want, all)
					}
				}
			}
		}
	}
}

func TestSparkline(t *testing.T) {
	t.Parallel()
	for want, values := range map[string][]int{
		"····":     {0, 0, 0, 0},
		"·█":       {0, 1},
		"▁▂▃▄▅▆▇█": {1, 2, 3, 4, 5, 6, 7, 8},
		"▁█":       {1, 1000},
	} {
		if have := sparkline(values); have != want {
			t.Errorf("%v: have %s, want %s", values, have, want)
		}
	}
}
