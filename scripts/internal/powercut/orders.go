package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// order is an order of system calls that the protocol makes around a power cut, and what
// it takes for granted of a file system that keeps it. Nobody documents these things; what
// is not so on some kernel is to be seen here, and not by a job that is gone.
type order struct {
	name  string
	begin string // steps that are on the disk
	then  string // steps before the cut
	want  string // kept: J has a name; gone: it has none; else the names that it must have; never one without content
	// on are the file systems for which it is made; "": all.
	on string
	// lapse is the file system on which the opposite is so, and that is why the
	// protocol does not make this order. "" for those that it makes.
	lapse string
}

const (
	claimed = "put processing/W/J1; put pending/K0"
	waits   = "put pending/J0; put pending/K0"
	doubled = "put pending/J0; ln pending/J0 done/h/J1"
	logged  = "put processing/W/L; sync processing/W; rm processing/W/L; "
	reaped  = "mv processing/W/J1 pending/J1; rmdir processing/W; "
	settles = "mv processing/W/J1 done/h/J1; sync done/h; sync processing/W; "
	removes = "rm done/h/J1; sync done/h"
)

var orders = []order{
	// Reap makes no fsync between its renames and its rmdir.
	{name: "reap", begin: claimed, then: reaped + "sync processing", want: "kept"},
	{name: "reap, another registers", begin: claimed, then: reaped + "mkdir processing/V2; sync processing", want: "kept"},
	{name: "sync, reap", begin: claimed, then: logged + reaped + "sync processing", want: "kept"},
	{name: "sync of the job, reap", begin: claimed, then: "mv processing/W/J1 processing/W/J; sync processing/W; mv processing/W/J processing/W/J1; " + reaped + "sync processing", want: "kept"},
	{name: "two syncs, reap", begin: claimed, then: "mkdir processing/V2; sync processing; " + logged + reaped + "sync processing", want: "kept"},
	{name: "two syncs, reap, a sync elsewhere", begin: claimed, then: "mkdir processing/V2; sync processing; " + logged + reaped + "put workers/x; sync workers", want: "kept"},
	{name: "reap, claim", begin: claimed, then: reaped + "mv pending/J1 processing/V/J2; sync processing/V", want: "kept"},
	{name: "two syncs, reap, claim", begin: claimed, then: "mkdir processing/V2; sync processing; " + logged + reaped + "mv pending/J1 processing/V/J2; sync processing", want: "kept"},
	{name: "bury", begin: claimed, then: logged + "mv processing/W/J1 dead/J1; rmdir processing/W; sync processing", want: "kept"},

	// Once an end was told of, no earlier name comes back, even when the last one is removed.
	{name: "settle, remove", begin: waits, then: "mv pending/J0 processing/W/J1; " + settles + removes, want: "gone"},
	{name: "first claim synced, settle, remove", begin: waits, then: "mv pending/J0 processing/W/J1; sync processing/W; " + settles + removes, want: "gone"},
	{name: "another claim synced, settle, remove", begin: waits, then: "mv pending/K0 processing/W/K1; mv pending/J0 processing/W/J1; sync processing/W; " + settles + removes, want: "gone"},
	{name: "put, claim, settle, remove", begin: "put pending/K0", then: "put tmp/J0; mv tmp/J0 pending/J0; sync pending; mv pending/J0 processing/W/J1; sync processing/W; " + settles + removes, want: "gone"},
	{name: "recovery, remove", begin: doubled, then: "rm pending/J0; sync pending; " + removes, want: "gone"},
	{name: "unsynced recovery, remove", begin: doubled, then: "rm pending/J0; " + removes, want: "gone", lapse: "btrfs"},

	// What was written out has its content whenever it has a name, and the sync of one
	// directory keeps all that came before.
	{name: "write out, name, a sync elsewhere", begin: "put pending/K0", then: "out tmp/J0; mv tmp/J0 pending/J0; put workers/x", want: "pending/J0", on: "ext4 xfs"},
	{name: "write out, bind, name, sync", begin: "put pending/K0", then: "out tmp/J0; ln tmp/J0 ids/J; mv tmp/J0 pending/J0; sync pending", want: "pending/J0 ids/J", on: "ext4 xfs"},
	{name: "write out, name, claim, settle", begin: "put pending/K0", then: "out tmp/J0; mv tmp/J0 pending/J0; mv pending/J0 processing/W/J1; " + settles, want: "done/h/J1", on: "ext4 xfs"},
	{name: "write, name, a sync elsewhere", begin: "put pending/K0", then: "write tmp/J0; mv tmp/J0 pending/J0; put workers/x", want: "pending/J0", lapse: "ext4"},

	// A claim counts from its sync on.
	{name: "claim", begin: waits, then: "mv pending/J0 processing/W/J1; sync processing/W", want: "processing/W/J1"},
}

