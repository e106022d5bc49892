package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/queuectl/queuectl/fsq"
)

func newEdit(a *app) *command {
	var file string
	c := &command{
		name:  "edit",
		args:  "ID",
		least: 1,
		most:  1,
		short: "Change the document of a waiting job in an editor",
		long: `Opens the job's JSON in $VISUAL, else $EDITOR, else vi, and puts what it says then in
its place: under the same id, with its history, safe on the disk when the id is printed.
A worker may claim the job meanwhile; then nothing is changed, and what was written is
kept in a file whose name is told.`,
		also: []string{"modify", "change"},
		examples: []example{
			{"In your editor", "queuectl edit job-1"},
			{"From a program", `queuectl edit job-1 --json-file new.json`},
			{"Another time limit", `queuectl show j1 --json | jq '.job + {timeout_seconds: 600}' | queuectl edit j1 --json-file -`},
		},
		exits: []exitStatus{
			{exitOK, "changed, or left as it was"},
			{exitUsage, "wrong usage, or what was written is no job; nothing was changed"},
			{exitNotFound, "no such job"},
			{exitConflict, "the job does not wait, or was claimed or changed meanwhile; nothing was changed"},
		},
		queues: someQueue,
		flags:  newFlagSet(),
	}
	stringFlag(c.flags, &file, "json-file", "FILE", "the new document, whole; - reads it from stdin")
	c.run = func(ctx context.Context, ids []string) error { return a.edit(ctx, ids[0], file) }
	return c
}

func (a *app) edit(ctx context.Context, id, file string) error {
	if file == "" && !a.inTerm && editorCommand(os.Getenv) == "" {
		return &usageError{
			problem: "there is no terminal for an editor",
			hint:    "--json-file FILE or - takes the new document; $VISUAL or $EDITOR can be a program that needs no terminal",
		}
	}
	q, err := a.findOne(ctx, id)
	if err != nil {
		return err
	}
	draft, err := q.Draft(ctx, id)
	if err != nil {
		return err
	}
	if file == "" {
		return a.editByHand(ctx, q, draft)
	}
	data, err := a.newDocument(file)
	if err != nil {
		return err
	}
	return a.replaceJob(ctx, q, draft, data)
}

func (a *app) newDocument(file string) ([]byte, error) {
	in := a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, usagef("--json-file: %v", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxStdin))
	if err != nil {
		return nil, fmt.Errorf("reading the new document: %w", err)
	}
	return data, nil
}

// replaceJob puts what data says in the place of the job's document.
func (a *app) replaceJob(ctx context.Context, q *fsq.Queue, draft fsq.Draft, data []byte) error {
	job, err := fsq.ParseJob(data, a.now())
	if err != nil {
		return err
	}
	if job.ID == "" {
		job.ID = draft.Job.ID
	}
	if job.EnqueuedAt.IsZero() {
		job.EnqueuedAt = draft.Job.EnqueuedAt
	}
	result := fsq.ActResult{Queue: q.Name(), ID: draft.Job.ID, Result: "edited"}
	if sameJob(job, draft.Job) {
		result.Result = "unchanged"
	} else if err := q.Edit(ctx, draft, job); err != nil {
		return err
	}
	for _, u := range job.Unknown() {
		if _, had := draft.Job.Extra[u.Name]; !had {
			near := ""
			if u.Nearest != "" {
				near = fmt.Sprintf("; did you mean %q?", u.Nearest)
			}
			a.warn("unknown field %q kept as it is%s", u.Name, near)
		}
	}
	if result.Result == "unchanged" {
		a.note("%s is not changed", draft.Job.ID)
		if !a.json {
			return nil
		}
	}
	return a.printAct(result)
}

func sameJob(a, b fsq.Job) bool {
	x, errA := a.MarshalJSON()
	y, errB := b.MarshalJSON()
	return errA == nil && errB == nil && bytes.Equal(x, y)
}

// editByHand lets the user edit the document, as often as it takes to make a job of it.
// What was written is never lost: if it cannot be put into the queue, it stays in a file.
func (a *app) editByHand(ctx context.Context, q *fsq.Queue, draft fsq.Draft) error {
	before, err := document(draft.Job)
	if err != nil {
		return err
	}
	path, err := draftFile(before)
	if err != nil {
		return err
	}
	for {
		err := a.runEditor(path)
		after, readErr := os.ReadFile(path)
		if readErr != nil {
			return errors.Join(err, fmt.Errorf("reading what was edited: %w", readErr))
		}
		if bytes.Equal(after, before) {
			_ = os.Remove(path)
			if err == nil {
				err = a.replaceJob(ctx, q, draft, before)
			}
			return err
		}
		if err == nil {
			err = a.replaceJob(ctx, q, draft, after)
		}
		if err == nil || errors.Is(err, fsq.ErrUncertain) {
			_ = os.Remove(path)
			return err
		}
		if field := (*fsq.FieldError)(nil); errors.As(err, &field) && a.again(err) {
			continue
		}
		return &hinted{err, "what you wrote is in " + path + "; queuectl edit --json-file takes it from there"}
	}
}

// document is a job as people edit it.
func document(j fsq.Job) ([]byte, error) {
	data, err := j.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, data, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// draftFile is a file of this user alone, outside the spool.
func draftFile(data []byte) (path string, err error) {
	f, err := os.CreateTemp("", "queuectl-edit-*.json")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return f.Name(), err
}

// again asks, at a terminal only, whether to go on.
func (a *app) again(err error) bool {
	if !a.inTerm || !a.err.terminal() {
		return false
	}
	a.report(err)
	a.err.printf("Open the editor again? [Y/n] ")
	line, readErr := bufio.NewReader(a.in).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return readErr == nil && !strings.HasPrefix(answer, "n")
}

// editorCommand is the user's editor, or "".
func editorCommand(getenv func(string) string) string {
	if visual := getenv("VISUAL"); visual != "" {
		return visual
	}
	return getenv("EDITOR")
}

// runEditor gives the terminal to the editor. Its command may have arguments, as
// "code --wait" has, so a shell reads it.
func (a *app) runEditor(path string) error {
	editor := editorCommand(os.Getenv)
	if editor == "" {
		editor = "vi"
	}
	cmd := exec.Command("sh", "-c", editor+` "$1"`, "sh", path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out.w, a.err.w
	// The keys that send these are the editor's while it has the terminal. They are taken,
	// not ignored: a program inherits what is ignored.
	taken := make(chan os.Signal, 1)
	signal.Notify(taken, os.Interrupt, syscall.SIGQUIT)
	defer signal.Stop(taken)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the editor %s: %w", editor, err)
	}
	return nil
}
