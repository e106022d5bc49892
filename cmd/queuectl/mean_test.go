package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/queuectl/queuectl/fsq"
)

// Whatever word is mistyped, the one that was meant is named, with the exit status of
// wrong usage; a word that is like none is not answered with a guess.
func TestDidYouMean(t *testing.T) {
	cleanEnv(t)
	dir := filepath.Join(t.TempDir(), "spool")
	if _, err := fsq.InitQueue(dir, "mail", ""); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args, mean string
		code       int
	}{
		{"stauts", `did you mean "status"?`, exitUsage},
		{"Enqueue", `did you mean "enqueue"?`, exitUsage},
		{"worker strat", `did you mean "start"?`, exitUsage},
		{"push", `did you mean "enqueue"?`, exitUsage},
		{"why", `did you mean "explain"?`, exitUsage},
		{"manual", `did you mean "man"?`, exitUsage},
		{"dlq rm", `did you mean "remove"?`, exitUsage},
		{"list --stat dead", "did you mean --state?", exitUsage},
		{"list --jason", "did you mean --json?", exitUsage},
		{"worker start --kill_grace 1s", "did you mean --kill-grace?", exitUsage},
		{"worker start --snooze-code 7", "did you mean --snooze-codes?", exitUsage},
		{"list --state peding", `did you mean "pending"?`, exitUsage},
		{"list --state pending,runnin", `did you mean "running"?`, exitUsage},
		{"cancel --state shceduled", `did you mean "scheduled"?`, exitUsage},
		{"list --queue mial", `did you mean "mail"?`, exitNotFound},
		{"list --queue defalt", `did you mean "default"?`, exitNotFound},
		{"config get max_retries", `did you mean "max-retries"?`, exitUsage},
		{"config set fatal-code 7", `did you mean "fatal-codes"?`, exitUsage},
		{"config unset leese", `did you mean "lease"?`, exitUsage},
		{"--color alwys list", `did you mean "always"?`, exitUsage},
		{"man explian", `did you mean "explain"?`, exitUsage},
		{"completion fissh", `did you mean "fish"?`, exitUsage},

		{"frobnicate", "", exitUsage},
		{"list --frobnicate", "", exitUsage},
		{"list --state frobnicated", "", exitUsage},
		{"list --queue frobnicate", "", exitNotFound},
		{"config get frobnicate", "", exitUsage},
		{"man frobnicate", "", exitUsage},
		{"completion powershell", "", exitUsage},
	} {
		r := queuectl(t, append([]string{"--spool", dir}, strings.Fields(test.args)...)...)
		first, _, _ := strings.Cut(r.stderr, "\n")
		said := strings.Contains(first, "did you mean")
		if r.code != test.code || said != (test.mean != "") || !strings.HasSuffix(first, test.mean) || !strings.HasPrefix(first, "queuectl: ") {
			t.Errorf("%s: exit status %d, want %d: %s, want %s", test.args, r.code, test.code, first, test.mean)
		}
		if r.stdout != "" {
			t.Errorf("%s: stdout %q", test.args, r.stdout)
		}
	}
}
