package fsq

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Disk is the file system of a spool: what it holds, and what is free of it for whoever
// asks. Inodes are 0 where there is no fixed number of them.
type Disk struct {
	Bytes      int64 `json:"bytes"`
	FreeBytes  int64 `json:"free_bytes"`
	Inodes     int64 `json:"inodes"`
	FreeInodes int64 `json:"free_inodes"`
}

// DiskOf looks at the file system that dir is on.
func DiskOf(dir string) (Disk, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Disk{}, fmt.Errorf("ask the file system of %s for its room: %w", dir, err)
	}
	block := int64(st.Bsize)
	return Disk{
		Bytes: int64(st.Blocks) * block, FreeBytes: int64(st.Bavail) * block,
		Inodes: int64(st.Files), FreeInodes: int64(st.Ffree),
	}, nil
}
