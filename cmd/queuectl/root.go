package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/peterbourgon/ff/v3"

	"github.com/queuectl/queuectl/fsq"
)

// app is what the commands share.
type app struct {
	in       io.Reader
	inTerm   bool
	out, err *output
	now      func() time.Time
	listen   func(context.Context) (context.Context, <-chan os.Signal)
	second   <-chan os.Signal // the second SIGINT or SIGTERM; the first one cancels the context

	spool    string
	queue    string        // as given
	chosen   []queueChoice // what it selects
	cmd      *command      // that runs
	json     bool
	color    string
	settings *settings
	line     line // as it was typed
	umask    int  // of this process
}

// run is queuectl from its arguments to its exit status.
func run(ctx context.Context, e environment) int {
	if status, ok := stamped(e.args); ok {
		return status
	}
	a := &app{
		in:       e.stdin,
		inTerm:   e.stdinTerm,
		out:      &output{w: e.stdout, width: e.outWidth},
		err:      &output{w: e.stderr, width: e.errWidth},
		now:      e.now,
		listen:   e.listen,
		settings: newSettings(),
		umask:    e.umask,
	}
	root := newRoot(a)
	if len(e.args) > 0 && e.args[0] == completeWord {
		a.complete(ctx, root, e.args[1:])
		return exitOK
	}
	err := a.dispatch(ctx, root, e.args)
	if a.out.err != nil {
		err = &outputError{a.out.err}
	}
	a.report(err)
	return exitCode(err)
}

func (a *app) dispatch(ctx context.Context, root *command, args []string) error {
	l, err := parseLine(root, a.settings.flags, args)
	a.line = l
	switch {
	case err != nil:
		return err
	case l.help:
		a.out.printf("%s", a.help(l.cmd, root))
		return nil
	case l.version:
		return a.version()
	}
	if err := l.cmd.checkArgs(l.args); err != nil {
		return err
	}
	tree := root.ffcli(ff.WithEnvVarPrefix(envPrefix))
	if err := tree.Parse(l.argv()); err != nil {
		return badFlag(err, l, root)
	}
	a.out.color = useColor(a.color, a.out.terminal(), os.Getenv)
	a.err.color = useColor(a.color, a.err.terminal(), os.Getenv)
	if a.spool == "" {
		if a.spool, err = defaultSpool(os.Geteuid(), os.Getenv); err != nil {
			return err
		}
	}
	if a.spool, err = filepath.Abs(a.spool); err != nil {
		return fmt.Errorf("finding the spool: %w", err)
	}
	a.cmd = l.cmd
	if err := a.chooseQueues(l.cmd.queues, l.gives("queue")); err != nil {
		return err
	}
	name := fsq.DefaultQueue
	if !a.manyQueues() {
		name = a.queueName()
	}
	if a.settings, err = a.loadSettings(name, l.settings); err != nil {
		return a.boxed(name, err)
	}
	a.now = a.spoolTime(a.now)
	if l.cmd.signals {
		ctx, a.second = a.listen(ctx)
	}
	return tree.Run(ctx)
}

// badFlag names the flag or environment variable whose value was refused.
func badFlag(err error, l line, root *command) error {
	if name, why := refusal(l.cmd.flags); why != nil && l.cmd != root {
		return usagef("--%s: %v", name, why)
	}
	name, why := refusal(root.flags)
	if why == nil {
		return &usageError{problem: err.Error()}
	}
	for _, g := range l.global {
		if f, _, _ := splitFlag(g); f.name == name {
			return usagef("--%s: %v", name, why)
		}
	}
	return usagef("%s: %v", envName(name), why)
}

func newRoot(a *app) *command {
	root := &command{
		name:  "queuectl",
		args:  "COMMAND",
		short: "Run commands from a job queue that is a directory",
		long: `Jobs are files in a spool. Any number of workers, also on several hosts, take them
from there, run them, retry what fails, and keep what became of them.

Without a command queuectl shows the status.`,
		examples: []example{
			{"Queue a command and run it", `queuectl enqueue '{"command":"echo hello"}'` + "\n" + `queuectl worker start`},
			{"See what became of it", "queuectl list"},
			{"Use a spool of your own", "queuectl --spool ./spool status"},
		},
		flags: newFlagSet(),
		sub: []*command{
			newEnqueue(a), newRun(a), newWorker(a), newStatus(a), newList(a), newShow(a), newExplain(a), newLogs(a), newStats(a),
			newWait(a), newEvents(a), newWatch(a), newDashboard(a), newCancel(a), newKill(a), newRetry(a), newDelete(a), newPause(a), newResume(a),
			newHold(a), newRelease(a), newRunNow(a), newSet(a), newEdit(a),
			newDLQ(a), newQueue(a), newConfig(a), newPrune(a), newCheck(a), newDoctor(a), newBench(a), newInit(a), newCompletion(a), newMan(a), newVersion(a),
		},
		run: func(ctx context.Context, _ []string) error { return a.overview(ctx) },
	}
	stringFlag(root.flags, &a.spool, "spool", "DIR", "the spool (default /var/spool/queuectl for root, else $XDG_STATE_HOME/queuectl or ~/.local/state/queuectl)")
	stringFlag(root.flags, &a.queue, "queue", "NAME", "the queue of the spool (default \"default\", which is the spool itself); where several can be shown, NAME,NAME… or * for all")
	boolFlag(root.flags, &a.json, "json", "print JSON on stdout")
	choiceFlag(root.flags, &a.color, "color", "auto", []string{"auto", "always", "never"}, "when to use colours")
	return root.link("")
}

// defaultSpool is where the spool is when nobody says: where a system service
// looks for root, else where a user's state belongs (XDG Base Directory, which
// ignores a relative path).
func defaultSpool(uid int, getenv func(string) string) (string, error) {
	if uid == 0 {
		return "/var/spool/queuectl", nil
	}
	if state := getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "queuectl"), nil
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "queuectl"), nil
	}
	return "", &usageError{
		problem: "there is no home directory to keep a spool in",
		hint:    "--spool DIR or QUEUECTL_SPOOL names one",
	}
}

// open opens the selected queue and makes it if it is not there.
func (a *app) open() (*fsq.Queue, error) { return a.openQueue(a.queueName()) }

// existing opens the selected queue if it is there; else the error is a noSpool or a
// noQueue.
func (a *app) existing() (*fsq.Queue, error) { return a.existingQueue(a.queueName()) }

// orEmpty opens the spool for a command to which no spool is an empty one: the
// queue is nil then, and a hint says why.
func (a *app) orEmpty() (*fsq.Queue, error) {
	q, err := a.existing()
	if missing := (*noSpool)(nil); errors.As(err, &missing) {
		a.hint("%s yet; queuectl enqueue makes it", missing)
		return nil, nil
	}
	return q, err
}
