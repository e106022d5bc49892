// Command queuectl is a job queue that is a directory: it enqueues commands, runs
// them with workers, and shows what became of them.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// environment is what a run of queuectl may touch. Environment variables are not
// part of it: ff reads the process's own, and two sources would be one too many.
type environment struct {
	args      []string
	stdin     io.Reader
	stdout    io.Writer
	stderr    io.Writer
	outWidth  int // columns of the terminal that stdout is; 0: it is none
	errWidth  int
	stdinTerm bool
	umask     int
	now       func() time.Time
	// listen takes SIGINT and SIGTERM over, for commands that do something about them.
	// All others end at once: nothing in a spool minds.
	listen func(context.Context) (context.Context, <-chan os.Signal)
}

func main() {
	// A job's environment has its own retries under the name of the setting; a job
	// that enqueues another one must not hand them on.
	if os.Getenv("QUEUECTL_JOB_ID") != "" {
		_ = os.Unsetenv(envName("max-retries"))
	}
	// A closed pipe becomes an error of the write instead of the end of a worker
	// with its jobs. Notify, not Ignore: an ignored signal would stay so in the jobs.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	// The umask can only be read by setting it. Nothing else runs yet.
	umask := syscall.Umask(0o077)
	syscall.Umask(umask)
	os.Exit(run(context.Background(), environment{
		args:      os.Args[1:],
		stdin:     os.Stdin,
		stdout:    os.Stdout,
		stderr:    os.Stderr,
		outWidth:  columns(os.Stdout),
		errWidth:  columns(os.Stderr),
		stdinTerm: columns(os.Stdin) > 0,
		umask:     umask,
		now:       time.Now,
		listen:    listen,
	}))
}

// echo is how soon a signal may come again and still be the same one: timeout(1)
// signals its child and then its child's group.
const echo = 100 * time.Millisecond

// listen returns a context that the first SIGINT or SIGTERM cancels, and a channel
// that gets the second one. SIGHUP, by which a terminal that is closed says so, is like
// the first SIGTERM: a worker ends in peace. Where it is ignored, as under nohup(1), it
// stays so. A signal that nobody waits for has its default effect:
// it ends a command that hangs in a system call, or a worker that does not stop.
func listen(parent context.Context) (context.Context, <-chan os.Signal) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	second := make(chan os.Signal)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		s := (<-signals).(syscall.Signal)
		first := time.Now()
		cancel(&signalled{s})
		for s := range signals {
			if time.Since(first) < echo || s == syscall.SIGHUP {
				continue
			}
			select {
			case second <- s:
			default:
				signal.Reset(s)
				_ = syscall.Kill(os.Getpid(), s.(syscall.Signal))
			}
		}
	}()
	return ctx, second
}
