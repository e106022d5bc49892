package spool

import (
	"strconv"
	"strings"
)

// unmapped reports whether uid stands for users outside of this user namespace, where it
// is one: root of the host is among them, to whom "/" belongs, and nobody in here is.
func unmapped(uid uint32) bool {
	overflow, err := readKernelFile("/proc/sys/kernel/overflowuid")
	if err != nil || strings.TrimSpace(string(overflow)) != strconv.FormatUint(uint64(uid), 10) {
		return false
	}
	mapped, err := readKernelFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(mapped)) {
		field := strings.Fields(line)
		if len(field) != 3 {
			return false
		}
		from, fromErr := strconv.ParseUint(field[0], 10, 32)
		count, countErr := strconv.ParseUint(field[2], 10, 33)
		if fromErr != nil || countErr != nil || from <= uint64(uid) && uint64(uid) < from+count {
			return false // it is a user here
		}
	}
	return true
}
