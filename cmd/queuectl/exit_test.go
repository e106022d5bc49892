package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What all commands have in common: wrong usage is exit status 2 with nothing on stdout
// and a line on stderr that says so, and nobody makes a spool by looking for one.
func TestExitStatuses(t *testing.T) {
	cleanEnv(t)
	dir := filepath.Join(t.TempDir(), "spool")
	root := newRoot(testApp())
	wrong := func(args ...string) {
		t.Helper()
		r := queuectl(t, append([]string{"--spool", dir}, args...)...)
		if r.code != exitUsage || r.stdout != "" || len(r.stderr) < len("queuectl: x") || r.stderr[:10] != "queuectl: " {
			t.Errorf("%q: %+v", args, r)
		}
	}
	root.walk(func(c *command) {
		words := strings.Fields(c.path)[1:]
		wrong(append(slices.Clone(words), "--frobnicate")...)
		if c.run == nil {
			wrong(words...)
			return
		}
		if c.least > 0 {
			wrong(words...)
		}
		if c.most != anyNumber && !c.rest {
			wrong(append(slices.Clone(words), slices.Repeat([]string{"x"}, c.most+1)...)...)
		}
	})
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("somebody has made a spool: %v", err)
	}
}

// Without a spool a job is unknown (3), and a list is empty (0).
func TestExitStatusWithoutSpool(t *testing.T) {
	cleanEnv(t)
	dir := filepath.Join(t.TempDir(), "spool")
	for _, test := range []struct {
		code int
		args []string
	}{
		{exitOK, []string{"status"}},
		{exitOK, []string{"list"}},
		{exitOK, []string{"stats"}},
		{exitOK, []string{"worker", "list"}},
		{exitOK, []string{"dlq", "list"}},
		{exitOK, []string{"config", "list"}},
		{exitNotFound, []string{"show", "x"}},
		{exitNotFound, []string{"explain", "x"}},
		{exitNotFound, []string{"logs", "x"}},
		{exitNotFound, []string{"wait", "x"}},
		{exitNotFound, []string{"cancel", "x"}},
		{exitNotFound, []string{"retry", "x"}},
		{exitNotFound, []string{"delete", "x"}},
		{exitNotFound, []string{"check"}},
	} {
		if r := queuectl(t, append([]string{"--spool", dir}, test.args...)...); r.code != test.code {
			t.Errorf("%q: exit status %d, want %d: %s", test.args, r.code, test.code, r.stderr)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("somebody has made a spool: %v", err)
	}
}
