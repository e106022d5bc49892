package spool

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func bootID() string {
	b, err := readKernelFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func pidNamespace() string {
	s, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return s
}

// processStat tells a process from a later one with the same pid: by field 22 of
// /proc/PID/stat (proc(5)), in clock ticks since boot. A zombie is dead: it settles
// nothing any more.
func processStat(pid int) (start string, dead, known bool) {
	b, err := readKernelFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", false, false
	}
	return parseStat(b)
}

func parseStat(b []byte) (start string, dead, known bool) {
	// The second field is the program's name in brackets and may contain anything.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 {
		return "", false, false
	}
	return f[19], f[0] == "Z" || f[0] == "X", true
}

// localMagic are the file systems on which a rename, a lock and an event reach
// everyone who can see them, because all are on this kernel (statfs(2)).
var localMagic = map[int64]string{
	0xef53: "ext", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x01021994: "tmpfs", 0xf2f52010: "f2fs",
	0x794c7630: "overlay", 0x2fc12fc1: "zfs", 0xca451a4e: "bcachefs", 0x858458f6: "ramfs", 0x52654973: "reiserfs", 0x3153464a: "jfs",
}

// networkTypes are named by mountinfo even where statfs(2) tells the server's
// file system, as 9p does.
var networkTypes = map[string]bool{"9p": true, "nfs": true, "nfs4": true, "cifs": true, "smb3": true, "virtiofs": true, "ceph": true, "afs": true}

// isNetwork reports whether dir, or its nearest parent that is there, is on a
// file system that other hosts may share. What is unknown counts as shared: that
// costs speed, the opposite error would cost safety.
func isNetwork(dir string) bool {
	var st unix.Statfs_t
	for unix.Statfs(dir, &st) != nil {
		i := strings.LastIndexByte(dir, '/')
		if i <= 0 {
			dir = "/"
			continue
		}
		dir = dir[:i]
	}
	if _, local := localMagic[int64(st.Type)&0xffffffff]; !local { // 32 bits wide on some machines
		return true
	}
	return networkTypes[mountType(dir)]
}

// deviceNumber is spelled as in mountinfo and in /sys/dev/block.
func deviceNumber(dev uint64) string {
	return strconv.Itoa(int(unix.Major(dev))) + ":" + strconv.Itoa(int(unix.Minor(dev)))
}

// mountType finds the type of the mount that dir is on, by its device number.
func mountType(dir string) string {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return ""
	}
	b, err := readKernelFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	dev := deviceNumber(st.Dev)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		for i := 6; i+1 < len(f); i++ {
			if f[i] == "-" && f[2] == dev {
				return f[i+1]
			}
		}
	}
	return ""
}
