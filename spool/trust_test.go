package spool

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestExposedFiles(t *testing.T) {
	t.Parallel()
	one := &Spool{}
	group := &Spool{format: format{Group: "staff"}}
	for mode, exposed := range map[fs.FileMode]bool{0o600: false, 0o640: false, 0o644: false, 0o660: true, 0o664: true, 0o646: true} {
		if group.Exposed(mode, false) != exposed {
			t.Errorf("in a group's spool, mode %04o: %t", mode, !exposed)
		}
		if one.Exposed(mode, false) || group.Exposed(mode, true) {
			t.Errorf("where all who can reach it are trusted, mode %04o is refused", mode)
		}
	}
}

func TestOwnConfig(t *testing.T) {
	t.Parallel()
	path := filepath.Join(testDir(t), configFile)
	for mode, own := range map[fs.FileMode]bool{0o600: true, 0o644: true, 0o640: true, 0o660: false, 0o606: false} {
		writeFile(t, path, "{}")
		mustDo(t, os.Chmod(path, mode))
		in, err := os.Stat(path)
		mustDo(t, err)
		if OwnConfig(in) != own {
			t.Errorf("mode %04o: %t", mode, !own)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make another user's file")
	}
	mustDo(t, os.Chmod(path, 0o600), os.Chown(path, 12345, -1))
	if in, err := os.Stat(path); err != nil || OwnConfig(in) {
		t.Errorf("another user's: %v", err)
	}
}
