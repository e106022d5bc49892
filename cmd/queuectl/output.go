package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
)

// output is one of the two streams of a command.
type output struct {
	w     io.Writer
	width int  // of the terminal; 0: it is none
	color bool // decided once --color is known
	err   error
}

// Write remembers the first error, so that a command may print and print and the
// exit status still tells that nobody got it.
func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.w.Write(p)
	if err != nil {
		o.err = err
	}
	return n, err
}

func (o *output) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(o, format, args...) // Write keeps the first error
}

func (o *output) terminal() bool { return o.width > 0 }

// style is an SGR parameter; the empty one leaves the text as it is.
type style string

const (
	plain  style = ""
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (o *output) paint(s style, text string) string {
	if !o.color || s == plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// schemaVersion is that of all that is printed with --json. New fields do not change it;
// it rises when one goes, or means something else.
const schemaVersion = `{"schema_version":1,`

// json prints v, which must be an object with members, for programs: indented, as one
// document.
func (o *output) json(v any) error { return o.encode(v, "  ") }

// jsonLine prints v as one line of a stream of documents.
func (o *output) jsonLine(v any) error { return o.encode(v, "") }

// observeJSON is told of all that is printed as JSON, and whether as a line: in the test
// that writes JSON.md from the types of what commands really print.
var observeJSON func(v any, line bool)

func (o *output) encode(v any, indent string) error {
	if observeJSON != nil {
		observeJSON(v, indent == "")
	}
	var plain bytes.Buffer
	e := json.NewEncoder(&plain)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	doc := append([]byte(schemaVersion), bytes.TrimPrefix(plain.Bytes(), []byte("{"))...)
	var b bytes.Buffer
	if indent == "" {
		b.Write(doc)
	} else if err := json.Indent(&b, doc, "", indent); err != nil {
		return err
	}
	_, err := o.Write(escapeJSON(b.Bytes()))
	return err
}

// escapeJSON escapes what JSON allows raw and a terminal would obey: a document
// that is looked at is not always piped. Such characters can only be in strings.
func escapeJSON(doc []byte) []byte {
	hostile := func(r rune) bool { return r > unicode.MaxASCII && !unicode.IsPrint(r) || r == 0x7f }
	if bytes.IndexFunc(doc, hostile) < 0 {
		return doc
	}
	var b bytes.Buffer
	for _, r := range string(doc) {
		switch {
		case !hostile(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

// report says what went wrong and, where there is something to do, what.
func (a *app) report(err error) {
	if silent(err) {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			a.report(e)
		}
		return
	}
	a.err.printf("queuectl: %s\n", clean(err.Error()))
	if hint := hintFor(err); hint != "" {
		a.hint("%s", hint)
	}
}

func (a *app) warn(format string, args ...any) { a.note("queuectl: warning: "+format, args...) }

func (a *app) hint(format string, args ...any) {
	a.err.printf("%s\n", a.err.paint(dim, clean(fmt.Sprintf("hint: "+format, args...))))
}

// note is talk: what a person wants to know and a program does not.
func (a *app) note(format string, args ...any) {
	a.err.printf("%s\n", clean(fmt.Sprintf(format, args...)))
}

// logHandler prints what the library logs as warnings, one line each.
type logHandler struct {
	a     *app
	attrs string
}

// Enabled leaves errors out: a worker tells of those as events, too.
func (h logHandler) Enabled(_ context.Context, l slog.Level) bool { return l == slog.LevelWarn }

func (h logHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(r.Message + h.attrs)
	r.Attrs(func(at slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", at.Key, at.Value)
		return true
	})
	h.a.warn("%s", b.String())
	return nil
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, at := range attrs {
		h.attrs += fmt.Sprintf(" %s=%v", at.Key, at.Value)
	}
	return h
}

func (h logHandler) WithGroup(string) slog.Handler { return h }
