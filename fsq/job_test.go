package fsq

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

func wantFieldError(t *testing.T, err error, field, problem string) {
	t.Helper()
	var got *FieldError
	if !errors.As(err, &got) {
		t.Fatalf("error %v, want a *FieldError for %q", err, field)
	}
	if got.Field != field || !strings.Contains(got.Problem, problem) {
		t.Fatalf("error %q for field %q\nwant one with %q for field %q", got.Problem, got.Field, problem, field)
	}
}

func TestValidate(t *testing.T) {
	command := Command{Shell: "true"}
	for name, tc := range map[string]struct {
		job            Job
		field, problem string
	}{
		"no command":         {Job{}, "command", "is missing: must be a string (run by sh -c) or an array"},
		"two commands":       {Job{Command: Command{Shell: "a", Args: []string{"b"}}}, "command", "not both"},
		"blank command":      {Job{Command: Command{Shell: " \n"}}, "command", "must not be blank"},
		"empty arguments":    {Job{Command: Command{Args: []string{}}}, "command", "must not be an empty array"},
		"empty program":      {Job{Command: Command{Args: []string{"", "x"}}}, "command[0]", "must name a program"},
		"NUL in command":     {Job{Command: Command{Shell: "a\x00b"}}, "command", "NUL"},
		"NUL in argument":    {Job{Command: Command{Args: []string{"a", "b\x00"}}}, "command[1]", "NUL"},
		"not UTF-8":          {Job{Command: Command{Shell: "echo \xff"}}, "command", "UTF-8"},
		"id":                 {Job{Command: command, ID: "-rf"}, "id", `must not begin with "-"`},
		"long id":            {Job{Command: command, ID: strings.Repeat("x", 129)}, "id", "is 129 bytes long"},
		"priority":           {Job{Command: command, Priority: 1000}, "priority", "must be a whole number from -999 to 999, not 1000"},
		"timeout":            {Job{Command: command, Timeout: -1}, "timeout_seconds", "must be a number of seconds from 0.001 to 1000000000, or 0 for none, not -0.000000001"},
		"long timeout":       {Job{Command: command, Timeout: math.MaxInt64}, "timeout_seconds", "must be"},
		"max_retries":        {Job{Command: command, MaxRetries: ptr(-1)}, "max_retries", "must be a whole number from 0 to 100000, not -1"},
		"backoff_base":       {Job{Command: command, BackoffBase: ptr(0.0)}, "backoff_base", "must be a number above 0, not 0"},
		"snooze max":         {Job{Command: command, SnoozeMax: ptr(-1)}, "snooze_max", "must be a whole number from 0 to 100000, not -1"},
		"infinite backoff":   {Job{Command: command, BackoffBase: ptr(math.Inf(1))}, "backoff_base", "not +Inf"},
		"no backoff":         {Job{Command: command, BackoffBase: ptr(math.NaN())}, "backoff_base", "not NaN"},
		"run_at":             {Job{Command: command, RunAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "run_at", "0001 to 9999"},
		"enqueued_at":        {Job{Command: command, EnqueuedAt: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)}, "enqueued_at", "0001 to 9999"},
		"cwd":                {Job{Command: command, Cwd: "/\x00"}, "cwd", "NUL"},
		"empty env name":     {Job{Command: command, Env: map[string]string{"": "x"}}, "env.", "name"},
		"env name with =":    {Job{Command: command, Env: map[string]string{"A=B": "x"}}, "env.A=B", "name"},
		"env name not UTF-8": {Job{Command: command, Env: map[string]string{"\xff": "x"}}, "env.\xff", "UTF-8"},
		"NUL in env":         {Job{Command: command, Env: map[string]string{"A": "\x00"}}, "env.A", "NUL"},
		"stdin":              {Job{Command: command, Stdin: "\xff"}, "stdin", "UTF-8"},
		"empty tag":          {Job{Command: command, Tags: []string{"a", ""}}, "tags[1]", "must not be empty"},
		"tag":                {Job{Command: command, Tags: []string{"a\n"}}, "tags[0]", "control characters"},
		"tag not UTF-8":      {Job{Command: command, Tags: []string{"\xff"}}, "tags[0]", "UTF-8"},
		"metadata":           {Job{Command: command, Metadata: []byte("{")}, "metadata", "valid JSON"},
		"extra":              {Job{Command: command, Extra: rawMap("x", "{")}, "x", "valid JSON"},
		"extra not UTF-8":    {Job{Command: command, Extra: rawMap("\xff", "1")}, "\xff", "UTF-8"},
		"known extra":        {Job{Command: command, Extra: rawMap("cwd", "1")}, "cwd", "must not be among"},
	} {
		t.Run(name, func(t *testing.T) {
			wantFieldError(t, tc.job.Validate(), tc.field, tc.problem)
			if _, err := tc.job.MarshalJSON(); err == nil {
				t.Error("MarshalJSON wrote a job that is not valid")
			}
		})
	}
}

func TestInvalidIDKeepsItsCause(t *testing.T) {
	err := Job{ID: "a/b", Command: Command{Shell: "true"}}.Validate()
	if !errors.Is(err, spool.ErrInvalidID) {
		t.Errorf("errors.Is(%v, spool.ErrInvalidID) is false", err)
	}
	if got, want := err.Error(), `field "id": must not contain "/"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCommandString(t *testing.T) {
	for _, tc := range []struct {
		command Command
		want    string
	}{
		{Command{Shell: "echo 'a  b' | wc"}, "echo 'a  b' | wc"},
		{Command{Args: []string{"ls", "-l", "/tmp/a_b.c"}}, "ls -l /tmp/a_b.c"},
		{Command{Args: []string{"echo", "", "a b", "it's", "$HOME", "~", "é"}}, `echo '' 'a b' 'it'\''s' '$HOME' '~' 'é'`},
		{Command{Args: []string{"A=1", "{}"}}, `'A=1' '{}'`},
	} {
		if got := tc.command.String(); got != tc.want {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
}
