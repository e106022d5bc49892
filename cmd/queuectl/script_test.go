package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(withBinary{m}, map[string]func(){"queuectl": main})
}

// TestScript runs testdata/script/*.txtar: each is a session of a user with a spool
// of his own.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("QUEUECTL_SPOOL", filepath.Join(e.WorkDir, "spool"))
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("TZ", "Europe/Berlin")
			// The race detector makes every process sleep a second at its end.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":   exits,
			"waitfor": waitFor,
			"tree":    tree,
			"lines":   lines,
			"term":    term,
		},
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return os.Geteuid() == 0, nil
		},
	})
}

// TestEveryCommandHasAScript: one file per command, which fails when a command is
// added without one.
func TestEveryCommandHasAScript(t *testing.T) {
	root := newRoot(testApp())
	root.walk(func(c *command) {
		if c.run == nil || c == root {
			return
		}
		name := strings.ReplaceAll(strings.TrimPrefix(c.path, "queuectl "), " ", "-")
		if _, err := os.Stat(filepath.Join("testdata", "script", name+".txtar")); err != nil {
			t.Error(err)
		}
	})
}

// exits N CMD…: runs a command that must end with status N.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	have := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		have = exit.ExitCode()
	}
	if have != want {
		ts.Fatalf("exit status %d, want %d", have, want)
	}
}

// waitLimit only guards against a hang: nothing is expected to take that long.
const waitLimit = time.Minute

// waitFor PATTERN queuectl ARG…, or waitFor PATTERN FILE…: looks again and again
// until the output, or the content of one of the files, matches. It looks from within
// this process: many new ones would keep the machine from what is waited for.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitfor PATTERN queuectl ARG… | waitfor PATTERN FILE…")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	look := func() (found []byte) {
		for _, glob := range args[1:] {
			names, err := filepath.Glob(ts.MkAbs(glob))
			ts.Check(err)
			for _, name := range names {
				data, _ := os.ReadFile(name)
				found = append(found, data...)
			}
		}
		return found
	}
	if args[1] == "queuectl" {
		spool := "--spool=" + ts.Getenv("QUEUECTL_SPOOL")
		look = func() []byte {
			var stdout bytes.Buffer
			run(context.Background(), environment{
				args: append([]string{spool}, args[2:]...), stdin: strings.NewReader(""), stdout: &stdout, stderr: io.Discard, now: time.Now,
				listen: func(ctx context.Context) (context.Context, <-chan os.Signal) { return ctx, nil },
			})
			return stdout.Bytes()
		}
	}
	for end := time.Now().Add(waitLimit); !pattern.Match(look()); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("waited %v in vain for %q; the last look:\n%s", waitLimit, args[0], look())
		}
	}
}

// term: SIGTERM to what runs in the background; kill knows SIGINT and SIGKILL only.
func term(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: term")
	}
	for _, c := range ts.BackgroundCmds() {
		if err := c.Process.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
			ts.Check(err)
		}
	}
}

// lines N FILE: the file has so many lines.
func lines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: lines NUMBER FILE")
	}
	if have := strings.Count(ts.ReadFile(args[1]), "\n"); strconv.Itoa(have) != args[0] {
		ts.Fatalf("%s has %d lines, want %s", args[1], have, args[0])
	}
}

// What differs from run to run in the names of a spool's files.
var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\d{8}T\d{9}Z`), "TIME"},
	{regexp.MustCompile(`\d{8}T\d{6}`), "TIME"},
	{regexp.MustCompile(`,w\d+,r\d+\.`), ",wN,rN."},
	{regexp.MustCompile(`^done/\d{8}/\d\d/`), "done/DAY/HOUR/"},
	{regexp.MustCompile(`^(ids|logs)/[0-9a-f]{2}/`), "$1/XX/"},
	{regexp.MustCompile(`^ctl/booted/.*`), "ctl/booted/BOOT"},
	{regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{26}`), "ULID"},
}

// tree DIR FILE: writes the names of all files in DIR to FILE, sorted, without what
// differs from run to run.
func tree(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tree DIRECTORY FILE")
	}
	root := ts.MkAbs(args[0])
	var names []string
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		for _, c := range changing {
			name = c.pattern.ReplaceAllString(name, c.with)
		}
		names = append(names, name)
		return err
	}))
	slices.Sort(names)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(fmt.Sprintln(strings.Join(names, "\n"))), 0o600))
}
