// Command torture is a trial of queuectl by force: workers on one spool run thousands
// of jobs while they are killed, suspended and started again at random. Afterwards it
// judges what is left by what the jobs themselves have written down: each must have
// run, each must be done or dead, and none may have run twice without a worker that
// was killed, or suspended for longer than its lease.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are what a run is made of.
type options struct {
	workers int
	slots   int
	jobs    int
	seconds int
	lease   time.Duration
	seed    uint64
	dir     string
	binary  string
	hosts   []string // of scripts/internal/vm: a trial of its own
	deaf    bool     // one of them hears no replies just before the file server is restarted
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr) //nolint:forbidigo // this is main
	stop()
	os.Exit(code) //nolint:forbidigo // this is main
}

// command is the program: 0 if the queue stood the trial, 1 if not, 2 for wrong usage.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.workers, "workers", 4, "worker processes")
	flags.IntVar(&o.slots, "slots", 4, "jobs that each runs at a time")
	flags.IntVar(&o.jobs, "jobs", 3000, "jobs")
	flags.IntVar(&o.seconds, "seconds", 20, "how long workers are killed and suspended")
	flags.DurationVar(&o.lease, "lease", 2*time.Second, "the workers' lease")
	flags.Uint64Var(&o.seed, "seed", 0, "repeats the choices of an earlier run (0: new ones)")
	flags.StringVar(&o.dir, "dir", "", "a new directory for the spool, which is kept (default: a temporary one)")
	flags.StringVar(&o.binary, "binary", "", "the queuectl to torture (default: built from this source)")
	hosts := flags.String("hosts", "", "names of hosts that share /nfs, with commas between: in the machine of scripts/internal/vm")
	flags.BoolVar(&o.deaf, "lose-replies", false, "with --hosts: replies to one of them are lost just before the file server is restarted")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 || o.workers < 1 || o.slots < 1 || o.jobs < 1 || o.seconds < 0 || o.lease < time.Second {
		fmt.Fprintln(stderr, "torture: numbers must be positive, --lease a second or more, and there are no other arguments")
		return 2
	}
	if *hosts != "" {
		o.hosts = strings.Split(*hosts, ",")
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	sound, err := torture(ctx, o, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "torture:", err)
	}
	if err != nil || !sound {
		return 1
	}
	return 0
}

// torture makes the place, runs the trial and tells the verdict.
func torture(ctx context.Context, o options, out io.Writer) (sound bool, err error) {
	keep := o.dir != ""
	if keep {
		// Not one that is there: what lies in it would be judged too.
		err = os.Mkdir(o.dir, 0o700)
	} else {
		o.dir, err = os.MkdirTemp("", "torture-")
	}
	if err != nil {
		return false, err
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return false, err
	}
	if o.binary == "" {
		o.binary = filepath.Join(o.dir, "queuectl")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.binary, "github.com/queuectl/queuectl/cmd/queuectl")
		if text, err := build.CombinedOutput(); err != nil {
			return false, fmt.Errorf("go build: %w\n%s", err, text)
		}
	}
	t := newTrial(o, out)
	run := t.run
	if len(o.hosts) > 0 {
		run = t.runOnHosts
		fmt.Fprintf(out, "%d hosts with %d workers of %d slots, %d jobs, seed %d\n", len(o.hosts), workersPerHost, o.slots, o.jobs, o.seed)
	} else {
		fmt.Fprintf(out, "%d workers with %d slots, %d jobs, %d s, lease %v, seed %d\n",
			o.workers, o.slots, o.jobs, o.seconds, o.lease, o.seed)
	}
	evidence, err := run(ctx)
	if err != nil {
		return false, fmt.Errorf("%w (see %s)", err, o.dir)
	}
	found, late := judge(evidence)
	breaches := slices.Concat(t.breaches, found)
	t.report(evidence, breaches, late)
	if len(breaches) > 0 || keep {
		fmt.Fprintf(out, "kept: %s\n", o.dir)
		return len(breaches) == 0, nil
	}
	return true, os.RemoveAll(o.dir)
}
