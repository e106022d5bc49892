package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

var update = flag.Bool("update", false, "write JSON.md anew")

// sessions are calls of the commands, in an order in which each has something to print.
// values are what those print that cannot be called here, because they go on until they
// are stopped, or are about a job that runs.
var (
	sessions = []string{
		`init`,
		`enqueue {"id":"a","command":"echo\u0020ok"} {"id":"b","command":"exit\u00203","max_retries":0} {"id":"c","command":"exit\u002075"}`,
		`enqueue {"id":"later","command":"true","run_at":"+1h"} {"command":"true"}`,
		`enqueue {"id":"e","command":"true","run_at":"+1h"}`, `hold e`, `release e`, `set e --priority 5`, `run-now e`,
		`pause --reason x`, `status`, `resume`,
		`worker start --drain --count 2`, `worker list`,
		`status`, `list`, `show b`, `explain b`, `explain later`, `logs a`, `stats`, `stats --history 1h`, `wait a`,
		`dlq list`, `dlq retry b`, `cancel b`, `retry b`, `cancel later`, `delete later`,
		`enqueue {"id":"d","command":"exit\u00203","max_retries":0}`, `worker start --drain`, `dlq remove d`, `enqueue -`,
		`queue create mail`, `queue list`, `queue config mail`, `queue limit mail`, `queue remove mail`, `config list`, `config get lease`,
		`prune --done-older 7d --dry-run`, `check`, `doctor`, `bench --quick --only ^claim.and.settle$`, `completion bash`, `man version`, `version`,
	}
	values = map[string][]any{
		"queuectl events":      {fsq.Transition{}},
		"queuectl worker stop": {stopResult{}},
		"queuectl kill":        {fsq.ActResult{}},
		"queuectl edit":        {fsq.ActResult{}},
		"queuectl dashboard":   {dashboardInfo{}},
	}
	// silentCommands print nothing, or what the job that they run prints.
	silentCommands = []string{"queuectl run", "queuectl watch", "queuectl config set", "queuectl config unset"}
	// stdin is what "-" reads: a job, and a line that is none.
	stdin = `{"command":"true"}` + "\n" + `{"command":3}` + "\n"
)

// printed is what a command was seen to print.
type printed struct {
	shapes []reflect.Type
	line   bool
}

func (p *printed) add(v any, line bool) {
	t := reflect.TypeOf(v)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !slices.Contains(p.shapes, t) {
		p.shapes = append(p.shapes, t)
	}
	p.line = line
}

