package fsq

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90": 90 * time.Second, "1.5": 1500 * time.Millisecond, ".5": 500 * time.Millisecond,
		"7d": week, "1w2d": 9 * day, "1.5d": 36 * time.Hour, "0.5w": 84 * time.Hour, " 5m ": 5 * time.Minute,
		"1h30m": 90 * time.Minute, "250ms": 250 * time.Millisecond, "1us": 1000, "1µs": 1000, "1μs": 1000, "3ns": 3,
		"106751d": 106751 * day, "1m1m": 2 * time.Minute,
	} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("ParseDuration(%q) is %v, %v, want %v", s, got, err, want)
		}
	}
	for s, problem := range map[string]string{
		"": "must be a duration such as", " ": "must be a duration such as", ".": "must be a duration such as",
		"x": `not "x"`, "-5s": "must be a duration such as", "+5s": "must be a duration such as",
		"5 m": "must be a duration such as", "5y": "must be a duration such as", "1e3": "must be a duration such as",
		"1h30": "must be a duration such as", "1.2.3s": "must be a duration such as", "7D": "must be a duration such as",
		"106752d": "at most 292 years", "20000w": "at most 292 years", "99999999999999999999": "at most 292 years",
		"106751d24h": "at most 292 years",
	} {
		if got, err := ParseDuration(s); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("ParseDuration(%q) is %v, %v, want an error with %q", s, got, err, problem)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", week: "7d", 90 * time.Minute: "1h30m", 250 * time.Millisecond: "250ms", time.Hour: "1h",
		90 * time.Second: "1m30s", 1500 * time.Millisecond: "1.5s", 26 * time.Hour: "1d2h", 1: "1ns",
		time.Hour + time.Millisecond: "1h1ms", -90 * time.Second: "-1m30s",
		math.MaxInt64: "106751d23h47m16.854775807s", math.MinInt64: "-106751d23h47m16.854775807s",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("FormatDuration(%d) is %q, want %q", d, got, want)
		}
	}
}

func TestDurationRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "duration"))
		want -= want % rapid.SampledFrom([]time.Duration{1, time.Millisecond, time.Second, time.Hour, day}).Draw(t, "unit")
		if got, err := ParseDuration(FormatDuration(want)); err != nil || got != want {
			t.Fatalf("%v is written %q and read %v, %v", want, FormatDuration(want), got, err)
		}
	})
}
