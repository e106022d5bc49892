package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

func recordArgs(into *[]string) func(context.Context, []string) error {
	return func(_ context.Context, args []string) error {
		*into = args
		return nil
	}
}

// result is what a run of queuectl left behind.
type result struct {
	code           int
	stdout, stderr string
}

// queuectl runs the program in this process, with nothing from the environment of
// whoever runs the tests.
func queuectl(t *testing.T, args ...string) result {
	t.Helper()
	return queuectlIn(t, environment{}, args...)
}

func queuectlIn(t *testing.T, e environment, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	e.args, e.stderr = args, &stderr
	if e.stdout == nil {
		e.stdout = &stdout
	}
	if e.stdin == nil {
		e.stdin = strings.NewReader("")
	}
	e.now = time.Now
	e.listen = func(ctx context.Context) (context.Context, <-chan os.Signal) { return ctx, nil }
	code := run(t.Context(), e)
	return result{code, stdout.String(), stderr.String()}
}

// cleanEnv unsets all variables that queuectl reads, until the test ends.
func cleanEnv(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, envPrefix+"_") {
			t.Setenv(name, "")
		}
	}
	for _, name := range []string{"NO_COLOR", "CLICOLOR_FORCE", "XDG_STATE_HOME"} {
		t.Setenv(name, "")
	}
}

func decode[T any](t *testing.T, r result) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(r.stdout), &v); err != nil {
		t.Fatalf("exit status %d, stderr %q, stdout %q: %v", r.code, r.stderr, r.stdout, err)
	}
	return v
}

// The spool is --spool, else QUEUECTL_SPOOL. With ff an environment variable beats
// an explicit flag as soon as a subcommand has the root's flags again.
func TestSpoolPrecedence(t *testing.T) {
	cleanEnv(t)
	flagged, env := filepath.Join(t.TempDir(), "flag"), filepath.Join(t.TempDir(), "env")
	type status struct {
		Spool string `json:"spool"`
	}
	t.Setenv("QUEUECTL_SPOOL", env)
	for _, args := range [][]string{
		{"--spool", flagged, "status", "--json"},
		{"status", "--json", "--spool", flagged},
		{"--json", "--spool=" + flagged},
		{"-spool", flagged, "--json", "status"},
	} {
		if have := decode[status](t, queuectl(t, args...)).Spool; have != flagged {
			t.Errorf("%q: spool %q, want %q", args, have, flagged)
		}
	}
	if have := decode[status](t, queuectl(t, "status", "--json")).Spool; have != env {
		t.Errorf("spool %q, want %q", have, env)
	}
	home := t.TempDir()
	t.Setenv("QUEUECTL_SPOOL", "")
	want, err := defaultSpool(1000, func(name string) string { return map[string]string{"HOME": home}[name] })
	if err != nil || want != filepath.Join(home, ".local", "state", "queuectl") {
		t.Errorf("default spool %q, %v", want, err)
	}
}

func TestDefaultSpool(t *testing.T) {
	for _, test := range []struct {
		uid       int
		xdg, home string
		want      string
	}{
		{0, "/x", "/root", "/var/spool/queuectl"},
		{1, "/x", "/h", "/x/queuectl"},
		{1, "relative", "/h", "/h/.local/state/queuectl"},
		{1, "", "/h", "/h/.local/state/queuectl"},
		{1, "", "", ""},
	} {
		have, err := defaultSpool(test.uid, func(name string) string {
			return map[string]string{"XDG_STATE_HOME": test.xdg, "HOME": test.home}[name]
		})
		if have != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%+v: have %q, %v", test, have, err)
		}
	}
}

// Flag beats environment beats config.json beats default, and each says so.
func TestSettingPrecedence(t *testing.T) {
	cleanEnv(t)
	dir := filepath.Join(t.TempDir(), "spool")
	find := func(args ...string) setting {
		t.Helper()
		all := decode[struct{ Settings []setting }](t, queuectl(t, append(args, "config", "list", "--json", "--spool", dir)...)).Settings
		return all[slices.IndexFunc(all, func(s setting) bool { return s.Key == "max-retries" })]
	}
	expect := func(have setting, value, origin string) {
		t.Helper()
		if have.Value != value || have.Origin != origin || have.Default != "3" {
			t.Errorf("have %+v, want value %s from %s", have, value, origin)
		}
	}
	expect(find(), "3", "default")
	if r := queuectl(t, "config", "set", "max-retries", "5", "--spool", dir); r.code != 0 {
		t.Fatalf("config set: %+v", r)
	}
	expect(find(), "5", "spool")
	t.Setenv("QUEUECTL_MAX_RETRIES", "7")
	expect(find(), "7", "env")
	expect(find("--max-retries", "9"), "9", "flag")
	t.Setenv("QUEUECTL_MAX_RETRIES", "")
	expect(find("--max-retries=9"), "9", "flag")
	expect(find(), "5", "spool")
}

