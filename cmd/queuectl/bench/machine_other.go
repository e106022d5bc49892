//go:build !linux

package bench

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func syncAll(int) error { return unix.Sync() }

// sharedClock is the wall clock: the monotonic one of another process has another zero.
func sharedClock() time.Duration { return time.Duration(time.Now().UnixNano()) }

func kernel() string { return runtime.GOOS }

func residentPeak(int) (float64, bool) { return 0, false }

// usedPeak is what is told of a process that has ended, in MiB: darwin counts bytes, the
// others KiB.
func usedPeak(s *os.ProcessState) float64 {
	u, ok := s.SysUsage().(*syscall.Rusage)
	switch {
	case !ok:
		return 0
	case runtime.GOOS == "darwin":
		return float64(u.Maxrss) / (1 << 20)
	}
	return float64(u.Maxrss) / 1024
}
