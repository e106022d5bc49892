package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Edit replaces a job that waits by one with another document, under the same id. n is
// what its name is to say; Attempt and the counts that are not the caller's to change
// stay as they are in e. When it returns nil, the new document survives a power cut. The
// error wraps ErrLost if the job does not wait under that name any more, or if this
// process was so slow that others took the edit for abandoned: the job is then as it was.
// After ErrUncertain it may have the new document. After any other error it has not.
//
// A job's file is never rewritten, and no rename can replace one and be refused if
// another has moved it. So the old file is first taken out of pending/, which is the
// compare-and-swap against claims and all else; what counts from then on is which of the
// two files the id is bound to: one rename, and it can be made only as long as nobody
// has given the edit up. finishEdit has the proof.
func (s *Spool) Edit(e Entry, n Name, data []byte) (Entry, error) {
	x, err := s.beginEdit(e, n, data)
	if err == nil {
		err = x.takeOut()
	}
	if err == nil {
		err = x.commit()
	}
	if err != nil {
		return x.to, fmt.Errorf("edit job %q: %w", e.Name.ID, err)
	}
	return x.to, nil
}

// editing is an edit on its way.
type editing struct {
	s     *Spool
	e     Entry // the job as it waits
	to    Entry // and as it will
	dir   string
	fresh info // the new file
}

const (
	bindFile  = "bind" // what will be renamed to ids/XX/ID.json
	newPrefix = "new!" // the same file, under what its name in pending/ will be
	oldPrefix = "old!" // the job as it waited
)

func (s *Spool) beginEdit(e Entry, n Name, data []byte) (*editing, error) {
	x := &editing{s: s, e: e, to: e}
	if e.State != Pending {
		return x, errors.New("it is not waiting")
	}
	if e.Editing() {
		return x, fmt.Errorf("it is being edited: %w", ErrLost)
	}
	if int64(len(data)) > s.format.MaxJobBytes {
		return x, fmt.Errorf("%w: it has %d bytes, %d is the limit", ErrTooLarge, len(data), s.format.MaxJobBytes)
	}
	n.ID, n.Attempt, n.Changed, n.Outcome, n.Wait, n.Run = e.Name.ID, e.Attempt, e.Changed, "", 0, 0
	if _, err := s.changed(n, 2); err != nil {
		return x, err
	}
	n.Changed++
	x.to = Entry{Name: n, State: Pending, Path: s.pendingPath(n, s.Now())}
	old, err := x.mayBind()
	if err != nil {
		return x, err
	}
	x.dir = editingDir + "/" + s.nextFile()
	if err := x.prepare(old, data); err != nil {
		_, cleanErr := s.finishEdit(x.dir)
		return x, errors.Join(err, cleanErr)
	}
	return x, nil
}

// mayBind refuses a job whose id is bound to another: a binding that is replaced would
// be that one's.
func (x *editing) mayBind() (old info, err error) {
	s, ref := x.s, x.s.idPath(x.e.Name.ID)
	old, err = s.ops.look(s.abs(path.Dir(x.e.Path)), path.Base(x.e.Path))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrLost
	}
	if err != nil {
		return old, err
	}
	bound, err := s.ops.look(s.abs(path.Dir(ref)), path.Base(ref))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return old, nil
	case err == nil && bound.nlink == 1:
		// A person has put another file in the place of the job's: see rebind.
		if err = s.rebind(x.e.Name.ID, bound, x.e); err == nil {
			bound, err = s.ops.look(s.abs(path.Dir(ref)), path.Base(ref))
		}
	}
	if err == nil && !bound.same(old) {
		err = fmt.Errorf("%w: another file has it", ErrDuplicate)
	}
	return old, err
}

// prepare writes the new document, durably. The file is made as bind and linked to its
// second name: whoever sees that one, or the old job beside it, knows that bind will not
// be made any more, only used or taken away.
func (x *editing) prepare(old info, data []byte) error {
	s := x.s
	err := s.ops.mkdir(s.abs(x.dir), s.dirPerm())
	if errors.Is(err, fs.ErrNotExist) { // a spool that is older than edits
		if err = s.ops.mkdir(s.abs(editingDir), s.dirPerm()); err == nil || errors.Is(err, fs.ErrExist) {
			err = s.Sync(".")
		}
		if err == nil {
			err = s.ops.mkdir(s.abs(x.dir), s.dirPerm())
		}
	}
	// Nobody else makes it: EEXIST is a lost reply.
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = s.Sync(editingDir)
	}
	if err != nil {
		return err
	}
	bind, fresh := x.dir+"/"+bindFile, x.dir+"/"+newPrefix+s.file(x.to.Name)
	f, err := s.ops.create(s.abs(bind), s.jobPerm(s.format.Group != ""))
	if err != nil {
		return err
	}
	if geteuid() == 0 && old.uid != 0 {
		err = giveFile(f, old.uid) // or an edit would make a job of root's of it
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.stamp(old.mtime) // it keeps its turn: see Ready
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		x.fresh, err = f.info()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := s.ops.link(s.abs(bind), s.abs(fresh)); err != nil {
		got, lookErr := s.ops.look(s.abs(x.dir), path.Base(fresh))
		if lookErr != nil || !got.same(x.fresh) {
			return err
		}
	}
	if err := s.mkdirs(path.Dir(s.idPath(x.e.Name.ID))); err != nil {
		return err
	}
	return s.Sync(x.dir)
}

// takeOut takes the old job out of pending/. It is on the disk when it returns, as each
// step is before the next: so a power cut leaves nothing that a crash does not.
func (x *editing) takeOut() error {
	s := x.s
	old := x.dir + "/" + oldPrefix + s.file(x.e.Name)
	err := s.move(x.e.Path, old)
	if err == nil {
		err = s.syncMoved(x.e.Path, old)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrLost
		}
		_, finishErr := s.finishEdit(x.dir)
		return errors.Join(err, finishErr)
	}
	return nil
}

// commit binds the id to the new file, and has that take the old one's place.
func (x *editing) commit() error {
	s := x.s
	err := s.ops.rename(s.abs(x.dir+"/"+bindFile), s.abs(s.idPath(x.e.Name.ID)))
	if err != nil {
		err = x.verify(err)
	}
	if errors.Is(err, ErrUncertain) {
		return err
	}
	_, finishErr := s.finishEdit(x.dir)
	if err != nil {
		return errors.Join(err, finishErr)
	}
	if finishErr == nil {
		// Another may have finished it, and may not have come to this.
		finishErr = ignoreNotExist(s.Sync(path.Dir(x.to.Path)))
	}
	return uncertain(finishErr)
}

// verify finds out whether the rename of bind that failed was executed all the same. It
// takes bind away first, so that a server cannot do it later.
func (x *editing) verify(err error) error {
	s, ref := x.s, x.s.idPath(x.e.Name.ID)
	if takeErr := s.unlinkSurely(x.dir + "/" + bindFile); takeErr != nil {
		return uncertain(errors.Join(err, takeErr))
	}
	bound, lookErr := s.ops.look(s.abs(path.Dir(ref)), path.Base(ref))
	switch {
	case lookErr == nil && bound.same(x.fresh):
		return nil
	case ignoreNotExist(lookErr) != nil:
		return uncertain(errors.Join(err, lookErr))
	case errors.Is(err, fs.ErrNotExist):
		return ErrLost // somebody has given this edit up
	}
	return err
}