// Only settings come from the environment: a variable that is named like a flag of
// a command, or like what a job is told, must not change what a command does.
func TestOtherFlagsHaveNoEnvironment(t *testing.T) {
	cleanEnv(t)
	dir := filepath.Join(t.TempDir(), "spool")
	for _, name := range []string{"ALL", "NOW", "HELP", "VERSION", "DRY_RUN", "DETACH", "STATE", "LIMIT", "ATTEMPT", "REPAIR", "READY_FD"} {
		t.Setenv("QUEUECTL_"+name, "3")
	}
	for _, args := range [][]string{{"list"}, {"worker", "stop"}, {"prune"}, {"status"}} {
		if r := queuectl(t, append(args, "--spool", dir)...); r.code != 0 {
			t.Errorf("%q: %+v", args, r)
		}
	}
	if r := queuectl(t, "dlq", "remove", "--spool", dir); r.code != exitUsage {
		t.Errorf("dlq remove without ids: %+v", r)
	}
}

func TestRefusedValues(t *testing.T) {
	cleanEnv(t)
	dir := t.TempDir()
	config := fsq.ConfigPath(dir)
	for _, test := range []struct {
		env, config string
		args        string
		want        string // the first line of stderr, without "queuectl: "
	}{
		{"", "", "list --limit x", `--limit: must be a whole number from 0 up, not "x"`},
		{"", "", "worker start --count 0", `--count: must be a whole number from 1 up, not "0"`},
		{"", "", "--json=maybe list", `--json: must be true or false, not "maybe"`},
		{"", "", "--color alwys list", `--color: must be one of auto, always, never, not "alwys"; did you mean "always"?`},
		{"", "", "--spool= list", `--spool: must not be empty`},
		{"", "", "prune --done-older x", `--done-older: must be a duration such as 90s, 5m, 1h30m or 7d (a bare number is seconds), not "x"`},
		{"", "", "enqueue --max-retries=-1 {}", `--max-retries: must be a whole number from 0 to 100000, not "-1"`},
		{"QUEUECTL_JSON=maybe", "", "list", `QUEUECTL_JSON: must be true or false, not "maybe"`},
		{"QUEUECTL_LEASE=x", "", "list", `QUEUECTL_LEASE: must be a duration such as 90s, 5m, 1h30m or 7d (a bare number is seconds), not "x"`},
		{"QUEUECTL_COUNT=none", "", "worker start", `QUEUECTL_COUNT: must be a whole number from 1 up, not "none"`},
		{"", `{"max-retries":"x"}`, "list", `reading ` + config + `: setting "max-retries": must be a whole number from 0 to 100000, not "x"`},
		{"", `{"max-retires":1}`, "list", `reading ` + config + `: there is no setting "max-retires": did you mean "max-retries"?`},
		{"", `{"count":1}`, "list", `reading ` + config + `: there is no setting "count"`},
	} {
		t.Run(test.env+test.config+" "+test.args, func(t *testing.T) {
			if name, value, ok := strings.Cut(test.env, "="); ok {
				t.Setenv(name, value)
			}
			if test.config != "" {
				if err := os.WriteFile(config, []byte(test.config), 0o600); err != nil {
					t.Fatal(err)
				}
				defer os.Remove(config)
			}
			// --spool comes first: it also stands in the table.
			r := queuectl(t, append([]string{"--spool", dir}, strings.Fields(test.args)...)...)
			first, _, _ := strings.Cut(r.stderr, "\n")
			if want := "queuectl: " + test.want; first != want || r.code != exitUsage {
				t.Errorf("exit status %d\nhave %s\nwant %s", r.code, first, want)
			}
		})
	}
}

// failing is a stream whose reader has gone, or whose disk is full.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, fmt.Errorf("write: %w", f.err) }

func TestStdoutFails(t *testing.T) {
	cleanEnv(t)
	dir := filepath.Join(t.TempDir(), "spool")
	r := queuectlIn(t, environment{stdout: failing{syscall.EPIPE}}, "--spool", dir, "config", "list")
	if r.code != 141 || strings.Contains(r.stderr, "queuectl:") {
		t.Errorf("closed pipe: %+v", r)
	}
	r = queuectlIn(t, environment{stdout: failing{syscall.ENOSPC}}, "--spool", dir, "config", "list")
	if r.code != exitFailed || r.stderr != "queuectl: writing to stdout: write: no space left on device\n" {
		t.Errorf("full disk: %+v", r)
	}
}

func TestExitCode(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{fmt.Errorf("x: %w", usagef("y")), 2},
		{fmt.Errorf("x: %w", &fsq.FieldError{Field: "id"}), 2},
		{fmt.Errorf("x: %w", fsq.ErrNotFound), 3},
		{&noSpool{"/x"}, 3},
		{fmt.Errorf("x: %w", fsq.ErrNotSpool), 3},
		{fmt.Errorf("x: %w", fsq.ErrDuplicate), 4},
		{fmt.Errorf("x: %w", fsq.ErrState), 4},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, 1},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, 1},
		{&signalled{syscall.SIGINT}, 130},
		{&signalled{syscall.SIGTERM}, 143},
		{&reported{4}, 4},
		{context.Canceled, 1},
	} {
		if have := exitCode(test.err); have != test.want {
			t.Errorf("%v: have %d, want %d", test.err, have, test.want)
		}
	}
}