// act makes steps below dir.
func act(dir, steps string) error {
	for step := range strings.SplitSeq(steps, ";") {
		f := strings.Fields(step)
		if len(f) == 0 {
			continue
		}
		if len(f) < 2 {
			return fmt.Errorf("not a step: %q", step)
		}
		a, b := filepath.Join(dir, f[1]), filepath.Join(dir, f[len(f)-1])
		var err error
		switch f[0] {
		case "put":
			err = write(a, (*os.File).Sync)
		case "out":
			err = write(a, writeOut)
		case "write":
			err = write(a, func(*os.File) error { return nil })
		case "mv":
			err = os.Rename(a, b)
		case "ln":
			err = os.Link(a, b)
		case "rm", "rmdir":
			err = os.Remove(a)
		case "mkdir":
			err = os.Mkdir(a, 0o700)
		case "sync":
			err = syncDir(a)
		default:
			err = errors.New("no such step")
		}
		if err != nil {
			return fmt.Errorf("%q: %w", step, err)
		}
	}
	return nil
}

// content is that of each file.
const content = "{}\n"

func write(path string, sync func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, sync(f), f.Close())
}

// prepare makes a tree like that of a spool, with a job.
func prepare(dir, begin string) error {
	for _, d := range []string{"tmp", "pending", "processing/W", "processing/V", "done/h", "dead", "workers", "ids"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return err
		}
	}
	return act(dir, begin)
}

// actHere is what a machine does with an order on its disk. It says when the power may go.
func actHere(disk, ready, begin, then string) error {
	err := prepare(disk, begin)
	if err == nil {
		err = syncDisk(disk)
	}
	if err == nil {
		err = act(disk, then)
	}
	if err == nil {
		err = os.WriteFile(ready, nil, 0o600)
	}
	if err != nil {
		return err
	}
	select {} // until the power goes
}

// empty stands before a name of a file without the content.
const empty = "empty:"

// namesHere writes down which names the job has.
func namesHere(disk, out string) error {
	var names []string
	err := filepath.WalkDir(disk, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasPrefix(d.Name(), "J") {
			name := strings.TrimPrefix(path, disk+"/")
			data, readErr := os.ReadFile(path)
			if string(data) != content {
				name = empty + name
			}
			names, err = append(names, name), readErr
		}
		return err
	})
	return errors.Join(err, os.WriteFile(out, []byte(strings.Join(names, " ")), 0o600))
}

// holds reports whether a job with these names is as the order wants it.
func (o order) holds(names string) bool {
	if strings.Contains(names, empty) {
		return false
	}
	switch o.want {
	case "kept":
		return names != ""
	case "gone":
		return names == ""
	}
	for name := range strings.FieldsSeq(o.want) {
		if !slices.Contains(strings.Fields(names), name) {
			return false
		}
	}
	return true
}

// tryOrders cuts the power once after each order.
func (t *trial) tryOrders(ctx context.Context) error {
	kept := 0
	for _, o := range orders {
		if o.lapse != "" && o.lapse != t.fs || o.on != "" && !slices.Contains(strings.Fields(o.on), t.fs) {
			continue
		}
		names, err := t.tryOrder(ctx, o)
		if err != nil {
			return fmt.Errorf("order %q: %w", o.name, err)
		}
		switch holds := o.holds(names); {
		case holds == (o.lapse == ""):
			kept++
		case holds:
			fmt.Fprintf(t.out, "  note: %q: the job has the names %q; this kernel keeps more than others do\n", o.name, names)
		default:
			t.breached = append(t.breached, breach{undone, fmt.Sprintf("order %q: the job has the names %q, want %s", o.name, names, o.want)})
		}
	}
	fmt.Fprintf(t.out, "  %-18s %d as they should be\n", "orders of calls", kept)
	return nil
}

func (t *trial) tryOrder(ctx context.Context, o order) (names string, err error) {
	image, after, ready, log := t.path("order.img"), t.path("order-cut.img"), t.path("order.ready"), t.path("order.log")
	defer func() {
		for _, f := range []string{image, after, ready, log} {
			_ = os.Remove(f)
		}
	}()
	if err := makeFS(t.fs, image); err != nil {
		return "", err
	}
	m := machine{fs: t.fs, image: image, boot: t.bootID(), role: "act", log: log, args: []string{ready, o.begin, o.then}}
	cmd, err := m.start(ctx)
	if err != nil {
		return "", err
	}
	for deadline := time.Now().Add(2 * time.Minute); err == nil; time.Sleep(5 * time.Millisecond) {
		if _, statErr := os.Stat(ready); statErr == nil {
			break
		}
		if err = ctx.Err(); err != nil {
			break
		}
		if said, _ := os.ReadFile(log); len(said) > 0 || time.Now().After(deadline) {
			err = fmt.Errorf("the machine does not act: %s", said)
		}
	}
	if err == nil {
		err = cut(image, after)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed, or its log says why it has ended
	if err = errors.Join(err, released(image)); err != nil {
		return "", err
	}
	m = machine{fs: t.fs, image: after, boot: t.bootID(), role: "names", log: log, args: []string{ready}}
	if cmd, err = m.start(ctx); err == nil {
		err = errors.Join(cmd.Wait(), released(after))
	}
	if err != nil {
		said, _ := os.ReadFile(log)
		return "", fmt.Errorf("%w: %.2000s", err, said)
	}
	data, err := os.ReadFile(ready)
	return string(data), err
}
