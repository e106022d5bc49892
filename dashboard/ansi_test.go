package dashboard

import (
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestANSI(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"nothing":                       {"", ""},
		"a line":                        {"a\n", "a"},
		"without its end":               {"a\nb", "a|b"},
		"empty lines":                   {"\n\na", "||a"},
		"markup":                        {"<b>&amp;\"'</b>", `&lt;b&gt;&amp;amp;"'&lt;/b&gt;`},
		"a colour":                      {"\x1b[31mred\x1b[0m no", `<span class="f1">red</span> no`},
		"over lines":                    {"\x1b[1;32ma\nb\x1b[m", `<span class="f2 b">a</span>|<span class="f2 b">b</span>`},
		"bright, and behind":            {"\x1b[97;101mx", `<span class="f15 g1">x</span>`},
		"of 256":                        {"\x1b[38;5;196mx\x1b[38;5;9my\x1b[48;5;232mz", `<span class="f9">xy</span><span class="f9 g0">z</span>`},
		"of 16 million":                 {"\x1b[38;2;0;0;250mx", `<span class="f4">x</span>`},
		"with colons":                   {"\x1b[38:2::250:0:0mx", `<span class="f9">x</span>`},
		"cut short":                     {"\x1b[38;5mx", "x"},
		"inverse":                       {"\x1b[7mx", `<span class="f15 g7">x</span>`},
		"weights taken back":            {"\x1b[1;2;3;4;9ma\x1b[22;23;24;29mb", `<span class="b d i u s">a</span>b`},
		"nonsense is no colour":         {"\x1b[999mx\x1b[?25lx\x1b[>4;2mx", "xxx"},
		"huge numbers":                  {"\x1b[99999999999999999999mx\x1b[38;5;300my", `x<span class="f7">y</span>`},
		"the cursor moves":              {"a\x1b[10;10Hb\x1b[2Jc\x1b[5Ad", "abcd"},
		"a title":                       {"a\x1b]0;title\x07b\x1b]8;;http://x\x1b\\c", "abc"},
		"a title without end":           {"a\x1b]0;title\nb", "a|b"},
		"other strings":                 {"a\x1bPq#0\x1b\\b\x1b_x\x1b\\c\x1b^y\x1b\\d", "abcd"},
		"eight bits":                    {"a\u009b31mb\u009d0;t\x07c", `a<span class="f1">bc</span>`},
		"character sets":                {"\x1b(Ba\x1b=b\x1b>c", "abc"},
		"an escape at the end":          {"a\x1b", "a"},
		"a sequence at the end":         {"a\x1b[3", "a"},
		"an escape in an escape":        {"a\x1b\x1b[31mb", `a<span class="f1">b</span>`},
		"progress":                      {"10%\r50%\r100%\n", "100%"},
		"progress in colour":            {"\x1b[32m10%\r\x1b[31m50%\n", `<span class="f1">50%</span>`},
		"lines of DOS":                  {"a\r\nb\r\n", "a|b"},
		"erased":                        {"abc\r\x1b[Kd", "d"},
		"erased by columns":             {"abc\x1b[2Kd\x1b[1Ge", "e"},
		"a spinner":                     {"wait |\b/\b-", "wait -"},
		"back over an entity":           {"a<\b>", "a&gt;"},
		"back over nothing":             {"\b\b\ba", "a"},
		"bells and NULs":                {"a\x00\x07\x7fb\tc", "ab\tc"},
		"not UTF-8":                     {"a\xffb", "a\ufffdb"},
		"letters of two directions":     {"שלום", "שלום"},
		"an attribute cannot be broken": {"\x1b[31\"onload=x;mx", `nload=x;mx`},
	} {
		got := string(ansiHTML([]byte(c.in), 100))
		if !strings.HasPrefix(got, `<span data-k="100">`) && got != "" {
			t.Errorf("%s: the first line is not at 100: %s", name, got)
		}
		if got = withoutLines(got); got != c.want {
			t.Errorf("%s: %q gives %q, not %q", name, c.in, got, c.want)
		}
	}
	if got := string(ansiHTML([]byte("ab\r\ncd\n"), 10)); got != `<span data-k="10">ab`+"\n</span>"+`<span data-k="14">cd`+"\n</span>" {
		t.Error("keys: ", got)
	}
}

var lineOpen = regexp.MustCompile(`<span data-k="\d+">`)

func withoutLines(html string) string {
	return strings.TrimSuffix(strings.ReplaceAll(lineOpen.ReplaceAllString(html, ""), "\n</span>", "|"), "|")
}

// onlyOurs is what may be in the HTML of an output beside text.
var onlyOurs = regexp.MustCompile(`<span data-k="\d+">|<span class="[a-z0-9 ]+">|</span>|&lt;|&gt;|&amp;`)

func FuzzANSI(f *testing.F) {
	for _, s := range []string{"\x1b[31m<b>\x1b[0m\n", "a\r\x1b]0;x\x07\b\x1b[38;5;1m", "\u009b1m\x1b[7m&\n\xff\x1b"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		html := string(ansiHTML(data, 0))
		rest := onlyOurs.ReplaceAllString(html, "")
		if strings.ContainsAny(rest, "<>&\x1b\x00\b\r") || !utf8.ValidString(html) {
			t.Errorf("%q gives %q", data, html)
		}
		if strings.Count(html, "<span") != strings.Count(html, "</span>") {
			t.Errorf("%q does not close what it opens: %q", data, html)
		}
	})
}

