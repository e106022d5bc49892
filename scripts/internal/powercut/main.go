// Command powercut is a trial of queuectl by switching the machine off: a load of all
// that changes a queue runs on a file system of its own, whose disk is copied as it is
// at random moments. Each copy is what a power cut at that moment would have left. It is
// mounted, as after a boot, and compared with what had been acknowledged by then: each
// job must be there once and as it was acknowledged, check must mend what it finds, and
// a drain must run what is left, whole, and nothing else.
//
// The disk is one without a volatile cache: it keeps all that the kernel has written to
// it. What a program has not synced the kernel does not write in so short a life.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Exit statuses.
const (
	passed    = 0
	failed    = 1
	usage     = 2
	cannotRun = 77 // the usual one for a test that was skipped
	stopped   = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code, err := command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr) //nolint:forbidigo // this is main
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "powercut:", err) //nolint:forbidigo // this is main
	}
	os.Exit(code) //nolint:forbidigo // this is main
}

// command is the program. Its own processes are those of the machines, and the jobs.
func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	role := ""
	if len(args) > 0 {
		role = args[0]
	}
	var err error
	switch {
	case role == "job" && len(args) == 2:
		return runJob(args[1], stdin)
	case role == "boot" && len(args) > 5:
		err = boot(ctx, args[1], args[2], args[3], args[4], args[5:], stderr)
	case role == "load" && len(args) == 5:
		err = loadHere(ctx, args[1:], stdout, stderr)
	case role == "verify" && len(args) == 4:
		return verifyHere(ctx, args[1:], stdout)
	case role == "isolated":
		return cutsOf(ctx, args[1:], stdout, stderr)
	default:
		cmd := isolate(ctx, append([]string{"isolated"}, args...))
		cmd.Stdout, cmd.Stderr = stdout, stderr
		if err = cmd.Run(); errors.Is(err, syscall.EPERM) {
			return cannotRun, fmt.Errorf("mounting a disk of its own needs root: %w", err)
		}
		if ctx.Err() != nil {
			return stopped, nil
		}
		if cmd.ProcessState != nil {
			return cmd.ProcessState.ExitCode(), nil
		}
	}
	if err != nil {
		return failed, err
	}
	return passed, nil
}

// cutsOf is a trial on one file system, in a process with mounts of its own.
func cutsOf(ctx context.Context, args []string, stdout, stderr io.Writer) (int, error) {
	o := options{}
	flags := flag.NewFlagSet("powercut", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.fs, "fs", "ext4", "file system: ext4, xfs or btrfs")
	flags.IntVar(&o.cuts, "cuts", 20, "how often the power is cut")
	flags.Uint64Var(&o.seed, "seed", 0, "repeats the choices of an earlier run, though not their timing (0: new ones)")
	flags.StringVar(&o.binary, "binary", "", "the queuectl that is tried")
	flags.StringVar(&o.sound, "sound", "", "the queuectl that looks after the cut (default: the same)")
	flags.StringVar(&o.dir, "dir", "", "where disks and records are kept: some GiB, best in memory (default: a temporary directory)")
	flags.BoolVar(&o.keep, "keep", false, "keep the records of cuts that showed a breach")
	flags.BoolVar(&o.lossy, "lossy", false, "the binary forgets to sync: it is an error if no loss is found")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return passed, nil
		}
		return usage, nil
	}
	if _, known := mountOptions[o.fs]; !known || flags.NArg() > 0 || o.cuts < 1 || o.binary == "" {
		return usage, errors.New("--binary must be there, --fs one of ext4, xfs and btrfs, --cuts a positive number")
	}
	if o.sound == "" {
		o.sound = o.binary
	}
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	dir, err := os.MkdirTemp(o.dir, "powercut-")
	if err != nil {
		return failed, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.dir == "" {
		o.dir = os.TempDir()
	}
	if err := ownMounts(); err != nil {
		return cannotRun, fmt.Errorf("a process with mounts of its own: %w", err)
	}
	store, err := makeStore(dir)
	if err != nil {
		return cannotRun, fmt.Errorf("no file system can be had that copies a file in one instant: %w", err)
	}
	fmt.Fprintf(stdout, "%s, %d cuts, seed %d\n", o.fs, o.cuts, o.seed)
	t := &trial{options: o, out: stdout, store: store, r: rand.New(rand.NewPCG(o.seed, 0)), mended: map[string]int{}}
	t.began = time.Now()
	if !o.lossy {
		err = t.tryOrders(ctx)
	}
	err = errors.Join(err, t.run(ctx))
	if ctx.Err() != nil {
		return stopped, tool("umount", store)
	}
	ok := t.report()
	err = errors.Join(err, tool("umount", store))
	if err != nil || !ok {
		return failed, err
	}
	return passed, nil
}

// boot is process 1 of a machine.
func boot(ctx context.Context, fs, image, bootID, role string, args []string, stderr io.Writer) error {
	disk, err := bootMachine(fs, image, bootID)
	if err != nil {
		return err
	}
	switch role {
	case "act":
		return actHere(disk, args[0], args[1], args[2])
	case "names":
		return errors.Join(namesHere(disk, args[0]), shutDown(disk))
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	q := queue{binary: args[0], self: self, spool: filepath.Join(disk, "spool")}
	if role == "load" {
		seed, err := strconv.ParseUint(args[4], 10, 64)
		if err != nil {
			return err
		}
		out, err := os.OpenFile(args[1], os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		q.ran = args[2]
		l := &loader{queue: q, record: &recorder{out: out}, prefix: args[3], seed: seed, talk: stderr}
		return errors.Join(l.load(ctx), out.Close())
	}
	v := &verifier{queue: q, checkFirst: args[5] == "check"}
	v.ran = args[3]
	if v.record, err = os.ReadFile(args[1]); err != nil {
		return err
	}
	if v.ranBefore, err = os.ReadFile(args[2]); err != nil {
		return err
	}
	r, err := v.verify(ctx)
	if err != nil {
		// A spool that cannot be read is what a cut must not leave.
		v.breach(unsound, "%v", err)
		r.Breaches = v.breaches
	}
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(args[4], data, 0o600), shutDown(disk))
}
