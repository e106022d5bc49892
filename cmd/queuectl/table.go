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
	shrink int // the column that a terminal cuts before it cuts the last one; 0: none
	// idle are columns that a terminal leaves out where each cell is this text.
	idle map[int]string
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

const (
	gap = "  "
	// The column that is cut has at most so much on a terminal, and keeps so little for
	// the last column's sake, which is content with lastWidth.
	mostWidth  = 32
	leastWidth = 7
	lastWidth  = 24
)

func (t *table) write(o *output) {
	if len(t.rows) == 0 {
		return
	}
	if o.terminal() {
		t.dropIdle()
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

// dropIdle removes the columns in which nothing is said.
func (t *table) dropIdle() {
	for i := len(t.head) - 1; i >= 0; i-- {
		text, may := t.idle[i]
		if !may || slices.ContainsFunc(t.rows, func(row []cell) bool { return row[i].text != text }) {
			continue
		}
		t.head = slices.Delete(slices.Clone(t.head), i, i+1)
		for r := range t.rows {
			t.rows[r] = slices.Delete(slices.Clone(t.rows[r]), i, i+1)
		}
		if i < t.shrink {
			t.shrink--
		} else if i == t.shrink {
			t.shrink = 0
		}
	}
}

// fit narrows columns until a row takes no more than the terminal has. All but two
// are left alone, and an id that is longer than those that queuectl makes.
func (t *table) fit(widths []int, columns int) {
	last := len(widths) - 1
	widths[0] = min(widths[0], max(mostWidth, columns-60))
	room := columns - last*len(gap)
	for _, w := range widths[:last] {
		room -= w
	}
	if i := t.shrink; i > 0 {
		least := min(widths[i], leastWidth)
		most := max(min(widths[i], mostWidth, widths[i]+room-min(widths[last], lastWidth)), least)
		room += widths[i] - most
		widths[i] = most
	}
	widths[last] = min(widths[last], max(room, leastWidth))
}
