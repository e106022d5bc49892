package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

// template makes a command of a line. Exactly one of its two is set, or none: then the
// line itself is a shell text.
type template struct {
	argv  [][]segment
	shell []segment
}

// segment is a text, or a replacement if key is not empty.
type segment struct{ text, key string }

// replacements are those of GNU parallel.
var replacements = map[string]func(line string, n int) string{
	"{}":   func(line string, _ int) string { return line },
	"{.}":  func(line string, _ int) string { return stem(line) },
	"{/}":  func(line string, _ int) string { return baseOf(line) },
	"{//}": func(line string, _ int) string { return dirOf(line) },
	"{/.}": func(line string, _ int) string { return stem(baseOf(line)) },
	"{#}":  func(_ string, n int) string { return strconv.Itoa(n) },
}

func baseOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func dirOf(path string) string {
	switch i := strings.LastIndexByte(path, '/'); i {
	case -1:
		return "."
	case 0:
		return "/"
	default:
		return path[:i]
	}
}

// stem leaves the last extension off. The dot of .profile begins none.
func stem(path string) string {
	base := baseOf(path)
	if i := strings.LastIndexByte(base, '.'); i > 0 {
		return path[:len(path)-len(base)+i]
	}
	return path
}

// newTemplate reads the command of --lines.
func newTemplate(s source) (*template, error) {
	t := &template{}
	used := false
	for _, arg := range s.argv {
		segments := cutTemplate(arg)
		used = used || slices.ContainsFunc(segments, segment.replaces)
		t.argv = append(t.argv, segments)
	}
	switch {
	case s.argv != nil && !used:
		t.argv = append(t.argv, []segment{{key: "{}"}})
	case s.argv == nil && s.text != "":
		t.shell = cutTemplate(s.text)
		if !slices.ContainsFunc(t.shell, segment.replaces) {
			t.shell = append(t.shell, segment{text: " "}, segment{key: "{}"})
		}
		return t, checkShell(t.shell)
	}
	return t, nil
}

func (s segment) replaces() bool { return s.key != "" }

func cutTemplate(s string) (all []segment) {
	text := 0
	for i := 0; i < len(s); {
		key := ""
		for k := range replacements {
			if strings.HasPrefix(s[i:], k) {
				key = k
			}
		}
		if key == "" {
			i++
			continue
		}
		if i > text {
			all = append(all, segment{text: s[text:i]})
		}
		all = append(all, segment{key: key})
		i += len(key)
		text = i
	}
	if text < len(s) || len(all) == 0 {
		all = append(all, segment{text: s[text:]})
	}
	return all
}

// checkShell refuses a replacement where its quotes would not protect it: a file's name
// could then be a command. Within "$(…)" in double quotes it would be safe, but it takes a
// shell to tell.
func checkShell(segments []segment) error {
	var state shellState
	for _, s := range segments {
		if s.key == "" {
			for i := range len(s.text) {
				state.take(s.text[i])
			}
			continue
		}
		if where := state.unsafe(); where != "" && s.key != "{#}" {
			return &usageError{
				problem: fmt.Sprintf("%s must not stand %s: it is quoted already", s.key, where),
				hint:    `write it without quotes, or put the command behind "--", where nothing needs them`,
			}
		}
		state.begun, state.blank = true, false
	}
	return nil
}

// shellState is what a shell makes of the text so far, as far as quoting goes.
type shellState struct {
	quote   byte // ' or " or ` or #, or 0 outside
	escaped bool // behind a backslash
	here    bool // behind <<
	less    bool // the last byte was <
	blank   bool // the last byte ended a word
	begun   bool
}

func (s *shellState) take(c byte) {
	start := !s.begun || s.blank
	s.begun = true
	s.blank = strings.IndexByte(" \t\n;&|()", c) >= 0
	switch {
	case s.escaped:
		s.escaped, s.blank = false, false
	case s.quote == '#':
		if c == '\n' {
			s.quote = 0
		}
	case c == '\\' && s.quote != '\'':
		s.escaped = true
	case s.quote != 0:
		if c == s.quote {
			s.quote = 0
		}
	case c == '\'', c == '"', c == '`', c == '#' && start:
		s.quote = c
	case c == '<':
		s.here = s.here || s.less
	}
	s.less = c == '<' && s.quote == 0
}

// unsafe says where the text stands in which a quoted word is none; "" if it is safe.
func (s *shellState) unsafe() string {
	switch {
	case s.escaped:
		return "behind a backslash"
	case s.quote == '#':
		return "in a comment"
	case s.quote == '`':
		return "in backquotes"
	case s.quote != 0:
		return "in quotes"
	case s.here:
		return "behind <<"
	}
	return ""
}

// command is that of the nth line.
func (t *template) command(line string, n int) fsq.Command {
	switch {
	case t.argv != nil:
		args := make([]string, len(t.argv))
		for i, segments := range t.argv {
			args[i] = fill(segments, line, n, func(s string) string { return s })
		}
		return fsq.Command{Args: args}
	case t.shell != nil:
		return fsq.Command{Shell: fill(t.shell, line, n, shellQuote)}
	}
	return fsq.Command{Shell: line}
}

func fill(segments []segment, line string, n int, quote func(string) string) string {
	var b strings.Builder
	for _, s := range segments {
		switch s.key {
		case "":
			b.WriteString(s.text)
		case "{#}":
			b.WriteString(strconv.Itoa(n))
		default:
			b.WriteString(quote(replacements[s.key](line, n)))
		}
	}
	return b.String()
}
