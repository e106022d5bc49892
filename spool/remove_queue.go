package spool

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"
)

// RemoveQueue removes a named queue of the spool in dir. The error wraps ErrQueueInUse,
// and nothing is lost, if it has workers, or jobs that wait or run, or dropped files;
// without force also if it has finished, dead or rejected ones. It wraps fs.ErrNotExist if
// there is no such queue.
//
// What may hold a job is only ever removed by rmdir, which refuses what is not empty: the
// directory pending/ first, so that a job that is being put either was there in time and
// is found, or finds no pending/ and is not acknowledged. Its writer then makes the queue
// anew (InitQueue); the removal finds that out by the next rmdir, completes what it has
// begun to take away, and gives up.
func RemoveQueue(dir, name string, force bool) error {
	return removeQueue(dir, name, force, realOps())
}

func removeQueue(dir, name string, force bool, o ops) error {
	if name == DefaultQueue {
		return fmt.Errorf("remove queue %s: %w: it is the spool itself", name, ErrQueueInUse)
	}
	s, err := openQueue(dir, name, o)
	if err != nil {
		return err
	}
	r := &removal{s: s, force: force}
	err = r.run()
	if isNotEmpty(err) {
		err = fmt.Errorf("%w: something came into it meanwhile: %w", ErrQueueInUse, err)
	}
	if err != nil {
		return fmt.Errorf("remove queue %s: %w", name, err)
	}
	return nil
}

type removal struct {
	s        *Spool
	force    bool
	files    []string // what was there at the beginning and may go
	begun    bool
	settings []byte
	paused   *Pause
}

func (r *removal) run() error {
	if err := r.unused(); err != nil {
		return err
	}
	if err := r.list(); err != nil {
		return err
	}
	var err error
	if r.settings, err = r.s.ReadConfig(); err != nil {
		return err
	}
	if r.paused, err = r.s.Paused(); err != nil {
		return err
	}
	err = r.remove()
	if err != nil && r.begun {
		if restoreErr := r.restore(); restoreErr != nil {
			return errors.Join(err, restoreErr)
		}
	}
	return err
}

// restore completes what is not removed after all.
func (r *removal) restore() error {
	if err := r.s.complete(); err != nil {
		return err
	}
	if err := r.s.writeFormat(r.s.format); err != nil {
		return err
	}
	if err := r.restorePause(); err != nil || len(r.settings) == 0 {
		return err
	}
	return r.s.ChangeConfig(func(now []byte) ([]byte, error) {
		if len(now) > 0 {
			return now, nil
		}
		return r.settings, nil
	})
}

// restorePause gives back a pause that was taken away.
func (r *removal) restorePause() error {
	if r.paused == nil {
		return nil
	}
	now, err := r.s.Paused()
	if err != nil || now != nil {
		return err
	}
	return r.s.Pause(*r.paused)
}

// unused refuses what must not go.
func (r *removal) unused() error {
	s := r.s
	if err := s.onlyOurs(); err != nil {
		return fmt.Errorf("%w: %w", ErrQueueInUse, err)
	}
	workers, err := s.Workers()
	if ignoreNotExist(err) != nil {
		return err
	}
	if len(workers) > 0 {
		return fmt.Errorf("%w: it has %s", ErrQueueInUse, countOf(len(workers), "worker"))
	}
	waiting, ended := 0, 0
	for _, st := range []State{Pending, Processing, Done, Dead} {
		err := s.walk(st, func(f Found) error {
			switch {
			case st == Pending && f.Err != nil && strings.HasPrefix(f.Base, "."):
			case st == Pending || st == Processing:
				waiting++
			default:
				ended++
			}
			return nil
		})
		if ignoreNotExist(err) != nil {
			return err
		}
	}
	err = s.Boxed(func(string) { waiting++ })
	if err != nil {
		return err
	}
	err = ignoreNotExist(s.ops.names(s.abs(rejectedDir), func(string) error { ended++; return nil }))
	switch {
	case err != nil:
		return err
	case waiting > 0:
		return fmt.Errorf("%w: it has %s", ErrQueueInUse, countOf(waiting, "job")+" or files that wait or run")
	case ended > 0 && !r.force:
		return fmt.Errorf("%w: it has %s", ErrQueueInUse, countOf(ended, "job")+" or files that have ended")
	}
	return nil
}

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// list takes down what is there besides jobs that wait. Only that is unlinked later: what
// comes after it makes an rmdir fail.
func (r *removal) list() error {
	var walk func(dir string) error
	walk = func(dir string) error {
		var subs []string
		err := r.s.ops.names(r.s.abs(dir), func(base string) error {
			in, err := r.s.ops.look(r.s.abs(dir), base)
			if err == nil && in.mode.IsDir() {
				subs = append(subs, dir+"/"+base)
			} else if err == nil {
				r.files = append(r.files, dir+"/"+base)
			}
			return ignoreNotExist(err)
		})
		for _, sub := range subs {
			if err == nil {
				err = walk(sub)
			}
		}
		return ignoreNotExist(err)
	}
	for _, dir := range r.tree() {
		if err := walk(dir); err != nil {
			return err
		}
	}
	return nil
}

