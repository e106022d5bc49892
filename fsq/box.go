package fsq

import (
	"errors"
	"fmt"
	"os/user"
	"path/filepath"

	"github.com/queuectl/queuectl/spool"
)

// MakeBox makes the directory of root's spool into which a user (a name or a number) drops
// the files of jobs that workers with run-as-owner run as him, and returns its path. One
// that is there already is left as it is. The error wraps ErrNoBoxes if the spool is not
// root's alone, or this is not root; user.UnknownUserError if there is no such user.
func (q *Queue) MakeBox(name string) (string, error) {
	acc, err := findAccount(name)
	if err != nil {
		return "", fmt.Errorf("make a box for user %s: %w", name, err)
	}
	rel, err := q.s.MakeBox(acc.name, acc.uid, acc.gid)
	if err != nil {
		return "", err
	}
	return filepath.Join(q.s.Dir(), rel), nil
}

// BoxPath is where MakeBox makes the directory of a user, by name, for the queue whose own
// spool is in dir.
func BoxPath(dir, name string) string { return spool.BoxPath(dir, name) }

// findAccount finds a user by name or number.
func findAccount(name string) (account, error) {
	u, err := user.Lookup(name)
	if unknown := user.UnknownUserError(""); errors.As(err, &unknown) {
		if byID, idErr := user.LookupId(name); idErr == nil {
			u, err = byID, nil
		}
	}
	if err != nil {
		return account{}, err
	}
	return accountOf(u)
}

// boxed lists what lies in the boxes, for a worker that runs jobs as their owners.
func (in *incarnation) boxed() (rels []string) {
	if !in.q.cfg.RunAsOwner {
		return nil
	}
	if err := in.q.s.Boxed(func(rel string) { rels = append(rels, rel) }); err != nil {
		in.w.problem(err)
	}
	return rels
}
