package fsq

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	want := [][2]string{
		{"max-retries", "3"}, {"backoff-base", "2"}, {"backoff-max", "1h"}, {"backoff-jitter", "0.1"}, {"timeout", "0"},
		{"kill-grace", "5s"}, {"output-limit", "10MiB"}, {"max-lost", "3"}, {"snooze-codes", "75"}, {"snooze-max", "100"}, {"fatal-codes", "100"}, {"lease", "3m"}, {"poll-interval", "0"},
		{"retention-done", "0"}, {"retention-dead", "0"}, {"trust-group", "false"}, {"run-as-owner", "false"},
	}
	var got [][2]string
	for _, s := range Settings() {
		got = append(got, [2]string{s.Key, s.Default})
		if s.Help == "" {
			t.Errorf("%s has no help", s.Key)
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if fields := reflect.TypeFor[Config]().NumField(); fields != len(got) {
		t.Errorf("%d settings for %d fields of Config", len(got), fields)
	}
}

func TestConfigSet(t *testing.T) {
	var got Config
	for key, value := range map[string]string{
		"max-retries": "7.0", "backoff-base": "1.5", "backoff-max": "2h", "backoff-jitter": "0", "timeout": "90",
		"kill-grace": "250ms", "output-limit": "1m", "max-lost": " 9 ", "snooze-codes": "111, 75,75", "snooze-max": "0", "fatal-codes": "none", "lease": "30s", "poll-interval": "2s",
		"retention-done": "7d", "retention-dead": "2w", "trust-group": "1", "run-as-owner": "true",
	} {
		if err := got.Set(key, value); err != nil {
			t.Error(err)
		}
	}
	want := Config{
		MaxRetries: 7, BackoffBase: 1.5, BackoffMax: 2 * time.Hour, Timeout: 90 * time.Second, KillGrace: 250 * time.Millisecond,
		OutputLimit: 1 << 20, MaxLost: 9, SnoozeCodes: Codes(75, 111), Lease: 30 * time.Second, PollInterval: 2 * time.Second,
		RetentionDone: week, RetentionDead: 2 * week, TrustGroup: true, RunAsOwner: true,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestConfigSetRefuses(t *testing.T) {
	for _, tc := range []struct{ key, value, problem string }{
		{"max-retries", "-1", `must be a whole number from 0 to 100000, not "-1"`},
		{"max-retries", "0x10", "whole number"},
		{"max-retries", "", "whole number"},
		{"max-retries", "3.5", "whole number"},
		{"backoff-base", "0", "must be a number above 0"},
		{"backoff-base", "inf", "must be a number above 0"},
		{"backoff-jitter", "1.1", "must be a number from 0 to 1"},
		{"backoff-jitter", "-0.1", "must be a number from 0 to 1"},
		{"backoff-jitter", "nan", "must be a number from 0 to 1"},
		{"backoff-max", "soon", "must be a duration such as"},
		{"timeout", "1ns", `must be 0 or at least 1ms, not "1ns"`},
		{"kill-grace", "-1s", "must be a duration such as"},
		{"output-limit", "much", "must be a size such as"},
		{"output-limit", "0", "must be at least 1"},
		{"snooze-codes", "0", "must be exit statuses from 1 to 255 with commas between, such as 75,111, or none, not \"0\""},
		{"snooze-codes", "75,256", "must be exit statuses"},
		{"fatal-codes", "75,,76", "must be exit statuses"},
		{"fatal-codes", "75-80", "must be exit statuses"},
		{"fatal-codes", "75 76", "must be exit statuses"},
		{"fatal-codes", "none,75", "must be exit statuses"},
		{"snooze-max", "-1", "must be a whole number from 0 to 100000"},
		{"lease", "0", "must be at least 1s"},
		{"poll-interval", "1ms", "must be 0 or at least 10ms"},
		{"retention-done", "1y", "must be a duration such as"},
		{"trust-group", "maybe", `must be true or false, not "maybe"`},
	} {
		c := DefaultConfig()
		err := c.Set(tc.key, tc.value)
		wantFieldError(t, err, tc.key, tc.problem)
		if c != DefaultConfig() {
			t.Errorf("%s: a refused value changed the settings", tc.key)
		}
	}
	c := DefaultConfig()
	if got, want := c.Set("lease", "x").Error(), `setting "lease": must be a duration`; got[:len(want)] != want {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
}

func TestConfigUnknownKey(t *testing.T) {
	var c Config
	for key, nearest := range map[string]string{
		"max_retries": "max-retries", "maxretries": "max-retries", "Lease": "lease", "retention-don": "retention-done", "colour": "",
	} {
		err := c.Set(key, "1")
		if want := (&UnknownKeyError{Key: key, Nearest: nearest}); !reflect.DeepEqual(err, error(want)) {
			t.Errorf("Set(%q) gives %v, want %v", key, err, want)
		}
		if got := c.Get(key); got != "" {
			t.Errorf("Get(%q) is %q", key, got)
		}
	}
	if got, want := c.Set("max_retries", "1").Error(), `there is no setting "max_retries": did you mean "max-retries"?`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := c.Set("colour", "1").Error(), `there is no setting "colour"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestConfigGet: what Get gives, Set takes.
func TestConfigGet(t *testing.T) {
	var copied Config
	want := DefaultConfig()
	for _, s := range Settings() {
		if got := want.Get(s.Key); got != s.Default {
			t.Errorf("%s is %q, want %q", s.Key, got, s.Default)
		}
		if err := copied.Set(s.Key, s.Default); err != nil {
			t.Error(err)
		}
	}
	if copied != want {
		t.Errorf("got %+v, want %+v", copied, want)
	}
}

func TestParseConfig(t *testing.T) {
	got, err := ParseConfig([]byte(`{"max-retries": 3.0, "lease": "1m", "timeout": 90, "trust-group": true, "max-lost": "2"}`))
	want := map[string]string{"max-retries": "3.0", "lease": "1m", "timeout": "90", "trust-group": "true", "max-lost": "2"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, tc := range []struct{ doc, field, problem string }{
		{"", "", `the document is empty: want one JSON object such as {"max-retries": 5}`},
		{"[]", "", "not an array"},
		{`{"lease":"1m"} x`, "", "not valid JSON"},
		{`{"lease":null}`, "lease", "must be a string, a number, true or false, not null"},
		{`{"lease":{}}`, "lease", "not an object"},
		{`{"lease":"1m","lease":"2m"}`, "lease", "must not be given twice"},
		{`{"lease":true}`, "lease", "must be a duration"},
		{`{"max-retries":-1}`, "max-retries", "must be a whole number"},
	} {
		_, err := ParseConfig([]byte(tc.doc))
		wantFieldError(t, err, tc.field, tc.problem)
	}
	_, err = ParseConfig([]byte(`{"leese":null}`))
	var unknown *UnknownKeyError
	if !errors.As(err, &unknown) || unknown.Key != "leese" || unknown.Nearest != "lease" {
		t.Errorf("got %v, want an *UnknownKeyError for leese", err)
	}
}

func TestFormatConfig(t *testing.T) {
	values := map[string]string{
		"trust-group": "1", "timeout": "90", "output-limit": "10MiB", "max-retries": "5", "backoff-base": "1.5", "max-lost": "many<",
	}
	const want = `{
  "backoff-base": 1.5,
  "max-lost": "many<",
  "max-retries": 5,
  "output-limit": "10MiB",
  "timeout": "90",
  "trust-group": true
}
`
	if got := string(FormatConfig(values)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := string(FormatConfig(nil)); got != "{}\n" {
		t.Errorf("without values: got %q", got)
	}
}

func TestConfigRoundTrip(t *testing.T) {
	want := map[string]string{}
	for _, s := range Settings() {
		want[s.Key] = s.Default
	}
	got, err := ParseConfig(FormatConfig(want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}
