package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/queuectl/queuectl/spool"
)

func syncFS(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("syncfs %s: %w", dir, err)
	}
	return nil
}

// loadAverage is the machine's: figures of a busy one say little.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	if one == "" {
		return "unknown"
	}
	return one
}

// machine says on what was measured.
func machine(dir string) string {
	var u unix.Utsname
	_ = unix.Uname(&u)
	m := spool.MountOf(dir)
	system := m.Type
	switch {
	case m.NoJournal:
		system += " without a journal"
	case m.Type == "ext4":
		system += " with a journal"
	}
	return fmt.Sprintf("%s/%s, %d CPUs, Linux %s; %s (%s); load average %s; %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		unix.ByteSliceToString(u.Release[:]), system, strings.Join(m.Options, ","), loadAverage(), runtime.Version())
}

// moduleVersion is the version of a module in this program.
func moduleVersion(path string) string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "of unknown version"
}
