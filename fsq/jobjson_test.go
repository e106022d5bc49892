package fsq

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func rawMap(keysAndValues ...string) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	for i := 0; i < len(keysAndValues); i += 2 {
		m[keysAndValues[i]] = json.RawMessage(keysAndValues[i+1])
	}
	return m
}

// testZone is two hours ahead, so that local time and UTC cannot be confused.
var (
	testZone = time.FixedZone("test", 2*60*60)
	testNow  = time.Date(2026, 11, 23, 10, 47, 18, 123456789, testZone)
)

func TestParseJobReadsEveryField(t *testing.T) {
	const doc = ` {
		"id": "job-1", "command": ["echo", "<&>"], "priority": 3.0, "run_at": "2026-11-24T08:30:00.5+01:00",
		"timeout_seconds": 2.5, "max_retries": 1e1, "backoff_base": 1.5, "snooze_codes": [111, 75.0, 75], "snooze_max": 7, "fatal_codes": [], "cwd": "/tmp",
		"env": {"A": "1", "b": ""}, "stdin": "line\u0000", "tags": ["x", "y z"], "metadata": { "a" : [1.0,  2] },
		"enqueued_at": "2026-11-23T08:47:18.123Z", "zeta": null, "Command":  1.50, "alpha": {"k" : "\u003c"}
	}` + "\n"
	want := Job{
		ID: "job-1", Command: Command{Args: []string{"echo", "<&>"}}, Priority: 3,
		RunAt:   time.Date(2026, 11, 24, 7, 30, 0, 500e6, time.UTC),
		Timeout: 2500 * time.Millisecond, TimeoutSet: true, MaxRetries: ptr(10), BackoffBase: ptr(1.5), SnoozeCodes: ptr(Codes(75, 111)), SnoozeMax: ptr(7), FatalCodes: &ExitCodes{}, Cwd: "/tmp",
		Env: map[string]string{"A": "1", "b": ""}, Stdin: "line\x00", Tags: []string{"x", "y z"},
		Metadata:   json.RawMessage(`{ "a" : [1.0,  2] }`),
		EnqueuedAt: time.Date(2026, 11, 23, 8, 47, 18, 123e6, time.UTC),
		Extra:      rawMap("zeta", "null", "Command", "1.50", "alpha", `{"k" : "\u003c"}`),
	}
	got, err := ParseJob([]byte(doc), testNow)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	stored, err := got.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	const wantStored = `{"id":"job-1","command":["echo","<&>"],"priority":3,"run_at":"2026-11-24T07:30:00.500Z",` +
		`"timeout_seconds":2.5,"max_retries":10,"backoff_base":1.5,"snooze_codes":[75,111],"snooze_max":7,"fatal_codes":[],"cwd":"/tmp","env":{"A":"1","b":""},"stdin":"line\u0000",` +
		`"tags":["x","y z"],"metadata":{ "a" : [1.0,  2] },"enqueued_at":"2026-11-23T08:47:18.123Z",` +
		`"Command":1.50,"alpha":{"k" : "\u003c"},"zeta":null}`
	if string(stored) != wantStored {
		t.Errorf("stored %s\nwant   %s", stored, wantStored)
	}
}

