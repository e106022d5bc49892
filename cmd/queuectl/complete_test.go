package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// completions are the candidates for the last word, without their notes.
func completions(t *testing.T, words ...string) (offers string, found []string) {
	t.Helper()
	r := queuectl(t, append([]string{completeWord}, words...)...)
	if r.code != exitOK || r.stderr != "" {
		t.Errorf("%q: %+v", words, r)
	}
	lines := strings.Split(strings.TrimSuffix(r.stdout, "\n"), "\n")
	for _, line := range lines[1:] {
		word, _, _ := strings.Cut(line, "\t")
		found = append(found, word)
	}
	return lines[0], found
}

func TestComplete(t *testing.T) {
	cleanEnv(t)
	dir := filepath.Join(t.TempDir(), "spool")
	t.Setenv("QUEUECTL_SPOOL", dir)
	if r := queuectl(t, "enqueue", `{"id":"due","command":"true"}`, `{"id":"later","command":"true","run_at":"+1h"}`, `{"id":"gone","command":"true","run_at":"+1h"}`); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	if r := queuectl(t, "cancel", "gone"); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	for _, test := range []struct {
		line   string // words, with blanks between; the last one is completed
		offers string
		want   string // candidates, with blanks between
	}{
		{"wo", "words", "worker"},
		{"worker st", "words", "start stop"},
		{"worker start --drai", "words", "--drain"},
		{"worker start -drai", "words", "-drain"},
		{"worker start --drain --drai", "words", ""},
		{"worker start --lea", "words", "--lease"},
		{"list --lea", "words", ""},
		{"list --spo", "words", "--spool"},
		{"--color ", "words", "auto always never"},
		{"list --color=a", "words", "--color=auto --color=always"},
		{"list --state p", "words", "pending processing"},
		{"list --state pending,p", "words", "pending,processing"},
		{"list --state=pending,p", "words", "--state=pending,processing"},
		{"--state p", "words", ""}, // of no command yet
		{"list --queue ", "words", "default"},
		{"kill -s T", "words", "TERM"},
		{"show ", "words", "due gone later"},
		{"show due ", "words", ""}, // it takes one
		{"cancel ", "words", "due later"},
		{"cancel later ", "words", "due"},
		{"cancel --tag x d", "words", "due"},
		{"retry ", "words", "gone"},
		{"show -- l", "words", "later"},
		{"show -- --", "words", ""},
		{"--spool nowhere show ", "words", ""},
		{"show --spool=nowhere ", "words", ""},
		{"config get max", "words", "max-retries max-lost"},
		{"config set trust-group ", "words", "true false"},
		{"config set lease ", "words", ""},
		{"completion ", "words", "bash zsh fish"},
		{"man worker-s", "words", "worker-start worker-stop"},
		{"help wor", "words", "worker"},
		{"help show ", "words", ""},
		{"help worker st", "words", "start stop"},
		{"--spool ", "directories", ""},
		{"wait --ids ", "files", ""},
		{"nonsense ", "words", ""},
		{"show --nonsense x", "words", ""},
	} {
		offers, found := completions(t, strings.Split(test.line, " ")...)
		if strings.HasPrefix(test.want, "due ") {
			slices.Sort(found) // jobs come as the directory has them; a shell sorts
		}
		if have := strings.Join(found, " "); offers != test.offers || have != test.want {
			t.Errorf("%q:\nhave %s: %s\nwant %s: %s", test.line, offers, have, test.offers, test.want)
		}
	}
}

// Not more is offered than a shell can show.
func TestCompleteIsBounded(t *testing.T) {
	cleanEnv(t)
	dir := filepath.Join(t.TempDir(), "spool")
	t.Setenv("QUEUECTL_SPOOL", dir)
	args := []string{"enqueue"}
	for i := range 2 * maxCandidates {
		args = append(args, fmt.Sprintf(`{"id":"job-%d","command":"true"}`, i))
	}
	if r := queuectl(t, args...); r.code != 0 {
		t.Fatalf("%+v", r)
	}
	// On a slow machine the time may be over earlier.
	if _, found := completions(t, "show", "job"); len(found) == 0 || len(found) > maxCandidates {
		t.Errorf("%d candidates", len(found))
	}
}

// A command that takes ids says of which jobs, so that no key is pressed in vain.
func TestCommandsWithIDsComplete(t *testing.T) {
	newRoot(testApp()).walk(func(c *command) {
		takes := slices.Contains(strings.FieldsFunc(c.args, func(r rune) bool { return strings.ContainsRune(" []…", r) }), "ID")
		if _, known := idStates[c.path]; takes && !known {
			t.Errorf("%s takes ids: add it to idStates", c.path)
		}
	})
}
