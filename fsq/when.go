package fsq

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/queuectl/queuectl/spool"
)

const wantTime = "a time such as 2026-11-24T08:30:00Z, 2026-11-24T08:30 (local time), 2026-11-24 or +10m"

// timeShape is RFC 3339 with the seconds, the zone and the time of day optional.
// time.Parse alone would take more (one-digit hours), so the shape is checked first.
var timeShape = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(?:\.\d+)?)?([Zz]|[+-]\d\d:\d\d)?)?$`)
})

// ParseTime reads a point in time: RFC 3339 (also with a space for the T, in
// lower case, without seconds), the same without zone, a date alone (its
// midnight), "+" and a duration from now, or "now". Without a zone it is in now's
// location, which for time.Now is the local one. The result is in UTC, rounded
// down to milliseconds, in the years 1 to 9999. Errors begin with "must be".
func ParseTime(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	t, err := parseTime(s, now)
	if err != nil {
		return time.Time{}, err
	}
	if !inYears(t) {
		return time.Time{}, fmt.Errorf("must be %s, not %s", wantYears, quote(s))
	}
	return spool.Truncate(t), nil
}

func parseTime(s string, now time.Time) (time.Time, error) {
	if s == "now" {
		return now, nil
	}
	if after, ok := strings.CutPrefix(s, "+"); ok {
		d, err := ParseDuration(after)
		if err != nil {
			return time.Time{}, fmt.Errorf("must be %s, not %s", wantTime, quote(s))
		}
		return now.Add(d), nil
	}
	part := timeShape().FindStringSubmatch(s)
	if part == nil {
		return time.Time{}, fmt.Errorf("must be %s, not %s", wantTime, quote(s))
	}
	layout := "2006-01-02"
	if part[1] != "" {
		layout += "T15:04"
	}
	if part[2] != "" {
		layout += ":05"
	}
	if part[3] != "" {
		layout += "Z07:00"
	}
	normal := strings.ToUpper(strings.Replace(s, " ", "T", 1))
	t, err := time.ParseInLocation(layout, normal, now.Location())
	if err != nil {
		return time.Time{}, fmt.Errorf("must be a time that exists, not %s", quote(s))
	}
	return t, nil
}

// inYears reports whether t can be written in RFC 3339 and in a file name.
func inYears(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1 && year <= 9999
}
