package main

import (
	"fmt"
	"strings"
)

// page is a manual page before it is known whether it becomes roff or plain text.
type page struct {
	name    string // queuectl-worker-start
	section string // 1 or 5
	title   string // behind the dash of NAME
	blocks  []block
}

type blockKind int

const (
	blockSection    blockKind = iota // a heading in capitals
	blockSubsection                  // one below it
	blockText                        // a paragraph
	blockTagged                      // a paragraph behind a tag, as of a flag
	blockBullet                      // an item of a list
	blockCode                        // lines as they are
)

type block struct {
	kind blockKind
	tag  []piece
	text []piece
	code string
}

// piece is some text of one kind.
type piece struct {
	text string
	face face
}

type face byte

// The faces are named as roff names its fonts.
const (
	roman  face = 'R'
	strong face = 'B'
	slant  face = 'I'
)

func words(s string) []piece    { return []piece{{s, roman}} }
func emphasis(s string) []piece { return []piece{{s, strong}} }

func (p *page) section1(title string) {
	p.blocks = append(p.blocks, block{kind: blockSection, text: words(title)})
}

func (p *page) paragraph(text []piece) {
	p.blocks = append(p.blocks, block{kind: blockText, text: text})
}

func (p *page) tagged(tag, text []piece) {
	p.blocks = append(p.blocks, block{kind: blockTagged, tag: tag, text: text})
}

func (p *page) code(lines string) {
	p.blocks = append(p.blocks, block{kind: blockCode, code: strings.TrimRight(lines, "\n")})
}

// file is the name that man(1) looks for.
func (p page) file() string { return p.name + "." + p.section }

// plain is the page for a pipe or a terminal without man(1).
func (p page) plain(columns int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s(%s)\n", strings.ToUpper(p.name), p.section)
	last := blockSection
	for _, bl := range p.blocks {
		if bl.kind != blockBullet || last != blockBullet {
			b.WriteByte('\n')
		}
		last = bl.kind
		switch bl.kind {
		case blockSection:
			fmt.Fprintf(&b, "%s\n", strings.ToUpper(plainText(bl.text)))
		case blockSubsection:
			fmt.Fprintf(&b, "  %s\n", plainText(bl.text))
		case blockText:
			b.WriteString(indented(wrap(plainText(bl.text), columns-4), "    "))
		case blockTagged:
			b.WriteString(indented(plainText(bl.tag), "    "))
			b.WriteString(indented(wrap(plainText(bl.text), columns-8), "        "))
		case blockBullet:
			text := indented(wrap(plainText(bl.text), columns-6), "      ")
			b.WriteString("    - " + text[6:])
		case blockCode:
			b.WriteString(indented(bl.code, "        "))
		}
	}
	return b.String()
}

func plainText(runs []piece) string {
	var b strings.Builder
	for _, r := range runs {
		b.WriteString(r.text)
	}
	return b.String()
}

// indented is s with each line moved to the right, and a line break at its end.
func indented(s, by string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(s, "\n") {
		b.WriteString(strings.TrimRight(by+line, " ") + "\n")
	}
	return b.String()
}
