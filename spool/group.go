package spool

import (
	"bufio"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// privateGroup reports whether a group is its user's alone, as most systems make one for
// each user: called like him, and without other members. There an umask of 002 is usual,
// and lets in nobody. One whose members cannot be told is not.
func privateGroup(uid, gid uint32) bool {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil || u.Gid != strconv.FormatUint(uint64(gid), 10) {
		return false
	}
	f, err := os.Open("/etc/group")
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// name:password:gid:members
		field := strings.SplitN(lines.Text(), ":", 4)
		if len(field) == 4 && field[2] == u.Gid {
			return field[0] == u.Username && (field[3] == "" || field[3] == u.Username)
		}
	}
	return false
}
