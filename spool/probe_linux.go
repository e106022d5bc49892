package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountOf asks the kernel about the mount that dir is on.
func mountOf(dir string) Mount {
	var m Mount
	var x unix.Statx_t
	id, dev := "", ""
	if unix.Statx(unix.AT_FDCWD, dir, 0, unix.STATX_MNT_ID, &x) == nil {
		dev = strconv.Itoa(int(x.Dev_major)) + ":" + strconv.Itoa(int(x.Dev_minor))
		if x.Mask&unix.STATX_MNT_ID != 0 { // Linux 5.8
			id = strconv.FormatUint(x.Mnt_id, 10)
		}
	}
	if b, err := readKernelFile("/proc/self/mountinfo"); err == nil {
		m = parseMountinfo(b, id, dev)
	}
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) == nil {
		magic := int64(st.Type) & 0xffffffff
		_, m.Known = localMagic[magic]
		m.Known = m.Known && !networkTypes[m.Type]
		if m.Type == "" {
			m.Type = localMagic[magic]
		}
		m.ReadOnly = st.Flags&unix.ST_RDONLY != 0
		block := uint64(st.Bsize)
		if st.Frsize > 0 {
			block = uint64(st.Frsize)
		}
		m.Free, m.Size = st.Bavail*block, st.Blocks*block
		m.FreeFiles, m.Files = st.Ffree, st.Files
	}
	if strings.HasPrefix(m.Type, "ext") {
		task, known := journalTask(dev)
		m.NoJournal = known && task == noJournalTask
	}
	m.Watches, m.Instances = kernelLimit("max_user_watches"), kernelLimit("max_user_instances")
	return m
}

// parseMountinfo finds a mount by its id, else by its device number, which on btrfs is
// not the one that stat(2) tells (proc(5), "mountinfo"). Of several the last one counts:
// it lies on top.
func parseMountinfo(b []byte, id, dev string) (m Mount) {
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		sep := 6 // optional fields end with "-"
		for sep < len(f) && f[sep] != "-" {
			sep++
		}
		if sep+3 >= len(f) || id != "" && f[0] != id || id == "" && f[2] != dev {
			continue
		}
		m = Mount{Type: f[sep+1], Source: unescapeMount(f[sep+2]), Point: unescapeMount(f[4])}
		m.Options = append(strings.Split(f[5], ","), strings.Split(f[sep+3], ",")...)
	}
	return m
}

// unescapeMount undoes the octal escapes of blanks and backslashes.
func unescapeMount(s string) string {
	for _, e := range []struct{ code, char string }{{`\040`, " "}, {`\011`, "\t"}, {`\012`, "\n"}, {`\043`, "#"}, {`\134`, `\`}} {
		s = strings.ReplaceAll(s, e.code, e.char)
	}
	return s
}

// noJournalTask is what an ext4 without a journal says of the task that looks after it.
const noJournalTask = "<none>"

// journalTask is what the ext4 on this device says of its journal: mountinfo does not
// tell. Where /sys is hidden nothing is known.
func journalTask(dev string) (task string, known bool) {
	link, err := os.Readlink("/sys/dev/block/" + dev)
	if err != nil {
		return "", false
	}
	b, err := readKernelFile("/sys/fs/ext4/" + filepath.Base(link) + "/journal_task")
	return string(bytes.TrimSpace(b)), err == nil
}

func kernelLimit(name string) int {
	b, err := readKernelFile("/proc/sys/fs/inotify/" + name)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(b)))
	if err != nil {
		return 0
	}
	return n
}
