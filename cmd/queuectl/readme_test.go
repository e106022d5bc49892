package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/queuectl/queuectl/fsq"
)

// What the README says about the program and the tests is checked against them: it is
// read more often than any other file here, and nobody runs it.

const repository = "../.."

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// fenced returns the code blocks of a language.
func fenced(text, language string) (blocks []string) {
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// section is what stands below a heading, up to the next one of its level.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("the README has no section %q", heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

// rows are those of the tables in a section, without their heads, as cells.
func rows(body string) (all [][]string) {
	head := true
	for line := range strings.SplitSeq(body, "\n") {
		switch {
		case !strings.HasPrefix(line, "|"):
			head = true
		case strings.HasPrefix(line, "|---"):
			head = false
		case !head:
			var cells []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), " | ") {
				cells = append(cells, strings.TrimSpace(cell))
			}
			all = append(all, cells)
		}
	}
	return all
}

var quoted = regexp.MustCompile("`([^`]+)`")

func quotes(text string) (words []string) {
	for _, m := range quoted.FindAllStringSubmatch(text, -1) {
		words = append(words, m[1])
	}
	return words
}

// firstCells are the names in the first column of a section's tables.
func firstCells(t *testing.T, body string) (names []string) {
	t.Helper()
	for _, row := range rows(body) {
		names = append(names, quotes(row[0])...)
	}
	if len(names) == 0 {
		t.Fatal("there is no table")
	}
	return names
}

func TestReadmeOpensWithTwoCommands(t *testing.T) {
	opening, _, _ := strings.Cut(readText(t, "README.md"), "\n## ")
	commands := fenced(opening, "sh")
	if len(commands) != 2 {
		t.Fatalf("want two commands, have %q", commands)
	}
	for _, c := range commands {
		c = strings.TrimSpace(c)
		if strings.Contains(c, "\n") {
			t.Errorf("%q is more than one line", c)
		}
		in, err := os.Stat(filepath.Join(repository, strings.Fields(c)[0]))
		if err != nil || in.Mode()&0o111 == 0 {
			t.Errorf("%q cannot be run: %v", c, err)
		}
	}
	var run []string
	for line := range strings.SplitSeq(readText(t, ".ci/run"), "\n") {
		if line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "set ") && !strings.HasPrefix(line, "cd ") {
			run = append(run, line)
		}
	}
	if want := []string{strings.TrimSpace(commands[1])}; !slices.Equal(run, want) {
		t.Errorf(".ci/run runs %q, the README says %q", run, want)
	}
}