// tree is what is below a queue's directory besides what fence removes.
func (r *removal) tree() []string {
	return []string{doneDir, deadDir, rejectedDir, logsDir, ctlDir, idsDir, statsDir}
}

func (r *removal) remove() error {
	s := r.s
	if _, err := s.Sweep(0); ignoreNotExist(err) != nil {
		return err
	}
	r.begun = true
	// From here on nothing is put, claimed, revived or registered.
	for _, dir := range []string{boxesDir, pendingDir, editingDir, workDir, workersDir, tmpDir} {
		if err := r.rmdirs(dir); err != nil {
			return err
		}
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, rel := range r.files {
		if err := r.unlink(rel); err != nil {
			return err
		}
	}
	for _, dir := range r.tree() {
		if err := r.rmdirs(dir); err != nil {
			return err
		}
	}
	for _, rel := range []string{configFile, lockFile, formatFile} {
		if err := ignoreNotExist(s.ops.unlink(s.abs(rel))); err != nil {
			return err
		}
	}
	if err := ignoreNotExist(s.ops.rmdir(s.dir)); err != nil {
		return err
	}
	return s.ops.syncDir(path.Dir(s.dir))
}

// unlink removes a file that was there at the beginning. A binding goes only if it is of
// no job: one that was put meanwhile has its own.
func (r *removal) unlink(rel string) error {
	if strings.HasPrefix(rel, idsDir+"/") {
		in, err := r.s.ops.look(r.s.abs(path.Dir(rel)), path.Base(rel))
		if err != nil {
			return ignoreNotExist(err)
		}
		if in.nlink > 1 {
			// Its job was moved out of the spool, or has just come into it.
			id, err := unescapeID(strings.TrimSuffix(path.Base(rel), suffix))
			if err != nil {
				return err
			}
			if found, err := r.holds(id); err != nil || found {
				return errors.Join(err, syscall.ENOTEMPTY)
			}
		}
	}
	return ignoreNotExist(r.s.ops.unlink(r.s.abs(rel)))
}

// holds reports whether there is a job with this id again.
func (r *removal) holds(id string) (found bool, err error) {
	for _, st := range []State{Pending, Processing, Done, Dead, Pending} {
		err := r.s.walk(st, func(f Found) error {
			found = found || f.Err == nil && f.Name.ID == id
			return nil
		})
		if ignoreNotExist(err) != nil || found {
			return found, err
		}
	}
	return false, nil
}

// rmdirs removes a directory and those in it, if there is nothing else.
func (r *removal) rmdirs(dir string) error {
	var subs []string
	err := r.s.ops.names(r.s.abs(dir), func(base string) error {
		in, err := r.s.ops.look(r.s.abs(dir), base)
		if err == nil && in.mode.IsDir() {
			subs = append(subs, dir+"/"+base)
		}
		return ignoreNotExist(err)
	})
	if err != nil {
		return ignoreNotExist(err)
	}
	slices.Sort(subs)
	for _, sub := range subs {
		if err := r.rmdirs(sub); err != nil {
			return err
		}
	}
	return ignoreNotExist(r.s.ops.rmdir(r.s.abs(dir)))
}
