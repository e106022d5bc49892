package main

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// testApp is an app that writes nowhere and whose clock stands still.
func testApp() *app {
	return &app{
		out:      &output{w: new(strings.Builder)},
		err:      &output{w: new(strings.Builder)},
		now:      func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) },
		settings: newSettings(),
	}
}

func parseWords(args ...string) (line, error) {
	a := testApp()
	return parseLine(newRoot(a), a.settings.flags, args)
}

func TestParseLine(t *testing.T) {
	type want struct {
		path, global, settings, local, args string // words with blanks between
	}
	for _, test := range []struct {
		args string
		want want
	}{
		{"", want{}},
		{"status", want{path: "status"}},
		{"worker start", want{path: "worker start"}},
		{"list --state dead", want{path: "list", local: "--state=dead"}},
		{"list --state=dead", want{path: "list", local: "--state=dead"}},
		{"list -state dead", want{path: "list", local: "--state=dead"}},
		{"--state dead list", want{path: "list", local: "--state=dead"}},
		{"list --limit -1", want{path: "list", local: "--limit=-1"}},
		{"logs job-1 --stderr", want{path: "logs", local: "--stderr=true", args: "job-1"}},
		{"logs --stderr job-1", want{path: "logs", local: "--stderr=true", args: "job-1"}},
		{"--stderr logs job-1", want{path: "logs", local: "--stderr=true", args: "job-1"}},
		{"logs --stderr=false job-1", want{path: "logs", local: "--stderr=false", args: "job-1"}},
		{"logs --attempt 2 job-1 --stderr", want{path: "logs", local: "--attempt=2 --stderr=true", args: "job-1"}},
		{"--spool d status", want{path: "status", global: "--spool=d"}},
		{"status --spool d", want{path: "status", global: "--spool=d"}},
		{"worker --spool d start", want{path: "worker start", global: "--spool=d"}},
		{"worker start --json --count 2 --lease=1m", want{path: "worker start", global: "--json=true", settings: "--count=2 --lease=1m"}},
		{"--count 2 worker start", want{path: "worker start", settings: "--count=2"}},
		{"worker stop --timeout 5s", want{path: "worker stop", local: "--timeout=5s"}},
		{"enqueue {} --timeout 5s -", want{path: "enqueue", settings: "--timeout=5s", args: "{} -"}},
		{"show -- -x --json", want{path: "show", args: "-x --json"}},
		{"--json -- show job-1", want{path: "show", global: "--json=true", args: "job-1"}},
		{"show list", want{path: "show", args: "list"}},
		{"config set timeout --json=false 5s", want{path: "config set", global: "--json=false", args: "timeout 5s"}},
	} {
		l, err := parseWords(strings.Fields(test.args)...)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		have := want{
			strings.Join(l.path, " "), strings.Join(l.global, " "), strings.Join(l.settings, " "),
			strings.Join(l.local, " "), strings.Join(l.args, " "),
		}
		if have != test.want {
			t.Errorf("%q:\nhave %+v\nwant %+v", test.args, have, test.want)
		}
	}
}

func TestParseLineMistakes(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"lst", `queuectl has no command "lst"; did you mean "list"?`},
		{"LIST", `queuectl has no command "LIST"; did you mean "list"?`},
		{"start", `queuectl has no command "start"; did you mean "worker start"?`},
		{"ls", `queuectl has no command "ls"; did you mean "list"?`},
		{"worker strat", `queuectl worker has no command "strat"; did you mean "start"?`},
		{"frobnicate", `queuectl has no command "frobnicate"`},
		{"\x1b[2J", `queuectl has no command "\x1b[2J"`},
		{"worker", "queuectl worker needs a command: start, stop, list"},
		{"list --sate dead", "queuectl list has no flag --sate; did you mean --state?"},
		{"--sate dead list", `queuectl has no command "dead"; did you mean "dlq list"?`},
		{"--jsno list", "queuectl list has no flag --jsno; did you mean --json?"},
		{"show job-1 --stderr", "queuectl show has no flag --stderr"},
		{"status --count 2", "queuectl status has no flag --count"},
		{"list -sj", "queuectl list has no flag --sj"},
		{"list ---state dead", "queuectl list has no flag ---state; did you mean --state?"},
		{"list --state", "--state needs a value"},
		{"worker start --ready 3", "queuectl worker start has no flag --ready"},
	} {
		_, err := parseWords(strings.Fields(test.args)...)
		if err == nil || err.Error() != test.want {
			t.Errorf("%q:\nhave %v\nwant %s", test.args, err, test.want)
			continue
		}
		if code := exitCode(err); code != exitUsage {
			t.Errorf("%q: exit status %d, want %d", test.args, code, exitUsage)
		}
	}
}

func TestParseLineHelpAndVersion(t *testing.T) {
	for _, test := range []struct {
		args          string
		path          string
		help, version bool
	}{
		{"--help", "queuectl", true, false},
		{"-h", "queuectl", true, false},
		{"help", "queuectl", true, false},
		{"help worker start", "queuectl worker start", true, false},
		{"worker help stop", "queuectl worker stop", true, false},
		{"worker --help", "queuectl worker", true, false},
		{"-h list", "queuectl list", true, false},
		{"list --nonsense -h", "queuectl list", true, false},
		{"show job-1 --help", "queuectl show", true, false},
		{"list --version", "queuectl list", false, true},
	} {
		l, err := parseWords(strings.Fields(test.args)...)
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		have := []any{l.cmd.path, l.help, l.version}
		if want := []any{test.path, test.help, test.version}; !reflect.DeepEqual(have, want) {
			t.Errorf("%q: have %v, want %v", test.args, have, want)
		}
	}
}

// ffcli must find in argv what parseLine found, whatever the arguments look like.
func TestArgvSurvivesFfcli(t *testing.T) {
	for _, args := range [][]string{
		{"show", "--", "-x"},
		{"show", "--", "--json"},
		{"show", "list"},
		{"enqueue", "-", "{}"},
		{"worker", "stop", "start"},
	} {
		a := testApp()
		root := newRoot(a)
		l, err := parseLine(root, a.settings.flags, args)
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		var have []string
		tree := root.ffcli()
		leaf := tree
		for _, name := range l.path {
			for _, s := range leaf.Subcommands {
				if s.Name == name {
					leaf = s
					break
				}
			}
		}
		leaf.Exec = recordArgs(&have)
		if err := tree.ParseAndRun(t.Context(), l.argv()); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		if !reflect.DeepEqual(have, l.args) {
			t.Errorf("%q: have %q, want %q", args, have, l.args)
		}
	}
}
