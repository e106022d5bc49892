package main

import (
	"fmt"
	"strconv"
	"time"
)

const minute = time.Minute

// span is a length of time in at most two units: "350ms", "1.2s", "3m20s", "5d2h".
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(d, 0); {
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', -1, 64) + "s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return units(d, time.Minute, "m", time.Second, "s")
	case d < day:
		return units(d, time.Hour, "h", time.Minute, "m")
	case d < 10*day:
		return units(d, day, "d", time.Hour, "h")
	case d < 1000*day:
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%dy", d/(365*day))
}

func units(d, big time.Duration, bigName string, small time.Duration, smallName string) string {
	if n := d % big / small; n > 0 {
		return fmt.Sprintf("%d%s%d%s", d/big, bigName, n, smallName)
	}
	return fmt.Sprintf("%d%s", d/big, bigName)
}

// relative is t as seen from now: "in 3m", "2h ago", "now".
func relative(t, now time.Time) string {
	switch {
	case t.Sub(now) >= time.Second:
		// Rounded, so that what is 3m away does not read "in 2m59s".
		return "in " + span(t.Sub(now).Round(time.Second))
	case now.Sub(t) >= time.Second:
		return span(now.Sub(t).Truncate(time.Second)) + " ago"
	}
	return "now"
}

// instant is t in full, in the zone of whoever reads it.
func instant(t time.Time) string { return t.Local().Format(time.RFC3339) }

// both is t in full and as seen from now.
func both(t, now time.Time) string { return instant(t) + " (" + relative(t, now) + ")" }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
