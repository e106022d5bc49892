//go:build nosync

package spool

import (
	"io/fs"
	"os"
)

// forget says which syncs this build leaves out: "files", "directories" or all. The
// tag nosync alone brings that in. Programs that are built with it lose jobs, and
// scripts/test-powercut must notice: a trial that passes them proves nothing.
var forget = os.Getenv("POWERCUT_FORGET")

func asBuilt(o ops) ops {
	if forget != "files" {
		o.syncDir = func(string) error { return nil }
	}
	if forget == "directories" {
		return o
	}
	o.syncFS = func(string) error { return nil }
	real := o
	o.create = func(path string, perm fs.FileMode) (file, error) { return forgetting(real.create(path, perm)) }
	o.open = func(path string) (file, error) { return forgetting(real.open(path)) }
	o.update = func(path string, perm fs.FileMode) (file, error) { return forgetting(real.update(path, perm)) }
	return o
}

func forgetting(f file, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return forgetful{f}, nil
}

type forgetful struct{ file }

func (forgetful) Sync() error     { return nil }
func (forgetful) writeOut() error { return nil }
