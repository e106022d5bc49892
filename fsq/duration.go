package fsq

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	day  = 24 * time.Hour
	week = 7 * day
)

const wantDuration = "a duration such as 90s, 5m, 1h30m or 7d (a bare number is seconds)"

// Compiled when first needed, as all patterns here: to compile them was nearly all that
// this package did when a program started, 1,300 of 1,400 allocations.
var durationPart = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)`) })

// ParseDuration reads Go's syntax and also d (24 hours) and w (7 days); a bare
// number is seconds. It refuses negative durations: nothing here has one.
// Errors begin with "must be".
func ParseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("must be %s, not %s", wantDuration, quote(s))
	s = strings.TrimSpace(s)
	if rest := strings.Trim(s, "0123456789."); rest == "" {
		s += "s"
	}
	var sum time.Duration
	for ok := true; ok; ok = s != "" {
		part := durationPart().FindStringSubmatch(s)
		if part == nil {
			return 0, bad
		}
		d, err := durationOf(part[1], part[2])
		if err != nil || d > math.MaxInt64-sum {
			return 0, fmt.Errorf("must be a duration of at most 292 years, not %s", quote(s))
		}
		sum += d
		s = s[len(part[0]):]
	}
	return sum, nil
}

func durationOf(number, unit string) (time.Duration, error) {
	factor := time.Duration(1)
	switch unit {
	case "d":
		unit, factor = "h", 24
	case "w":
		unit, factor = "h", 7*24
	}
	d, err := time.ParseDuration(number + unit)
	if err != nil {
		return 0, err
	}
	if d > math.MaxInt64/factor {
		return 0, strconv.ErrRange
	}
	return d * factor, nil
}

// FormatDuration writes d in few letters ("7d", "1h30m", "250ms", "0"), exactly:
// ParseDuration is its inverse, but for negative durations.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	var b []byte
	if d < 0 {
		if d == math.MinInt64 {
			d++ // it has no positive counterpart
		}
		b, d = append(b, '-'), -d
	}
	for _, unit := range []struct {
		length time.Duration
		letter byte
	}{{day, 'd'}, {time.Hour, 'h'}, {time.Minute, 'm'}} {
		if n := d / unit.length; n > 0 {
			b = append(strconv.AppendInt(b, int64(n), 10), unit.letter)
			d -= n * unit.length
		}
	}
	if d > 0 {
		b = append(b, d.String()...)
	}
	return string(b)
}
