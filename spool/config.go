package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
)

// ReadConfig returns the spool's settings file; nil if there is none.
func (s *Spool) ReadConfig() ([]byte, error) {
	data, err := s.readFile(configFile, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the settings: %w", err)
	}
	return data, nil
}

// OwnConfig reports whether a settings file is this process's own user's, or root's, and
// nobody else may change it: only then does it decide for whom a worker runs jobs.
func OwnConfig(in fs.FileInfo) bool {
	st, ok := in.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == uint32(geteuid()) || st.Uid == 0) && in.Mode()&othersWrite == 0
}

// ChangeConfig replaces the settings file by what change makes of it, atomically and
// durably. Concurrent calls on one host follow one another.
func (s *Spool) ChangeConfig(change func(old []byte) ([]byte, error)) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	old, err := s.ReadConfig()
	if err != nil {
		return err
	}
	data, err := change(old)
	if err != nil {
		return err
	}
	tmp := tmpDir + "/" + s.host.newWID() + "!" + configFile
	if err := s.writeOwn(tmp, data, s.format.Group != ""); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	if err := s.ops.rename(s.abs(tmp), s.abs(configFile)); err != nil {
		return fmt.Errorf("write the settings: %w", errors.Join(err, s.ops.unlink(s.abs(tmp))))
	}
	return s.ops.syncDir(s.dir)
}
