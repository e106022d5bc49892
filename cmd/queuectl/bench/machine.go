package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Machine is on what was measured. What the system does not tell is empty.
type Machine struct {
	System       string   `json:"system"` // as linux/amd64
	CPUs         int      `json:"cpus"`
	Kernel       string   `json:"kernel"`
	FileSystem   string   `json:"file_system"` // its type
	Journal      string   `json:"journal"`     // yes, none, copy-on-write, or "" if it is not known
	MountOptions []string `json:"mount_options"`
	Load         *float64 `json:"load"` // the average over a minute, before anything was measured
	Go           string   `json:"go"`   // the version of the compiler
}

// String is the machine in one line.
func (m Machine) String() string {
	load := "unknown"
	if m.Load != nil {
		load = fmt.Sprintf("%.2f", *m.Load)
	}
	journal := ""
	switch m.Journal {
	case "none":
		journal = " without a journal"
	case "yes":
		journal = " with a journal"
	}
	kind := m.FileSystem
	if kind == "" {
		kind = "an unknown file system"
	}
	return fmt.Sprintf("%s, %d CPUs, %s; %s%s (%s); load average %s; %s", m.System, m.CPUs, m.Kernel, kind, journal, strings.Join(m.MountOptions, ","), load, m.Go)
}

// Load is the machine's load average over the last minute, nil where it is not known:
// figures of a busy machine say little.
func Load() *float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	n, err := strconv.ParseFloat(one, 64)
	if err != nil {
		return nil
	}
	return &n
}

func machine(dir string) Machine {
	m := spool.MountOf(dir)
	options := []string{}
	for _, o := range m.Options { // the mount and the file system may both have one
		if !slices.Contains(options, o) {
			options = append(options, o)
		}
	}
	return Machine{
		System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Kernel: kernel(),
		FileSystem: m.Type, Journal: journal(m), MountOptions: options,
		Load: Load(), Go: runtime.Version(),
	}
}

// journal tells what makes a file system whole after a power cut, which fsync has to
// pay for.
func journal(m spool.Mount) string {
	switch {
	case m.NoJournal, slices.Contains([]string{"ext2", "tmpfs", "ramfs"}, m.Type):
		return "none"
	case slices.Contains([]string{"ext3", "ext4", "xfs", "jfs"}, m.Type):
		return "yes"
	case slices.Contains([]string{"btrfs", "zfs", "bcachefs"}, m.Type):
		return "copy-on-write"
	}
	return ""
}

// cpuOf is the CPU time that a process has used.
func cpuOf(pid int) (time.Duration, error) {
	// A thread's own file counts nanoseconds (proc(5), schedstat); the process's counts
	// ticks of 10 ms, more than what an idle worker uses in ten seconds.
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	var sum time.Duration
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has just ended
		}
		ran, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %q", path, text)
		}
		sum += time.Duration(n)
	}
	if sum == 0 {
		return 0, skip("the system does not tell the CPU time of a thread")
	}
	return sum, nil
}
