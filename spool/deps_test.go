package spool

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/queuectl/queuectl"

// source is a file of the module that is not a test, on whatever system it is built.
type source struct {
	pkg  string // directory below the module: spool, fsq, cmd/queuectl
	file string
	ast  *ast.File
	set  *token.FileSet
}

// sources is the whole module.
func sources(t *testing.T) []source {
	t.Helper()
	all, err := parsed()
	mustDo(t, err)
	if len(all) < 20 {
		t.Fatalf("only %d files were found", len(all))
	}
	return all
}

var parsed = sync.OnceValues(func() (all []source, err error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		all = append(all, source{pkg: path.Dir(filepath.ToSlash(rel)), file: d.Name(), ast: f, set: set})
		return err
	})
	return all, err
})

func isStd(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// The layers of the module: what each package may import beside the standard
// library, and what of that it may not, and why.
var layers = map[string]struct {
	may    []string
	mayNot map[string]string
}{
	"spool": {
		may: []string{"github.com/fsnotify/fsnotify", "golang.org/x/sys/unix"},
		mayNot: map[string]string{
			"os/exec":  "the spool runs nothing: running jobs is fsq's part",
			"log":      "a library logs nothing of its own",
			"log/slog": "the spool has nothing to log: it returns errors",
			"flag":     "only the command has flags",
		},
	},
	"fsq": {
		may: []string{module + "/spool", "golang.org/x/sys/unix"},
		mayNot: map[string]string{
			"log":  "a library logs only through the *slog.Logger that it is given",
			"flag": "only the command has flags",
		},
	},
	"dashboard": {
		may: []string{module + "/fsq"},
		mayNot: map[string]string{
			"os/exec": "the dashboard shows, fsq runs",
			"log":     "a library logs only through the *slog.Logger that it is given",
			"flag":    "only the command has flags",
		},
	},
	"cmd/queuectl/bench": {
		may: []string{module + "/fsq", module + "/spool", "golang.org/x/sys/unix"},
		mayNot: map[string]string{
			"flag": "only the command has flags",
		},
	},
	"cmd/queuectl": {
		may: []string{
			module + "/fsq", module + "/dashboard", module + "/cmd/queuectl/bench", "github.com/peterbourgon/ff/v3", "github.com/peterbourgon/ff/v3/ffcli",
			"golang.org/x/sys/unix",
		},
	},
}

func TestLayers(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		layer, ok := layers[s.pkg]
		if !ok {
			if strings.HasPrefix(s.pkg, "scripts") || strings.HasPrefix(s.pkg, "internal") {
				continue
			}
			t.Errorf("%s: no layer is known by this name; DESIGN has cmd/queuectl on fsq and dashboard, dashboard on fsq, fsq on spool; and cmd/queuectl/bench, which measures both", s.pkg)
			continue
		}
		for _, spec := range s.ast.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			mustDo(t, err)
			if why := layer.mayNot[imported]; why != "" {
				t.Errorf("%s/%s imports %s: %s", s.pkg, s.file, imported, why)
			} else if !isStd(imported) && !slices.Contains(layer.may, imported) {
				t.Errorf("%s/%s imports %s: beside the standard library %s may import only %s", s.pkg, s.file, imported, s.pkg, strings.Join(layer.may, ", "))
			}
			if imported == "encoding/json" && s.pkg == "spool" && !slices.Contains([]string{"open.go", "lease.go", "pause.go"}, s.file) {
				t.Errorf("spool/%s imports encoding/json: the spool knows nothing of what is in a job; only its own documents, queuectl.json (open.go), a worker's entry (lease.go) and a pause (pause.go), are JSON to it", s.file)
			}
		}
	}
}

// verb is what fmt puts something for.
var verb = regexp.MustCompile(`%[a-z]|\*`)

// Only package spool spells the tree: elsewhere a string that names a directory of it
// would be a second description of the format, which nobody keeps true.
func TestOnlySpoolSpellsTheTree(t *testing.T) {
	t.Parallel()
	dirs := map[string]bool{}
	for _, d := range skeleton {
		dirs[d] = true
	}
	for _, f := range []string{formatFile, lockFile} {
		dirs[f] = true
	}
	// Alone, these are words too: states and flags have the same names.
	words := map[string]bool{pendingDir: true, workDir: true, doneDir: true, deadDir: true, rejectedDir: true, logsDir: true, workersDir: true, tmpDir: true, idsDir: true, ctlDir: true}
	for _, s := range sources(t) {
		// What is in no layer judges a spool from outside, by FORMAT.md.
		if _, layer := layers[s.pkg]; !layer || s.pkg == "spool" {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			if _, ok := n.(*ast.ImportSpec); ok {
				return false
			}
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			v, err := strconv.Unquote(lit.Value)
			if err != nil || strings.ContainsAny(v, " \n") { // prose may name them
				return true
			}
			for _, part := range verb.Split(v, -1) {
				part = strings.TrimPrefix(part, "/")
				if dirs[strings.TrimSuffix(part, "/")] && !words[part] || strings.Contains(part, "/") && words[strings.Split(part, "/")[0]] {
					t.Errorf("%s: %s spells the tree of a spool: only package spool may, so ask it for the path", s.set.Position(lit.Pos()), lit.Value)
				}
			}
			return true
		})
	}
}

