package main

import (
	"slices"
	"strings"
)

// cell is a text in a table, with the colour that it gets where colours are shown.
type cell struct {
	text  string
	style style
}

// table is printed in columns as wide as their widest cell. On a terminal cells are
// cut so that no row wraps; a pipe gets everything.
type table struct {
	head   []string // a title that begins with ">" is of a column flushed right
	rows   [][]cell
	shrink []int // columns that a terminal may cut, the first one first; the last column comes after them
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

const (
	gap = "  "
	// What a column that may be cut has at most on a terminal, what it keeps, and what
	// the last one gets at their cost.
	mostWidth  = 32
	leastWidth = 12
	lastWidth  = 24
)

func (t *table) write(o *output) {
	if len(t.rows) == 0 {
		return
	}
	right := make([]bool, len(t.head))
	head := make([]cell, len(t.head))
	for i, title := range t.head {
		head[i].text, right[i] = strings.CutPrefix(title, ">")
		head[i].style = dim
	}
	rows := append([][]cell{head}, t.rows...)
	widths := make([]int, len(head))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], width(c.text))
		}
	}
	if o.terminal() {
		t.fit(widths, o.width)
	}
	last := len(head) - 1
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			text := shorten(c.text, widths[i])
			pad := strings.Repeat(" ", max(widths[i]-width(text), 0))
			if right[i] {
				b.WriteString(pad)
				pad = ""
			}
			b.WriteString(o.paint(c.style, text))
			if i < last {
				b.WriteString(pad + gap)
			}
		}
		o.printf("%s\n", strings.TrimRight(b.String(), " "))
	}
}

// fit narrows columns until a row takes no more than the terminal has.
func (t *table) fit(widths []int, columns int) {
	last := len(widths) - 1
	room := columns - last*len(gap)
	for i, w := range widths {
		if slices.Contains(t.shrink, i) {
			w = min(w, mostWidth)
			widths[i] = w
		}
		if i < last {
			room -= w
		}
	}
	for _, i := range t.shrink {
		if need := min(widths[last], lastWidth) - room; need > 0 {
			cut := min(need, max(widths[i]-leastWidth, 0))
			widths[i] -= cut
			room += cut
		}
	}
	// A terminal too narrow for that wraps, and shows a little of each.
	widths[last] = min(widths[last], max(room, 1))
}
