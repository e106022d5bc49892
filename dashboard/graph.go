package dashboard

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// graph is what a figure shows: series of values at even steps of time. It is drawn into a
// box of plotWidth to plotHeight that the page stretches, so that its words stay as large
// as all others: they are HTML beside it.
type graph struct {
	Title  string
	Start  time.Time
	Step   time.Duration
	Bars   bool // stacked; else lines
	Log    bool // of times: the axis has rungs
	Series []graphSeries
	Format func(float64) string
	Tick   func(float64) string // beside the axis; nil: Format
}

// graphSeries is one of the values. A value that is NaN is not known.
type graphSeries struct {
	Name   string
	Class  string // of the style sheet: b-done, b-failed, l1 to l3
	Values []float64
}

const (
	plotWidth  = 600
	plotHeight = 100
)

// figure is a graph that was drawn.
type figure struct {
	Title   string
	ID      string
	Summary string // the graph in a sentence
	Keys    []figureKey
	SVG     template.HTML
	Ticks   []figureTick
	Times   []time.Time // at the left, in the middle and at the right
	Points  int
	Step    int         // of a point, in seconds
	Rows    []figureRow // the newest first
	Empty   bool
}

type figureKey struct {
	Name, Class string
	Line        bool
	Now         string
}

type figureTick struct {
	At    int // quarters of the height
	Label string
}

type figureRow struct {
	Point  int // from the left, from 0
	At     time.Time
	Values []string
}

// draw makes the figure.
func (g graph) draw(id string) figure {
	n := 0
	for _, s := range g.Series {
		n = max(n, len(s.Values))
	}
	f := figure{Title: g.Title, ID: id, Empty: true}
	if n == 0 {
		return f
	}
	low, high := g.bounds(n)
	f.Empty, f.Points, f.Step = high == 0, n, int(g.Step/time.Second)
	f.Times = []time.Time{g.Start, g.Start.Add(time.Duration(n) * g.Step / 2), g.Start.Add(time.Duration(n) * g.Step)}
	scale := func(v float64) float64 {
		if g.Log {
			v = (rungOf(max(v, low)) - rungOf(low)) / (rungOf(high) - rungOf(low))
		} else if high > 0 {
			v /= high
		}
		return plotHeight * (1 - min(v, 1))
	}
	if !f.Empty {
		f.Ticks = g.ticks(low, high)
	}
	var b strings.Builder
	for i := range 5 {
		y := i * plotHeight / 4
		fmt.Fprintf(&b, `<path class="grid" d="M0 %dH%d"/>`, y, plotWidth)
	}
	for i, s := range g.Series {
		f.Keys = append(f.Keys, figureKey{Name: s.Name, Class: s.Class, Line: !g.Bars, Now: g.Format(last(s.Values))})
		if g.Bars {
			g.bars(&b, i, n, scale)
		} else {
			g.line(&b, s, n, scale)
		}
	}
	f.SVG = template.HTML(b.String())
	for i := n - 1; i >= 0; i-- {
		row := figureRow{Point: i, At: g.Start.Add(time.Duration(i) * g.Step)}
		some := false
		for _, s := range g.Series {
			some = some || s.Values[i] > 0
			row.Values = append(row.Values, g.Format(s.Values[i]))
		}
		if some {
			f.Rows = append(f.Rows, row)
		}
	}
	f.Summary = g.summary()
	return f
}

// bounds are the values at the bottom and at the top; both 0 if there is nothing to show.
func (g graph) bounds(n int) (low, high float64) {
	low = math.Inf(1)
	for i := range n {
		sum := 0.0
		for _, s := range g.Series {
			if v := s.Values[i]; v > 0 {
				low = min(low, v)
				if g.Bars {
					sum += v
				} else {
					sum = max(sum, v)
				}
			}
		}
		high = max(high, sum)
	}
	if high == 0 {
		return 0, 0
	}
	if g.Log {
		bottom, top := int(math.Floor(rungOf(low))), int(math.Ceil(rungOf(high)))
		// An even number of rungs: the middle is one, too.
		for top-bottom < 2 || (top-bottom)%2 == 1 {
			if top < len(rungs)-1 {
				top++
			} else {
				bottom--
			}
		}
		return rungs[bottom], rungs[top]
	}
	return 0, nice(high)
}

// rungs are the seconds that stand beside a Log axis, at even steps.
var rungs = []float64{.0001, .001, .01, .1, 1, 10, 60, 600, 3600, 36_000, 864_000, 8_640_000}

// rungOf is where between the rungs a value is.
func rungOf(v float64) float64 {
	for i, r := range rungs[1:] {
		if v <= r || i == len(rungs)-2 {
			return min(max(float64(i)+math.Log(v/rungs[i])/math.Log(r/rungs[i]), 0), float64(len(rungs)-1))
		}
	}
	return 0
}

