package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// feedFrom brings jobs in from one host: in bulk, one by one, and as files. Who hears of
// an error asks again with the same ids, from another host if his own is gone.
func (t *trial) feedFrom(ctx context.Context, host string, jobs []job, r *rand.Rand) error {
	for n, some := range slices.Collect(slices.Chunk(jobs, batch)) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if n%5 == 4 {
			if err := t.dropFrom(host, some); err != nil {
				return err
			}
			continue
		}
		single := 0
		if n%5 == 2 {
			single = min(1+r.IntN(5), len(some))
		}
		for i := range single {
			t.enqueueFrom(ctx, host, some[i:i+1])
		}
		t.enqueueFrom(ctx, host, some[single:])
	}
	return nil
}

// enqueueTries is how often an enqueue is repeated that was told of an error.
const enqueueTries = 5

// enqueueFrom enqueues jobs until each is acknowledged: printed, or said to be there when
// it is asked for once more.
func (t *trial) enqueueFrom(ctx context.Context, host string, jobs []job) {
	missing := make(map[string]*job, len(jobs))
	for i := range jobs {
		jobs[i].doc["id"] = jobs[i].id
		missing[jobs[i].id] = &jobs[i]
	}
	fell := false // its host was switched off
	for try := 0; len(missing) > 0 && ctx.Err() == nil; try++ {
		if try == enqueueTries {
			t.breach("enqueue from %s: %d jobs were not taken in %d tries", host, len(missing), try)
			return
		}
		if t.isDown(host) {
			host = t.host()
		}
		var in, errs bytes.Buffer
		for i := range jobs {
			if j := missing[jobs[i].id]; j != nil {
				in.Write(append(j.document(), '\n'))
			}
		}
		cmd := t.command(host, "enqueue", "-")
		cmd.Stdin, cmd.Stderr = &in, &errs
		out, err := cmd.Output()
		for id := range strings.Lines(string(out)) {
			delete(missing, strings.TrimSpace(id))
		}
		if err == nil {
			continue
		}
		for id, j := range missing {
			if try > 0 && strings.Contains(errs.String(), `"`+id+`"`) {
				// A duplicate: the first try has come so far. If that was cut short with its
				// host, whoever sweeps tmp/ in an hour publishes the job or removes it.
				j.unknown = fell
				delete(missing, id)
			}
		}
		down := t.isDown(host)
		fell = fell || down
		t.add(&t.asked)
		if !down && len(missing) > 0 {
			fmt.Fprintf(t.out, "  enqueue from %s: %v: %.300s\n", host, err, errs.String())
		}
	}
}

// dropFrom drops jobs as files: half are written where they are looked for, half beside
// it and renamed.
func (t *trial) dropFrom(host string, jobs []job) error {
	if t.isDown(host) {
		host = t.host()
	}
	args := []string{host, "sh", "-c", `dir=$1; shift
for f; do
  name=${f##*/}
  case $name in
  *[02468].json) cp "$f" "$dir/$name" ;;
  *) cp "$f" "$dir/$name.part" && mv "$dir/$name.part" "$dir/$name" ;;
  esac
done`, "drop", filepath.Join(t.spool, "pending")}
	for _, j := range jobs {
		name := filepath.Join(t.dir, "drops", j.id+".json")
		if err := os.WriteFile(name, j.document(), 0o600); err != nil {
			return err
		}
		args = append(args, name)
	}
	cmd := exec.Command("on", args...)
	cmd.Env = t.env
	out, err := cmd.CombinedOutput()
	if err != nil && !t.isDown(host) {
		return fmt.Errorf("drop from %s: %w: %s", host, err, out)
	}
	for i := range jobs {
		jobs[i].unknown = err != nil // nobody acknowledges a file, and half of one may be there
		t.add(&t.count.dropped)
	}
	return nil
}
