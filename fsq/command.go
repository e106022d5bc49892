package fsq

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Exit codes of a command that never ran, as every shell gives them.
const (
	codeNotFound  = 127
	codeCannotRun = 126
)

// lockFD is the descriptor at which a job inherits its worker's registry
// lock. Shell scripts can name only 3 to 9, so none of them writes into the
// registry or closes the lock by chance; shells that save descriptors above
// that look for a free one.
const lockFD = 20

// A StartError says why a job's command could not be started. Nothing of it
// ran. Code is 127 if the program was not found and 126 for everything else.
type StartError struct {
	Code int
	Err  error
}

func (e *StartError) Error() string { return e.Err.Error() }

func (e *StartError) Unwrap() error { return e.Err }

// CommandHandler runs a job's command as a process group of its own, with the
// run's output files as its standard output and error. It is safe for
// concurrent use.
type CommandHandler struct{}

// Handle runs r.Job.Command and returns when it has ended: nil for exit
// status 0, an *ExitError for any other end, a *StartError if it could not be
// started. What a command that ended by itself left in the background goes on
// undisturbed.
//
// When ctx is done first, the whole process group gets SIGTERM, and SIGKILL
// after r.KillGrace, or SIGKILL at once if the cause is ErrLost. Handle then
// returns when the group is gone, and on Linux also what has left it, with an
// error that wraps both the cause and the command's *ExitError (of code 0 if it
// chose to exit so).
func (CommandHandler) Handle(ctx context.Context, r *Run) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	p, err := startCommand(r)
	if err != nil {
		return err
	}
	r.guard.add(p.pid)
	if r.started != nil {
		r.started(p.pid)
	}
	for waiting := true; waiting; {
		select {
		case <-p.exited:
			waiting = false
		case <-ctx.Done():
			waiting = false
		case name := <-r.signals:
			if sig, err := signalNumber(name); err == nil && !p.hasExited() {
				p.signal(sig) // its leader is not reaped, so the group is still its own
			}
		}
	}
	if p.hasExited() {
		// In this order, because once the leader is reaped its number may
		// become somebody else's, and the guard would kill that.
		r.guard.remove(p.pid)
		return p.reap()
	}
	cause := context.Cause(ctx)
	grace := r.KillGrace
	if errors.Is(cause, ErrLost) {
		grace = 0
	}
	if err := p.stop(grace); err != nil {
		// A process that outlives SIGKILL hangs in a system call. It will run
		// no more code of its own, so the slot need not hang with it.
		go func() {
			<-p.exited
			r.guard.remove(p.pid)
			_ = p.reap()
		}()
		return fmt.Errorf("%w: %w", cause, err)
	}
	r.guard.remove(p.pid)
	end := p.reap()
	// What has left the group would run on beside the job's next attempt, or after its
	// cancellation.
	if err := killOrphans(r.Worker, map[string]int{r.ID: r.Attempt}); err != nil {
		return fmt.Errorf("%w: %w", cause, err)
	}
	if end == nil {
		end = &ExitError{}
	}
	return fmt.Errorf("%w: %w", cause, end)
}

// startCommand starts the run's command; its errors are *StartErrors.
func startCommand(r *Run) (*process, error) {
	cannot := func(err error) (*process, error) {
		return nil, &StartError{Code: codeCannotRun, Err: err}
	}
	p, err := r.prepare()
	if errors.As(err, new(*StartError)) {
		return nil, err
	}
	if err != nil {
		return cannot(err)
	}

	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return cannot(err)
	}
	defer func() { _ = null.Close() }()
	files := []*os.File{null, r.Stdout, r.Stderr}
	for i, f := range files {
		if f == nil {
			files[i] = null
		}
	}
	if r.Job.Stdin != "" {
		in, err := stdinFile(r.Job.Stdin)
		if err != nil {
			return cannot(fmt.Errorf("prepare standard input: %w", err))
		}
		defer func() { _ = in.Close() }()
		files[0] = in
	}
	if r.lock != nil {
		// The gap is nil and so closed in the child.
		files = append(files, make([]*os.File, lockFD-len(files))...)
		files = append(files, r.lock)
	}

	attr := &os.ProcAttr{Dir: p.dir, Env: p.env, Files: files, Sys: commandAttr()}
	umask, before := r.Job.Umask, func() {}
	if r.owner != nil {
		attr.Sys, before = ownerAttr(r.account), leaveKeyring
		if umask == "" {
			umask = ownerUmask
		}
	} else if sameUmask(umask, r.umask) {
		umask = "" // most jobs have the worker's, and need no thread of their own for it
	}
	started, err := startWithUmask(p.path, p.argv, umask, attr, before)
	if err == nil {
		return started, nil
	}
	var pe *fs.PathError // its text speaks of fork/exec
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &StartError{codeNotFound, fmt.Errorf("start %q: no such program, or its interpreter is missing", p.path)}
	}
	return cannot(fmt.Errorf("start %q: %w", p.path, err))
}

// program is what a run starts, and where.
type program struct {
	path string
	argv []string
	dir  string // "" for the worker's own
	env  []string
}

// prepare finds the run's program and directory, as far as whom it runs as gets at them.
func (r *Run) prepare() (p program, err error) {
	if r.owner == nil {
		err = p.find(r, workDir)
		return p, err
	}
	err = asOwner(r.account, func() error {
		return p.find(r, func(cwd string) (string, error) { return ownerDir(cwd, r.account) })
	})
	return p, err
}

func (p *program) find(r *Run, workDir func(string) (string, error)) (err error) {
	if p.dir, err = workDir(r.Job.Cwd); err != nil {
		return err
	}
	p.env = jobEnv(r, p.dir)
	p.argv = r.Job.Command.Args
	if len(p.argv) == 0 {
		p.argv, p.path = []string{"sh", "-c", r.Job.Command.Shell}, "/bin/sh"
		return nil
	}
	list, ok := lookupEnv(p.env, "PATH")
	if !ok {
		list = defaultSearchPath
	}
	p.path, err = lookPath(p.argv[0], list, p.dir)
	return err
}

// startWithUmask starts a command under an umask of its own: "" for the worker's. before
// is called on the thread that makes it.
func startWithUmask(path string, argv []string, umask string, attr *os.ProcAttr, before func()) (*process, error) {
	if umask == "" {
		return startProcess(path, argv, attr, nil)
	}
	mask, err := parseUmask(umask)
	if err != nil {
		return nil, fmt.Errorf("umask: %w", err)
	}
	p, err := startProcess(path, argv, attr, func() error {
		before()
		return threadUmask(mask)
	})
	if errors.Is(err, errNoThreadUmask) {
		path, argv = underShell(path, argv, mask)
		return startProcess(path, argv, attr, func() error {
			before()
			return nil
		})
	}
	return p, err
}

// errNoThreadUmask says that this system gives no thread an umask of its own.
var errNoThreadUmask = errors.New("a thread cannot have an umask of its own")
