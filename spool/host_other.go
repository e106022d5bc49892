//go:build !linux

package spool

import "golang.org/x/sys/unix"

func bootID() string { return "" }

func pidNamespace() string { return "" }

// startTime can only tell whether the process is there.
func startTime(pid int) string {
	if err := unix.Kill(pid, 0); err == nil || err == unix.EPERM {
		return "unknown"
	}
	return ""
}

// isNetwork asks the mount's flags: MNT_LOCAL (statfs(2) of the BSDs).
func isNetwork(dir string) bool {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return false
	}
	return uint64(st.Flags)&uint64(unix.MNT_LOCAL) == 0 // widths differ by system
}