func TestParseJobAccepts(t *testing.T) {
	shell := Command{Shell: "true"}
	for doc, want := range map[string]Job{
		`{"command":"true"}`:                         {Command: shell},
		"\r\n\t{\"command\":\"true\"} ":              {Command: shell},
		`{"command":"true","timeout_seconds":0}`:     {Command: shell, TimeoutSet: true},
		`{"command":"true","timeout_seconds":-0.0}`:  {Command: shell, TimeoutSet: true},
		`{"command":"true","timeout_seconds":0.001}`: {Command: shell, TimeoutSet: true, Timeout: time.Millisecond},
		`{"command":"true","timeout_seconds":1e9}`:   {Command: shell, TimeoutSet: true, Timeout: MaxTimeout},
		`{"command":"true","max_retries":0}`:         {Command: shell, MaxRetries: ptr(0)},
		`{"command":"true","priority":-999}`:         {Command: shell, Priority: -999},
		`{"command":"true","env":{},"tags":[]}`:      {Command: shell},
		`{"command":"true","run_at":"+10m"}`:         {Command: shell, RunAt: time.Date(2026, 11, 23, 8, 57, 18, 123e6, time.UTC)},
		`{"command":"true","run_at":"2026-11-24"}`:   {Command: shell, RunAt: time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)},
		`{"command":"true","metadata":[null]}`:       {Command: shell, Metadata: json.RawMessage("[null]")},
		`{"command":"true","":1}`:                    {Command: shell, Extra: rawMap("", "1")},
		`{"command":"\ud83d\ude00 \\ud800 \ufffd"}`:  {Command: Command{Shell: "😀 \\ud800 \ufffd"}},
		`{"command":"true","x":"\ud800"}`:            {Command: shell, Extra: rawMap("x", `"\ud800"`)},
		`{"id":"ünï cöde","command":"true"}`:         {ID: "ünï cöde", Command: shell},
		`{"command":"true","id":null,"priority":null,"run_at":null,"timeout_seconds":null,"max_retries":null,"backoff_base":null,
		  "cwd":null,"env":null,"stdin":null,"tags":null,"metadata":null,"enqueued_at":null}`: {Command: shell},
	} {
		got, err := ParseJob([]byte(doc), testNow)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %+v, %v\nwant %+v", doc, got, err, want)
		}
	}
}

