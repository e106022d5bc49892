package main

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                "plain",
		"héllo 世界 🎉":           "héllo 世界 🎉",
		"a\nb\tc\r":            `a\nb\tc\r`,
		"\x1b[31mred\x1b[0m":   `\x1b[31mred\x1b[0m`,
		"\u009b31m":            `\x9b31m`,
		"\x9b31m":              `\x9b31m`,
		"a\u202eb":             `a\u202eb`,
		"a\u2066b\u200f":       `a\u2066b\u200f`,
		"\ufeffa\u200b":        `\ufeffa\u200b`,
		"\U000e0041":           `\U000e0041`,
		"\x00\x7f":             `\x00\x7f`,
		"a\u2028b":             `a\u2028b`,
		"\u00a0":               `\xa0`,
		"bad\xff":              `bad\xff`,
		"\ufffd":               "\ufffd",
		"C:\\dir":              `C:\dir`,
		"emoji \U0001f468 zwj": "emoji \U0001f468 zwj",
	} {
		if have := clean(in); have != want {
			t.Errorf("%q: have %q, want %q", in, have, want)
		}
	}
	if have := cleanLine("a\tb\x1b"); have != "a\tb\\x1b" {
		t.Errorf("have %q", have)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b]0;title\a\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range clean(s) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q: %q is left", s, r)
			}
		}
	})
}

func TestEscapeJSON(t *testing.T) {
	have := string(escapeJSON([]byte("{\"a\":\"\u009b\u202e\U000e0041\x7f世\"}")))
	if want := `{"a":"\u009b\u202e\udb40\udc41\u007f世"}`; have != want {
		t.Errorf("have %s, want %s", have, want)
	}
}

func TestShorten(t *testing.T) {
	for _, test := range []struct {
		in    string
		limit int
		want  string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"世界世界", 5, "世界…"},
		{"世界世界", 4, "世…"},
		{"e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"},
		{"", 0, ""},
	} {
		have := shorten(test.in, test.limit)
		if have != test.want || width(have) > test.limit {
			t.Errorf("%q to %d: have %q", test.in, test.limit, have)
		}
	}
}

func TestRelative(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		d    time.Duration
		want string
	}{
		{0, "now"},
		{999 * time.Millisecond, "now"},
		{-999 * time.Millisecond, "now"},
		{3 * time.Second, "in 3s"},
		{3*time.Minute - time.Millisecond, "in 3m"},
		{-90 * time.Second, "1m30s ago"},
		{-2 * time.Hour, "2h ago"},
		{25*time.Hour + 5*time.Minute, "in 1d1h"},
		{-400 * 24 * time.Hour, "400d ago"},
		{math.MaxInt64, "in 292y"},
		{math.MinInt64, "292y ago"},
	} {
		if have := relative(now.Add(test.d), now); have != test.want {
			t.Errorf("%v: have %q, want %q", test.d, have, test.want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0ms", 0: "0ms", 12 * time.Millisecond: "12ms", 1250 * time.Millisecond: "1.2s", 2 * time.Second: "2s",
		59*time.Second + 999*time.Millisecond: "59s", 200 * time.Second: "3m20s", 3 * time.Hour: "3h", 26 * time.Hour: "1d2h", 1000 * time.Hour: "41d",
	} {
		if have := span(d); have != want {
			t.Errorf("%v: have %q, want %q", d, have, want)
		}
	}
}

func TestTable(t *testing.T) {
	tab := func() *table {
		t := &table{head: []string{"ID", ">N", "WHY", "TEXT"}, shrink: 2}
		t.add(cell{"id-of-a-certain-length", red}, cell{text: "7"}, cell{text: "a reason that goes on and on and on"}, cell{text: strings.Repeat("x", 60)})
		t.add(cell{"世界", plain}, cell{text: "1000"}, cell{text: "-"}, cell{text: "y"})
		return t
	}
	for _, test := range []struct {
		name  string
		width int
		color bool
		want  []string
	}{
		{"pipe", 0, false, []string{
			"ID                         N  WHY                                  TEXT",
			"id-of-a-certain-length     7  a reason that goes on and on and on  " + strings.Repeat("x", 60),
			"世界                    1000  -                                    y",
		}},
		{"wide", 110, false, []string{
			"ID                         N  WHY                               TEXT",
			"id-of-a-certain-length     7  a reason that goes on and on an…  " + strings.Repeat("x", 45) + "…",
			"世界                    1000  -                                 y",
		}},
		{"narrow", 66, false, []string{
			"ID                         N  WHY         TEXT",
			"id-of-a-certain-length     7  a reason …  xxxxxxxxxxxxxxxxxxxxxxx…",
			"世界                    1000  -           y",
		}},
		{"very narrow", 20, false, []string{
			"ID                         N  WHY      TEXT",
			"id-of-a-certain-length     7  a reas…  xxxxxx…",
			"世界                    1000  -        y",
		}},
		{"colour", 66, true, []string{
			"\x1b[2mID\x1b[0m                         \x1b[2mN\x1b[0m  \x1b[2mWHY\x1b[0m         \x1b[2mTEXT\x1b[0m",
			"\x1b[31mid-of-a-certain-length\x1b[0m     7  a reason …  xxxxxxxxxxxxxxxxxxxxxxx…",
			"世界                    1000  -           y",
		}},
	} {
		var b strings.Builder
		tab().write(&output{w: &b, width: test.width, color: test.color})
		if want := strings.Join(test.want, "\n") + "\n"; b.String() != want {
			t.Errorf("%s:\nhave\n%s\nwant\n%s", test.name, b.String(), want)
		}
	}
}

func TestUseColor(t *testing.T) {
	for _, test := range []struct {
		mode     string
		terminal bool
		env      map[string]string
		want     bool
	}{
		{"auto", true, nil, true},
		{"auto", false, nil, false},
		{"always", false, map[string]string{"NO_COLOR": "1"}, true},
		{"never", true, map[string]string{"CLICOLOR_FORCE": "1"}, false},
		{"auto", true, map[string]string{"NO_COLOR": "1"}, false},
		{"auto", true, map[string]string{"TERM": "dumb"}, false},
		{"auto", false, map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{"auto", false, map[string]string{"CLICOLOR_FORCE": "0"}, false},
		{"auto", true, map[string]string{"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, false},
	} {
		have := useColor(test.mode, test.terminal, func(name string) string { return test.env[name] })
		if have != test.want {
			t.Errorf("%+v: have %v", test, have)
		}
	}
}
