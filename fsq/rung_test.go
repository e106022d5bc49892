package fsq

import (
	"testing"
	"time"
)

func TestMustLook(t *testing.T) {
	then := time.Unix(1000000000, 0)
	for _, c := range []struct {
		what    string
		rung    time.Time
		settled bool // at the last look
		since   time.Duration
		want    bool
	}{
		{"nothing new", then, true, time.Second, false},
		{"rung", then.Add(time.Millisecond), true, time.Second, true},
		{"the bell's time was set back", then.Add(-time.Hour), true, time.Second, true},
		{"rung right before the last look, or after it", then, false, 5 * time.Second, true},
		{"not looked for long", then, true, obeyUnrung, true},
	} {
		if got := mustLook(c.rung, then, c.settled, c.since); got != c.want {
			t.Errorf("%s: %t", c.what, got)
		}
	}
}
