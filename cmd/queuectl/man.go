package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

type manOptions struct {
	dir  string
	roff bool
}

func newMan(a *app) *command {
	var o manOptions
	c := &command{
		name:  "man",
		args:  "[TOPIC…]",
		most:  anyNumber,
		short: "Show the manual page of a command, of the spool or of the JSON",
		long: `TOPIC is a command, "spool" for the format of the files, or "json" for what --json
prints; without one it is queuectl itself. On a terminal man(1) shows the page, elsewhere
it is printed as plain text. All pages are made from what --help says and from the
documents that are part of the program.`,
		also: []string{"manual", "docs"},
		examples: []example{
			{"The page of a command", "queuectl man worker start"},
			{"The files of a spool, and what they mean", "queuectl man spool"},
			{"Install all pages", "queuectl man --dir /usr/local/share/man"},
		},
		flags:        newFlagSet(),
		ignoreConfig: true,
	}
	stringFlag(c.flags, &o.dir, "dir", "DIR", "write all pages to DIR/man1 and DIR/man5 instead")
	boolFlag(c.flags, &o.roff, "roff", "print the page's source")
	c.run = func(ctx context.Context, topic []string) error { return a.man(ctx, o, topic) }
	return c
}

// topic is a page that man can show.
type topic struct {
	name  string // worker-start; "queuectl" for the program
	title string
	make  func() page
}

// manTopics are all pages.
func (a *app) manTopics(root *command) []topic {
	var all []topic
	root.walk(func(c *command) {
		name := strings.ReplaceAll(strings.TrimPrefix(c.path, root.name+" "), " ", "-")
		all = append(all, topic{name, c.short, func() page { return a.commandPage(c, root) }})
	})
	return append(all,
		topic{"spool", "the files of a spool", func() page {
			return documentPage("queuectl-spool", "the files of a spool, and what they mean", fsq.FormatDocument())
		}},
		topic{"json", "what --json prints", func() page {
			return documentPage("queuectl-json", "what queuectl prints with --json", jsonDocument)
		}})
}

func (a *app) man(ctx context.Context, o manOptions, words []string) error {
	topics := a.manTopics(newRoot(a))
	if o.dir != "" {
		if len(words) > 0 {
			return usagef("give a topic or --dir, not both")
		}
		return a.writePages(o.dir, topics)
	}
	name := strings.Join(words, "-")
	if name == "" {
		name = "queuectl"
	}
	name = strings.TrimPrefix(name, "queuectl-")
	var names []string
	for _, t := range topics {
		if t.name == name {
			return a.showPage(ctx, t.make(), o.roff)
		}
		names = append(names, t.name)
	}
	e := &usageError{problem: fmt.Sprintf("there is no manual page %q", name), hint: "queuectl help lists the commands; spool and json are pages, too"}
	if near := fsq.Nearest(name, names); near != "" {
		e.problem += fmt.Sprintf("; did you mean %q?", near)
	}
	return e
}

func (a *app) showPage(ctx context.Context, p page, source bool) error {
	roff := p.roff(a.pageDate(), fsq.Version)
	switch {
	case a.json:
		return a.out.json(struct {
			Page    string `json:"page"`
			Section string `json:"section"`
			Text    string `json:"text"`
			Roff    string `json:"roff"`
		}{p.name, p.section, p.plain(helpWidth), roff})
	case source:
		a.out.printf("%s", roff)
		return nil
	case a.out.terminal():
		if shown, err := a.manual(ctx, p.file(), roff); shown {
			return err
		}
	}
	a.out.printf("%s", p.plain(helpWidth))
	return nil
}

// manual has man(1) show a page; shown is false if there is none, and nothing was shown.
func (a *app) manual(ctx context.Context, file, roff string) (shown bool, err error) {
	program, err := exec.LookPath("man")
	if err != nil {
		return false, nil
	}
	dir, err := os.MkdirTemp("", "queuectl-man-")
	if err != nil {
		return false, nil
	}
	defer func() { _ = os.RemoveAll(dir) }()
	// A name with a slash is a file to every man(1); not all of them know -l.
	path := filepath.Join(dir, file)
	if err := os.WriteFile(path, []byte(roff), 0o600); err != nil {
		return false, nil
	}
	cmd := exec.CommandContext(ctx, program, path)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out.w, a.err.w
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return true, fmt.Errorf("man: %w", err)
		}
		return false, nil
	}
	return true, nil
}

// writePages writes all pages where man(1) looks for them below one of its directories.
func (a *app) writePages(dir string, topics []topic) error {
	type written struct {
		Page string `json:"page"`
		File string `json:"file"`
	}
	files := []written{}
	for _, t := range topics {
		p := t.make()
		into := filepath.Join(dir, "man"+p.section)
		if err := os.MkdirAll(into, 0o755); err != nil { //nolint:gosec // manual pages are for everybody
			return fmt.Errorf("write the manual pages: %w", err)
		}
		file := filepath.Join(into, p.file())
		if err := os.WriteFile(file, []byte(p.roff(a.pageDate(), fsq.Version)), 0o644); err != nil { //nolint:gosec // the same
			return fmt.Errorf("write the manual pages: %w", err)
		}
		files = append(files, written{p.name, file})
	}
	if a.json {
		return a.out.json(struct {
			Pages []written `json:"pages"`
		}{files})
	}
	a.note("wrote %s below %s", plural(len(files), "page"), dir)
	return nil
}

