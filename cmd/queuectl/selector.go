package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// selection is the flags by which jobs are chosen: the same for every command.
type selection struct {
	states       string
	tags         []string
	command      string
	error        string
	older, newer *time.Duration
	all          bool
	dryRun       bool
}

// selectorHelp is the paragraph about them.
const selectorHelp = `Jobs are chosen by their ids, or by --state, --tag, --command, --error, --older and
--newer, which must all hold.`

// add adds the flags that restrict. Those commands that change something also get --all
// and --dry-run.
func (s *selection) add(fs *flag.FlagSet, changes bool) {
	stringFlag(fs, &s.states, "state", "STATES", "jobs in these states, with commas between: "+strings.Join(stateWords(), ", ")+"; also queued, running, completed, failed (dead or retrying)")
	stringsFlag(fs, &s.tags, "tag", "TAG", "jobs with this tag; given again, with all of them")
	stringFlag(fs, &s.command, "command", "GLOB", "jobs whose whole command matches, as '*.sh *' does")
	stringFlag(fs, &s.error, "error", "TEXT", "jobs whose last error has this text in it")
	durationFlag(fs, &s.older, "older", "jobs that ended, or else were queued, so long ago or longer")
	durationFlag(fs, &s.newer, "newer", "jobs that ended, or else were queued, less long ago")
	if changes {
		boolFlag(fs, &s.all, "all", "all jobs that the command is for")
		boolFlag(fs, &s.dryRun, "dry-run", "only say which jobs it would be")
	}
}

func stateWords() []string {
	var words []string
	for _, s := range fsq.States() {
		words = append(words, string(s))
	}
	return words
}

// selector is what was chosen, together with ids.
func (s *selection) selector(ids []string) (fsq.Selector, error) {
	states, err := parseStates(s.states)
	if err != nil {
		return fsq.Selector{}, err
	}
	sel := fsq.Selector{
		IDs: ids, States: states, Tags: s.tags, Command: s.command, Error: s.error,
		Older: s.older, Newer: s.newer, All: s.all,
	}
	if err := sel.Validate(); err != nil {
		return sel, usagef("--%v", err)
	}
	if s.all && len(ids) > 0 {
		return sel, usagef("give ids or --all, not both")
	}
	return sel, nil
}

// byIDs reports whether only ids were given.
func (s *selection) byIDs(sel fsq.Selector) bool {
	return len(sel.IDs) > 0 && len(sel.States) == 0 && len(sel.Tags) == 0 && s.command == "" && s.error == "" && s.older == nil && s.newer == nil
}

// verb is what a command does to each of the jobs that were chosen.
type verb struct {
	done   string      // what it is when it is done, as in "job-1 is cancelled"
	states []fsq.State // of the jobs that it is for, when they are not named
	do     func(ctx context.Context, q *fsq.Queue, id string) (result string, err error)
}

// act does it, as far as that is possible, and reports each job.
func (a *app) act(ctx context.Context, c *command, s *selection, ids []string, v verb) error {
	sel, err := s.selector(ids)
	if err != nil {
		return err
	}
	if sel.Empty() {
		return &usageError{
			problem: c.path + " needs ids, or flags that say which jobs",
			hint:    fmt.Sprintf("--all means all; %s --help has the other flags", c.path),
		}
	}
	var failures failures
	jobs, err := a.choose(ctx, s, sel, v.states, &failures)
	if err != nil {
		return err
	}
	done := 0
	for _, j := range jobs {
		result := actResult{Queue: j.q.Name(), ID: j.id, Result: v.done}
		if s.dryRun {
			result.Result = "would be " + v.done
		} else if result.Result, err = v.do(ctx, j.q, j.id); err != nil {
			failures.add(a, err)
			text := err.Error()
			result.Result, result.Error = "failed", &text
		}
		if result.Error == nil {
			done++
		}
		if err := a.printAct(result); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if a.err.terminal() || len(jobs) == 0 && failures.err() == nil {
		word := v.done
		if s.dryRun {
			word = "would be " + word
		}
		a.note("%s %s", plural(done, "job"), word)
	}
	return failures.err()
}

func (a *app) printAct(r actResult) error {
	switch {
	case a.json:
		return a.out.jsonLine(r)
	case r.Error == nil:
		a.out.printf("%s\n", clean(r.ID))
	}
	return nil
}

// parts are the errors that err is made of.
func parts(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