func TestParseJobRefuses(t *testing.T) {
	for _, tc := range []struct{ doc, field, problem string }{
		{"", "", "the document is empty: want one JSON object such as"},
		{" \n\t", "", "the document is empty"},
		{"[]", "", "must be one JSON object such as {\"command\": \"echo hello\"}, not an array"},
		{`"x"`, "", `not "x"`},
		{"null", "", "not null"},
		{"{", "", "not valid JSON: unexpected end"},
		{`{"command":"true"`, "", "not valid JSON"},
		{`{"command":"true"} x`, "", "line 1, column 20"},
		{`{"command":"true"}{}`, "", "after top-level value"},
		{"{\n  \"é\": tru,\n}", "", "line 2, column 11"},
		{"{\"command\":\"true\"}\n\x00\x00", "", "NUL byte at line 2, column 1"},
		{"\xef\xbb\xbf{}", "", "byte order mark"},
		{"{\"command\":\"\xff\"}", "", "not UTF-8"},
		{strings.Repeat("[", 20000), "", "not valid JSON"},
		{`{}`, "command", "is missing: must be a string (run by sh -c) or an array of strings"},
		{`{"command":null}`, "command", "is missing"},
		{`{"cmd":"true"}`, "command", `is missing: did you mean it by "cmd"?`},
		{`{"Command":"true"}`, "command", `did you mean it by "Command"?`},
		{`{"command":"a","command":"b"}`, "command", "must not be given twice"},
		{`{"command":"a","x":1,"\u0078":2}`, "x", "must not be given twice"},
		{`{"command":"a","env":{"A":"1","A":"1"}}`, "env.A", "must not be given twice"},
		{`{"command":""}`, "command", "must not be blank"},
		{`{"command":" \t"}`, "command", "must not be blank"},
		{`{"command":7}`, "command", "must be a string (run by sh -c) or an array of strings (run without a shell), not 7"},
		{`{"command":{}}`, "command", "not an object"},
		{`{"command":[]}`, "command", "must not be an empty array"},
		{`{"command":[""]}`, "command[0]", "must name a program"},
		{`{"command":["a",null]}`, "command[1]", "must be a string, not null"},
		{`{"command":["a","\u0000"]}`, "command[1]", "NUL"},
		{`{"command":"\ud800"}`, "command", "half a character"},
		{`{"command":"\ud800\u0041"}`, "command", "half a character"},
		{`{"command":"a","id":""}`, "id", "must not be empty: leave it out instead"},
		{`{"command":"a","id":1}`, "id", "must be a string, not 1"},
		{`{"command":"a","id":"a/b"}`, "id", `must not contain "/"`},
		{`{"command":"a","priority":"high"}`, "priority", `must be a whole number from -999 to 999, not "high"`},
		{`{"command":"a","priority":"3"}`, "priority", `not "3"`},
		{`{"command":"a","priority":3.5}`, "priority", "not 3.5"},
		{`{"command":"a","priority":1e-999}`, "priority", "not 1e-999"},
		{`{"command":"a","priority":1000}`, "priority", "not 1000"},
		{`{"command":"a","priority":1e999}`, "priority", "not 1e999"},
		{`{"command":"a","priority":1` + strings.Repeat("0", 60) + `}`, "priority", "not a number of 61 characters"},
		{`{"command":"a","priority":true}`, "priority", "not true"},
		{`{"command":"a","run_at":5}`, "run_at", "must be a time such as"},
		{`{"command":"a","run_at":"soon"}`, "run_at", `not "soon"`},
		{`{"command":"a","run_at":""}`, "run_at", `not ""`},
		{`{"command":"a","timeout_seconds":"5s"}`, "timeout_seconds", `must be a number of seconds from 0.001 to 1000000000, or 0 for none, not "5s"`},
		{`{"command":"a","timeout_seconds":-1}`, "timeout_seconds", "not -1"},
		{`{"command":"a","timeout_seconds":1e-9}`, "timeout_seconds", "not 1e-9"},
		{`{"command":"a","timeout_seconds":1e-999}`, "timeout_seconds", "not 1e-999"},
		{`{"command":"a","timeout_seconds":1e30}`, "timeout_seconds", "not 1e30"},
		{`{"command":"a","max_retries":-1}`, "max_retries", "must be a whole number from 0 to 100000, not -1"},
		{`{"command":"a","max_retries":[1]}`, "max_retries", "not an array"},
		{`{"command":"a","backoff_base":0}`, "backoff_base", "must be a number above 0, not 0"},
		{`{"command":"a","backoff_base":1e400}`, "backoff_base", "not 1e400"},
		{`{"command":"a","snooze_codes":75}`, "snooze_codes", "must be an array of whole numbers from 1 to 255, not 75"},
		{`{"command":"a","snooze_codes":[75,0]}`, "snooze_codes[1]", "must be a whole number from 1 to 255, not 0"},
		{`{"command":"a","fatal_codes":[256]}`, "fatal_codes[0]", "not 256"},
		{`{"command":"a","fatal_codes":["7"]}`, "fatal_codes[0]", `not "7"`},
		{`{"command":"a","fatal_codes":[7.5]}`, "fatal_codes[0]", "not 7.5"},
		{`{"command":"a","snooze_max":-1}`, "snooze_max", "must be a whole number from 0 to 100000, not -1"},
		{`{"command":"a","cwd":""}`, "cwd", "must not be empty"},
		{`{"command":"a","cwd":["/"]}`, "cwd", "must be a string, not an array"},
		{`{"command":"a","env":["A=1"]}`, "env", "must be an object of strings, not an array"},
		{`{"command":"a","env":{"PORT":80}}`, "env.PORT", "must be a string, not 80"},
		{`{"command":"a","env":{"ON":true}}`, "env.ON", "must be a string, not true"},
		{`{"command":"a","env":{"A":null}}`, "env.A", "must be a string, not null"},
		{`{"command":"a","env":{"A=B":""}}`, "env.A=B", "name"},
		{`{"command":"a","env":{"":""}}`, "env.", "name"},
		{`{"command":"a","stdin":{}}`, "stdin", "must be a string, not an object"},
		{`{"command":"a","tags":"x"}`, "tags", `must be an array of strings, not "x"`},
		{`{"command":"a","tags":["x",1]}`, "tags[1]", "must be a string, not 1"},
		{`{"command":"a","tags":[""]}`, "tags[0]", "must not be empty"},
		{`{"command":"a","tags":["\u001b[2J"]}`, "tags[0]", "control characters"},
		{`{"command":"a","enqueued_at":7}`, "enqueued_at", "must be a time"},
	} {
		_, err := ParseJob([]byte(tc.doc), testNow)
		wantFieldError(t, err, tc.field, tc.problem)
	}
}

func TestMessagesStayShortAndPrintable(t *testing.T) {
	doc := `{"command":"a","priority":"\u001b[31m` + strings.Repeat("é", 5000) + `"}`
	_, err := ParseJob([]byte(doc), testNow)
	if err == nil {
		t.Fatal("no error")
	}
	if msg := err.Error(); strings.Contains(msg, "\x1b") || len(msg) > 250 {
		t.Errorf("message of %d bytes: %q", len(msg), msg)
	}
}

