package fsq

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestParseProgress(t *testing.T) {
	percent := func(f float64, text string) Progress { return Progress{Percent: &f, Text: text} }
	text := func(s string) Progress { return Progress{Text: s} }
	for written, want := range map[string]Progress{
		"42 encoding\n":                    percent(42, "encoding"),
		"42% encoding\n":                   percent(42, "encoding"),
		"42 % encoding":                    percent(42, "encoding"),
		"42%":                              percent(42, ""),
		"0\n":                              percent(0, ""),
		"100 done\n":                       percent(100, "done"),
		"12.5 half of a quarter":           percent(12.5, "half of a quarter"),
		"101 files":                        text("101 files"),
		"-1 files":                         text("-1 files"),
		"3/10 files":                       text("3/10 files"),
		"3rd pass":                         text("3rd pass"),
		"1e1 x":                            text("1e1 x"),
		"007 x":                            text("007 x"),
		"1.2.3 x":                          text("1.2.3 x"),
		"encoding":                         text("encoding"),
		"  indented \n\n":                  text("indented"),
		"1 a\n2 b\n":                       percent(2, "b"),
		"1 a\r2 b\r":                       percent(2, "b"),
		"\x00\x00\x007 after a hole":       percent(7, "after a hole"),
		"5 \x1b[31mred\x1b[0m\u202e x\xff": percent(5, "[31mred [0m  x"),
		strings.Repeat("ä", 200):           text(strings.Repeat("ä", 119) + "…"),
	} {
		got, ok := ParseProgress([]byte(written))
		if !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %s (%+v), want %s", written, got, got, want)
		}
	}
	for _, empty := range []string{"", "\n", " \n\t\r\n", "\x00", "\xff"} {
		if got, ok := ParseProgress([]byte(empty)); ok {
			t.Errorf("%q: %+v", empty, got)
		}
	}
}

// TestProgressIsAlwaysPrintable whatever a job writes.
func TestProgressIsAlwaysPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, ok := ParseProgress(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if !ok {
			return
		}
		s := p.String()
		if s == "" || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q", s)
		}
		if p.Percent != nil && (*p.Percent < 0 || *p.Percent > 100) {
			t.Fatalf("%v percent", *p.Percent)
		}
	})
}

func TestJudgeResult(t *testing.T) {
	for written, want := range map[string][3]string{
		"":                      {},
		" \n":                   {},
		`{"rows":3}` + "\n":     {`{"rows":3}`},
		"3":                     {"3"},
		"null":                  {"null"},
		`"x`:                    {"", `"x`, "not valid JSON: unexpected end of JSON input"},
		"{} {}":                 {"", "{} {}", "not valid JSON: invalid character '{' after top-level value"},
		"done\n":                {"", "done", "not valid JSON: invalid character 'd' looking for beginning of value"},
		"\"\xff\"":              {"", "\"\ufffd\"", "not valid JSON: it is not UTF-8"},
		strings.Repeat("1", 70): {strings.Repeat("1", 70)},
	} {
		result, text, note := judgeResult([]byte(written), int64(len(written)))
		if got := [3]string{string(result), text, note}; got != want {
			t.Errorf("%q:\ngot  %q\nwant %q", written, got, want)
		}
	}
	result, text, note := judgeResult([]byte(`{"a":`), maxResult+1)
	if result != nil || text != `{"a":` || note != "longer than 64KiB: only its beginning is kept" {
		t.Errorf("%q, %q, %q", result, text, note)
	}
}

// TestReportOfAJob: what a job writes about itself is there while it runs and after it.
func TestReportOfAJob(t *testing.T) {
	q := openQueue(t, testConfig())
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	enqueue(t, q, `{"id":"x","env":{"GATE":"`+gate+`"},"command":"echo 42% encoding >$QUEUECTL_PROGRESS; echo >$GATE; cat $GATE; echo '{\"rows\": [1, 2]}' >$QUEUECTL_RESULT; echo 100 >>$QUEUECTL_PROGRESS"}`)
	w := startWorker(t, q, WorkerOptions{})
	if _, err := os.ReadFile(gate); err != nil { // to its end: the job has told of its progress
		t.Fatal(err)
	}
	jobs, _, err := q.List(context.Background(), ListOptions{Details: true})
	if err != nil || len(jobs) != 1 || jobs[0].Progress == nil || jobs[0].Progress.String() != "42% encoding" {
		t.Errorf("while it runs: %+v, %v", jobs, err)
	}
	if err := os.WriteFile(gate, nil, 0); err != nil { // and goes on
		t.Fatal(err)
	}
	w.awaitJob(EventDone, "x")
	w.drain()
	x := get(t, q, "x")
	if string(x.Result) != `{"rows": [1, 2]}` || x.Progress != nil || x.Records[0].Progress.String() != "100%" || string(x.Records[0].Result) != string(x.Result) {
		t.Errorf("afterwards: %+v", x)
	}
	record, err := os.ReadFile(q.s.LogPath("x", 1, kindRecord))
	if err != nil || strings.Contains(string(record), "result") {
		t.Errorf("the record has what the job wrote: %s, %v", record, err)
	}
	sound(t, q)
	if _, err := q.Prune(context.Background(), PruneOptions{DoneOlder: ptr(time.Duration(0))}); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{kindResult, kindProgress} {
		if q.s.HasLog("x", 1, kind) {
			t.Errorf("the %s outlives its job", kind)
		}
	}
	sound(t, q)
}

