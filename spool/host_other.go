//go:build !linux

package spool

import "golang.org/x/sys/unix"

func bootID() string { return "" }

func pidNamespace() string { return "" }

// processStat can tell nothing without /proc.
func processStat(int) (start string, dead, known bool) { return "", false, false }

// isNetwork asks the mount's flags: MNT_LOCAL (statfs(2) of the BSDs).
func isNetwork(dir string) bool {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return false
	}
	return uint64(st.Flags)&uint64(unix.MNT_LOCAL) == 0 // widths differ by system
}
