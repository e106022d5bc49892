// Command bench measures what queuectl makes of a file system and a kernel, as queuectl
// bench does, and besides what needs programs that queuectl does not bring along: one in
// Go that does nothing but the calls of an enqueue, and one in C that does nothing but
// start others.
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

	"github.com/queuectl/queuectl/cmd/queuectl/bench"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == bench.StampWord {
		if bench.Stamp(os.Args[2]) != nil {
			os.Exit(1) //nolint:forbidigo // this is main
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr) //nolint:forbidigo // this is main
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2) //nolint:forbidigo // this is main
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err) //nolint:forbidigo // this is main
		os.Exit(1)                             //nolint:forbidigo // this is main
	}
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", ".", "a directory on the file system to measure; a new one is made in it and removed")
	bin := flags.String("bin", "", "where queuectl and hello are, and spawn if there is a C compiler")
	quick := flags.Bool("quick", false, "one short round")
	rounds := flags.Int("rounds", 0, "rounds, of which the medians are taken (default 3, or 1 with --quick)")
	only := flags.String("only", "", "a pattern: measure the lines that it matches only")
	benchstat := flags.String("benchstat", "", "a file to which each figure is written as benchstat(1) reads it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	pattern, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o := bench.Options{
		Dir: *dir, Quick: *quick, Rounds: *rounds, Only: pattern,
		Queuectl: filepath.Join(*bin, "queuectl"), Stamper: self, Hello: filepath.Join(*bin, "hello"), Spawn: filepath.Join(*bin, "spawn"),
	}
	if _, err := os.Stat(o.Spawn); err != nil {
		fmt.Fprintln(stderr, "there is no C compiler here: what is measured against C is left out")
		o.Spawn = ""
	}
	round := 0
	o.Progress = func(p bench.Progress) {
		if p.Step > 0 && p.Round != round {
			round = p.Round
			load := "unknown"
			if l := bench.Load(); l != nil {
				load = fmt.Sprintf("%.2f", *l)
			}
			fmt.Fprintf(stderr, "round %d, load average %s, some %.0f s left\n", round, load, p.Left.Seconds())
		}
	}
	r, err := bench.Run(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s\nrounds: %d, in %.0f s; %.0f%% of the usual number of jobs\n", r.Machine, r.Rounds, r.Seconds, 100*r.Scale)
	report(stdout, r.Lines)
	if *benchstat == "" {
		return nil
	}
	return bench.WriteBenchstat(*benchstat, r.Lines)
}

// report prints the table as the README has it.
func report(w io.Writer, lines []bench.Line) {
	fmt.Fprintf(w, "\n| what | queuectl | floor | | ratio | goal |\n|---|---|---|---|---|---|\n")
	for _, l := range lines {
		if l.Skipped != "" {
			fmt.Fprintf(w, "| %s | skipped: %s | | %s | | |\n", l.Name, l.Skipped, l.FloorIs)
			continue
		}
		goal, verdict := "≥", "met"
		if l.AtMost {
			goal = "≤"
		}
		if !l.Met {
			verdict = "missed"
		}
		if l.FloorIs == "" {
			fmt.Fprintf(w, "| %s | %s %s | | | | %s %g %s, %s |\n", l.Name, bench.Figure(l.Queue), l.Unit, goal, l.Goal, l.Unit, verdict)
			continue
		}
		fmt.Fprintf(w, "| %s | %s %s | %s %s | %s | %.2f | %s %.2f, %s |\n", l.Name, bench.Figure(l.Queue), l.Unit, bench.Figure(l.Floor), l.Unit, l.FloorIs, l.Ratio, goal, l.Goal, verdict)
	}
}
