package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/queuectl/queuectl/fsq"
)

// checkers are the programs that judge a manual page, and how they are called. A page
// must give none of them anything to say.
var checkers = [][]string{
	{"man", "--warnings", "-l"},
	{"groff", "-ww", "-man", "-Tutf8"},
	{"mandoc", "-T", "lint", "-W", "warning"},
}

func TestManualPagesAreSound(t *testing.T) {
	cleanEnv(t)
	t.Setenv("SOURCE_DATE_EPOCH", "1790000000")
	dir := t.TempDir()
	if r := queuectl(t, "man", "--dir", dir); r.code != 0 || r.stdout != "" {
		t.Fatalf("%+v", r)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "man[15]", "*.[15]"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	newRoot(testApp()).walk(func(c *command) {
		want = append(want, filepath.Join(dir, "man1", strings.ReplaceAll(c.path, " ", "-")+".1"))
	})
	want = append(want, filepath.Join(dir, "man5", "queuectl-spool.5"), filepath.Join(dir, "man5", "queuectl-json.5"))
	for _, w := range want {
		if _, err := os.Stat(w); err != nil {
			t.Error(err)
		}
	}
	if len(pages) != len(want) {
		t.Errorf("%d pages, want %d", len(pages), len(want))
	}
	for _, c := range checkers {
		t.Run(c[0], func(t *testing.T) {
			if _, err := exec.LookPath(c[0]); err != nil {
				t.Skipf("there is no %s here to judge the pages", c[0])
			}
			judged := pages
			if c[0] == "man" { // groff, and much besides that takes a second for each page
				judged = []string{want[0], want[len(want)-2], want[len(want)-1]}
			}
			cmd := exec.Command(c[0], append(c[1:], judged...)...)
			// What it says is the same everywhere, and it shows the pages to nobody.
			cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=80", "MANPAGER=cat")
			var said strings.Builder
			cmd.Stderr = &said
			if c[0] == "mandoc" {
				cmd.Stdout = &said // it is all that lint prints
			}
			if err := cmd.Run(); err != nil || said.Len() > 0 {
				t.Errorf("%v\n%s", err, said.String())
			}
		})
	}
}

// All that --help says of a command is in its page, and the other way round: both are
// made of the same rows.
func TestManualPageSaysWhatHelpSays(t *testing.T) {
	a := testApp()
	root := newRoot(a)
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
	root.walk(func(c *command) {
		page := squeeze(a.commandPage(c, root).plain(helpWidth))
		for line := range strings.SplitSeq(a.help(c, root), "\n") {
			line = strings.TrimPrefix(strings.TrimSpace(line), "# ")
			if title := strings.ToUpper(line) == line; title || strings.HasPrefix(line, "A flag beats") {
				continue
			}
			if !strings.Contains(page, squeeze(line)) {
				t.Errorf("%s: the page does not say %q", c.path, line)
			}
		}
	})
}

// Not a word of FORMAT.md gets lost on its way to the page.
func TestFormatPageIsWhole(t *testing.T) {
	page := documentPage("queuectl-spool", "x", fsq.FormatDocument())
	text := strings.ToLower(page.plain(10000))
	lines := strings.Split(fsq.FormatDocument(), "\n")
	for n, line := range lines {
		if n+1 < len(lines) && rule().MatchString(lines[n+1]) {
			continue // the titles of columns, which a page has no room for
		}
		line = strings.NewReplacer("`", "", "**", "", "|", " ", "*", "", "#", "").Replace(line)
		for word := range strings.FieldsSeq(strings.ToLower(line)) {
			if word = strings.Trim(word, `-:;,.[]()\`); !strings.Contains(strings.NewReplacer("|", " ", "*", "").Replace(text), word) && !strings.Contains(word, "](") {
				t.Errorf("%q is not in the page: %s", word, line)
			}
		}
	}
}

func TestRoffEscape(t *testing.T) {
	for text, want := range map[string]string{
		`a-b \n 'x' "y" ~^` + "`": `a\-b \(rsn \(aqx\(aq \(dqy\(dq \(ti\(ha\(ga`,
		"…":                       `\[u2026]`,
		"é 🙂":                     `\[u00E9] \[u1F642]`,
	} {
		if have := roffEscape(text); have != want {
			t.Errorf("%q: have %s, want %s", text, have, want)
		}
	}
	for text, want := range map[string]string{".TH": `\&.TH`, "'x": `\&'x`, "": `\&`, "x.": "x."} {
		if have := roffLine(text); have != want {
			t.Errorf("%q: have %s, want %s", text, have, want)
		}
	}
}

func TestReadMarkdown(t *testing.T) {
	have := readMarkdown("# Title\n\n## 1. One\nA line with `code`, **strong `x`**, *slant* and [a link](x.md),\nand 2 * 3 of *.json.\n\n    a\n\n    b\n\n- one\n  more\n2. two\n\n```sh\n# no heading\n```\n\n### Sub\n| a | b | c |\n|---|---|---|\n| `x|y` | d\\|e | f |\n| g | | h |\n")
	r, s, i := func(t string) piece { return piece{t, roman} }, func(t string) piece { return piece{t, strong} }, func(t string) piece { return piece{t, slant} }
	want := []block{
		{kind: blockSection, text: []piece{r("1. One")}},
		{kind: blockText, text: []piece{r("A line with "), s("code"), r(", "), s("strong "), s("x"), r(", "), i("slant"), r(" and "), r("a link"), r(", and 2 * 3 of *.json.")}},
		{kind: blockCode, code: "a\n\nb"},
		{kind: blockBullet, text: []piece{r("one more")}},
		{kind: blockBullet, text: []piece{r("two")}},
		{kind: blockCode, code: "# no heading"},
		{kind: blockSubsection, text: []piece{r("Sub")}},
		{kind: blockTagged, tag: []piece{s("x|y")}, text: []piece{i("b: "), r("d|e"), r("; "), r("f")}},
		{kind: blockTagged, tag: []piece{r("g")}, text: []piece{r("h")}},
	}
	for n := range max(len(have), len(want)) {
		if n >= len(have) || n >= len(want) || !reflect.DeepEqual(have[n], want[n]) {
			t.Fatalf("block %d:\nhave %+v\nwant %+v", n, have[n:], want[min(n, len(want)):])
		}
	}
}