// TestJSONDocument: JSON.md is what the types say of what the commands really print, and
// no command is missing in it. With -update it is written.
func TestJSONDocument(t *testing.T) {
	cleanEnv(t)
	seen := map[string]*printed{}
	at := func(path string) *printed {
		if seen[path] == nil {
			seen[path] = &printed{}
		}
		return seen[path]
	}
	t.Cleanup(func() { observeJSON = nil })
	dir := filepath.Join(t.TempDir(), "spool")
	for _, s := range sessions {
		words := strings.Fields(s)
		l, err := parseWords(words...)
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		observeJSON = func(v any, line bool) { at(l.cmd.path).add(v, line) }
		r := queuectlIn(t, environment{stdin: strings.NewReader(stdin)}, append([]string{"--json", "--spool", dir}, words...)...)
		if r.code != exitOK && words[len(words)-1] != "-" && words[0] != "doctor" { // the disk of a test need not be safe
			t.Errorf("%s: exit status %d, %s", s, r.code, r.stderr)
		}
	}
	for path, list := range values {
		for _, v := range list {
			at(path).add(v, true)
		}
	}
	root := newRoot(testApp())
	var paths []string
	root.walk(func(c *command) {
		switch {
		case c.run == nil || c == root || slices.Contains(silentCommands, c.path):
		case seen[c.path] == nil:
			t.Errorf("%s: nobody knows what it prints with --json: add it to the sessions", c.path)
		default:
			paths = append(paths, c.path)
		}
	})
	have := writeJSONDocument(t, paths, seen)
	if *update {
		if err := os.WriteFile("JSON.md", []byte(have), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != jsonDocument {
		t.Errorf("JSON.md is not what the commands print; go test ./cmd/queuectl -run TestJSONDocument -update writes it anew:\n%s", have)
	}
}

// describer writes the tables.
type describer struct {
	t        *testing.T
	comments map[string]string // by TYPE.FIELD, and by the fields alone for types without a name
	named    []reflect.Type    // that have a section of their own
}

func writeJSONDocument(t *testing.T, paths []string, seen map[string]*printed) string {
	t.Helper()
	d := &describer{t: t, comments: fieldComments(t)}
	var b strings.Builder
	b.WriteString(`# What --json prints

Each command prints one object, or a line with one object for each job, worker or event. Every object begins with ` + "`schema_version`" + `, which is 1: new fields do not change it, and it rises when one goes or means something else. Fields without a value are null, 0 or "". Times are in RFC 3339, UTC; durations are numbers of seconds. What a command has to say besides goes to stderr, and its exit status is the same with and without --json.

This document is written from the types of what the commands print.
`)
	for _, path := range paths {
		p := seen[path]
		fmt.Fprintf(&b, "\n## %s\n", path)
		for i, shape := range p.shapes {
			what := "One object"
			if p.line {
				what = "Lines"
			}
			if i > 0 {
				what = "Or"
			}
			if shape.Name() != "" && shape.PkgPath() != "main" && !strings.HasSuffix(shape.PkgPath(), "cmd/queuectl") {
				fmt.Fprintf(&b, "\n%s: %s.\n", what, d.reference(shape))
				continue
			}
			fmt.Fprintf(&b, "\n%s:\n\n%s", what, d.table(shape))
		}
	}
	b.WriteString("\n## Objects\n")
	// Tables name further types as they are written.
	done := 0
	for done < len(d.named) {
		fmt.Fprintf(&b, "\n### %s\n\n%s", d.named[done].Name(), d.table(d.named[done]))
		done++
	}
	return b.String()
}

func (d *describer) reference(t reflect.Type) string {
	if !slices.Contains(d.named, t) {
		d.named = append(d.named, t)
	}
	return "`" + t.Name() + "`"
}

// table is one row for each member.
func (d *describer) table(t reflect.Type) string {
	var b strings.Builder
	b.WriteString("| field | type | meaning |\n|---|---|---|\n")
	d.rows(&b, t)
	return b.String()
}

func (d *describer) rows(b *strings.Builder, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case f.Anonymous && name == "" && t.Name() == "":
			fmt.Fprintf(b, "| … | | all fields of %s |\n", d.reference(f.Type))
			continue
		case f.Anonymous && name == "":
			d.rows(b, f.Type)
			continue
		case name == "":
			d.t.Errorf("%s.%s has no name in JSON", t, f.Name)
		}
		kind := d.kind(f.Type)
		if options == "omitempty" {
			kind = strings.TrimSuffix(kind, " or null") + ", or absent"
		}
		comment := d.comments[t.Name()+"."+f.Name]
		if comment == "" && t.Name() == "" {
			comment = d.comments["."+name]
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", name, kind, strings.NewReplacer("|", "\\|", "Get only", "of queuectl show only").Replace(comment))
	}
}

// kind is a type as a reader of JSON knows it.
func (d *describer) kind(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Time]():
		return "time"
	case reflect.TypeFor[fsq.Command]():
		return "string or array of strings"
	case reflect.TypeFor[fsq.ExitCodes]():
		return "array of whole numbers"
	case reflect.TypeFor[fsq.Job]():
		return "the job's document"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.kind(t.Elem()) + " or null"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "any JSON"
		}
		if kind := d.kind(t.Elem()); kind == "string" || kind == "number" || kind == "whole number" {
			return "array of " + kind + "s"
		}
		return "array of " + d.kind(t.Elem())
	case reflect.Map:
		return "object of " + d.kind(t.Elem())
	case reflect.Struct:
		if t.Name() != "" {
			return d.reference(t)
		}
	}
	d.t.Errorf("no words for the type %s", t)
	return t.String()
}

// fieldComments are what the sources say of the fields of their structs.
func fieldComments(t *testing.T) map[string]string {
	t.Helper()
	comments := map[string]string{}
	fields := func(name string, s *ast.StructType) {
		for _, f := range s.Fields.List {
			text := strings.TrimSpace(f.Comment.Text())
			if text == "" {
				continue
			}
			text = strings.Join(strings.Fields(text), " ")
			for _, n := range f.Names {
				comments[name+"."+n.Name] = text
			}
			if tag := f.Tag; name == "" && tag != nil {
				member, _, _ := strings.Cut(reflect.StructTag(strings.Trim(tag.Value, "`")).Get("json"), ",")
				comments["."+member] = text
			}
		}
	}
	for _, dir := range []string{".", "bench", "../../fsq", "../../spool"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			named := map[*ast.StructType]bool{}
			ast.Inspect(parsed, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.TypeSpec:
					if s, ok := n.Type.(*ast.StructType); ok {
						named[s] = true
						fields(n.Name.Name, s)
					}
				case *ast.StructType:
					if !named[n] {
						fields("", n)
					}
				}
				return true
			})
		}
	}
	return comments
}

// The page of JSON.md is one that man can show.
func TestJSONPage(t *testing.T) {
	a := testApp()
	for _, topic := range a.manTopics(newRoot(a)) {
		if topic.name == "json" && !strings.Contains(topic.make().plain(helpWidth), "QUEUECTL SHOW") {
			t.Error("the page does not say what queuectl show prints")
		}
	}
}
