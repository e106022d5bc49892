package fsq

import (
	"errors"
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

// Usable reports what keeps jobs from being put in, run and settled by this user, as far as
// that shows without writing: permissions, a file system that takes no writes or is full.
func (q *Queue) Usable() error {
	if err := q.s.Usable(); err != nil {
		return err
	}
	d, err := DiskOf(q.Dir())
	switch {
	case err != nil:
		return err
	case d.Bytes > 0 && d.FreeBytes <= 0:
		return errors.New("the file system of the spool is full")
	case d.Inodes > 0 && d.FreeInodes <= 0:
		return errors.New("the file system of the spool has no inode left")
	}
	return nil
}
