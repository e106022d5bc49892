package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

const pageAddr = "127.0.0.1:3000"

// page has the dashboard served on a host, and looks whether it shows there what happens on
// another, which no event tells of, and what that costs the file server.
func (t *trial) page(ctx context.Context, host, works string) error {
	d := t.command(host, "dashboard", "--addr", pageAddr)
	if err := d.Start(); err != nil {
		return err
	}
	defer func() {
		_ = d.Process.Signal(syscall.SIGTERM)
		_ = d.Wait()
	}()
	type status struct {
		Polled  bool
		Done    int
		Workers []struct{ Host, State string }
	}
	look := func() (s status, err error) {
		out, err := exec.Command("on", host, "wget", "-q", "-O", "-", "http://"+pageAddr+"/api/v1/status").Output()
		if err == nil {
			err = json.Unmarshal(out, &s)
		}
		return s, err
	}
	var s status
	var err error
	if !until(ctx, t.patience, func() bool {
		s, err = look()
		return err == nil && slices.ContainsFunc(s.Workers, func(w struct{ Host, State string }) bool { return w.Host == works && w.State == "alive" })
	}) {
		t.breach("the dashboard on %s does not show the worker on %s: %+v, %v", host, works, s, err)
		return ctx.Err()
	}
	if !s.Polled {
		t.breach("the dashboard on %s does not say that it polls", host)
	}
	j := job{id: "dashboard", least: 1, most: 1, doc: map[string]any{"command": fmt.Sprintf(framed, ":")}}
	t.extra = append(t.extra, j)
	done, from := s.Done, time.Now()
	t.enqueueFrom(ctx, works, []job{j})
	if !until(ctx, t.patience, func() bool {
		s, err = look()
		return err == nil && s.Done == done+1
	}) {
		t.breach("the dashboard on %s does not show a job that is done on %s: %+v, %v", host, works, s, err)
		return ctx.Err()
	}
	shown := time.Since(from)
	// The worker looks for the job, then the dashboard for its end. Nothing tells either.
	if limit := 2*pollBound + t.slowness(); shown > limit {
		t.breach("the dashboard on %s showed a job that was done on %s after %s, the bound is %v", host, works, waited(shown), limit)
	}
	viewer := exec.Command("on", host, "wget", "-q", "-O", "/dev/null", "http://"+pageAddr+"/events")
	if err := viewer.Start(); err != nil {
		return err
	}
	defer func() {
		_ = viewer.Process.Kill()
		_ = viewer.Wait()
	}()
	load, err := t.load(ctx)
	t.figure("dashboard", "on %s, of a job on %s: done was shown %s after its enqueue; %.1f requests a second with a page open and the worker", host, works, waited(shown), load)
	return err
}
