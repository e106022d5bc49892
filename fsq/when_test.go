package fsq

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseTime(t *testing.T) {
	for s, want := range map[string]string{
		"now":                                "2026-11-23T08:47:18.123Z",
		"+10m":                               "2026-11-23T08:57:18.123Z",
		"+90":                                "2026-11-23T08:48:48.123Z",
		"+1w2d":                              "2026-12-02T08:47:18.123Z",
		"+0":                                 "2026-11-23T08:47:18.123Z",
		"2026-11-24T08:30:00Z":               "2026-11-24T08:30:00.000Z",
		"2026-11-24t08:30:00z":               "2026-11-24T08:30:00.000Z",
		"2026-11-24 08:30:00Z":               "2026-11-24T08:30:00.000Z",
		"2026-11-24T08:30:00.1239999999999Z": "2026-11-24T08:30:00.123Z",
		"2026-11-24T08:30:00-07:00":          "2026-11-24T15:30:00.000Z",
		"2026-11-24T08:30:00.5+05:30":        "2026-11-24T03:00:00.500Z",
		"2026-11-24T08:30+00:00":             "2026-11-24T08:30:00.000Z",
		"2026-11-24T08:30:00":                "2026-11-24T06:30:00.000Z",
		"2026-11-24 08:30":                   "2026-11-24T06:30:00.000Z",
		"  2026-11-24  ":                     "2026-11-23T22:00:00.000Z",
		"2024-02-29":                         "2024-02-28T22:00:00.000Z",
		"0001-01-01T00:00:00Z":               "0001-01-01T00:00:00.000Z",
		"9999-12-31T23:59:59.999Z":           "9999-12-31T23:59:59.999Z",
		"1969-12-31T23:59:59.9999Z":          "1969-12-31T23:59:59.999Z",
	} {
		got, err := ParseTime(s, testNow)
		if err != nil || got.Format("2006-01-02T15:04:05.000Z07:00") != want || got.Location() != time.UTC {
			t.Errorf("ParseTime(%q) is %v, %v, want %s", s, got, err, want)
		}
	}
}

func TestParseTimeRefuses(t *testing.T) {
	for s, problem := range map[string]string{
		"":                          "must be a time such as",
		"soon":                      `+10m, not "soon"`,
		"Now":                       "must be a time such as",
		"10m":                       "must be a time such as",
		"-10m":                      "must be a time such as",
		"+":                         "must be a time such as",
		"+-5m":                      "must be a time such as",
		"+x":                        "must be a time such as",
		"1700000000":                "must be a time such as",
		"2026-11-24T8:30:00Z":       "must be a time such as",
		"2026-11-24T08:30:00 Z":     "must be a time such as",
		"2026-11-24T08:30:00+0100":  "must be a time such as",
		"2026-11-24T08:30:00,5Z":    "must be a time such as",
		"2026-11-24Z":               "must be a time such as",
		"26-11-24":                  "must be a time such as",
		"12026-11-24":               "must be a time such as",
		"2026-13-01":                "must be a time that exists",
		"2026-02-29":                "must be a time that exists",
		"2026-11-24T24:00:00Z":      "must be a time that exists",
		"2026-11-24T08:30:61Z":      "must be a time that exists",
		"2026-11-24T08:30:00+99:00": "must be a time that exists",
		"0000-12-31T00:00:00Z":      "in the years 0001 to 9999",
		"0001-01-01T00:00:00+01:00": "in the years 0001 to 9999",
		"9999-12-31T23:59:59-01:00": "in the years 0001 to 9999",
	} {
		got, err := ParseTime(s, testNow)
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("ParseTime(%q) is %v, %v, want an error with %q", s, got, err, problem)
		}
	}
	if got, err := ParseTime("+292y", testNow); err == nil {
		t.Errorf("+292y is %v", got)
	}
	late := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	if got, err := ParseTime("+1d", late); err == nil {
		t.Errorf("a day after %v is %v", late, got)
	}
}

func TestParseTimeReadsWhatIsStored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyTime(t, "time")
		offset := rapid.IntRange(-14*60, 14*60).Draw(t, "offset in minutes")
		there := want.In(time.FixedZone("", offset*60))
		if there.Year() < 0 || there.Year() > 9999 {
			t.Skip("RFC 3339 has no such year")
		}
		got, err := ParseTime(there.Format(time.RFC3339Nano), testNow)
		if err != nil || !got.Equal(want) {
			t.Fatalf("%v: got %v, %v, want %v", there, got, err, want)
		}
	})
}