func TestSyntaxErrorKeepsItsCause(t *testing.T) {
	_, err := ParseJob([]byte(`{"command"`), testNow)
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		t.Errorf("%v does not wrap a *json.SyntaxError", err)
	}
	if got, want := err.Error(), "the document is not valid JSON: "; !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
}

func TestMarshalImpliesWhatIsSet(t *testing.T) {
	for _, tc := range []struct {
		job  Job
		want string
	}{
		{Job{Timeout: time.Second}, `{"command":"a","timeout_seconds":1}`},
		{Job{Timeout: time.Millisecond + 1499*time.Nanosecond}, `{"command":"a","timeout_seconds":0.001001}`},
		{Job{TimeoutSet: true}, `{"command":"a","timeout_seconds":0}`},
		{Job{Metadata: json.RawMessage(" null ")}, `{"command":"a"}`},
		{Job{Metadata: json.RawMessage("\n1 ")}, `{"command":"a","metadata":1}`},
		{Job{Env: map[string]string{}, Tags: []string{}}, `{"command":"a"}`},
		{Job{RunAt: testNow}, `{"command":"a","run_at":"2026-11-23T08:47:18.123Z"}`},
	} {
		tc.job.Command = Command{Shell: "a"}
		got, err := tc.job.MarshalJSON()
		if err != nil || string(got) != tc.want {
			t.Errorf("%+v\ngot  %s, %v\nwant %s", tc.job, got, err, tc.want)
		}
	}
}

func TestUnmarshalJSON(t *testing.T) {
	var jobs []Job
	err := json.Unmarshal([]byte(`[{"command":["a","b"],"Priority":4}, null]`), &jobs)
	if err != nil {
		t.Fatal(err)
	}
	want := []Job{{Command: Command{Args: []string{"a", "b"}}, Extra: rawMap("Priority", "4")}, {}}
	if !reflect.DeepEqual(jobs, want) {
		t.Errorf("got %+v, want %+v", jobs, want)
	}
	var c Command
	wantFieldError(t, json.Unmarshal([]byte(`7`), &c), "command", "not 7")
	for _, want := range []Command{{Shell: "a <b"}, {Args: []string{"a", "<b"}}} {
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Command
		if err := json.Unmarshal(data, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", data, got, err, want)
		}
	}
}

