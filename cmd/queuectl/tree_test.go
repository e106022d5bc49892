package main

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/queuectl/queuectl/fsq"
)

// The conventions of the command line, as tests: whoever adds a command cannot
// forget one.
func TestTree(t *testing.T) {
	a := testApp()
	root := newRoot(a)
	settingFlags := make(map[string]bool)
	kinds := make(map[string]string)
	root.walk(func(c *command) {
		fail := func(format string, args ...any) {
			t.Helper()
			t.Errorf("%s: %s", c.path, fmt.Sprintf(format, args...))
		}
		if c.name != strings.ToLower(c.name) {
			fail("the name has capitals")
		}
		if first, _ := utf8.DecodeRuneInString(c.short); !unicode.IsUpper(first) || strings.HasSuffix(c.short, ".") || len(c.short) > 66 {
			fail("%q is not one short line with a capital and no full stop", c.short)
		}
		if (len(c.sub) > 0) != (c.run == nil) && c != root {
			fail("a command either runs or has commands")
		}
		if n := len(c.examples); n < 2 || n > 5 {
			fail("%d examples, want 2 to 5", n)
		}
		for _, key := range c.settings {
			if a.settings.flags.Lookup(key) == nil {
				fail("there is no setting %q", key)
			}
			if c.flags.Lookup(key) != nil || root.flags.Lookup(key) != nil {
				fail("--%s would have two meanings", key)
			}
			if c.name != "list" {
				settingFlags[key] = true
			}
		}
		c.flags.VisitAll(func(f *flag.Flag) {
			kind := fmt.Sprint(isBool(f))
			if k, ok := kinds[f.Name]; ok && k != kind {
				fail("--%s takes a value here and none elsewhere", f.Name)
			}
			kinds[f.Name] = kind
			if c != root && root.flags.Lookup(f.Name) != nil {
				fail("--%s is a global flag already", f.Name)
			}
			if strings.HasSuffix(f.Usage, ".") {
				fail("--%s: the usage ends with a full stop", f.Name)
			}
		})
		checkHelp(a, c, root, fail)
	})
	for _, s := range fsq.Settings() {
		if !settingFlags[s.Key] {
			t.Errorf("setting %s is a flag of no command that it matters to", s.Key)
		}
	}
}

func checkHelp(a *app, c, root *command, fail func(string, ...any)) {
	help := a.help(c, root)
	at := 0
	for _, want := range []string{"\nUSAGE\n  " + c.path, "FLAGS\n", "--spool DIR", "\nEXAMPLES\n", "\nEXIT STATUS\n  0 ", "\n  1 ", "\n  2 ", "\n  75 "} {
		i := strings.Index(help[at:], want)
		if i < 0 {
			fail("the help has no %q in its place:\n%s", want, help)
			return
		}
		at += i
	}
	own := slices.Clone(c.settings)
	if c != root {
		c.flags.VisitAll(func(f *flag.Flag) {
			if !hidden(f) {
				own = append(own, f.Name)
			}
		})
	}
	for _, name := range own {
		if !strings.Contains(help, "  --"+name+" ") && !strings.Contains(help, ", --"+name+" ") {
			fail("the help does not show --%s", name)
		}
	}
	for _, key := range c.settings {
		if !strings.Contains(help, "$"+envName(key)) {
			fail("the help does not show $%s", envName(key))
		}
	}
	for l := range strings.SplitSeq(help, "\n") {
		if width(l) > 100 {
			fail("a line of the help is too long: %s", l)
		}
	}
}

// Every example must be a command line that queuectl takes.
func TestExamples(t *testing.T) {
	a := testApp()
	newRoot(a).walk(func(c *command) {
		for _, e := range c.examples {
			if !strings.Contains(e.line, c.path) && c.path != "queuectl" {
				t.Errorf("%s: the example %q is about something else", c.path, e.line)
			}
			for _, words := range commandLines(e.line) {
				b := testApp()
				root := newRoot(b)
				l, err := parseLine(root, b.settings.flags, words)
				if err == nil {
					err = l.cmd.checkArgs(l.args)
				}
				if err == nil {
					err = root.ffcli().Parse(l.argv())
				}
				if err == nil {
					err = b.settings.parse(l.settings)
				}
				for _, arg := range l.args {
					if err == nil && l.cmd.name == "enqueue" && arg != "-" && l.dashed < 0 {
						_, err = fsq.ParseJob([]byte(arg), b.now())
					}
				}
				if err != nil {
					t.Errorf("%s: the example %q does not work: %v", c.path, words, err)
				}
			}
		}
	})
}

var shellWord = regexp.MustCompile(`'[^']*'|"[^"]*"|\|\||[|()\n]|[^\s|()'"]+`)

// commandLines finds the calls of queuectl in a line of shell, without the name.
func commandLines(s string) [][]string {
	var all [][]string
	in := false
	for _, w := range shellWord.FindAllString(s, -1) {
		switch {
		case w == "queuectl":
			all, in = append(all, nil), true
		case strings.ContainsAny(w[:1], "|()\n"):
			in = false
		case in:
			all[len(all)-1] = append(all[len(all)-1], strings.Trim(w, `'"`))
		}
	}
	return all
}
