package fsq

import (
	"bufio"
	"io"
	"math"
	"strconv"
	"strings"
)

// exposition writes metrics in Prometheus' text format, version 0.0.4. Its client library
// would cost every start of a program that prints metrics once in a while.
type exposition struct{ w *bufio.Writer }

func newExposition(w io.Writer) *exposition { return &exposition{bufio.NewWriter(w)} }

var (
	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// family begins a metric: all of its samples follow, before the next one begins.
func (e *exposition) family(name, kind, help string) {
	e.put("# HELP ", name, " ", escapeHelp.Replace(help), "\n# TYPE ", name, " ", kind, "\n")
}

// sample writes one; labels are names and values in turn.
func (e *exposition) sample(name string, value float64, labels ...string) {
	e.put(name)
	for i := 0; i+1 < len(labels); i += 2 {
		e.put(map[bool]string{true: "{", false: ","}[i == 0], labels[i], `="`, escapeLabel.Replace(strings.ToValidUTF8(labels[i+1], "\ufffd")), `"`)
	}
	if len(labels) > 1 {
		e.put("}")
	}
	e.put(" ", number(value), "\n")
}

// histogram writes the cumulative counts of some bounds, in seconds, the sum and the count.
func (e *exposition) histogram(name string, h histogram, les []float64, labels ...string) {
	for _, le := range append(les[:len(les):len(les)], math.Inf(1)) {
		n := int64(0)
		for i, c := range h.N {
			if float64(bounds[h.From+i]) <= le*1000 {
				n += c
			}
		}
		e.sample(name+"_bucket", float64(n), append(labels[:len(labels):len(labels)], "le", number(le))...)
	}
	e.sample(name+"_sum", float64(h.Sum)/1000, labels...)
	e.sample(name+"_count", float64(h.total()), labels...)
}

func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// put leaves the error to flush, as a bufio.Writer keeps it.
func (e *exposition) put(parts ...string) {
	for _, p := range parts {
		_, _ = e.w.WriteString(p)
	}
}

func (e *exposition) flush() error { return e.w.Flush() }
