package spool

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// call is one system call of the protocol. Paths are relative to the directory that
// the spool is in, so that "spool" is the spool itself.
type call struct{ op, path, to string }

func (c call) String() string {
	if c.to != "" {
		return c.op + " " + c.path + " -> " + c.to
	}
	return c.op + " " + c.path
}

// fault is what a test makes of a call. The zero value lets it be.
type fault struct {
	err   error // what the caller is told
	after bool  // the call is executed first: its reply is lost
}

// hook is asked before each call and decides about it; done, if it is set, is told
// what came of it.
type hook struct {
	before func(call) fault
	done   func(call, error)
}

var (
	errCrashed = errors.New("this process is dead")
	errGranted = errors.New("the lock was given by the test")
	// crashed is what a hook panics with to stop a process for ever.
	crashed = &struct{ string }{"crash"}
)

// survive calls f and reports whether a hook stopped it.
func survive(f func()) (dead bool) {
	defer func() {
		if p := recover(); p == crashed {
			dead = true
		} else if p != nil {
			panic(p)
		}
	}()
	f()
	return false
}

// do runs one call under the hook.
func (h hook) do(c call, exec func() error) error {
	var f fault
	if h.before != nil {
		f = h.before(c)
	}
	err := f.err
	if f.err == nil || f.after {
		if execErr := exec(); execErr != nil || f.err == nil {
			err = execErr
		}
	}
	if h.done != nil {
		h.done(c, err)
	}
	return err
}

// hooked puts a hook before each call of o. A listing is taken whole before it is
// visited, so that it is one call.
func hooked(o ops, root string, h hook) ops {
	rel := func(p string) string { return strings.TrimPrefix(p, root+"/") }
	one := func(op string, f func(string) error) func(string) error {
		return func(p string) error { return h.do(call{op: op, path: rel(p)}, func() error { return f(p) }) }
	}
	two := func(op string, f func(string, string) error) func(string, string) error {
		return func(p, q string) error {
			return h.do(call{op, rel(p), rel(q)}, func() error { return f(p, q) })
		}
	}
	opened := func(op string, f func(string) (file, error)) func(string) (file, error) {
		return func(p string) (file, error) {
			var got file
			err := h.do(call{op: op, path: rel(p)}, func() (err error) { got, err = f(p); return err })
			if err != nil {
				if got != nil {
					got.Close()
				}
				return nil, err
			}
			return &hookedFile{file: got, h: h, path: rel(p)}, nil
		}
	}
	x := o
	x.create = func(p string, perm fs.FileMode) (file, error) {
		return opened("create", func(p string) (file, error) { return o.create(p, perm) })(p)
	}
	x.open = opened("open", o.open)
	x.update = func(p string, perm fs.FileMode) (file, error) {
		return opened("update", func(p string) (file, error) { return o.update(p, perm) })(p)
	}
	x.link, x.rename = two("link", o.link), two("rename", o.rename)
	x.unlink, x.rmdir = one("unlink", o.unlink), one("rmdir", o.rmdir)
	x.touch, x.syncDir, x.syncFS = one("touch", o.touch), one("syncdir", o.syncDir), one("syncfs", o.syncFS)
	x.mkdir = func(p string, perm fs.FileMode) error {
		return one("mkdir", func(p string) error { return o.mkdir(p, perm) })(p)
	}
	x.names = func(dir string, visit func(string) error) error {
		var all []string
		err := one("names", func(dir string) error {
			return o.names(dir, func(name string) error { all = append(all, name); return nil })
		})(dir)
		for _, name := range all {
			if err := visit(name); err != nil {
				return err
			}
		}
		return err
	}
	x.looks = func(dir string, visit func(string, info) error) error {
		type found struct {
			name string
			in   info
		}
		var all []found
		err := one("looks", func(dir string) error {
			return o.looks(dir, func(name string, in info) error { all = append(all, found{name, in}); return nil })
		})(dir)
		for _, f := range all {
			if err := visit(f.name, f.in); err != nil {
				return err
			}
		}
		return err
	}
	x.look = func(dir, name string) (in info, err error) {
		err = h.do(call{op: "look", path: path.Join(rel(dir), name)}, func() (err error) { in, err = o.look(dir, name); return err })
		return in, err
	}
	x.refresh = func(p string) (in info, err error) {
		err = one("refresh", func(p string) (err error) { in, err = o.refresh(p); return err })(p)
		return in, err
	}
	return x
}

type hookedFile struct {
	file
	h    hook
	path string
}

func (f *hookedFile) on(op string, exec func() error) error {
	return f.h.do(call{op: op, path: f.path}, exec)
}

func (f *hookedFile) Write(p []byte) (n int, err error) {
	err = f.on("write", func() (err error) { n, err = f.file.Write(p); return err })
	return n, err
}

func (f *hookedFile) Read(p []byte) (n int, err error) {
	err = f.on("read", func() (err error) { n, err = f.file.Read(p); return err })
	return n, err
}

func (f *hookedFile) info() (in info, err error) {
	err = f.on("fstat", func() (err error) { in, err = f.file.info(); return err })
	return in, err
}

func (f *hookedFile) tryLock() (ok bool, err error) {
	err = f.on("trylock", func() (err error) { ok, err = f.file.tryLock(); return err })
	return ok, err
}

func (f *hookedFile) lock(network bool, patience time.Duration) error {
	if err := f.on("lock", func() error { return f.file.lock(network, patience) }); !errors.Is(err, errGranted) {
		return err
	}
	return nil
}

// Close is executed whatever the hook says: the kernel closes what a process leaves.
func (f *hookedFile) Close() error {
	closed := false
	defer func() {
		if !closed {
			f.file.Close()
		}
	}()
	return f.on("close", func() error { closed = true; return f.file.Close() })
}

func (f *hookedFile) Sync() error     { return f.on("fsync", f.file.Sync) }
func (f *hookedFile) writeOut() error { return f.on("writeout", f.file.writeOut) }
func (f *hookedFile) stamp(t time.Time) error {
	return f.on("stamp", func() error { return f.file.stamp(t) })
}
func (f *hookedFile) os() *os.File { return f.file.os() }
