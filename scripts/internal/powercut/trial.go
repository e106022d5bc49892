package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// options are what a run is made of.
type options struct {
	fs     string
	cuts   int
	seed   uint64
	binary string // the queuectl under load
	sound  string // the one that is used after the cut; they differ for a mutant
	dir    string
	keep   bool
	lossy  bool // the trial is passed if losses are found
}

// The shape of a trial: so many cuts in one life of a machine, after which the disk of
// the last one goes on, with its history, for so many lives; then a new disk.
const (
	cutsOfLife  = 4
	livesOfDisk = 5
)

// trial cuts the power on one file system again and again.
type trial struct {
	options
	out   io.Writer
	store string
	r     *rand.Rand

	lives, cuts   int
	total         result
	mended        map[string]int
	breached      []breach
	fresh         bool // the next life needs a new disk
	byCut         int  // cuts that showed a breach
	image, record string
	disk, boots   int
	began         time.Time
}

// run makes all cuts. A mutant's trial ends with the first life that shows losses.
func (t *trial) run(ctx context.Context) error {
	for t.cuts < t.options.cuts && ctx.Err() == nil {
		if t.fresh || t.lives%livesOfDisk == 0 {
			t.fresh = false
			if err := t.newDisk(); err != nil {
				return err
			}
		}
		if err := t.life(ctx); err != nil {
			return fmt.Errorf("life %d: %w", t.lives+1, err)
		}
		t.lives++
		if t.lives%livesOfDisk == 0 && t.cuts < t.options.cuts {
			fmt.Fprintf(t.out, "  %d cuts so far, breaches: %s\n", t.cuts, codes(t.breached))
		}
		if t.lossy && losses(t.breached) > 0 {
			return nil
		}
	}
	return nil
}

func (t *trial) path(format string, args ...any) string {
	return filepath.Join(t.store, fmt.Sprintf(format, args...))
}

func (t *trial) newDisk() error {
	if t.image != "" {
		if err := os.Remove(t.image); err != nil {
			return err
		}
	}
	t.disk++
	t.image = t.path("%s-%d.img", t.fs, t.disk)
	t.record = ""
	return makeFS(t.fs, t.image)
}

// bootID is one that no machine has had.
func (t *trial) bootID() string {
	t.boots++
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", t.r.Uint32(), t.boots)
}

// snapshot is a cut: the disk, and what had been acknowledged.
type snapshot struct {
	image, record string
	ran           []byte
}

