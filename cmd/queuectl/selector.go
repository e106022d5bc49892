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
	priority     string
	hosts        []string
	workers      []string
	codes        []int
	command      string
	contains     string
	error        string
	older, newer *time.Duration
	since, until string
	all          bool
	dryRun       bool
}

// selectorHelp is the paragraph about them.
const selectorHelp = `Jobs are chosen by their ids, or by --state, --tag, --priority, --host, --worker, --code,
--command, --contains, --error, --older, --newer, --since and --until, which must all hold.`

// add adds the flags that restrict, but those to which the command has given a meaning of
// its own. Those commands that change something also get --all and --dry-run.
func (s *selection) add(fs *flag.FlagSet, changes bool) {
	stringFlag(fs, &s.states, "state", "STATES", "jobs in these states, with commas between: "+strings.Join(stateWords(), ", ")+"; also queued, running, completed, failed (dead or retrying)")
	stringsFlag(fs, &s.tags, "tag", "TAG", "jobs with this tag; given again, with all of them")
	if fs.Lookup("priority") == nil {
		stringFlag(fs, &s.priority, "priority", "N", "jobs of this priority, or of a range: 1.., ..-1, 0..9")
	}
	stringsFlag(fs, &s.hosts, "host", "HOST", "jobs whose last attempt was on this host; given again, on any of them")
	stringsFlag(fs, &s.workers, "worker", "WORKER", "jobs whose last attempt was this worker's; given again, any of them's")
	fs.Var(&value{arg: "CODES", set: func(text string) (err error) {
		s.codes, err = fsq.ParseStatuses(text)
		return err
	}}, "code", "jobs whose last attempt had one of these exit codes, with commas between")
	stringFlag(fs, &s.command, "command", "GLOB", "jobs whose whole command matches, as '*.sh *' does")
	stringFlag(fs, &s.contains, "contains", "TEXT", "jobs whose command has this text in it")
	stringFlag(fs, &s.error, "error", "TEXT", "jobs whose last error has this text in it")
	durationFlag(fs, &s.older, "older", "jobs that ended, or else were queued, so long ago or longer")
	durationFlag(fs, &s.newer, "newer", "jobs that ended, or else were queued, less long ago")
	stringFlag(fs, &s.since, "since", "TIME", "jobs that ended, or else were queued, then or later: 2030-01-02T03:00, or 1h ago as 1h")
	stringFlag(fs, &s.until, "until", "TIME", "jobs that ended, or else were queued, before that")
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
func (s *selection) selector(ids []string, now func() time.Time) (fsq.Selector, error) {
	sel := fsq.Selector{
		IDs: ids, Tags: s.tags, Hosts: s.hosts, Workers: s.workers, ExitCodes: s.codes,
		Command: s.command, Contains: s.contains, Error: s.error, Older: s.older, Newer: s.newer, All: s.all,
	}
	var err error
	if sel.States, err = parseStates(s.states); err != nil {
		return sel, err
	}
	if s.priority != "" {
		if sel.MinPriority, sel.MaxPriority, err = fsq.ParsePriorities(s.priority); err != nil {
			return sel, usagef("--priority: %v", err)
		}
	}
	for _, t := range []struct {
		flag, text string
		at         *time.Time
	}{{"since", s.since, &sel.Since}, {"until", s.until, &sel.Until}} {
		if t.text == "" {
			continue
		}
		if *t.at, err = fsq.ParseMoment(t.text, now()); err != nil {
			return sel, usagef("--%s: %v", t.flag, err)
		}
	}
	if err := sel.Validate(); err != nil {
		return sel, usagef("--%v", err)
	}
	if s.all && len(ids) > 0 {
		return sel, usagef("give ids or --all, not both")
	}
	return sel, nil
}

// act does it to each of the jobs that were chosen, as far as that is possible, and reports
// each. then, if not nil, has the last word about what has become of one.
func (a *app) act(ctx context.Context, c *command, s *selection, ids []string, act fsq.Act, then func(context.Context, *fsq.Queue, *fsq.ActResult)) error {
	sel, err := s.selector(ids, a.now)
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
	jobs, err := a.choose(ctx, s, sel, act.States(), &failures)
	if err != nil {
		return err
	}
	done := 0
	var printErr error
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	tell := func(q *fsq.Queue, result fsq.ActResult) {
		if then != nil && result.Err == nil && !s.dryRun {
			then(ctx, q, &result)
		}
		if result.Err != nil {
			failures.add(a, result.Err)
		} else {
			done++
		}
		if err := a.printAct(result); err != nil && printErr == nil {
			printErr = err
			stop(err)
		}
	}
	var chosen []fsq.Chosen
	for _, j := range jobs {
		switch {
		case s.dryRun:
			tell(j.q, fsq.ActResult{Queue: j.q.Name(), ID: j.id, Result: "would be " + act.Done()})
		case j.job != nil:
			chosen = append(chosen, fsq.Chosen{Queue: j.q, Job: j.job})
			continue
		default:
			tell(j.q, act.Do(ctx, j.q, j.id))
		}
		if ctx.Err() != nil {
			break
		}
	}
	at := 0
	act.DoAll(ctx, chosen, func(r fsq.ActResult) {
		tell(chosen[at].Queue, r)
		at++
	})
	if printErr != nil {
		return printErr
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if a.err.terminal() || len(jobs) == 0 && failures.err() == nil {
		word := act.Done()
		if s.dryRun {
			word = "would be " + word
		}
		a.note("%s %s", plural(done, "job"), word)
	}
	return failures.err()
}

func (a *app) printAct(r fsq.ActResult) error {
	switch {
	case a.json:
		return a.out.jsonLine(r)
	case r.Err == nil:
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
