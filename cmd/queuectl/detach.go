package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/queuectl/queuectl/fsq"
)

// detach starts this program again in a session of its own and waits until the
// worker in it is ready or has failed. What it has to say goes to a log file.
func (a *app) detach(ctx context.Context, o startOptions) error {
	// Opened here as well, so that the common mistakes need no log file.
	q, err := a.openQueue(a.firstQueue())
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	log, err := q.WorkerLog()
	if err != nil {
		return fmt.Errorf("making the worker's log file: %w", err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe to the worker: %w", err)
	}
	defer r.Close()
	child := exec.Command(self, a.detachedArgs(o)...)
	child.Stdout, child.Stderr = log, log
	child.ExtraFiles = []*os.File{w} // becomes descriptor 3
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = child.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("starting the worker: %w", err)
	}
	stop := context.AfterFunc(ctx, func() {
		_ = child.Process.Signal(syscall.SIGTERM)
		r.Close()
	})
	line, err := bufio.NewReader(r).ReadBytes('\n')
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return a.detachFailed(child, log)
	}
	var ready readiness
	if err := json.Unmarshal(line, &ready); err != nil {
		return fmt.Errorf("the worker said %q: %w", line, err)
	}
	ready.Log = log.Name()
	if a.json {
		return a.out.jsonLine(ready)
	}
	a.out.printf("worker %s, pid %d, log %s\n", clean(ready.Worker), ready.PID, clean(ready.Log))
	return nil
}

// detachedArgs is the command line of the worker in the background.
func (a *app) detachedArgs(o startOptions) []string {
	args := []string{"worker", "start", "--spool=" + a.spool, "--color=never", "--json=" + strconv.FormatBool(a.json), "--" + readyFlag + "=3", "--drain=" + strconv.FormatBool(o.drain)}
	if a.queue != "" {
		args = append(args, "--queue="+a.queue)
	}
	if o.maxJobs > 0 {
		args = append(args, "--max-jobs="+strconv.Itoa(o.maxJobs))
	}
	if o.maxTime != nil {
		args = append(args, "--max-time="+fsq.FormatDuration(*o.maxTime))
	}
	return append(args, a.settings.args...)
}

// detachFailed shows what the worker said before it gave up.
func (a *app) detachFailed(child *exec.Cmd, log *os.File) error {
	err := child.Wait()
	// What fits a screen; a worker that never got ready says a line or two.
	said := make([]byte, 4<<10)
	n, _ := log.ReadAt(said, 0)
	if n > 0 {
		for _, line := range linesOf(said[:n]) {
			a.err.printf("%s\n", cleanLine(line))
		}
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() && n > 0 {
		return &reported{exit.ExitCode()}
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	hint := "its log is " + log.Name()
	if n == 0 {
		hint = "its log is empty: queuectl doctor says whether there is room to write it"
	}
	return &hinted{fmt.Errorf("the worker ended before it was ready: %w", err), hint}
}
