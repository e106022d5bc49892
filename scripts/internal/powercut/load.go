package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// loader keeps a queue busy until the power goes: with jobs one by one and many at a
// time, dropped files, changes of all kinds, and workers that are killed now and then.
type loader struct {
	queue
	record *recorder
	prefix string // of the keys of this life of the machine
	seed   uint64
	talk   io.Writer // where failures are told

	mu     sync.Mutex
	number int
	ended  map[string][]ending // by state: done, dead, and "gone" for ids that are free again
}

// ending is a job that has ended.
type ending struct {
	key, id string
	attempt int
}

// queue is a spool and the program that is tried on it.
type queue struct {
	binary string
	self   string // this program, which is what the jobs run
	spool  string
	ran    string // where the jobs note that they run
}

// command is queuectl with these arguments.
func (q queue) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, q.binary, args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "QUEUECTL_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "QUEUECTL_SPOOL="+q.spool, "POWERCUT_RAN="+q.ran)
	return cmd
}

// run runs queuectl. The error has its stderr.
func (q queue) run(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	cmd := q.command(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out, fmt.Errorf("queuectl %.80q: %w: %s", args, err, bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}

// settings make retries quick, so that much happens before the power goes.
var settings = [][2]string{{"backoff-max", "20ms"}, {"backoff-jitter", "0"}, {"max-lost", "100000"}, {"kill-grace", "100ms"}}

// load runs until ctx is done, or the power goes.
func (l *loader) load(ctx context.Context) error {
	if _, err := l.run(ctx, "", "init"); err != nil {
		return err
	}
	for _, kv := range settings {
		if _, err := l.run(ctx, "", "config", "set", kv[0], kv[1]); err != nil {
			return err
		}
	}
	// The queue itself is older than the load: a program that never syncs is to be found
	// out by the jobs that it loses.
	if err := syncDisk(l.spool); err != nil {
		return err
	}
	l.ended = map[string][]ending{}
	l.record.note(begins, "load", l.prefix)
	var group sync.WaitGroup
	for i, act := range []func(context.Context, *rand.Rand) error{
		l.putOne, l.putMany, l.drop, l.change, l.bury, l.steadyWorker, l.doomedWorker,
	} {
		group.Go(func() {
			r := rand.New(rand.NewPCG(l.seed, uint64(i)))
			for ctx.Err() == nil {
				if err := act(ctx, r); err != nil && ctx.Err() == nil {
					fmt.Fprintln(l.talk, "powercut:", err)
					time.Sleep(50 * time.Millisecond) // no storm of errors
				}
			}
		})
	}
	group.Wait()
	return l.record.err
}

// newKey is a key that no job has had.
func (l *loader) newKey(kind string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	return l.prefix + kind + strconv.Itoa(l.number)
}

// took takes one that has ended so, if there is any.
func (l *loader) took(state string) (e ending, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.ended[state]
	if len(all) == 0 {
		return e, false
	}
	l.ended[state] = all[1:]
	return all[0], true
}

func (l *loader) note(state string, e ending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended[state] = append(l.ended[state], e)
}

// document is a job, and its standard input, which is sometimes longer than a page.
func (l *loader) document(r *rand.Rand, id, key string) map[string]any {
	works, retries := 1, 3
	switch n := r.IntN(20); {
	case n < 5:
		works = 2
	case n < 9:
		works, retries = 2, 0 // it dies, and works when it is retried
	}
	stdin := strings.Repeat("x", r.IntN(200))
	if r.IntN(10) == 0 {
		stdin = strings.Repeat("0123456789abcdef", 500+r.IntN(3000))
	}
	doc := map[string]any{
		"command": []string{l.self, "job", newSpec(key, 1, works, stdin).String()},
		"stdin":   stdin, "max_retries": retries,
	}
	if id != "" {
		doc["id"] = id
	}
	return doc
}

func text(doc map[string]any) string {
	data, err := json.Marshal(doc)
	if err != nil {
		return "" // strings and numbers can always be written
	}
	return string(data)
}

// putOne enqueues a job: with an id that nobody has had, with one whose job was
// removed a moment ago, or without one.
func (l *loader) putOne(ctx context.Context, r *rand.Rand) error {
	key := l.newKey("a")
	id := key
	switch r.IntN(4) {
	case 0:
		id = ""
	case 1:
		if e, ok := l.took("gone"); ok {
			id = e.id
		}
	}
	l.record.note(begins, "put", key, orDash(id))
	out, err := l.run(ctx, "", "enqueue", text(l.document(r, id, key)))
	if err != nil {
		return err
	}
	l.record.note(acked, "put", key, strings.TrimSpace(string(out)))
	return nil
}

func orDash(id string) string {
	if id == "" {
		return "-"
	}
	return id
}

// putMany enqueues a stream of jobs: documents, or lines. Each id that is printed is
// acknowledged as it comes.
func (l *loader) putMany(ctx context.Context, r *rand.Rand) error {
	args := []string{"enqueue", "-"}
	lines := r.IntN(3) == 0
	if lines {
		args = []string{"enqueue", "--lines", "--", l.self, "job", "{}"}
	}
	var input strings.Builder
	var keys []string
	for range 5 + r.IntN(60) {
		key := l.newKey("b")
		keys = append(keys, key)
		id := ""
		if lines {
			fmt.Fprintln(&input, newSpec(key, 1, 1, ""))
		} else {
			if r.IntN(2) == 0 {
				id = key
			}
			fmt.Fprintln(&input, text(l.document(r, id, key)))
		}
		l.record.note(begins, "put", key, orDash(id))
	}
	cmd := l.command(ctx, args...)
	cmd.Stdin = strings.NewReader(input.String())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	ids := bufio.NewScanner(out)
	for i := 0; i < len(keys) && ids.Scan(); i++ {
		l.record.note(acked, "put", keys[i], ids.Text())
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("queuectl %.80q: %w: %s", args, err, stderr.Bytes())
	}
	time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
	return nil
}

// drop leaves a file in pending/. Most are synced first, as FORMAT.md asks of who wants
// to be sure; of the others a cut may leave a part, which must never be run.
func (l *loader) drop(_ context.Context, r *rand.Rand) error {
	time.Sleep(time.Duration(10+r.IntN(60)) * time.Millisecond)
	key := l.newKey("c")
	path := filepath.Join(l.spool, "pending", key+".json")
	data := text(l.document(r, "", key))
	l.record.note(begins, "drop", key, key)
	if r.IntN(3) == 0 {
		return os.WriteFile(path, []byte(data), 0o600)
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(part, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err == nil {
		l.record.note(acked, "drop", key, key)
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// change puts a job that no worker takes, because it is held or for later, and does to
// it what can be done to one that waits.
func (l *loader) change(ctx context.Context, r *rand.Rand) error {
	key := l.newKey("d")
	doc := l.document(r, key, key)
	args := []string{"enqueue"}
	switch r.IntN(3) {
	case 0:
		args = append(args, "--hold")
	case 1:
		doc["run_at"] = "+30m"
	default:
		doc["run_at"] = "+2h" // it waits in a directory of its hour
	}
	l.record.note(begins, "put", key, key)
	if _, err := l.run(ctx, "", append(args, text(doc))...); err != nil {
		return err
	}
	l.record.note(acked, "put", key, key)
	version := 1
	for range r.IntN(6) {
		var op, arg, stdin string
		var args []string
		switch r.IntN(3) {
		case 0:
			op, args = "hold", []string{"hold", key}
		case 1:
			op, arg = "priority", strconv.Itoa(r.IntN(9))
			args = []string{"set", key, "--priority", arg}
		default:
			version++
			op, args = "edit", []string{"edit", key, "--json-file", "-"}
			// The priority is what the document says then.
			doc["command"] = []string{l.self, "job", newSpec(key, version, 1, "edited").String()}
			doc["stdin"] = "edited"
			stdin = text(doc)
			l.record.note(begins, "priority", key)
		}
		l.record.note(begins, op, key)
		if _, err := l.run(ctx, stdin, args...); err != nil {
			return err
		}
		l.record.note(acked, op, key, arg)
	}
	if r.IntN(3) > 0 {
		return nil
	}
	l.record.note(begins, "cancel", key)
	if _, err := l.run(ctx, "", "cancel", key); err != nil {
		return err
	}
	l.record.note(acked, "cancel", key)
	if r.IntN(2) == 0 {
		// Whoever wants the id gets it: the cancelled job makes room.
		l.record.note(begins, "remove", key)
		l.note("gone", ending{key, key, 0})
	}
	return nil
}

// bury takes jobs that have ended: dead ones are retried or removed, done ones pruned.
func (l *loader) bury(ctx context.Context, r *rand.Rand) error {
	state, op, args := "dead", "retry", []string{"dlq", "retry"}
	switch r.IntN(3) {
	case 0:
		op, args = "remove", []string{"dlq", "remove"}
	case 1:
		state, op, args = "done", "prune", []string{"prune"}
	}
	var some []ending
	for range 1 + r.IntN(4) {
		if e, ok := l.took(state); ok {
			some = append(some, e)
		}
	}
	if len(some) == 0 {
		time.Sleep(10 * time.Millisecond)
		return nil
	}
	for _, e := range some {
		l.record.note(begins, op, e.key)
		args = append(args, e.id)
	}
	if _, err := l.run(ctx, "", args...); err != nil {
		return err
	}
	for _, e := range some {
		l.record.note(acked, op, e.key)
		if op != "retry" {
			l.note("gone", e)
		}
	}
	return nil
}

// steadyWorker runs jobs as long as there is power.
func (l *loader) steadyWorker(ctx context.Context, _ *rand.Rand) error { return l.work(ctx, 0) }

// doomedWorker is killed after a while, and its jobs are given back by the other.
func (l *loader) doomedWorker(ctx context.Context, r *rand.Rand) error {
	return l.work(ctx, 100*time.Millisecond+time.Duration(r.IntN(900))*time.Millisecond)
}

// work runs a worker, kills it after that time unless it is 0, and notes what it
// says: a worker tells of an end only when that is on the disk.
func (l *loader) work(ctx context.Context, life time.Duration) error {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := l.command(limited, "worker", "start", "--json", "--count", "2")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	if life > 0 {
		defer time.AfterFunc(life, cancel).Stop()
	}
	for e := range events(out) {
		l.note(e.Event, ending{e.key, e.JobID, e.Attempt})
		l.record.note(acked, e.Event, e.key, strconv.Itoa(e.Attempt))
	}
	if err := cmd.Wait(); life == 0 || limited.Err() == nil {
		return fmt.Errorf("a worker has ended: %w: %s", err, stderr.Bytes())
	}
	return nil
}

// event is what a worker says of a job.
type event struct {
	Event   string `json:"event"`
	JobID   string `json:"job_id"`
	Command string `json:"command"`
	Attempt int    `json:"attempt"`
	key     string
}

// events are the ends of jobs among what a worker says.
func events(out io.Reader) func(yield func(event) bool) {
	return func(yield func(event) bool) {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var e event
			if json.Unmarshal(lines.Bytes(), &e) != nil || e.Event != "done" && e.Event != "dead" {
				continue
			}
			s, err := parseSpec(e.Command[strings.LastIndex(e.Command, " ")+1:])
			if e.key = s.key; err == nil && !yield(e) {
				return
			}
		}
	}
}
