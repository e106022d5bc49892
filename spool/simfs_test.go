package spool

import (
	"hash/fnv"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// durability is what a simulated file system promises to keep in a power cut.
type durability int

const (
	journal durability = iota // ext4, xfs: changes of names become durable in order
	btree                     // btrfs: fsync of a directory keeps what concerns that directory
	server                    // a file server, which commits each change before it answers
)

// simFS is a file system in memory. It has the present state, and what a power cut
// would leave of it. It is not safe for concurrent use: other processes are calls
// from hooks.
type simFS struct {
	kind    durability
	root    *simNode
	base    string // the path of root
	now     func() time.Time
	ino     uint64
	records []*record
	blocked int // locks held by lock(2): whoever waits for one now waits for ever
	// between is called while a directory is listed, after each portion of names.
	between func()
	portion int
	noSync  bool // a mutant: fsync of a file does nothing, nor does writing it out
	// unordered says that nobody knows of the journal, so that each file is synced.
	unordered bool
}

type simNode struct {
	ino, nlink   uint64
	dir          bool
	perm         fs.FileMode
	entries      map[string]*simNode
	kept         map[string]kept // what is durable of entries
	data, synced []byte
	mtime, ctime time.Time
	parent       *simNode // of a directory
	locked       *simFile
	writers      int
}

// kept is a durable entry, or with a nil node the durable absence of one.
type kept struct {
	node *simNode
	seq  int
}

// record is one change of names: a rename has two edits.
type record struct {
	seq   int
	node  *simNode
	edits []edit
	moved *simNode // the directory whose fsync has to commit everything: a file was renamed out of it
}

type edit struct {
	dir     *simNode
	name    string
	node    *simNode // nil: removed
	durable bool
}

func newSimFS(kind durability, base string, now func() time.Time) *simFS {
	f := &simFS{kind: kind, base: base, now: now, portion: 1 << 20}
	f.root = f.node(true, 0o700)
	f.root.nlink = 2
	return f
}

func (f *simFS) node(dir bool, perm fs.FileMode) *simNode {
	f.ino++
	n := &simNode{ino: f.ino, dir: dir, perm: perm, mtime: f.now(), ctime: f.now()}
	if dir {
		n.entries, n.kept = map[string]*simNode{}, map[string]kept{}
	}
	return n
}

// walk finds the directory of a path and the last part of its name.
func (f *simFS) walk(p string) (*simNode, string, error) {
	rel, ok := strings.CutPrefix(path.Clean(p), f.base)
	if !ok {
		return nil, "", syscall.ENOENT
	}
	d, parts := f.root, strings.Split(strings.TrimPrefix(rel, "/"), "/")
	for _, part := range parts[:len(parts)-1] {
		next := d.entries[part]
		if next == nil {
			return nil, "", syscall.ENOENT
		}
		if !next.dir {
			return nil, "", syscall.ENOTDIR
		}
		d = next
	}
	return d, parts[len(parts)-1], nil
}

func (f *simFS) get(p string) (*simNode, error) {
	d, name, err := f.walk(p)
	if err != nil {
		return nil, err
	}
	if name == "" {
		return d, nil
	}
	if n := d.entries[name]; n != nil {
		return n, nil
	}
	return nil, syscall.ENOENT
}

// change makes one change of names.
func (f *simFS) change(node, moved *simNode, edits ...edit) {
	seq := 1
	if len(f.records) > 0 {
		seq = f.records[len(f.records)-1].seq + 1
	}
	for _, e := range edits {
		if e.node == nil {
			delete(e.dir.entries, e.name)
		} else {
			e.dir.entries[e.name] = e.node
		}
		e.dir.mtime, e.dir.ctime = f.now(), f.now()
	}
	node.ctime = f.now()
	f.records = append(f.records, &record{seq: seq, node: node, moved: moved, edits: edits})
	if f.kind == server {
		f.commit(len(f.records))
	}
}

func (r *record) keep(which func(edit) bool) {
	for i := range r.edits {
		e := &r.edits[i]
		if e.durable || !which(*e) {
			continue
		}
		e.durable = true
		if e.dir.kept[e.name].seq <= r.seq {
			e.dir.kept[e.name] = kept{e.node, r.seq}
		}
	}
}

// commit makes the first n changes durable.
func (f *simFS) commit(n int) {
	for _, r := range f.records[:n] {
		r.keep(func(edit) bool { return true })
	}
	if n < len(f.records) {
		return
	}
	// The sequence begins anew, so that nothing old outranks what comes.
	for _, r := range f.records {
		for _, e := range r.edits {
			if k := e.dir.kept[e.name]; k.node == nil {
				delete(e.dir.kept, e.name)
			} else {
				e.dir.kept[e.name] = kept{k.node, 0}
			}
		}
	}
	f.records = nil
}

// persist is fsync of a file or a directory.
func (f *simFS) persist(n *simNode) {
	if !n.dir {
		n.synced = slices.Clone(n.data)
	}
	if f.kind != btree {
		f.commit(len(f.records))
		return
	}
	// A directory out of which something was renamed cannot be logged: all of the
	// transaction is committed. That is why the source directory's fsync is what costs.
	parents := map[*simNode]bool{n: n.dir}
	for _, r := range f.records {
		if r.node == n {
			for _, e := range r.edits {
				parents[e.dir] = parents[e.dir] || e.node != nil && e.dir.entries[e.name] == n
			}
		}
	}
	for _, r := range f.records {
		if r.moved != nil && parents[r.moved] {
			f.commit(len(f.records))
			return
		}
	}
	for _, r := range f.records {
		r.keep(func(e edit) bool { return e.dir == n || r.node == n })
	}
	// The names of the directories that lead there are logged with it.
	for p := n; p != nil; p = p.parent {
		for _, r := range f.records {
			r.keep(func(edit) bool { return p.dir && r.node == p })
		}
	}
	for _, r := range f.records {
		for _, e := range r.edits {
			if !n.dir && r.node == n && e.node != nil {
				for p := e.dir; p != nil; p = p.parent {
					for _, q := range f.records {
						q.keep(func(edit) bool { return q.node == p })
					}
				}
			}
		}
	}
}

// cut turns the power off and on. upTo is how many of the changes that nobody asked
// to be durable are so by chance.
func (f *simFS) cut(upTo int) {
	f.commit(min(upTo, len(f.records)))
	f.records, f.blocked = nil, 0
	links := map[*simNode]uint64{}
	var restore func(d *simNode)
	restore = func(d *simNode) {
		d.entries = map[string]*simNode{}
		for name, k := range d.kept {
			if k.node == nil {
				delete(d.kept, name)
				continue
			}
			d.kept[name] = kept{k.node, 0}
			d.entries[name] = k.node
			links[k.node]++
			if k.node.dir {
				restore(k.node)
			} else {
				k.node.data, k.node.locked, k.node.writers = slices.Clone(k.node.synced), nil, 0
			}
		}
	}
	restore(f.root)
	for n, count := range links {
		n.nlink = count
	}
}

func simError(op, p string, err error) error { return pathError(op, p, err) }

func (f *simFS) ops() ops {
	return ops{
		now: f.now,
		create: func(p string, perm fs.FileMode) (file, error) {
			d, name, err := f.walk(p)
			if err == nil && d.entries[name] != nil {
				err = syscall.EEXIST
			}
			if err != nil {
				return nil, simError("create", p, err)
			}
			return f.make(d, name, perm), nil
		},
		open: func(p string) (file, error) {
			n, err := f.get(p)
			if err != nil {
				return nil, simError("open", p, err)
			}
			return &simFile{fs: f, node: n}, nil
		},
		update: func(p string, perm fs.FileMode) (file, error) {
			d, name, err := f.walk(p)
			if err != nil {
				return nil, simError("update", p, err)
			}
			n := d.entries[name]
			switch {
			case n == nil && perm == 0:
				return nil, simError("update", p, syscall.ENOENT)
			case n == nil:
				return f.make(d, name, perm), nil
			case n.dir:
				return nil, simError("update", p, syscall.EISDIR)
			}
			n.writers++
			return &simFile{fs: f, node: n, writes: true}, nil
		},
		link:   func(p, q string) error { return simError("link", q, f.link(p, q)) },
		rename: func(p, q string) error { return simError("rename", p, f.rename(p, q)) },
		unlink: func(p string) error { return simError("unlink", p, f.remove(p, false)) },
		rmdir:  func(p string) error { return simError("rmdir", p, f.remove(p, true)) },
		mkdir: func(p string, perm fs.FileMode) error {
			d, name, err := f.walk(p)
			if err == nil && (name == "" || d.entries[name] != nil) {
				err = syscall.EEXIST
			}
			if err != nil {
				return simError("mkdir", p, err)
			}
			n := f.node(true, perm)
			n.nlink, n.parent = 2, d
			f.change(n, nil, edit{dir: d, name: name, node: n})
			return nil
		},
		names: f.names,
		look: func(dir, name string) (info, error) {
			d, err := f.get(dir)
			if err == nil && !d.dir {
				err = syscall.ENOTDIR
			}
			if err == nil && name != "." {
				if d = d.entries[name]; d == nil {
					err = syscall.ENOENT
				}
			}
			if err != nil {
				return info{}, simError("stat", path.Join(dir, name), err)
			}
			return d.info(), nil
		},
		looks: func(dir string, visit func(string, info) error) error {
			d, err := f.get(dir)
			if err != nil {
				return simError("open", dir, err)
			}
			return f.names(dir, func(name string) error {
				n := d.entries[name]
				if n == nil {
					return nil
				}
				return visit(name, n.info())
			})
		},
		refresh: func(p string) (info, error) {
			n, err := f.get(p)
			if err != nil {
				return info{}, simError("stat", p, err)
			}
			return n.info(), nil
		},
		touch: func(p string) error {
			n, err := f.get(p)
			if err == nil {
				n.mtime, n.ctime = f.now(), f.now()
			}
			return simError("touch", p, err)
		},
		syncDir: func(dir string) error {
			if len(dir) < len(f.base) {
				return nil // above the simulated tree
			}
			n, err := f.get(dir)
			if err == nil {
				f.persist(n)
			}
			return simError("fsync", dir, err)
		},
		ordered: func(string) bool { return f.kind == journal && !f.unordered },
		syncFS: func(string) error {
			f.commit(len(f.records))
			f.each(f.root, func(n *simNode) { n.synced = slices.Clone(n.data) })
			return nil
		},
	}
}

func (f *simFS) each(d *simNode, visit func(*simNode)) {
	for _, n := range d.entries {
		if n.dir {
			f.each(n, visit)
		} else {
			visit(n)
		}
	}
}

func (f *simFS) make(d *simNode, name string, perm fs.FileMode) file {
	n := f.node(false, perm)
	n.nlink, n.writers = 1, 1
	f.change(n, nil, edit{dir: d, name: name, node: n})
	return &simFile{fs: f, node: n, writes: true}
}

func (f *simFS) link(p, q string) error {
	n, err := f.get(p)
	if err != nil {
		return err
	}
	d, name, err := f.walk(q)
	switch {
	case err != nil:
		return err
	case d.entries[name] != nil:
		return syscall.EEXIST
	case n.dir:
		return syscall.EPERM
	}
	n.nlink++
	f.change(n, nil, edit{dir: d, name: name, node: n})
	return nil
}

func (f *simFS) rename(p, q string) error {
	from, a, err := f.walk(p)
	if err != nil {
		return err
	}
	to, b, err := f.walk(q)
	if err != nil {
		return err
	}
	n, over := from.entries[a], to.entries[b]
	switch {
	case n == nil:
		return syscall.ENOENT
	case n == over:
		return nil // two links of one file: nothing happens, says POSIX
	case over != nil && over.dir && !n.dir:
		return syscall.EISDIR
	case over != nil && !over.dir && n.dir:
		return syscall.ENOTDIR
	case over != nil && over.dir && len(over.entries) > 0:
		return syscall.ENOTEMPTY
	}
	if over != nil {
		over.nlink--
		over.ctime = f.now()
	}
	if n.dir {
		n.parent = to
	}
	f.change(n, from, edit{dir: from, name: a}, edit{dir: to, name: b, node: n})
	return nil
}

func (f *simFS) remove(p string, dir bool) error {
	d, name, err := f.walk(p)
	if err != nil {
		return err
	}
	n := d.entries[name]
	switch {
	case n == nil:
		return syscall.ENOENT
	case dir && !n.dir:
		return syscall.ENOTDIR
	case !dir && n.dir:
		return syscall.EISDIR
	case dir && len(n.entries) > 0:
		return syscall.ENOTEMPTY
	}
	n.nlink--
	// btrfs_rmdir hands on to the parent that something was renamed out of the
	// directory: else an fsync of the parent would keep its removal without the rename.
	var moved *simNode
	for _, r := range f.records {
		if dir && r.moved == n {
			moved = d
		}
	}
	f.change(n, moved, edit{dir: d, name: name})
	return nil
}

// position is the place of a name in a listing: as in the hashed directories of
// ext4, it has nothing to do with when the name came.
func position(name string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()
}

// names lists in portions. What is renamed between two of them is listed twice or
// not at all; what is not touched, once.
func (f *simFS) names(dir string, visit func(string) error) error {
	d, err := f.get(dir)
	if err == nil && !d.dir {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return simError("open", dir, err)
	}
	var last uint64
	for begun := false; ; begun = true {
		var next []string
		for name := range d.entries {
			if !begun || position(name) > last {
				next = append(next, name)
			}
		}
		slices.SortFunc(next, func(a, b string) int {
			if position(a) < position(b) {
				return -1
			}
			return 1
		})
		if len(next) == 0 {
			return nil
		}
		next = next[:min(len(next), f.portion)]
		last = position(next[len(next)-1])
		for _, name := range next {
			if err := visit(name); err != nil {
				return err
			}
		}
		if f.between != nil {
			f.between()
		}
	}
}
