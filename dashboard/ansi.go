package dashboard

import (
	"bytes"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible makes a text from elsewhere (an id, a command, an error) say what is in it:
// control characters, and marks that turn the direction of what follows, are shown as
// escapes. Line breaks and tabs stay.
func visible(s string) string {
	clean := true
	for _, r := range s {
		if hides(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !hides(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

// hides reports whether a character would be invisible, or hide what others say.
func hides(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r == utf8.RuneError, unicode.IsControl(r), turns(r):
		return true
	}
	return r == '\u2028' || r == '\u2029' || r == '\ufeff'
}

// turns reports whether a character sets the direction of text.
func turns(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u200e' || r == '\u200f' || r == '\u061c'
}

// terminal makes HTML of what a program wrote for a terminal. Colours and weights become
// classes; what would move the cursor, set a title or ask the terminal something is dropped.
// Of a line that was written over by means of a carriage return, the last version stays.
// Bytes that are no UTF-8 are shown as U+FFFD. Each line is an element of its own, whose
// direction is its own, with the place of its beginning as its key: base is that of the
// first byte.
type terminal struct {
	out   bytes.Buffer
	line  bytes.Buffer // HTML of the present line
	marks []int        // where in line each of its characters begins
	over  bool         // a carriage return came: the next character clears the line
	look  look
	open  bool // a span is open in line
}

// look is what SGR sequences have set.
type look struct {
	fg, bg                                    int // 1 + number of a palette colour; 0: the default
	bold, dim, italic, under, struck, inverse bool
}

func ansiHTML(data []byte, base int64) template.HTML {
	var t terminal
	t.out.Grow(len(data) + len(data)/4)
	start := 0
	for i := 0; i < len(data); {
		c := data[i]
		switch {
		case c == '\n':
			i++
			t.endLine(base + int64(start))
			start = i
		case c == '\r':
			t.over = true
			i++
		case c == '\b':
			t.back()
			i++
		case c == 0x1b:
			i = t.escape(data, i+1)
		case c == '\t':
			t.put("\t")
			i++
		case c < 0x20 || c == 0x7f:
			i++
		default:
			r, n := utf8.DecodeRune(data[i:])
			switch {
			case r == 0x9b:
				i = t.csi(data, i+n)
				continue
			case r == 0x90 || r >= 0x9d && r <= 0x9f || r == 0x98:
				i = skipString(data, i+n)
				continue
			case r >= 0x80 && r < 0xa0:
			case r == '<':
				t.put("&lt;")
			case r == '>':
				t.put("&gt;")
			case r == '&':
				t.put("&amp;")
			default:
				t.put(string(r))
			}
			i += n
		}
	}
	if t.line.Len() > 0 {
		t.endLine(base + int64(start))
	}
	return template.HTML(t.out.String())
}

// put adds a character, escaped.
func (t *terminal) put(s string) {
	if t.over {
		t.clear()
	}
	if !t.open && t.look != (look{}) {
		t.line.WriteString(`<span class="` + t.look.classes() + `">`)
		t.open = true
	}
	t.marks = append(t.marks, t.line.Len())
	t.line.WriteString(s)
}

func (t *terminal) clear() {
	t.line.Reset()
	t.marks = t.marks[:0]
	t.over, t.open = false, false
}

// back takes the last character away, if it is at the end of the line.
func (t *terminal) back() {
	if n := len(t.marks); n > 0 && !bytes.HasSuffix(t.line.Bytes(), []byte("</span>")) {
		t.line.Truncate(t.marks[n-1])
		t.marks = t.marks[:n-1]
	}
}

func (t *terminal) shut() {
	if t.open {
		t.line.WriteString("</span>")
		t.open = false
	}
}

func (t *terminal) endLine(at int64) {
	t.shut()
	fmt.Fprintf(&t.out, `<span data-k="%d">`, at)
	t.out.Write(t.line.Bytes())
	t.out.WriteString("\n</span>")
	t.clear()
}

// escape reads what follows ESC and returns where that ends.
func (t *terminal) escape(data []byte, i int) int {
	if i >= len(data) {
		return i
	}
	switch c := data[i]; {
	case c == '[':
		return t.csi(data, i+1)
	case c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_':
		return skipString(data, i+1)
	case c >= 0x20 && c <= 0x2f: // a choice of character sets and the like
		for i < len(data) && data[i] >= 0x20 && data[i] <= 0x2f {
			i++
		}
		return min(i+1, len(data))
	case c < 0x20 || c >= 0x7f:
		return i // not one of ours: it counts for itself
	}
	return i + 1
}

// maxSequence bounds how far the end of a string sequence is looked for: one that was cut
// must not hide the rest of the output.
const maxSequence = 4096

// skipString passes over the text of an OSC, DCS or the like, up to BEL or ST.
func skipString(data []byte, i int) int {
	for end := min(i+maxSequence, len(data)); i < end; i++ {
		switch data[i] {
		case 0x07:
			return i + 1
		case '\n':
			return i
		case 0x1b:
			if i+1 < len(data) && data[i+1] == '\\' {
				return i + 2
			}
			return i
		}
	}
	return i
}

// csi reads a control sequence. Only colours, and the clearing of a line, mean something.
func (t *terminal) csi(data []byte, i int) int {
	from := i
	for i < len(data) && data[i] >= 0x20 && data[i] <= 0x3f {
		i++
	}
	if i >= len(data) || data[i] < 0x40 || data[i] > 0x7e {
		return i
	}
	params := string(data[from:i])
	switch data[i] {
	case 'm':
		before := t.look
		t.look.set(params)
		if t.look != before {
			t.shut()
		}
	case 'K':
		if params == "2" || t.over {
			t.clear()
		}
	case 'G':
		t.over = true
	}
	return i + 1
}

func (l *look) set(params string) {
	if strings.ContainsAny(params, "<=>?") { // a private sequence
		return
	}
	var ns []int
	for p := range strings.FieldsFuncSeq(params+" ", func(r rune) bool { return r == ';' || r == ':' || r == ' ' }) {
		n, err := strconv.Atoi(p)
		if err != nil {
			return
		}
		ns = append(ns, n)
	}
	if len(ns) == 0 {
		ns = []int{0}
	}
	for i := 0; i < len(ns); i++ {
		switch n := ns[i]; {
		case n == 0:
			*l = look{}
		case n == 1:
			l.bold = true
		case n == 2:
			l.dim = true
		case n == 3:
			l.italic = true
		case n == 4 || n == 21:
			l.under = true
		case n == 7:
			l.inverse = true
		case n == 9:
			l.struck = true
		case n == 22:
			l.bold, l.dim = false, false
		case n == 23:
			l.italic = false
		case n == 24:
			l.under = false
		case n == 27:
			l.inverse = false
		case n == 29:
			l.struck = false
		case n >= 30 && n <= 37:
			l.fg = 1 + n - 30
		case n >= 90 && n <= 97:
			l.fg = 1 + n - 90 + 8
		case n == 39:
			l.fg = 0
		case n >= 40 && n <= 47:
			l.bg = 1 + n - 40
		case n >= 100 && n <= 107:
			l.bg = 1 + n - 100 + 8
		case n == 49:
			l.bg = 0
		case n == 38 || n == 48:
			var colour int
			colour, i = extended(ns, i)
			if n == 38 {
				l.fg = colour
			} else {
				l.bg = colour
			}
		}
	}
}

// extended reads a colour of 256, or of 16 million, and returns the nearest of 16 and where
// its numbers end.
func extended(ns []int, i int) (colour, at int) {
	switch {
	case i+2 < len(ns) && ns[i+1] == 5:
		return 1 + nearest256(ns[i+2]), i + 2
	case i+4 < len(ns) && ns[i+1] == 2:
		return 1 + nearest(ns[i+2], ns[i+3], ns[i+4]), i + 4
	}
	return 0, len(ns)
}

func nearest256(n int) int {
	switch {
	case n < 0 || n > 255:
		return 7
	case n < 16:
		return n
	case n >= 232: // grey
		v := 8 + (n-232)*10
		return nearest(v, v, v)
	}
	level := func(v int) int {
		if v == 0 {
			return 0
		}
		return 55 + 40*v
	}
	n -= 16
	return nearest(level(n/36), level(n/6%6), level(n%6))
}

// palette is what xterm has for the 16 colours.
var palette = [16][3]int{
	{0, 0, 0}, {205, 0, 0}, {0, 205, 0}, {205, 205, 0}, {0, 0, 238}, {205, 0, 205}, {0, 205, 205}, {229, 229, 229},
	{127, 127, 127}, {255, 0, 0}, {0, 255, 0}, {255, 255, 0}, {92, 92, 255}, {255, 0, 255}, {0, 255, 255}, {255, 255, 255},
}

func nearest(r, g, b int) int {
	best, least := 7, 1<<30
	for i, p := range palette {
		d := (r-p[0])*(r-p[0]) + (g-p[1])*(g-p[1]) + (b-p[2])*(b-p[2])
		if d < least {
			best, least = i, d
		}
	}
	return best
}

func (l look) classes() string {
	fg, bg := l.fg, l.bg
	if l.inverse {
		if fg, bg = bg, fg; fg == 0 {
			fg = 1 + 15
		}
		if bg == 0 {
			bg = 1 + 7
		}
	}
	var c []string
	if fg > 0 {
		c = append(c, "f"+strconv.Itoa(fg-1))
	}
	if bg > 0 {
		c = append(c, "g"+strconv.Itoa((bg-1)%8))
	}
	for _, w := range []struct {
		on    bool
		class string
	}{{l.bold, "b"}, {l.dim, "d"}, {l.italic, "i"}, {l.under, "u"}, {l.struck, "s"}} {
		if w.on {
			c = append(c, w.class)
		}
	}
	return strings.Join(c, " ")
}