// callers lists the files of this package in which one of the functions is called.
func callers(t *testing.T, names ...string) []string {
	t.Helper()
	got := map[string]bool{}
	for _, s := range sources(t) {
		if s.pkg != "spool" {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains(names, sel.Sel.Name) {
				if x, isOps := sel.X.(*ast.SelectorExpr); cmp.Or(isOps && x.Sel.Name == "ops", sel.Sel.Name == "move" || sel.Sel.Name == "moveInto") {
					got[s.file] = true
				}
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(got))
}

// State directories change in few files, each for one verb: whoever reads those knows
// all transitions. A new one must be argued for here.
func TestTransitionsAreInFewFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		calls []string
		files []string
		why   string
	}{
		{
			"renames", []string{"rename"},
			[]string{"config.go", "edit.go", "history.go", "probe.go", "put.go"},
			"a rename whose reply can be lost must go through move (put.go); the settings and the history are no state; an edit replaces a binding, so that its target proves nothing; a probe tries the calls on files of its own",
		},
		{
			"moves", []string{"move", "moveInto"},
			[]string{"array.go", "cancel.go", "claim.go", "collect.go", "drop.go", "edit.go", "editing.go", "hold.go", "later.go", "lease.go", "limit.go", "owndrop.go", "pause.go", "put.go", "reap.go", "reject.go", "reserve.go", "retry.go", "settle.go", "sweep.go"},
			"one file, one transition: enqueue, adopt, collect, promote, give a turn, claim, settle, cancel, change, edit, reap, reject, revive, sweep; and registering, pausing, limiting, and binding anew",
		},
		{
			"links", []string{"link"},
			[]string{"edit.go", "open.go", "probe.go", "reject.go", "reserve.go"},
			"a hard link gives a job a second name: only the binding of an id, and where rename would replace a file",
		},
		{
			"writing files", []string{"create", "update"},
			[]string{"acts.go", "census.go", "clock.go", "demand.go", "edit.go", "lease.go", "log.go", "open.go", "probe.go", "put.go", "recover.go", "reject.go", "request.go", "reserve.go"},
			"a job's file is written once, by Put, Edit or Collect, and never rewritten",
		},
		{
			"removals", []string{"unlink"},
			[]string{"acts.go", "cancel.go", "check.go", "clock.go", "collect.go", "config.go", "demand.go", "drop.go", "editing.go", "history.go", "lease.go", "limit.go", "log.go", "open.go", "pause.go", "probe.go", "put.go", "reap.go", "recover.go", "reject.go", "remove_queue.go", "request.go", "reserve.go", "retry.go", "sweep.go"},
			"no program deletes what it cannot read",
		},
	} {
		got := callers(t, c.calls...)
		for _, f := range got {
			if !slices.Contains(c.files, f) {
				t.Errorf("%s has %s: %s", f, c.what, c.why)
			}
		}
		for _, f := range c.files {
			if !slices.Contains(got, f) {
				t.Errorf("%s has no %s any more: take it off the list", f, c.what)
			}
		}
	}
}

// Nothing but ops touches the disk: tests count, cut and fail every call.
func TestOnlyOpsTouchTheDisk(t *testing.T) {
	t.Parallel()
	allowed := map[string][]string{
		"open.go":       {"MkdirAll", "Chown", "Chmod", "Lchown"}, // making a spool, before it is one; see givenTo
		"log.go":        {"OpenFile"},                             // a worker's own log
		"host_linux.go": {"ReadFile", "Readlink"},                 // /proc
		// No step of the protocol: modes and owners before a worker starts, and what is above
		// the spool.
		"box.go":             {"Chmod", "Lchown"},
		"strangers.go":       {"Stat", "Lstat", "Readlink"},
		"strangers_linux.go": {"ReadFile"},             // /proc
		"group.go":           {"Open"},                 // /etc/group
		"watch.go":           {"Lstat"},                // of a hint
		"witness.go":         {"OpenFile"},             // of a build for tests: what it has seen
		"probe_linux.go":     {"ReadFile", "Readlink"}, // /proc and /sys
	}
	calls := []string{"Open", "OpenFile", "Create", "ReadFile", "WriteFile", "Remove", "RemoveAll", "Rename", "Link", "Symlink", "Readlink", "Mkdir", "MkdirAll", "Stat", "Lstat", "ReadDir", "Chmod", "Chown", "Lchown", "Chtimes", "Truncate"}
	for _, s := range sources(t) {
		if s.pkg != "spool" || strings.HasPrefix(s.file, "ops") {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if ok && x.Name == "os" && slices.Contains(calls, sel.Sel.Name) && !slices.Contains(allowed[s.file], sel.Sel.Name) {
				t.Errorf("%s calls os.%s: what touches the disk must go through ops", s.set.Position(sel.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

// FORMAT.md is the normative description: its examples must be what the code reads.
func TestExamplesOfFormat(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("FORMAT.md")
	mustDo(t, err)
	examples := 0
	for line := range strings.Lines(string(data)) {
		for _, word := range strings.Fields(line) {
			base := path.Base(word)
			if !strings.HasSuffix(base, suffix) || len(base) < stampLen+10 || strings.Trim(base[:8], "0123456789") != "" {
				continue
			}
			examples++
			n, err := ParseName(base)
			if err != nil {
				t.Errorf("%s: %v", word, err)
				continue
			}
			if strings.HasPrefix(word, doneDir+"/") && path.Dir(word) != doneHour(n.Due, 0) {
				t.Errorf("%s: it would be in %s", word, doneHour(n.Due, 0))
			}
			if (n.Outcome != "") != (strings.HasPrefix(word, doneDir) || strings.HasPrefix(word, deadDir)) {
				t.Errorf("%s: an outcome is for done/ and dead/", word)
			}
		}
	}
	if examples < 7 {
		t.Errorf("%d examples were found", examples)
	}
}
