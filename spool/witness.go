//go:build witness && !nosync

package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// witness names the file in which this build writes down each rename that the server had
// done although this program heard of an error. The tag witness alone brings that in:
// scripts/test-nfs could not tell otherwise that a reply was lost and nobody noticed.
var witness = os.Getenv("TORTURE_WITNESS")

func asBuilt(o ops) ops {
	real := o
	var failed sync.Map // destinations of renames that failed and were not yet looked for
	o.rename = func(old, new string) error {
		err := real.rename(old, new)
		if err != nil {
			failed.Store(new, err)
		}
		return err
	}
	o.look = func(dir, name string) (info, error) {
		in, err := real.look(dir, name)
		if refused, ok := failed.LoadAndDelete(filepath.Join(dir, name)); ok && err == nil {
			testify(fmt.Sprintf("%s %v\n", name, refused))
		}
		return in, err
	}
	return o
}

func testify(text string) {
	f, err := os.OpenFile(witness, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return // nobody asked
	}
	_, _ = f.WriteString(text) // it is a remark
	_ = f.Close()
}
