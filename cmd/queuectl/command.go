package main

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/peterbourgon/ff/v3"
	"github.com/peterbourgon/ff/v3/ffcli"
)

// command is one word of the command line. ffcli's Command has no room for
// examples, exit statuses and settings, so the tree is written down with this
// type, from which the parser, the help and ffcli's own tree are made.
type command struct {
	name     string
	args     string   // what the usage line says after the name, e.g. "ID…"
	least    int      // arguments it needs
	most     int      // arguments it takes; anyNumber: no limit
	short    string   // what it does, in one line: a capital verb, no full stop
	long     string   // paragraphs; optional
	also     []string // what people call it elsewhere; only ever suggested
	examples []example
	exits    []exitStatus // besides those that every command has
	settings []string     // the settings that are flags of this command
	flags    *flag.FlagSet
	letters  map[string]string                              // flags of one letter, and what they stand for; only behind the command
	run      func(ctx context.Context, args []string) error // nil for a group
	sub      []*command

	// queues is what --queue may select.
	queues queueUse
	// signals: it does something about SIGINT and SIGTERM.
	signals bool
	// ignoreConfig is for what mends a broken config.json or needs no spool.
	ignoreConfig bool
	// withoutConfig is for what goes on with the defaults if config.json is broken.
	withoutConfig bool

	// undashed is asked about a line with a flag that the command does not have: where the
	// arguments are somebody else's command line, "--" is probably missing. nil: nothing to
	// say.
	undashed func(l line, unknown string) error
	// rest: from the first argument on all is one command line, with flags of its own.
	rest bool

	path string // "queuectl worker start"
}

const anyNumber = -1

// checkArgs checks how many arguments there are.
func (c *command) checkArgs(args []string) error {
	usage := "usage: " + c.usageLine()
	switch {
	case len(args) < c.least:
		return &usageError{fmt.Sprintf("%s needs %s", c.path, c.args), usage}
	case c.most != anyNumber && len(args) > c.most:
		return &usageError{fmt.Sprintf("%s does not take %q", c.path, args[c.most]), usage}
	}
	return nil
}

type example struct{ what, line string }

// link fills in the paths of c and of everything below it.
func (c *command) link(parent string) *command {
	c.path = strings.TrimSpace(parent + " " + c.name)
	if c.flags == nil {
		c.flags = newFlagSet()
	}
	for _, s := range c.sub {
		s.link(c.path)
	}
	return c
}

// find is the direct subcommand of that name. The match is exact: ffcli's own is
// not, and a name that works by accident is one that cannot be given away later.
func (c *command) find(name string) *command {
	for _, s := range c.sub {
		if s.name == name {
			return s
		}
	}
	return nil
}

// walk calls f for c and everything below it.
func (c *command) walk(f func(*command)) {
	f(c)
	for _, s := range c.sub {
		s.walk(f)
	}
}

func (c *command) hasSetting(key string) bool { return slices.Contains(c.settings, key) }

// hidden reports whether a flag is for queuectl itself and not for people.
func hidden(f *flag.Flag) bool { return f.Usage == "" }

// ffcli turns the tree into what parses and runs it. Only the root's flags are
// read from the environment here, and every flag lives in exactly one flag set:
// a flag that is defined twice would let the environment beat an explicit flag.
func (c *command) ffcli(options ...ff.Option) *ffcli.Command {
	out := &ffcli.Command{
		Name:       c.name,
		ShortUsage: c.usageLine(),
		ShortHelp:  c.short,
		LongHelp:   c.long,
		FlagSet:    c.flags,
		Options:    options,
		Exec:       c.run,
	}
	for _, s := range c.sub {
		out.Subcommands = append(out.Subcommands, s.ffcli())
	}
	return out
}
