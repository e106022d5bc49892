package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTemplate(t *testing.T) {
	for _, c := range []struct{ template, line, want string }{
		{"convert {} {.}.jpg", "a/b c.tar.gz", `convert 'a/b c.tar.gz' 'a/b c.tar'.jpg`},
		{"x {/} {//} {/.} {#}", "a/b.c/d.e", `x 'd.e' 'a/b.c' 'd' 7`},
		{"x {.} {//}", ".profile", `x '.profile' '.'`},
		{"x {//} {/}", "/top", `x '/' 'top'`},
		{"x {.}", "a.d/file", `x 'a.d/file'`},
		{"x", "it's", `x 'it'\''s'`},
		{`echo "{#}" "a"{}'b'`, "l", `echo "7" "a"'l''b'`},
		{"x {unknown} {}", "l", `x {unknown} 'l'`},
		{"echo a#b {} # done", "l", `echo a#b 'l' # done`},
		{"echo {}# {}", "l", `echo 'l'# 'l'`},
		{"cat < {}", "l", `cat < 'l'`},
		{"echo $(cat {}) \\\\{}", "l", `echo $(cat 'l') \\'l'`},
	} {
		tpl, err := newTemplate(source{text: c.template})
		if err != nil {
			t.Errorf("%q: %v", c.template, err)
		} else if got := tpl.command(c.line, 7).Shell; got != c.want {
			t.Errorf("%q: %s, want %s", c.template, got, c.want)
		}
	}
	for _, text := range []string{`"{}"`, `'{.}'`, `\{}`, "`{}`", "# {}", "x;# {}", "cat <<E\n{}\nE", `"$(cat {})"`, "x #", "x '"} {
		if _, err := newTemplate(source{text: text}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	tpl, err := newTemplate(source{argv: []string{"printf", "-{}-", "{/}{.}"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := tpl.command("d/it's $(x).y", 1).Args, []string{"printf", "-d/it's $(x).y-", "it's $(x).yd/it's $(x)"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Whatever a line is, a shell reads it back as one word.
func TestLineStaysOneWord(t *testing.T) {
	tpl, err := newTemplate(source{text: "printf '[%s]' {}"})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.StringMatching("[ -~\n\té\\\\'\"$`*?;|&(){}!#~-]{1,20}").Draw(t, "line")
		out, err := exec.Command("sh", "-c", tpl.command(line, 1).Shell).Output()
		if err != nil || string(out) != "["+line+"]" {
			t.Fatalf("%q became %q, %v", line, out, err)
		}
	})
}

func TestExport(t *testing.T) {
	environ := []string{"PATH=/bin", "HOME=/h", "LC_ALL=C", "SECRET=s=t", "QUEUECTL_JOB_ID=x", "BAD=\xff", "LANG=\xff", "TERM=xterm", "=odd", "odd"}
	for _, c := range []struct {
		export string
		want   map[string]string
		missed []string
	}{
		{"", map[string]string{"PATH": "/bin", "HOME": "/h", "LC_ALL": "C"}, []string{"LANG is not UTF-8, the job does not get it"}},
		{"NONE", map[string]string{}, nil},
		{"ALL", map[string]string{"PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "SECRET": "s=t", "TERM": "xterm"}, []string{"BAD is not UTF-8, the job does not get it", "LANG is not UTF-8, the job does not get it"}},
		{"SECRET,NOT,BAD", map[string]string{"SECRET": "s=t"}, []string{"NOT is not set", "BAD is not UTF-8, the job does not get it"}},
	} {
		var e *export
		if c.export != "" {
			var err error
			if e, err = parseExport(c.export); err != nil {
				t.Fatal(err)
			}
		}
		if got, missed := e.pick(environ); !reflect.DeepEqual(got, c.want) || !slices.Equal(missed, c.missed) {
			t.Errorf("%q: %q, %q", c.export, got, missed)
		}
	}
	for _, s := range []string{"A,", ",", "A=b", "A B", "QUEUECTL_SPOOL", "A,QUEUECTL_X"} {
		if _, err := parseExport(s); err == nil {
			t.Errorf("%q is taken", s)
		}
	}
}

// documents reads a stream to its end: each document as its line and its text.
func documents(text string) (all []string) {
	r := &documentReader{lines: lineReader{in: bufio.NewReaderSize(strings.NewReader(text), 16), end: '\n'}}
	for {
		doc, line, err := r.next()
		switch {
		case err == io.EOF:
			return all
		case err != nil:
			doc = []byte(err.Error())
		}
		all = append(all, strings.Repeat("*", line)+strings.Join(strings.Fields(string(doc)), " "))
	}
}

func TestDocumentsOfAStream(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                      nil,
		"\n \n":                                 nil,
		`{"a":1}`:                               {`*{"a":1}`},
		"{\"a\":1}\n\n{\"b\":2}\n":              {`*{"a":1}`, `***{"b":2}`},
		"{\n \"a\": {\n \"b\": 1 } }\n{}":       {`*{ "a": { "b": 1 } }`, `****{}`},
		`{"a":"}{\"}"} {"b":1}`:                 {`*{"a":"}{\"}"}`, `*{"b":1}`},
		"{\"a\":1\n{\"b\":2}":                   {`*{"a":1`, `**{"b":2}`},
		"{\"a\":\n{\"b\":2}\n{\"c\":3}":         {`*{"a":`, `**{"b":2}`, `***{"c":3}`},
		"{\"a\n{\"b\":2}":                       {`*{"a`, `**{"b":2}`},
		"{\"a\":[\n{\"b\":2},\n{\"c\":3}\n]}":   {`*{"a":[ {"b":2}, {"c":3} ]}`},
		"}\n{}":                                 {`*}`, `**{}`},
		"words\n{}":                             {`*words`, `**{}`},
		"{} words\n{}":                          {`*{} words`, `**{}`},
		"[\n1]\n{}":                             {`*[ 1]`, `***{}`},
		"{\"a\":1":                              {`*{"a":1`},
		"{\"a\":\"" + strings.Repeat("x", 1000): {`*{"a":"` + strings.Repeat("x", 1000)},
	} {
		if got := documents(text); !slices.Equal(got, want) {
			t.Errorf("%q:\nhave %q\nwant %q", text, got, want)
		}
	}
}

// A line without end takes no memory without end, and the next one is read.
func TestLongLine(t *testing.T) {
	in := io.MultiReader(bytes.NewReader(bytes.Repeat([]byte("x"), maxLine+1)), strings.NewReader("\n{}\n"))
	r := &documentReader{lines: lineReader{in: bufio.NewReader(in), end: '\n'}}
	if _, line, err := r.next(); !errors.Is(err, errLongLine) || line != 1 {
		t.Errorf("line %d: %v", line, err)
	}
	if doc, line, err := r.next(); err != nil || line != 2 || string(doc) != "{}" {
		t.Errorf("line %d: %q, %v", line, doc, err)
	}
}

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		n     int
		share float64
		width int
		want  string
	}{
		{1234, -1, 80, "1234 jobs, 617/s"},
		{1234, 0.25, 80, "[##########------------------------------]  25%  1234 jobs, 617/s, 6s left"},
		{1234, 1, 40, "[##############] 100%  1234 jobs, 617/s"},
		{1234, 0.5, 30, " 50%  1234 jobs, 617/s, 2s l…"},
	} {
		got := progressLine(c.n, c.share, 2*time.Second, c.width)
		if width(got) >= c.width {
			t.Errorf("%q is as wide as the terminal", got)
		}
		if c.want != got {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// A progress line appears on a terminal after a second, and nothing of it stays.
func TestProgressIsErased(t *testing.T) {
	t.Setenv("TERM", "xterm")
	now := time.Unix(0, 0)
	var text strings.Builder
	out := &output{w: &text, width: 80}
	p := newProgress(out, func() time.Time { return now })
	p.draw(10, -1)
	if text.Len() > 0 {
		t.Errorf("drawn at once: %q", text.String())
	}
	now = now.Add(2 * time.Second)
	p.draw(20, -1)
	p.draw(21, -1)
	p.clear()
	p.clear()
	if want := "\r20 jobs, 10/s\x1b[K\r\x1b[K"; text.String() != want {
		t.Errorf("%q, want %q", text.String(), want)
	}
	text.Reset()
	none := newProgress(&output{w: &text}, func() time.Time { return now })
	now = now.Add(time.Hour)
	if none.draw(1, 0.5); text.Len() > 0 {
		t.Errorf("on no terminal: %q", text.String())
	}
}

// An output that takes nothing is an error, also of many jobs.
func TestBulkNoticesThatNobodyReads(t *testing.T) {
	cleanEnv(t)
	t.Setenv("QUEUECTL_SPOOL", filepath.Join(t.TempDir(), "spool"))
	if r := queuectl(t, "init"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	r := queuectlIn(t, environment{stdin: strings.NewReader(strings.Repeat("x\n", 3)), stdout: brokenPipe{}}, "enqueue", "--lines", "--", "echo")
	if r.code == 0 {
		t.Errorf("%+v", r)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