func TestVisible(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain <b>, שלום, 日本": "plain <b>, שלום, 日本", "a\tb\nc": "a\tb\nc", "\x1b[31m\x07": `\x1b[31m\x07`, "\u202egnp.exe": `\u202egnp.exe`,
		"\u2066\u200f\u061c\ufeff": `\u2066\u200f\u061c\ufeff`, "\xff": `\xff`, "\u0085": `\x85`,
	} {
		if got := visible(in); got != want {
			t.Errorf("%q is shown as %q, not %q", in, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{
		-1: "0 s", 0: "<1 ms", .0123: "12 ms", 1: "1 s", 3.456: "3.4 s", 59.9: "59 s", 60: "1 min", 192: "3 min 12 s", 3600: "1 h", 18180: "5 h 3 min",
		172799: "47 h 59 min", 172800: "2 d", 360000: "4 d 4 h",
	} {
		if got := spanOf(seconds); got != want {
			t.Errorf("%v s: %q, not %q", seconds, got, want)
		}
	}
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		0: "now", 500 * time.Millisecond: "now", 12 * time.Second: "12 s ago", 3 * time.Minute: "3 min ago", -90 * time.Second: "in 2 min", 47 * time.Hour: "47 h ago", 48 * time.Hour: "2 d ago",
		-(2*time.Hour - 20*time.Second): "in 2 h", -(2*time.Hour - time.Minute): "in 1 h 59 min", 2*time.Hour - time.Minute: "1 h 59 min ago", 71 * time.Hour: "3 d ago",
	} {
		if got := relative(now.Add(-ago), now); got != want {
			t.Errorf("%s: %q, not %q", ago, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 10 << 20: "10 MiB", 3 << 40: "3.0 TiB"} {
		if got := sizeOf(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	for in, want := range map[string]string{"short": "short", "äöüäöü": "äöüäö…"} {
		if got := shorten(in, 5); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestGraph(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	f := graph{Title: "x", Bars: true, Start: time.Unix(0, 0), Step: time.Minute, Format: func(v float64) string { return thousands(int(v)) }, Series: []graphSeries{
		{"done", "b-done", []float64{1, nan, 3, 0}}, {"failed", "b-failed", []float64{2, 0, 0, 0}},
	}}.draw("x")
	if f.Empty || len(f.Rows) != 2 || f.Ticks[2].Label != "3" || !strings.Contains(f.Summary, "done: 4 in all, at most 3 at a time") {
		t.Errorf("%+v", f)
	}
	if svg := string(f.SVG); strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") || !strings.Contains(svg, `M15 66.67h120V0h-120z`) {
		t.Error(svg)
	}
	l := graph{Title: "x", Log: true, Start: time.Unix(0, 0), Step: time.Minute, Format: spanOf, Tick: axisSpan, Series: []graphSeries{
		{"p50", "l1", []float64{.2, nan, 5, 6}}, {"p99", "l2", []float64{nan, nan, nan, 30}},
	}}.draw("x")
	if svg := string(l.SVG); strings.Contains(svg, "NaN") || strings.Count(svg, "dot") != 2 || strings.Count(svg, "L") != 1 {
		t.Error(svg)
	}
	if got := l.Ticks[0].Label + " " + l.Ticks[1].Label + " " + l.Ticks[2].Label; got != "100 ms 10 s 10 min" {
		t.Error(got)
	}
	for _, g := range []graph{{}, {Series: []graphSeries{{}}}, {Format: spanOf, Series: []graphSeries{{Values: []float64{nan, 0}}}}} {
		if f := g.draw("x"); !f.Empty || len(f.Rows) > 0 {
			t.Errorf("%+v", f)
		}
	}
	for in, want := range map[float64]string{.1: "100 ms", 1: "1 s", 60: "1 min", 600: "10 min", 3600: "1 h", 864_000: "10 d"} {
		if got := axisSpan(in); got != want {
			t.Errorf("%v: %q", in, got)
		}
	}
}

// TestShare: what one has found out holds for others, until something changes.
func TestShare(t *testing.T) {
	t.Parallel()
	var s shared
	now, calls := time.Now(), 0
	get := func(key string, version uint64, at time.Time, err error) {
		t.Helper()
		_, got := share(&s, key, version, at, func() (int, error) { calls++; return calls, err })
		if got != err {
			t.Error(got)
		}
	}
	expect := func(want int) {
		t.Helper()
		if calls != want {
			t.Errorf("it was found out %d times, not %d", calls, want)
		}
	}
	get("a", 1, now, nil)
	get("a", 1, now.Add(time.Second), nil)
	expect(1)
	get("b", 1, now, nil)
	later := now.Add(time.Second) // longer than shareCost times what these have cost
	get("a", 2, later, nil)
	expect(3)
	get("a", 2, later.Add(shareFor), nil)
	expect(4)
	get("c", 1, now, errClosed)
	get("c", 1, now, nil)
	expect(6)
	s.forget()
	get("a", 2, later.Add(shareFor), nil)
	expect(7)
	// What was dear to find out holds longer, whatever changes.
	s.of("dear").cost, s.of("dear").value, s.of("dear").at = time.Minute, 1, now
	get("dear", 9, now.Add(shareCost*time.Minute-1), nil)
	expect(7)
	get("dear", 9, now.Add(shareCost*time.Minute), nil)
	expect(8)
	for i := range 2 * maxShared {
		get(thousands(i), 1, now, nil)
	}
	if len(s.kept) > maxShared {
		t.Errorf("%d are kept", len(s.kept))
	}
}
