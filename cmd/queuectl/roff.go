package main

import (
	"fmt"
	"strings"
)

// roff is the page in the man macros, as far as groff, mandoc and heirloom troff know
// them all. date is the page's, such as 2026-11-25.
func (p page) roff(date, version string) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s %s %s \"queuectl %s\" \"queuectl manual\"\n", roffArgument(strings.ToUpper(p.name)), p.section, date, version)
	// A page is read on a screen: no hyphenation, which breaks what one wants to copy, and
	// a ragged right margin.
	b.WriteString(".nh\n.ad l\n")
	afterHeading := true // where a paragraph macro would do nothing, which mandoc minds
	for _, bl := range p.blocks {
		switch bl.kind {
		case blockSection:
			fmt.Fprintf(&b, ".SH %s\n", roffArgument(strings.ToUpper(plainText(bl.text))))
		case blockSubsection:
			fmt.Fprintf(&b, ".SS %s\n", roffArgument(plainText(bl.text)))
		case blockText:
			if !afterHeading {
				b.WriteString(".PP\n")
			}
			b.WriteString(roffText(bl.text))
		case blockTagged:
			b.WriteString(".TP\n" + strings.ReplaceAll(strings.TrimSuffix(roffText(bl.tag), "\n"), "\n", " ") + "\n" + roffText(bl.text))
		case blockBullet:
			b.WriteString(".IP \\(bu 2\n" + roffText(bl.text))
		case blockCode:
			if !afterHeading {
				b.WriteString(".PP\n")
			}
			b.WriteString(".RS 4\n.nf\n")
			for line := range strings.SplitSeq(bl.code, "\n") {
				b.WriteString(roffLine(roffEscape(line)) + "\n")
			}
			b.WriteString(".fi\n.RE\n")
		}
		afterHeading = bl.kind == blockSection || bl.kind == blockSubsection
	}
	return b.String()
}

// roffText is running text, each line of which begins with what is no request.
func roffText(runs []piece) string {
	var b strings.Builder
	for _, r := range runs {
		if r.face == roman {
			b.WriteString(roffEscape(r.text))
		} else {
			// The face ends with each word, so that a line break can come between them.
			for i, word := range strings.Split(r.text, " ") {
				if i > 0 {
					b.WriteByte(' ')
				}
				if word != "" {
					fmt.Fprintf(&b, `\f%c%s\fR`, r.face, roffEscape(word))
				}
			}
		}
	}
	var lines strings.Builder
	for line := range strings.SplitSeq(wrap(b.String(), roffWidth), "\n") {
		lines.WriteString(roffLine(line) + "\n")
	}
	return lines.String()
}

// roffWidth keeps lines of the source short enough for a diff.
const roffWidth = 76

// roffLine keeps a line from being taken for a request, and an empty one from being
// taken for an empty line of the page where it ends a block.
func roffLine(s string) string {
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		return `\&` + s
	}
	if s == "" {
		return `\&`
	}
	return s
}

// roffEscape writes characters that roff would take for something else: a hyphen must
// stay one that can be pasted into a shell, and what is beyond ASCII is named, because
// not every roff reads UTF-8.
func roffEscape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\(rs`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '\'':
			b.WriteString(`\(aq`)
		case r == '`':
			b.WriteString(`\(ga`)
		case r == '^':
			b.WriteString(`\(ha`)
		case r == '~':
			b.WriteString(`\(ti`)
		case r == '"':
			b.WriteString(`\(dq`)
		case r == '\t':
			b.WriteString("    ")
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// roffArgument is s as one argument of a macro.
func roffArgument(s string) string { return `"` + roffEscape(s) + `"` }
