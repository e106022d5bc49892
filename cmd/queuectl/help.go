package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
)

// usageLine is the line under USAGE.
func (c *command) usageLine() string {
	return strings.Join(slices.DeleteFunc([]string{c.path, c.args, "[FLAGS]"}, func(s string) bool { return s == "" }), " ")
}

// help is what --help prints about c.
func (a *app) help(c, root *command) string {
	var b strings.Builder
	section := func(title string) { fmt.Fprintf(&b, "\n%s\n", title) }

	fmt.Fprintf(&b, "%s.\n", c.short)
	section("USAGE")
	fmt.Fprintf(&b, "  %s\n", c.usageLine())
	for _, paragraph := range strings.Split(c.long, "\n\n") {
		if paragraph != "" {
			fmt.Fprintf(&b, "\n%s\n", wrapText(paragraph, helpWidth))
		}
	}
	if len(c.sub) > 0 {
		section("COMMANDS")
		columnsOf(&b, commandRows(c, root))
	}
	if flags := a.flagRows(c, root); len(flags) > 0 {
		section("FLAGS")
		columnsOf(&b, flags)
	}
	if len(c.settings) > 0 {
		b.WriteString("\n  A flag beats its environment variable, which beats the spool's config.\n")
	}
	section("GLOBAL FLAGS")
	columnsOf(&b, globalRows(root))
	section("EXAMPLES")
	for i, e := range c.examples {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "  # %s\n  %s\n", e.what, strings.ReplaceAll(e.line, "\n", "\n  "))
	}
	section("EXIT STATUS")
	columnsOf(&b, exitRows(c))
	return b.String()
}

// exitStatuses are those of c by number, with its own words for the common ones.
func (c *command) exitStatuses() []exitStatus {
	all := slices.Clone(c.exits)
	for _, e := range everyExit {
		if !slices.ContainsFunc(all, func(o exitStatus) bool { return o.code == e.code }) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(x, y exitStatus) int { return x.code - y.code })
	return all
}

// appendFlag adds f with its default and, if it has one, its environment variable.
func appendFlag(rows [][2]string, f *flag.Flag, hasEnv bool) [][2]string {
	if hidden(f) {
		return rows
	}
	usage := f.Usage
	left := "--" + f.Name
	if !isBool(f) {
		left += " " + f.Value.(*value).arg
	}
	var extra []string
	if hasEnv {
		extra = append(extra, "$"+envName(f.Name))
	}
	if f.DefValue != "" && !isBool(f) {
		extra = append(extra, "default "+f.DefValue)
	}
	if len(extra) > 0 {
		usage += " [" + strings.Join(extra, ", ") + "]"
	}
	return append(rows, [2]string{left, usage})
}

// helpWidth is where help texts wrap: a terminal of 80 columns with some air.
const helpWidth = 78

// columnsOf prints rows of two columns, the second one wrapped.
func columnsOf(b *strings.Builder, rows [][2]string) {
	left := 0
	for _, r := range rows {
		left = max(left, len(r[0]))
	}
	indent := "\n" + strings.Repeat(" ", left+4)
	for _, r := range rows {
		fmt.Fprintf(b, "  %-*s  %s\n", left, r[0], strings.ReplaceAll(wrap(r[1], helpWidth-left-4), "\n", indent))
	}
}

// wrapText leaves what is indented as it is: a table.
func wrapText(s string, width int) string {
	if strings.HasPrefix(s, "    ") {
		return s
	}
	return wrap(s, width)
}

func wrap(s string, width int) string {
	var b strings.Builder
	used := 0
	for i, word := range strings.Fields(s) {
		switch {
		case i == 0:
		case used+1+len(word) > width:
			b.WriteByte('\n')
			used = 0
		default:
			b.WriteByte(' ')
			used++
		}
		b.WriteString(word)
		used += len(word)
	}
	return b.String()
}
