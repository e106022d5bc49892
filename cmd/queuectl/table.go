package main

import "strings"

// cell is a text in a table, with the colour that it gets where colours are shown.
type cell struct {
	text  string
	style style
}

// table is printed in columns as wide as their widest cell. On a terminal the last
// column is cut so that no row wraps; a pipe gets everything.
type table struct {
	head  []string // a title that begins with ">" is of a column flushed right
	rows  [][]cell
	limit map[int]int // columns that are cut on a terminal, by index
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

const gap = "  "

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
		for i := range row {
			if n := t.limit[i]; n > 0 && o.terminal() {
				row[i].text = shorten(row[i].text, n)
			}
			widths[i] = max(widths[i], width(row[i].text))
		}
	}
	last := len(head) - 1
	used := 0
	for _, w := range widths[:last] {
		used += w + len(gap)
	}
	var b strings.Builder
	for _, row := range rows {
		for i, c := range row {
			if i == last && o.terminal() {
				// A narrow terminal still shows the beginning; it wraps then.
				c.text = shorten(c.text, max(o.width-used, 10))
			}
			pad := strings.Repeat(" ", max(widths[i]-width(c.text), 0))
			switch {
			case i == last:
				b.WriteString(o.paint(c.style, c.text))
			case right[i]:
				b.WriteString(pad + o.paint(c.style, c.text) + gap)
			default:
				b.WriteString(o.paint(c.style, c.text) + pad + gap)
			}
		}
		line := strings.TrimRight(b.String(), " ")
		b.Reset()
		o.printf("%s\n", line)
	}
}
