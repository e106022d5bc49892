package fsq

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "1048576": 1 << 20, "512k": 512 << 10, "10MiB": 10 << 20, "10 MiB": 10 << 20, "1.5K": 1536, "7B": 7,
		"1kB": 1000, "1KB": 1000, "2mb": 2_000_000, "3Gi": 3 << 30, "1T": 1 << 40, "1TB": 1e12, " 5m ": 5 << 20,
		"9223372036854775807": math.MaxInt64, "0.001kb": 1,
	} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) is %d, %v, want %d", s, got, err, want)
		}
	}
	for s, problem := range map[string]string{
		"": "must be a size such as", "k": "must be a size such as", "x": `not "x"`, "-1": "must be a size such as",
		"1e3": "must be a size such as", "1PiB": "must be a size such as", "1bb": "must be a size such as",
		"1ib": "must be a size such as", "1KiBs": "must be a size such as", "1.": "must be a size such as",
		"0x10": "must be a size such as", "123456789012345678901": "must be a size such as",
		"1.5": "whole number of bytes", "0.3k": "whole number of bytes",
		"9223372036854775808": "less than 8 EiB", "8388608T": "less than 8 EiB",
	} {
		if got, err := ParseSize(s); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("ParseSize(%q) is %d, %v, want an error with %q", s, got, err, problem)
		}
	}
}

func TestFormatSize(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 1: "1", 512: "512", 1000: "1000", 1024: "1KiB", 1536: "1.5KiB", 10 << 20: "10MiB", 3 << 29: "1.5GiB",
		1<<20 + 1: "1048577", 2048 << 40: "2048TiB", -5: "-5", math.MaxInt64: "9223372036854775807",
	} {
		if got := FormatSize(n); got != want {
			t.Errorf("FormatSize(%d) is %q, want %q", n, got, want)
		}
	}
}

func TestSizeRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shift := rapid.IntRange(0, 50).Draw(t, "shift")
		want := rapid.Int64Range(0, math.MaxInt64).Draw(t, "size") >> shift << shift
		if got, err := ParseSize(FormatSize(want)); err != nil || got != want {
			t.Fatalf("%d is written %q and read %d, %v", want, FormatSize(want), got, err)
		}
	})
}
