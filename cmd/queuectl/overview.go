package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

// overview is queuectl without a command: the status, and three things to do next.
func (a *app) overview(ctx context.Context) error {
	s, there, err := a.showStatus(ctx)
	if err != nil || a.json {
		return err
	}
	for _, step := range nextSteps(s, there) {
		a.hint("%s", strings.ReplaceAll(step, "queuectl ", a.ctl()+" "))
	}
	return nil
}

// nextSteps are three things to do, the most urgent first. there is false if there is no
// spool yet.
func nextSteps(s fsq.Status, there bool) []string {
	lost := 0
	for _, w := range s.Workers {
		if w.State == fsq.WorkerLost {
			lost++
		}
	}
	due := s.Pending + s.Dropped - s.Unfinished
	none := alive(s.Workers) == 0
	var steps []string
	add := func(holds bool, format string, args ...any) {
		if holds && len(steps) < 3 {
			steps = append(steps, fmt.Sprintf(format, args...))
		}
	}
	add(s.Paused != nil, "queuectl resume ends the pause: until then no job is started")
	add(none && due > 0, "queuectl worker start runs the %s; no worker is running now", dueJobs(due))
	add(lost > 0, "queuectl worker list shows the %s that died; any other worker gives back what they ran", plural(lost, "worker"))
	add(s.Dead > 0, "queuectl dlq list says why %s, and queuectl retry --all puts them back", died(s.Dead))
	add(s.Rejected > 0, "queuectl dlq list says why %s no job", files(s.Rejected))
	add(s.Processing > 0, "queuectl list --state processing shows what runs, and queuectl logs -f ID follows it")
	add(s.Held > 0, "queuectl list --state held shows what waits until queuectl release ID")
	add(s.Retrying > 0, "queuectl list --state retrying shows what failed and is tried again, and queuectl explain ID says more")
	add(none && due == 0 && there && s.Scheduled > 0, "queuectl worker start runs what is scheduled when its time comes; no worker is running now")
	add(true, "queuectl enqueue -- echo hello adds a job")
	add(none, "queuectl worker start runs jobs until it is stopped, and queuectl worker start --drain until none is due")
	add(s.Done > 0, "queuectl list --state done shows what has ended, and queuectl stats how long it took")
	add(true, "queuectl help lists the commands, and queuectl man explains them")
	add(true, "queuectl list shows the jobs")
	return steps
}

func dueJobs(n int) string {
	if n == 1 {
		return "job that is due"
	}
	return fmt.Sprintf("%d jobs that are due", n)
}

func died(n int) string {
	if n == 1 {
		return "1 job is dead"
	}
	return fmt.Sprintf("%d jobs are dead", n)
}

func files(n int) string {
	if n == 1 {
		return "1 file is"
	}
	return fmt.Sprintf("%d files are", n)
}