// anyJob draws valid jobs in the form that ParseJob gives.
func anyJob(t *rapid.T) Job {
	word := rapid.String()
	noNUL := word.Filter(func(s string) bool { return !strings.Contains(s, "\x00") })
	var j Job
	j.ID = rapid.SampledFrom([]string{"", "a", "Job 7", "ü.x", "%41"}).Draw(t, "id")
	if rapid.Bool().Draw(t, "shell") {
		j.Command.Shell = "x" + noNUL.Draw(t, "command")
	} else {
		j.Command.Args = append([]string{"x" + noNUL.Draw(t, "program")}, rapid.SliceOf(noNUL).Draw(t, "args")...)
	}
	j.Priority = rapid.IntRange(MinPriority, MaxPriority).Draw(t, "priority")
	j.RunAt, j.EnqueuedAt = anyTime(t, "run_at"), anyTime(t, "enqueued_at")
	if j.TimeoutSet = rapid.Bool().Draw(t, "timeout set"); j.TimeoutSet {
		us := rapid.Int64Range(MinTimeout.Microseconds(), MaxTimeout.Microseconds()).Draw(t, "timeout")
		j.Timeout = time.Duration(us) * time.Microsecond
	}
	if rapid.Bool().Draw(t, "has max_retries") {
		j.MaxRetries = ptr(rapid.IntRange(0, MaxMaxRetries).Draw(t, "max_retries"))
	}
	if rapid.Bool().Draw(t, "has backoff_base") {
		j.BackoffBase = ptr(rapid.Float64Range(1e-300, 1e300).Draw(t, "backoff_base"))
	}
	for _, field := range []**ExitCodes{&j.SnoozeCodes, &j.FatalCodes} {
		if rapid.Bool().Draw(t, "has codes") {
			*field = ptr(Codes(rapid.SliceOfN(rapid.IntRange(1, 255), 0, 5).Draw(t, "codes")...))
		}
	}
	if rapid.Bool().Draw(t, "has snooze_max") {
		j.SnoozeMax = ptr(rapid.IntRange(0, MaxMaxRetries).Draw(t, "snooze_max"))
	}
	j.Cwd, j.Stdin = noNUL.Draw(t, "cwd"), word.Draw(t, "stdin")
	key := rapid.StringMatching(`[^=\x00]+`).Filter(func(s string) bool { return s != "" })
	if env := rapid.MapOfN(key, noNUL, 0, 3).Draw(t, "env"); len(env) > 0 {
		j.Env = env
	}
	if tags := rapid.SliceOfN(rapid.StringMatching(`[^\p{C}]+`), 0, 3).Draw(t, "tags"); len(tags) > 0 {
		j.Tags = tags
	}
	raw := rapid.SampledFrom([]string{`1.50`, `"<\u003c"`, `{"a" : [1,  null]}`, `[ ]`, `false`})
	if rapid.Bool().Draw(t, "has metadata") {
		j.Metadata = json.RawMessage(raw.Draw(t, "metadata"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "extras") {
		if name := word.Draw(t, "extra"); !isKnown(name) {
			if j.Extra == nil {
				j.Extra = rawMap()
			}
			j.Extra[name] = json.RawMessage(raw.Draw(t, "extra value"))
		}
	}
	return j
}

func anyTime(t *rapid.T, label string) time.Time {
	if rapid.Bool().Draw(t, label+" zero") {
		return time.Time{}
	}
	last := time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC)
	first := time.Date(1, 1, 1, 0, 0, 0, 1e6, time.UTC)
	return time.UnixMilli(rapid.Int64Range(first.UnixMilli(), last.UnixMilli()).Draw(t, label)).UTC()
}

func TestJobRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyJob(t)
		stored, err := want.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseJob(stored, testNow)
		if err != nil {
			t.Fatalf("%s: %v", stored, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\ngot  %+v\nwant %+v", stored, got, want)
		}
	})
}

func FuzzParseJob(f *testing.F) {
	for _, doc := range []string{
		`{"command":"echo hello"}`,
		`{"id":"job-4","command":"sleep 5","priority":10,"timeout_seconds":2,"run_at":"2025-11-10T18:30:00"}`,
		`{"command":["a","\ud83d\ude00"],"env":{"A":"b"},"tags":["t"],"metadata":{"x" : 1.0},"extra":"\u003c"}`,
		`{"command":"a","timeout_seconds":0.0015,"max_retries":3.0,"backoff_base":1e-3,"stdin":"\u0000","z":[1,{}]}`,
		`{"command":"a","run_at":"+1w2d","cwd":"/","enqueued_at":"0001-01-01"}`,
		`{"command":"a","command":"b"}`, `[]`, "\xef\xbb\xbf{}", "{\"command\":\"true\"}\x00",
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		job, err := ParseJob(data, testNow)
		if err != nil {
			var field *FieldError
			if !errors.As(err, &field) || field.Problem == "" {
				t.Fatalf("%#v is not a *FieldError that says something", err)
			}
			return
		}
		stored, err := job.MarshalJSON()
		if err != nil {
			t.Fatalf("parsed, but cannot be written: %v", err)
		}
		again, err := ParseJob(stored, testNow.AddDate(1, 0, 0))
		if err != nil {
			t.Fatalf("written, but cannot be parsed: %v\n%s", err, stored)
		}
		if !reflect.DeepEqual(job, again) {
			t.Fatalf("%s\nfirst  %+v\nsecond %+v", stored, job, again)
		}
		for name, raw := range job.Extra {
			if !bytes.Contains(data, raw) {
				t.Fatalf("field %q: %s is not in the document", name, raw)
			}
		}
		if twice, err := again.MarshalJSON(); err != nil || !bytes.Equal(stored, twice) {
			t.Fatalf("written twice: %s and %s, %v", stored, twice, err)
		}
	})
}