// Each guarantee names what proves it, and that exists.
func TestReadmeProofs(t *testing.T) {
	known := make(map[string]bool)
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(data, -1) {
			known[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	guarantees := rows(section(t, readText(t, "README.md"), "Guarantees"))
	if len(guarantees) < 8 {
		t.Errorf("%d guarantees, want at least eight", len(guarantees))
	}
	for _, row := range guarantees {
		if len(row) != 3 {
			t.Errorf("want three cells: %q", row)
			continue
		}
		proofs := quotes(row[2])
		if want := "`" + strings.Join(proofs, "`, `") + "`"; row[2] != want {
			t.Errorf("%s: want names of tests and nothing else, have %s", row[0], row[2])
		}
		for _, p := range proofs {
			if strings.Contains(p, "/") {
				if _, err := os.Stat(filepath.Join(repository, p)); err != nil {
					t.Errorf("%s: %v", row[0], err)
				}
			} else if !known[p] {
				t.Errorf("%s: there is no test %s", row[0], p)
			}
		}
	}
}

func TestReadmeCommands(t *testing.T) {
	text := readText(t, "README.md")
	var have, want []string
	for _, c := range firstCells(t, section(t, text, "Commands")) {
		// Without the arguments, whose names are in capitals.
		words := slices.DeleteFunc(strings.Fields(c), func(w string) bool { return w != strings.ToLower(w) })
		have = append(have, strings.Join(words, " "))
	}
	newRoot(testApp()).walk(func(c *command) {
		if c.run != nil && c.path != "queuectl" {
			want = append(want, c.path)
		}
	})
	want = append(want, "queuectl help")
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("the README's commands\nhave %q\nwant %q", have, want)
	}
}

func TestReadmeExitCodes(t *testing.T) {
	var have []int
	for _, row := range rows(section(t, readText(t, "README.md"), "Exit codes")) {
		for code := range strings.SplitSeq(row[0], ", ") {
			n, err := strconv.Atoi(code)
			if err != nil {
				t.Error(err)
			}
			have = append(have, n)
		}
	}
	newRoot(testApp()).walk(func(c *command) {
		for _, e := range c.exitStatuses() {
			if !slices.Contains(have, e.code) {
				t.Errorf("%s can end with %d, which the README does not know", c.path, e.code)
			}
		}
	})
}

func TestReadmeSettings(t *testing.T) {
	var have, want [][]string
	for _, row := range rows(section(t, readText(t, "README.md"), "Settings")) {
		have = append(have, []string{strings.Trim(row[0], "`"), row[1]})
	}
	for _, s := range fsq.Settings() {
		want = append(want, []string{s.Key, s.Default})
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("the README's settings\nhave %q\nwant %q", have, want)
	}
}

// The fields that the README lists are those that have a meaning.
func TestReadmeJobFields(t *testing.T) {
	fields := firstCells(t, section(t, readText(t, "README.md"), "Jobs"))
	values := map[string]string{
		"id": `"x-1"`, "command": `"true"`, "priority": "1", "run_at": `"+1m"`, "timeout_seconds": "1", "max_retries": "1",
		"backoff_base": "2", "snooze_codes": "[75]", "snooze_max": "1", "fatal_codes": "[100]", "cwd": `"/"`, "umask": `"022"`, "array": `{"id":"x","index":1}`, "env": `{"A":"b"}`, "stdin": `"x"`, "tags": `["x"]`, "metadata": "1",
		"enqueued_at": `"2026-11-23T08:47:18.123Z"`,
	}
	var doc []string
	for _, f := range fields {
		doc = append(doc, strconv.Quote(f)+":"+values[f])
	}
	j, err := fsq.ParseJob([]byte("{"+strings.Join(doc, ",")+"}"), testApp().now())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range j.Unknown() {
		t.Errorf("%s has no meaning", u.Name)
	}
	if v := reflect.ValueOf(j); v.NumField() != len(fields)+2 { // TimeoutSet and Extra are none
		t.Errorf("a job has %d fields, the README lists %d", v.NumField()-2, len(fields))
	}
	for i := range reflect.ValueOf(j).NumField() {
		if f := reflect.TypeOf(j).Field(i); f.Name != "Extra" && reflect.ValueOf(j).Field(i).IsZero() {
			t.Errorf("the README lists no field that sets %s", f.Name)
		}
	}
}

// The example of the README is part of one that is run.
func TestReadmeExample(t *testing.T) {
	blocks := fenced(readText(t, "README.md"), "go")
	if len(blocks) == 0 {
		t.Fatal("the README has no example in Go")
	}
	for _, b := range blocks {
		if !strings.Contains(readText(t, "fsq/example_test.go"), b) {
			t.Errorf("fsq/example_test.go does not have\n%s", b)
		}
	}
}

// Every file that the README links to is there, and every directory that it draws.
func TestReadmePaths(t *testing.T) {
	text := readText(t, "README.md")
	var paths []string
	for _, m := range regexp.MustCompile(`\]\(([^):#]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
		paths = append(paths, m[1])
	}
	_, tree, _ := strings.Cut(text, "\n### The repository\n")
	tree, _, _ = strings.Cut(tree, "\n## ")
	for _, m := range regexp.MustCompile(`(?m)^ {4}(\S+)/ `).FindAllStringSubmatch(tree, -1) {
		paths = append(paths, m[1])
	}
	if len(paths) < 6 {
		t.Errorf("only %q were found", paths)
	}
	for _, p := range paths {
		if _, err := os.Stat(filepath.Join(repository, p)); err != nil {
			t.Error(err)
		}
	}
}

// The README's table has each metric that is printed, and no other.
func TestReadmeMetrics(t *testing.T) {
	cleanEnv(t)
	dir := filepath.Join(t.TempDir(), "spool")
	if r := queuectl(t, "--spool", dir, "enqueue", "-c", "true"); r.code != exitOK {
		t.Fatal(r.stderr)
	}
	r := queuectl(t, "--spool", dir, "stats", "--format", "prometheus")
	var have, want []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(r.stdout, -1) {
		have = append(have, m[1])
	}
	for _, row := range rows(section(t, readText(t, "README.md"), "Monitoring")) {
		for _, name := range quotes(row[0]) {
			// Where the number of inodes has no limit, as on btrfs, there is none to tell.
			if !strings.Contains(name, "inodes") || slices.Contains(have, name) {
				want = append(want, name)
			}
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if r.code != exitOK || !slices.Equal(have, want) {
		t.Errorf("exit status %d, %s; it prints\n%v, the README has\n%v", r.code, r.stderr, have, want)
	}
	for _, args := range [][]string{{"--history", "1h", "--format", "prometheus"}, {"--json", "--format", "prometheus"}, {"--history", "60d"}, {"--history", "0"}} {
		if r := queuectl(t, append([]string{"--spool", dir, "stats"}, args...)...); r.code != exitUsage {
			t.Errorf("stats %v: exit status %d, %s", args, r.code, r.stderr)
		}
	}
	if r := queuectl(t, "--spool", dir+"-none", "stats", "--format", "prometheus"); r.code != exitOK || !strings.Contains(r.stdout, "queuectl_build_info") {
		t.Errorf("without a spool: exit status %d, %s", r.code, r.stderr)
	}
}
