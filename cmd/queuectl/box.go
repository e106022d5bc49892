package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"

	"github.com/queuectl/queuectl/fsq"
)

// boxed adds to the refusal of root's spool where this user has jobs run there as himself,
// if he has.
func (a *app) boxed(name string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	u, userErr := user.Current()
	if userErr != nil {
		return err
	}
	box := fsq.BoxPath(fsq.QueueDir(a.spool, name), u.Username)
	if fi, statErr := os.Lstat(box); statErr != nil || !fi.IsDir() {
		return err
	}
	return &hinted{err, fmt.Sprintf("it takes jobs from you as files: cp job.json %s/", box)}
}
