//go:build !linux

package spool

import "golang.org/x/sys/unix"

// mountOf asks statfs(2), which tells no options here.
func mountOf(dir string) Mount {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return Mount{}
	}
	block := uint64(st.Bsize) // widths differ by system
	flags := uint64(st.Flags) // the same
	return Mount{
		Type: unix.ByteSliceToString(st.Fstypename[:]), Source: unix.ByteSliceToString(st.Mntfromname[:]), Point: unix.ByteSliceToString(st.Mntonname[:]),
		Known: flags&uint64(unix.MNT_LOCAL) != 0, ReadOnly: flags&uint64(unix.MNT_RDONLY) != 0,
		Free: uint64(max(st.Bavail, 0)) * block, Size: st.Blocks * block,
		FreeFiles: uint64(max(st.Ffree, 0)), Files: st.Files,
	}
}
