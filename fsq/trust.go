package fsq

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/queuectl/queuectl/spool"
)

// StrangersError says who else could put jobs into a spool, so that no worker starts.
type StrangersError = spool.StrangersError

// mayWork refuses to work a spool in which others than those whom it is for can put jobs,
// or one whose jobs cannot be run as their owners although they are to be.
func (q *Queue) mayWork(h Handler) error {
	if err := q.s.Strangers(); err != nil {
		return err
	}
	if !q.cfg.RunAsOwner {
		return nil
	}
	if _, command := h.(CommandHandler); !command {
		return errors.New("run-as-owner is for commands: a handler of this program's own runs as this program's user")
	}
	return q.mayBecome(os.Geteuid())
}

// mayBecome prepares a worker of the user euid to become the owners of its jobs.
func (q *Queue) mayBecome(euid int) error {
	if euid != 0 {
		return ErrNotRoot
	}
	if err := q.s.AdmitOwners(); err != nil {
		return err
	}
	// What this process was started with may be anything, and is not for its jobs.
	return keepDescriptors()
}

// distrust is why this user's worker must not run a file; nil if it may.
func (q *Queue) distrust(uid, gid uint32, mode fs.FileMode) error {
	if q.cfg.RunAsOwner {
		// Only root can have put it there, or the owner of a box into that.
		if mode&0o022 != 0 {
			return fmt.Errorf("others may write its file (mode %04o): a job runs as its owner only if it says what he alone can have written", mode.Perm())
		}
		return nil
	}
	if !q.s.Trusted(uid, gid, q.cfg.TrustGroup) {
		return fmt.Errorf("its file belongs to user %d: a worker runs only its own user's jobs and root's", uid)
	}
	if q.s.Exposed(mode, q.cfg.TrustGroup) {
		return fmt.Errorf("others may write its file (mode %04o): in a group's spool a worker runs only what its owner alone can change", mode.Perm())
	}
	return nil
}

// linksCount reports whether a file that has other names must not be run: a link can be
// made by another than its owner. In a spool for one user it makes no difference.
func (q *Queue) linksCount() bool {
	return q.cfg.RunAsOwner || q.s.Group() != "" && !q.cfg.TrustGroup
}

var errLinked = errors.New("its file has another name elsewhere (a hard link), so its owner need not have put it here")

// GovernsTrust reports whether trust-group and run-as-owner count in the settings file that
// is described: they do if nobody but this user and root can have set them. Any member of a
// group's spool can put another config.json in the place of the one that is there.
func GovernsTrust(config fs.FileInfo) bool { return spool.OwnConfig(config) }
