package fsq

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestUnknownSuggests(t *testing.T) {
	for want, names := range map[string]string{
		"command":         "cmd comand Command COMMAND commnad comands exec shell script",
		"timeout_seconds": "timeout timeoutSeconds timeout-seconds timeout_second time_limit",
		"max_retries":     "retries max_retry maxRetries max-retries retry max_attempts",
		"priority":        "prio Priority priorty prioritiy",
		"run_at":          "runAt run-at at delay when scheduled_at start_at not_before RunAt",
		"cwd":             "dir workdir working_directory cd pwd",
		"env":             "environment environ evn envs",
		"backoff_base":    "backoff backoffBase back_off_base",
		"stdin":           "input std_in",
		"tags":            "tag labels",
		"snooze_codes":    "snooze snoozeCodes retry_codes",
		"fatal_codes":     "fatal FatalCodes fatal-code",
		"metadata":        "meta meta_data",
		"id":              "ID job_id jobId",
		"":                "name user queue state type x enqueuedAt attempts created_at updated_at payload host",
	} {
		for name := range strings.FieldsSeq(names) {
			job := Job{Extra: rawMap(name, "1")}
			if got := job.Unknown(); !reflect.DeepEqual(got, []UnknownField{{name, want}}) {
				t.Errorf("%s: got %+v, want %q", name, got, want)
			}
		}
	}
}

func TestUnknownIsSorted(t *testing.T) {
	got := Job{Extra: rawMap("z", "1", "a", "1", "cmd", "1")}.Unknown()
	want := []UnknownField{{"a", ""}, {"cmd", "command"}, {"z", ""}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := (Job{}).Unknown(); got != nil {
		t.Errorf("got %+v for a job without unknown fields", got)
	}
}

func TestAliasesLeadToKnownFields(t *testing.T) {
	for alias, field := range jobAliases {
		if string(fold(alias)) != alias {
			t.Errorf("alias %q is never found: it is not folded", alias)
		}
		if !isKnown(field) {
			t.Errorf("alias %q leads to %q, which is no field", alias, field)
		}
	}
}

func TestNearest(t *testing.T) {
	commands := []string{"enqueue", "worker", "status", "stats", "list", "show", "logs", "dlq", "config", "prune", "check"}
	for word, want := range map[string]string{
		"enqeue": "enqueue", "wroker": "worker", "stat": "stats", "staus": "status", "ls": "", "lst": "list",
		"Check": "check", "": "", "-": "", "frobnicate": "", "dql": "dlq", "show": "show",
	} {
		if got := Nearest(word, commands); got != want {
			t.Errorf("Nearest(%q) is %q, want %q", word, got, want)
		}
	}
	if got := Nearest(strings.Repeat("x", 1<<20), commands); got != "" {
		t.Errorf("a huge word is near %q", got)
	}
	if got := Nearest("bot", []string{"bat", "bit"}); got != "bat" {
		t.Errorf("of two as near it chose %q, want the first", got)
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1},
		{"kitten", "sitting", 3}, {"ca", "abc", 3}, {"é", "e", 1},
	} {
		if got := distance([]rune(tc.a), []rune(tc.b)); got != tc.want {
			t.Errorf("distance(%q, %q) is %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SliceOfN(rapid.RuneFrom([]rune("abc")), 0, 8)
		a, b := letters.Draw(t, "a"), letters.Draw(t, "b")
		d := distance(a, b)
		if d != distance(b, a) {
			t.Fatal("not symmetric")
		}
		if low, high := max(len(a), len(b))-min(len(a), len(b)), max(len(a), len(b)); d < low || d > high {
			t.Fatalf("%d is not from %d to %d", d, low, high)
		}
		if (d == 0) != (string(a) == string(b)) {
			t.Fatalf("distance %d", d)
		}
	})
}