// TestHostileReports: whatever a job puts in the place of its files, nobody opens,
// follows or waits for it, and the job's own end is not touched by it.
func TestHostileReports(t *testing.T) {
	q := openQueue(t, testConfig())
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(`{"password":"hunter2"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"ln -s " + secret: "it is a symbolic link, which is not followed",
		"ln " + secret:    "the file has a second name elsewhere",
		"mkfifo":          "it is no regular file",
		"mkdir":           "it is no regular file",
	}
	n := 0
	var ids []string
	for make := range want {
		id := fmt.Sprintf("job-%d", n)
		n++
		enqueue(t, q, fmt.Sprintf(`{"id":%q,"command":"%[2]s $QUEUECTL_RESULT && %[2]s $QUEUECTL_PROGRESS","tags":[%[2]q]}`, id, make))
		ids = append(ids, id)
	}
	w := startWorker(t, q, WorkerOptions{})
	for _, id := range ids {
		w.awaitJob(EventDone, id)
	}
	w.drain()
	for _, id := range ids {
		i := get(t, q, id)
		if note := want[i.Tags[0]]; i.Result != nil || i.ResultText != "" || !strings.Contains(i.ResultNote, note) || i.Records[0].Progress != nil {
			t.Errorf("%s: %q, %q, %q, %v; want %q", i.Tags[0], i.Result, i.ResultText, i.ResultNote, i.Records[0].Progress, note)
		}
	}
	if p, err := q.Prune(context.Background(), PruneOptions{DoneOlder: ptr(time.Duration(0))}); err != nil || p.Done != len(ids) {
		t.Errorf("pruned %+v, %v", p, err)
	}
	sound(t, q)
	if data, err := os.ReadFile(secret); err != nil || string(data) != `{"password":"hunter2"}` {
		t.Errorf("what the link leads to is %q, %v", data, err)
	}
}

// TestReportWithoutEnd: a file that grows for ever is cut off, and says so.
func TestReportWithoutEnd(t *testing.T) {
	q := openQueue(t, testConfig())
	// It ends when somebody has cut the file, as nobody but the worker can.
	enqueue(t, q, `{"id":"x","command":"head -c 1000000 /dev/zero | tr '\\0' x >$QUEUECTL_RESULT; while [ $(wc -c <$QUEUECTL_RESULT) -ge 1000000 ]; do :; done; yes '9 more' | head -n 100000 >$QUEUECTL_PROGRESS"}`)
	w := startWorker(t, q, WorkerOptions{})
	w.awaitJob(EventDone, "x")
	w.drain()
	x := get(t, q, "x")
	if len(x.ResultText) != maxResult || x.ResultNote != "longer than 64KiB: only its beginning is kept" {
		t.Errorf("%d bytes, %q", len(x.ResultText), x.ResultNote)
	}
	if p := x.Records[0].Progress; p == nil || !strings.HasPrefix(p.String(), "9") {
		t.Errorf("progress: %v", p)
	}
	for kind, limit := range map[string]int64{kindResult: maxResult, kindProgress: maxProgressFile} {
		if size := q.s.LogSize("x", 1, kind); size != limit+1 {
			t.Errorf("the %s has %d bytes, want %d", kind, size, limit+1)
		}
	}
	sound(t, q)
}

// TestReportOfAnEarlierClaim: what lies there before the attempt is not the attempt's.
func TestReportOfAnEarlierClaim(t *testing.T) {
	q := openQueue(t, testConfig())
	enqueue(t, q, `{"id":"x","command":"test ! -e $QUEUECTL_RESULT && test ! -e $QUEUECTL_PROGRESS","max_retries":0}`)
	if err := q.s.PrepareLogs("x"); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{kindResult, kindProgress} {
		if err := os.WriteFile(q.s.LogPath("x", 1, kind), []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := startWorker(t, q, WorkerOptions{})
	w.awaitJob(EventDone, "x")
	w.drain()
	if x := get(t, q, "x"); x.ResultText != "" || x.Records[0].Progress != nil {
		t.Errorf("%+v", x)
	}
	sound(t, q)
}

// TestReportModeInAGroupsSpool: the job's umask does not decide who of the group reads.
func TestReportModeInAGroupsSpool(t *testing.T) {
	path := filepath.Join(t.TempDir(), "result")
	if err := os.WriteFile(path, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &report{path: path, limit: 10, perm: 0o660}
	if err := r.enforce(); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	if err := (&report{path: path + "-none", limit: 10}).enforce(); err != nil {
		t.Errorf("without a file: %v", err)
	}
	if _, err := os.Stat(path + "-none"); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file was made")
	}
}