// life boots a machine, keeps its queue busy and makes the cuts of one life; then
// looks at each.
func (t *trial) life(ctx context.Context) error {
	record, ran, log := t.path("life.record"), t.path("life.ran"), t.path("life.log")
	for _, f := range []string{ran, log} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(record, []byte(t.record), 0o600); err != nil {
		return err
	}
	seed := strconv.FormatUint(t.r.Uint64(), 10)
	m := machine{fs: t.fs, image: t.image, boot: t.bootID(), role: "load", log: log,
		args: []string{t.binary, record, ran, fmt.Sprintf("l%d", t.lives), seed}}
	cmd, err := m.start(ctx)
	if err != nil {
		return err
	}
	begun := time.Now()
	snapshots, err := t.cutPower(ctx, record, ran, log, int64(len(t.record)))
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed, or its log says why it has ended
	if err == nil && time.Since(begun) > life {
		fmt.Fprintf(t.out, "  note: a life took %v; what is not synced may have been written back\n", time.Since(begun).Round(time.Second))
	}
	err = errors.Join(err, released(t.image))
	if said, _ := os.ReadFile(log); len(said) > 0 {
		t.breached = append(t.breached, breach{unsound, fmt.Sprintf("under load: %.2000s", said)})
	}
	if err != nil {
		return err
	}
	for i, s := range snapshots {
		r, err := t.look(ctx, s)
		if err != nil {
			return fmt.Errorf("cut %d (seed %d): %w", t.cuts+1, t.seed, err)
		}
		t.add(r)
		if i < len(snapshots)-1 {
			err = os.Remove(s.image)
		} else {
			err = os.Rename(s.image, t.image)
			t.record, t.fresh = r.Lines, r.Lines == ""
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cutPower makes the cuts of one life at random moments.
func (t *trial) cutPower(ctx context.Context, record, ran, log string, from int64) (all []snapshot, err error) {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if sizeOf(record) > from {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if said, _ := os.ReadFile(log); len(said) > 0 || time.Now().After(deadline) {
			return nil, fmt.Errorf("the machine does not start its load: %s", said)
		}
	}
	for range min(cutsOfLife, t.options.cuts-t.cuts) {
		// Short and long ones: what is written at the beginning of a life has other
		// company in the journal than what comes later.
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(50+t.r.IntN(1500)) * time.Millisecond):
		}
		s := snapshot{image: t.path("cut%d.img", len(all))}
		before, beforeRan := sizeOf(record), sizeOf(ran)
		if err := cut(t.image, s.image); err != nil {
			return nil, err
		}
		after := sizeOf(record)
		data, err := os.ReadFile(record)
		if err != nil {
			return nil, err
		}
		s.record = string(cutAt(data, before, after))
		if s.ran, err = os.ReadFile(ran); err != nil {
			return nil, err
		}
		s.ran = s.ran[:beforeRan]
		all = append(all, s)
	}
	return all, nil
}

func sizeOf(path string) int64 {
	in, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return in.Size()
}

// look boots a machine with the disk of a cut, and judges what it finds.
func (t *trial) look(ctx context.Context, s snapshot) (r result, err error) {
	record, early, ran, log, out := t.path("cut.record"), t.path("cut.early"), t.path("cut.ran"), t.path("cut.log"), t.path("cut.result")
	for f, data := range map[string][]byte{record: []byte(s.record), early: s.ran, log: nil, ran: nil, out: nil} {
		if err := os.WriteFile(f, data, 0o600); err != nil {
			return r, err
		}
	}
	how := []string{"worker", "check"}[t.cuts%2]
	m := machine{fs: t.fs, image: s.image, boot: t.bootID(), role: "verify", log: log,
		args: []string{t.sound, record, early, ran, out, how}}
	cmd, err := m.start(ctx)
	if err == nil {
		err = errors.Join(cmd.Wait(), released(s.image))
	}
	said, _ := os.ReadFile(log)
	if err != nil {
		return r, fmt.Errorf("%w: %.2000s", err, said)
	}
	data, err := os.ReadFile(out)
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	if err == nil && t.keep && len(r.Breaches) > 0 {
		kept := filepath.Join(t.dir, fmt.Sprintf("breach-%s-%d", t.fs, t.cuts))
		err = errors.Join(os.WriteFile(kept+".record", []byte(s.record), 0o600), os.WriteFile(kept+".ran", s.ran, 0o600))
	}
	return r, err
}

func (t *trial) add(r result) {
	t.cuts++
	t.total.Acked += r.Acked
	t.total.Jobs += r.Jobs
	t.total.TwoNames += r.TwoNames
	for code, n := range r.Mended {
		t.mended[code] += n
	}
	t.total.Halves += r.Halves
	t.total.Back += r.Back
	if len(r.Breaches) > 0 {
		t.byCut++
	}
	t.breached = append(t.breached, r.Breaches...)
}

// shown is how many breaches are printed.
const shown = 20

// report prints the figures, and whether the trial is passed.
func (t *trial) report() (passed bool) {
	p := func(name, format string, args ...any) {
		fmt.Fprintf(t.out, "  %-18s %s\n", name, fmt.Sprintf(format, args...))
	}
	p("cuts", "%d, in %d lives of %d disks, %v", t.cuts, t.lives, t.disk, time.Since(t.began).Round(time.Second))
	p("acknowledged", "%d steps before the cuts; %d jobs were there after them", t.total.Acked, t.total.Jobs)
	p("two names", "%d jobs, before the recovery", t.total.TwoNames)
	p("mended by check", "%s", counts(t.mended))
	p("half drops", "%d files that nobody had synced; none was run", t.total.Halves)
	p("pruned, and back", "%d", t.total.Back)
	if t.lossy {
		if losses(t.breached) == 0 {
			fmt.Fprintf(t.out, "  NOT CAUGHT: this build forgets to sync, and nothing that was acknowledged was missed (breaches: %s)\n", codes(t.breached))
			return false
		}
		p("caught", "%s in %d of %d cuts; such as: %s", codes(t.breached), t.byCut, t.cuts, t.breached[0].Text)
		return true
	}
	for i, b := range t.breached {
		if i == shown {
			fmt.Fprintf(t.out, "  and %d more\n", len(t.breached)-shown)
			break
		}
		fmt.Fprintf(t.out, "  BREACH %s: %s\n", b.Code, b.Text)
	}
	p("breaches", "%s", codes(t.breached))
	return len(t.breached) == 0
}
