package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func syncAll(dir int) error { return unix.Syncfs(dir) }

// sharedClock is one that all processes share and that nobody sets.
func sharedClock() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}

func kernel() string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	return "Linux " + unix.ByteSliceToString(u.Release[:])
}

// residentPeak is the most memory that a running process has had resident, in MiB.
func residentPeak(pid int) (float64, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	_, rest, ok := strings.Cut(string(text), "\nVmHWM:")
	f := strings.Fields(rest)
	if !ok || len(f) == 0 {
		return 0, false // it has ended, and nobody has waited for it yet
	}
	n, err := strconv.ParseFloat(f[0], 64)
	return n / 1024, err == nil
}

// usedPeak is what is told of a process that has ended, in MiB (getrusage(2): KiB).
func usedPeak(s *os.ProcessState) float64 {
	if u, ok := s.SysUsage().(*syscall.Rusage); ok {
		return float64(u.Maxrss) / 1024
	}
	return 0
}