// pageDate is the date that pages bear: of the build, so that the same program writes the
// same pages.
func (a *app) pageDate() string {
	if epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(epoch, 0).UTC().Format(time.DateOnly)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if at, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				return at.UTC().Format(time.DateOnly)
			}
		}
	}
	return a.now().UTC().Format(time.DateOnly)
}

// documentPage is a page of section 5, for which there is a document.
func documentPage(name, title, document string) page {
	p := page{name: name, section: "5", title: title}
	p.section1("name")
	p.paragraph(words(name + " - " + title))
	p.section1("description")
	p.blocks = append(p.blocks, readMarkdown(document)...)
	p.section1("see also")
	p.paragraph(words("queuectl(1)"))
	return p
}

// commandPage is the page of a command, of what its help is made of.
func (a *app) commandPage(c, root *command) page {
	p := page{name: strings.ReplaceAll(c.path, " ", "-"), section: "1", title: c.short}
	p.section1("name")
	p.paragraph(words(p.name + " - " + lowerFirst(c.short)))
	p.section1("synopsis")
	p.paragraph(emphasis(c.usageLine()))
	p.section1("description")
	p.paragraph(words(c.short + "."))
	for paragraph := range strings.SplitSeq(c.long, "\n\n") {
		switch {
		case strings.HasPrefix(paragraph, "    "): // a table, as in help
			p.code(strings.ReplaceAll("\n"+paragraph, "\n    ", "\n")[1:])
		case paragraph != "":
			p.paragraph(words(strings.Join(strings.Fields(paragraph), " ")))
		}
	}
	rows := func(title string, rows [][2]string) {
		if len(rows) == 0 {
			return
		}
		p.section1(title)
		for _, r := range rows {
			p.tagged(emphasis(strings.TrimSpace(r[0])), words(r[1]))
		}
	}
	rows("commands", commandRows(c, root))
	rows("options", a.flagRows(c, root))
	rows("global options", globalRows(root))
	if c == root {
		rows("environment", a.environmentRows())
	}
	p.section1("examples")
	for _, e := range c.examples {
		p.paragraph(words(e.what + ":"))
		p.code(e.line)
	}
	rows("exit status", exitRows(c))
	p.section1("see also")
	p.paragraph(words(seeAlso(c, root)))
	return p
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// commandRows are the commands below c.
func commandRows(c, root *command) (rows [][2]string) {
	for _, s := range c.sub {
		rows = append(rows, [2]string{s.name, s.short})
	}
	if c == root {
		rows = append(rows, [2]string{"help", "Show the help of a command"})
	}
	return rows
}

// flagRows are c's own flags, and the settings that are.
func (a *app) flagRows(c, root *command) (rows [][2]string) {
	if c != root {
		letterOf := make(map[string]string)
		for letter, name := range c.letters {
			letterOf[name] = letter
		}
		c.flags.VisitAll(func(f *flag.Flag) {
			before := len(rows)
			if rows = appendFlag(rows, f, false); letterOf[f.Name] != "" && len(rows) > before {
				rows[before][0] = "-" + letterOf[f.Name] + ", " + rows[before][0]
			}
		})
	}
	for _, key := range c.settings {
		rows = appendFlag(rows, a.settings.flags.Lookup(key), true)
	}
	return rows
}

// globalRows are the flags of queuectl itself.
func globalRows(root *command) (rows [][2]string) {
	root.flags.VisitAll(func(f *flag.Flag) { rows = appendFlag(rows, f, true) })
	return append(rows, [2]string{"-h, --help", "show this help"}, [2]string{"--version", "print the version"})
}

// exitRows are the exit statuses of c.
func exitRows(c *command) (rows [][2]string) {
	for _, e := range c.exitStatuses() {
		rows = append(rows, [2]string{fmt.Sprintf("%-3d", e.code), e.when})
	}
	return rows
}

// environmentRows are the variables that stand for settings.
func (a *app) environmentRows() (rows [][2]string) {
	a.settings.flags.VisitAll(func(f *flag.Flag) {
		rows = append(rows, [2]string{envName(f.Name), f.Usage + " [default " + f.DefValue + "]"})
	})
	return rows
}

// seeAlso are the pages above, below and beside c.
func seeAlso(c, root *command) string {
	var pages []string
	root.walk(func(d *command) {
		parent := strings.TrimSuffix(d.path, " "+d.name)
		mine := strings.TrimSuffix(c.path, " "+c.name)
		if d != c && (parent == c.path || parent == mine && c != root && mine != root.name || d == root || d.path == mine) {
			pages = append(pages, strings.ReplaceAll(d.path, " ", "-")+"(1)")
		}
	})
	return strings.Join(append(pages, "queuectl-json(5)", "queuectl-spool(5)"), ", ")
}
