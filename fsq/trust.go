package fsq

import (
	"fmt"
	"io/fs"

	"github.com/queuectl/queuectl/spool"
)

// distrust is why this user's worker must not run a file; nil if it may.
func (q *Queue) distrust(uid, gid uint32, mode fs.FileMode) error {
	if !q.s.Trusted(uid, gid, q.cfg.TrustGroup) {
		return fmt.Errorf("its file belongs to user %d: a worker runs only its own user's jobs and root's", uid)
	}
	if q.s.Exposed(mode, q.cfg.TrustGroup) {
		return fmt.Errorf("others may write its file (mode %04o): in a group's spool a worker runs only what its owner alone can change", mode.Perm())
	}
	return nil
}

// GovernsTrust reports whether trust-group counts in the settings file that is described:
// it does if nobody but this user and root can have set it. Any member of a group's spool
// can put another config.json in the place of the one that is there.
func GovernsTrust(config fs.FileInfo) bool { return spool.OwnConfig(config) }
