package fsq

import (
	"time"

	"golang.org/x/sys/unix"
)

// bootTime is a clock that goes on while the machine is suspended, as Go's monotonic
// one does not (clock_gettime(2), CLOCK_BOOTTIME).
func bootTime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return time.Since(processStart)
	}
	return time.Duration(ts.Nano())
}

var processStart = time.Now()