// nice is the next number up whose half reads well, too.
func nice(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 3, 4, 5, 6, 8, 10} {
		if v <= m*p {
			return max(m*p, 2)
		}
	}
	return v
}

func (g graph) ticks(low, high float64) (ticks []figureTick) {
	label := g.Tick
	if label == nil {
		label = g.Format
	}
	for _, at := range []int{0, 2, 4} {
		v := high * float64(at) / 4
		if g.Log {
			v = rungs[int(math.Round(rungOf(low)+(rungOf(high)-rungOf(low))*float64(at)/4))]
		}
		ticks = append(ticks, figureTick{at, label(v)})
	}
	return ticks
}

func (g graph) bars(b *strings.Builder, i, n int, scale func(float64) float64) {
	w := float64(plotWidth) / float64(n)
	fmt.Fprintf(b, `<path class="%s" stroke="none" d="`, g.Series[i].Class)
	for k, v := range g.Series[i].Values {
		if !(v > 0) {
			continue
		}
		below := 0.0
		for _, s := range g.Series[:i] {
			if s.Values[k] > 0 {
				below += s.Values[k]
			}
		}
		top, bottom := scale(below+v), scale(below)
		fmt.Fprintf(b, "M%s %sh%sV%sh-%sz", px(float64(k)*w+w*.1), px(bottom), px(w*.8), px(top), px(w*.8))
	}
	b.WriteString(`"/>`)
}

func (g graph) line(b *strings.Builder, s graphSeries, n int, scale func(float64) float64) {
	w := float64(plotWidth) / float64(n)
	fmt.Fprintf(b, `<path class="%s" d="`, s.Class)
	pen := false
	var dots strings.Builder
	for k, v := range s.Values {
		if math.IsNaN(v) {
			pen = false
			continue
		}
		x, y := px((float64(k)+.5)*w), px(scale(v))
		alone := !pen && (k+1 == n || math.IsNaN(s.Values[k+1]))
		switch {
		case alone: // a line of one point would be nothing to see
			fmt.Fprintf(&dots, "M%s %sh.1", x, y)
		case pen:
			fmt.Fprintf(b, "L%s %s", x, y)
		default:
			fmt.Fprintf(b, "M%s %s", x, y)
		}
		pen = true
	}
	b.WriteString(`"/>`)
	if dots.Len() > 0 {
		fmt.Fprintf(b, `<path class="%s dot" d="%s"/>`, s.Class, dots.String())
	}
}

func (g graph) summary() string {
	var parts []string
	for _, s := range g.Series {
		top, total := 0.0, 0.0
		for _, v := range s.Values {
			if v > 0 {
				top, total = max(top, v), total+v
			}
		}
		if g.Bars {
			parts = append(parts, fmt.Sprintf("%s: %s in all, at most %s at a time", s.Name, g.Format(total), g.Format(top)))
		} else {
			parts = append(parts, fmt.Sprintf("%s: now %s, at most %s", s.Name, g.Format(last(s.Values)), g.Format(top)))
		}
	}
	return strings.Join(parts, "; ") + "."
}

// last is the newest value that is known.
func last(values []float64) float64 {
	for _, v := range slices.Backward(values) {
		if !math.IsNaN(v) {
			return v
		}
	}
	return math.NaN()
}

func px(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

// sparkline is the course of a value without any axis, beside a number that says what it
// is now.
func sparkline(done, failed []int, buckets int) template.HTML {
	n := len(done)
	if n == 0 || buckets == 0 {
		return ""
	}
	sum := make([][2]float64, buckets)
	high := 0.0
	for i := range n {
		k := i * buckets / n
		sum[k][0] += float64(done[i])
		sum[k][1] += float64(failed[i])
		high = max(high, sum[k][0]+sum[k][1])
	}
	var b strings.Builder
	b.WriteString(`<svg class="spark plot" viewBox="0 0 96 22" preserveAspectRatio="none" aria-hidden="true"><path class="grid" d="M0 21.5H96"/>`)
	w := 96 / float64(buckets)
	for part, class := range []string{"b-done", "b-failed"} {
		fmt.Fprintf(&b, `<path class="%s" stroke="none" d="`, class)
		for k, s := range sum {
			if s[part] == 0 {
				continue
			}
			h := 21 * s[part] / high
			bottom := 21.0
			if part == 1 {
				bottom -= 21 * s[0] / high
			}
			fmt.Fprintf(&b, "M%s %sh%sv-%sh-%sz", px(float64(k)*w), px(bottom), px(w*.75), px(max(h, .8)), px(w*.75))
		}
		b.WriteString(`"/>`)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

// meter is a bar that is filled up to a share of 1. What it says stands beside it as text.
func meter(share float64, class string) template.HTML {
	share = min(max(share, 0), 1)
	return template.HTML(`<svg class="bar ` + class + `" viewBox="0 0 100 5" preserveAspectRatio="none" aria-hidden="true"><rect width="` + px(share*100) + `" height="5"/></svg>`)
}
