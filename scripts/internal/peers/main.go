// Command peers has other queues do the same work as queuectl, in the same run and on the
// same file system, and prints a table of their rates. Each is given the durability that
// queuectl has, as far as it has a setting for it: what is acknowledged has been synced.
// The rounds go through all queues row by row, so that a slow spell of the machine falls on
// all of them alike.
//
// It is a module of its own: what it needs of the peers is no part of queuectl.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp), errors.As(err, new(usageError)):
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench-peers:", err)
		}
		os.Exit(2)
	case interrupted:
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-peers:", err)
		os.Exit(1)
	}
}

// usageError says that the arguments are wrong.
type usageError struct{ error }

// env is what the measurements share.
type env struct {
	dir string // a new directory on the file system that is measured
	run string // a new directory for sockets, whose paths must be short
	bin string // where queuectl and the programs that put one job are
	n   int    // of the directories that were made
	size
}

// size is how much work there is.
type size struct {
	window  time.Duration // how long a rate of calls is measured
	jobs    int           // that are claimed, run or put in by the thousand
	waiting int           // while which 1,000 are claimed
	starts  int           // of jobs in an idle queue
}

var (
	full  = size{window: time.Second, jobs: 2000, waiting: 100_000, starts: 9}
	quick = size{window: 400 * time.Millisecond, jobs: 500, waiting: 10_000, starts: 5}
)

// fresh makes an empty directory. What is in it stays until the end: an ext4 without a
// journal steps over each inode that was deleted in the last minutes, so that a mass
// deletion slows down what is measured next.
func (e *env) fresh() (string, error) {
	e.n++
	d := filepath.Join(e.dir, fmt.Sprintf("d%03d", e.n))
	if err := os.Mkdir(d, 0o700); err != nil {
		return "", err
	}
	return d, syncFS(d) // what was left dirty before is not this measurement's
}

// socket is a path that no other server has.
func (e *env) socket() string {
	e.n++
	return filepath.Join(e.run, fmt.Sprintf("s%03d", e.n))
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("bench-peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", ".", "a directory on the file system to measure; a new one is made in it and removed")
	bin := flags.String("bin", "", "where queuectl and the programs that put one job are")
	isQuick := flags.Bool("quick", false, "one short round")
	rounds := flags.Int("rounds", 0, "rounds, of which the medians are taken (default 3; with -quick 1)")
	only := flags.String("only", "", "a pattern: measure the rows that it matches only")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return usageError{err}
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return usageError{fmt.Errorf("--only: %w", err)}
	}
	if *rounds < 0 || flags.NArg() > 0 {
		return usageError{fmt.Errorf("--rounds must be 1 or more, and there are no arguments beside the options")}
	}
	e := &env{bin: *bin, size: full}
	if *isQuick {
		e.size = quick
	}
	if *rounds == 0 {
		*rounds = 3
		if *isQuick {
			*rounds = 1
		}
	}
	if e.dir, err = os.MkdirTemp(*dir, "bench-peers-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(e.dir)) }()
	if e.dir, err = filepath.Abs(e.dir); err != nil {
		return err
	}
	if e.run, err = os.MkdirTemp("", "peers"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(e.run)) }()

	t := newTable(e.size, pattern, candidates())
	fmt.Fprintln(stdout, machine(e.dir))
	for r := range *rounds {
		begun := time.Now()
		if err := t.round(ctx, e, r, stderr); err != nil {
			return err
		}
		fmt.Fprintf(stdout, "round %d of %d: %.0f s, load average %s\n", r+1, *rounds, time.Since(begun).Seconds(), loadAverage())
	}
	t.print(stdout)
	return t.failed()
}
