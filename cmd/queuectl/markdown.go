package main

import (
	"regexp"
	"strings"
	"sync"
)

// readMarkdown turns a document into the blocks of a page. It knows what FORMAT.md and
// JSON.md are written in: headings, paragraphs of one or more lines, indented and fenced
// code, lists, tables, emphasis, code spans and links. The heading of the whole document
// is left out: a page has its own.
func readMarkdown(text string) []block {
	m := &markdown{lines: strings.Split(strings.TrimRight(text, "\n"), "\n")}
	for m.at < len(m.lines) {
		m.next()
	}
	return m.blocks
}

type markdown struct {
	lines  []string
	at     int
	blocks []block
}

func (m *markdown) add(b block) { m.blocks = append(m.blocks, b) }

// take returns the lines from here on for which part holds.
func (m *markdown) take(part func(string) bool) []string {
	from := m.at
	for m.at < len(m.lines) && part(m.lines[m.at]) {
		m.at++
	}
	return m.lines[from:m.at]
}

var (
	listItem = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:[-*]|\d+\.) +`) })
	rule     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\|[-:| ]+\|$`) })
)

func (m *markdown) next() {
	line := m.lines[m.at]
	switch {
	case strings.TrimSpace(line) == "":
		m.at++
	case strings.HasPrefix(line, "#"):
		m.at++
		level := len(line) - len(strings.TrimLeft(line, "#"))
		if title := strings.TrimSpace(line[level:]); level > 1 {
			kind := blockSection
			if level > 2 {
				kind = blockSubsection
			}
			m.add(block{kind: kind, text: words(plainText(inline(title)))})
		}
	case strings.HasPrefix(line, "```"):
		m.at++
		code := m.take(func(s string) bool { return !strings.HasPrefix(s, "```") })
		m.at++
		m.add(block{kind: blockCode, code: strings.Join(code, "\n")})
	case strings.HasPrefix(line, "    "):
		m.indentedCode()
	case strings.HasPrefix(line, "|"):
		m.table(m.take(func(s string) bool { return strings.HasPrefix(s, "|") }))
	case listItem().MatchString(line):
		m.at++
		more := m.take(func(s string) bool { return strings.HasPrefix(s, "  ") })
		text := listItem().ReplaceAllString(line, "")
		for _, s := range more {
			text += " " + strings.TrimSpace(s)
		}
		m.add(block{kind: blockBullet, text: inline(text)})
	default:
		lines := m.take(func(s string) bool {
			return strings.TrimSpace(s) != "" && !strings.HasPrefix(s, "|") && !strings.HasPrefix(s, "```") && !strings.HasPrefix(s, "#")
		})
		m.add(block{kind: blockText, text: inline(strings.Join(lines, " "))})
	}
}

// indentedCode goes on over empty lines, as long as an indented one follows.
func (m *markdown) indentedCode() {
	var code []string
	for m.at < len(m.lines) {
		line := m.lines[m.at]
		rest, in := strings.CutPrefix(line, "    ")
		more := m.at+1 < len(m.lines) && strings.HasPrefix(m.lines[m.at+1], "    ")
		if !in && (line != "" || !more) {
			break
		}
		code = append(code, rest)
		m.at++
	}
	m.add(block{kind: blockCode, code: strings.Join(code, "\n")})
}

// table makes a tagged paragraph of each row: on a page of 80 columns three cells of
// text side by side cannot be read. The other cells get their column's title, unless
// there is but one.
func (m *markdown) table(lines []string) {
	var head []string
	for i, line := range lines {
		if rule().MatchString(line) {
			continue
		}
		cells := tableCells(line)
		if i == 0 {
			head = cells
			continue
		}
		var text []piece
		for c, cell := range cells[1:] {
			if cell == "" {
				continue
			}
			if len(text) > 0 {
				text = append(text, piece{"; ", roman})
			}
			if len(head) > 2 && c+1 < len(head) && c < len(cells)-2 {
				text = append(text, piece{head[c+1] + ": ", slant})
			}
			text = append(text, inline(cell)...)
		}
		m.add(block{kind: blockTagged, tag: inline(cells[0]), text: text})
	}
}

// tableCells parts a row at the bars that are not escaped and not in a code span.
func tableCells(line string) []string {
	line = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "|"), "|")
	var cells []string
	var cell strings.Builder
	code := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line) && line[i+1] == '|':
			cell.WriteByte('|')
			i++
		case c == '|' && !code:
			cells = append(cells, strings.TrimSpace(cell.String()))
			cell.Reset()
		default:
			if c == '`' {
				code = !code
			}
			cell.WriteByte(c)
		}
	}
	return append(cells, strings.TrimSpace(cell.String()))
}

// marked is what stands out in running text: code, strong, emphasised, a link. Emphasis
// begins and ends at a word's edge, so that "2 * 3" and "*.json" are left alone.
var marked = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("`([^`]+)`|\\*\\*([^*]+)\\*\\*|\\*([^*\\s](?:[^*]*[^*\\s])?)\\*|\\[([^\\]]+)\\]\\([^)]*\\)")
})

// inline reads the text of a paragraph.
func inline(s string) []piece {
	var runs []piece
	add := func(text string, f face) {
		if text != "" {
			runs = append(runs, piece{text, f})
		}
	}
	for s != "" {
		at := marked().FindStringSubmatchIndex(s)
		if at == nil {
			break
		}
		add(s[:at[0]], roman)
		group := func(n int) string { return s[at[2*n]:at[2*n+1]] }
		switch {
		case at[2] >= 0:
			add(group(1), strong)
		case at[4] >= 0:
			for _, r := range inline(group(2)) {
				add(r.text, strong)
			}
		case at[6] >= 0:
			for _, r := range inline(group(3)) {
				f := slant
				if r.face == strong {
					f = strong
				}
				add(r.text, f)
			}
		default:
			runs = append(runs, inline(group(4))...)
		}
		s = s[at[1]:]
	}
	add(s, roman)
	return runs
}
