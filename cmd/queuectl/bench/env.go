package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// env is what the measurements share.
type env struct {
	dir    string // a new directory on the file system that is measured
	o      Options
	window time.Duration // how long a rate is measured
	scale  int           // a hundredth of the jobs, in whole ones
	n      int           // of the directories that were made
	round  int           // from 0
	once   map[string]any
}

// shared returns what make has made under that name: once in a run, or with each in a
// round. Lines that ask the same of the disk ask it once.
func shared[T any](e *env, name string, each bool, create func() (T, error)) (T, error) {
	if each {
		name = fmt.Sprintf("%s, round %d", name, e.round)
	}
	if have, ok := e.once[name].(T); ok {
		return have, nil
	}
	made, err := create()
	if err == nil {
		e.once[name] = made
	}
	return made, err
}

// streamJobs are those of a stream, and those that wait where many do, for each scale.
const streamJobs = 5000

// fresh makes an empty directory. What is in it stays until the end: an ext4 without a
// journal steps over each inode that was deleted in the last minutes, so that a mass
// deletion slows down what is measured next.
func (e *env) fresh(subs ...string) (string, error) {
	e.n++
	d := filepath.Join(e.dir, fmt.Sprintf("d%03d", e.n))
	err := os.Mkdir(d, 0o700)
	for _, s := range subs {
		err = errors.Join(err, os.Mkdir(filepath.Join(d, s), 0o700))
	}
	if err == nil {
		err = syncFS(d) // what was left dirty before is not this measurement's
	}
	return d, err
}

// queue makes a spool with the default settings.
func (e *env) queue() (*fsq.Queue, string, error) {
	d, err := e.fresh()
	if err != nil {
		return nil, "", err
	}
	dir := filepath.Join(d, "spool")
	q, err := fsq.Open(dir, fsq.DefaultConfig())
	return q, dir, err
}

// queuectl is a call of the program. What the caller's environment says of his own queue
// is not for it. When ctx ends it is asked to end as a worker is, so that it leaves no
// process of a job behind that still writes where everything is being removed.
func (e *env) queuectl(ctx context.Context, dir string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, e.o.Queuectl, append([]string{"--spool", dir}, args...)...)
	c.Dir = "/"
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "QUEUECTL_") {
			c.Env = append(c.Env, kv)
		}
	}
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = patience
	c.Stderr = &bytes.Buffer{}
	return c
}

// run runs a process of queuectl to its end.
func run(c *exec.Cmd) error { return said(c, c.Run()) }

// said adds what a process of queuectl has told people to the error that it ended with.
func said(c *exec.Cmd, err error) error {
	if err == nil {
		return nil
	}
	text := ""
	if b, ok := c.Stderr.(*bytes.Buffer); ok && b.Len() > 0 {
		text, _, _ = strings.Cut(": "+b.String(), "\n")
	}
	return fmt.Errorf("queuectl %s: %w%s", c.Args[3], err, text) // behind --spool DIR
}

// patience is how long a process may take to end that was asked to: its jobs do nothing.
const patience = 10 * time.Second
