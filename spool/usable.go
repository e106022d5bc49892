package spool

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Usable reports what keeps this user from putting, claiming and settling jobs, as far as
// that shows without writing. A directory that an older version has not made is no hindrance.
func (s *Spool) Usable() error {
	for _, dir := range append([]string{""}, skeleton...) {
		path := s.abs(dir)
		err := unix.Access(path, unix.R_OK|unix.W_OK|unix.X_OK)
		if err == unix.ENOENT && dir != "" && dir != pendingDir && dir != workDir && dir != doneDir && dir != deadDir && dir != tmpDir {
			continue
		}
		if err != nil {
			return fmt.Errorf("use %s: %w", path, err)
		}
	}
	return nil
}
