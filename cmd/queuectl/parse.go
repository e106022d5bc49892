package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

// line is a command line taken apart. Package flag stops at the first argument
// that is no flag, and ffcli wants each flag right behind the command that it
// belongs to; people do not. So the words are sorted first, and what ff and ffcli
// get to see is always in their order.
type line struct {
	cmd      *command
	path     []string // the command's words, without "queuectl"
	global   []string // flags of queuectl itself, each as --name=value
	settings []string // flags that are settings
	local    []string // flags of cmd
	args     []string // everything else
	dashed   int      // how many args stood before the "--"; -1: there was none behind the command
	typed    []string // the words behind the command, as they were typed
	help     bool
	version  bool
}

// argv is the line in the order that ffcli wants. Settings are not part of it:
// they are parsed once the spool is known, whose config.json has them too.
func (l line) argv() []string {
	var argv []string
	argv = append(argv, l.global...)
	argv = append(argv, l.path...)
	argv = append(argv, l.local...)
	argv = append(argv, "--")
	return append(argv, l.args...)
}

// gives reports whether a flag of queuectl itself was given.
func (l line) gives(name string) bool {
	return slices.ContainsFunc(l.global, func(text string) bool {
		f, _, _ := splitFlag(text)
		return f.name == name
	})
}

// given is a flag as it was found, before it is known whose it is.
type given struct{ name, value string }

// parseLine sorts args. Flags may stand anywhere, also before the command;
// "--" ends them. The kinds of flags decide which words are values, and a name is
// of one kind throughout the tree (a test sees to it).
func parseLine(root *command, settings *flag.FlagSet, args []string) (line, error) {
	l := line{cmd: root, dashed: -1}
	kinds := flagKinds(root, settings)
	var flags []given
	unknown := "" // reported at the end, when the command is known that does not have it
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			if len(l.cmd.sub) == 0 {
				l.dashed = len(l.args)
			}
			// What follows may still begin with the command: queuectl -- list.
			for _, word := range args[i+1:] {
				if err := l.word(word); err != nil {
					return l, err
				}
			}
			break
		}
		f, hasValue, isFlag := splitFlag(args[i])
		if !isFlag {
			leaf := len(l.cmd.sub) == 0
			if err := l.word(args[i]); err != nil {
				return l, err
			}
			if !leaf && len(l.cmd.sub) == 0 {
				l.typed = args[i+1:]
			}
			if l.cmd.rest && len(l.args) > 0 {
				l.args = append(l.args, args[i+1:]...)
				break
			}
			continue
		}
		if long := l.cmd.letters[f.name]; long != "" {
			f.name = long
		}
		takesValue, known := kinds[f.name]
		switch {
		case f.name == "h" || f.name == "help":
			l.help = true
			continue
		case f.name == "version":
			l.version = true
			continue
		case !known:
			if unknown == "" {
				unknown = f.name
			}
			continue
		case takesValue && !hasValue:
			if i++; i == len(args) {
				return l, usagef("--%s needs a value", f.name)
			}
			f.value = args[i]
		case !hasValue:
			f.value = "true"
		}
		flags = append(flags, f)
	}
	if l.help || l.version {
		return l, nil
	}
	if unknown != "" && l.cmd.undashed != nil {
		if err := l.cmd.undashed(l, unknown); err != nil {
			return l, err
		}
	}
	if unknown != "" {
		return l, unknownFlag(l.cmd, root, unknown)
	}
	for _, f := range flags {
		text := "--" + f.name + "=" + f.value
		switch {
		case l.cmd.flags.Lookup(f.name) != nil && l.cmd != root:
			l.local = append(l.local, text)
		case l.cmd.hasSetting(f.name):
			l.settings = append(l.settings, text)
		case root.flags.Lookup(f.name) != nil:
			l.global = append(l.global, text)
		default:
			return l, unknownFlag(l.cmd, root, f.name)
		}
	}
	if l.cmd.run == nil {
		return l, &usageError{
			problem: fmt.Sprintf("%s needs a command: %s", l.cmd.path, strings.Join(names(l.cmd.sub), ", ")),
			hint:    l.cmd.path + " --help says what they do",
		}
	}
	return l, nil
}

// word takes the next word that is no flag: a command while there are commands to
// choose from, else an argument.
func (l *line) word(s string) error {
	if len(l.cmd.sub) == 0 {
		l.args = append(l.args, s)
		return nil
	}
	next := l.cmd.find(s)
	switch {
	case next != nil:
		l.cmd, l.path = next, append(l.path, s)
	case s == "help":
		l.help = true
	default:
		return unknownCommand(l.cmd, s)
	}
	return nil
}

// splitFlag takes "-name", "--name" or "--name=value" apart. "-" is an argument.
func splitFlag(s string) (f given, hasValue, ok bool) {
	if len(s) < 2 || s[0] != '-' {
		return f, false, false
	}
	s = strings.TrimPrefix(s[1:], "-")
	f.name, f.value, hasValue = strings.Cut(s, "=")
	return f, hasValue, true
}

// flagKinds says of every flag in the tree whether it takes a value.
func flagKinds(root *command, settings *flag.FlagSet) map[string]bool {
	kinds := make(map[string]bool)
	add := func(f *flag.Flag) { kinds[f.Name] = !isBool(f) }
	settings.VisitAll(add)
	root.walk(func(c *command) { c.flags.VisitAll(add) })
	return kinds
}

func unknownFlag(c, root *command, name string) error {
	near := append([]string{"help", "version"}, c.settings...)
	for _, fs := range []*flag.FlagSet{c.flags, root.flags} {
		fs.VisitAll(func(f *flag.Flag) {
			if !hidden(f) {
				near = append(near, f.Name)
			}
		})
	}
	e := &usageError{
		problem: fmt.Sprintf("%s has no flag --%s", c.path, clean(name)),
		hint:    fmt.Sprintf("%s --help shows its flags; an argument that begins with \"-\" goes behind \"--\"", c.path),
	}
	if n := fsq.Nearest(name, near); n != "" {
		e.problem += fmt.Sprintf("; did you mean --%s?", n)
	}
	return e
}

func unknownCommand(c *command, word string) error {
	e := &usageError{
		problem: fmt.Sprintf("%s has no command %q", c.path, word),
		hint:    c.path + " --help lists the commands",
	}
	if near := nearestCommand(c, word); near != "" {
		e.problem += fmt.Sprintf("; did you mean %q?", near)
	}
	return e
}

// nearestCommand looks for word among c's commands, then among all below it and
// what they are called elsewhere ("start", "ls").
func nearestCommand(c *command, word string) string {
	if near := fsq.Nearest(word, append(names(c.sub), "help")); near != "" {
		return near
	}
	found := ""
	c.walk(func(d *command) {
		for _, name := range append([]string{d.name}, d.also...) {
			if found == "" && d != c && strings.EqualFold(name, word) {
				found = strings.TrimPrefix(d.path, c.path+" ")
			}
		}
	})
	return found
}

func names(cs []*command) []string {
	var out []string
	for _, c := range cs {
		out = append(out, c.name)
	}
	return out
}
