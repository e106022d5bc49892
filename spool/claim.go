package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Claim is a job that lies in a worker's directory. Its methods each make one
// transition and must not be called concurrently.
type Claim struct {
	lease *Lease
	name  Name // as it lies in processing
	over  bool
	tried []Settled // settlements that failed, on a network file system perhaps only seemingly
}

// ErrUnclaimable says that this name cannot be claimed, whatever becomes of others.
var ErrUnclaimable = errors.New("it cannot be claimed")

// Claim takes a job that waits in pending/. The error wraps ErrLost if another was
// faster, or if the lease itself is gone, which the next Beat reports. A power cut that
// undoes it gives the job back. From the second attempt on it is durable when it returns;
// a first one is so by the next SyncClaims, because an fsync for each job is much.
func (l *Lease) Claim(n Name) (*Claim, error) {
	c, err := l.take(n)
	if err == nil {
		c.outlive()
	}
	return c, err
}

// take is Claim without what makes it durable.
func (l *Lease) take(n Name) (*Claim, error) {
	if n.Attempt >= MaxAttempt {
		return nil, fmt.Errorf("claim %s: %w: it has had %d attempts", n, ErrUnclaimable, n.Attempt)
	}
	if n.Held {
		return nil, fmt.Errorf("claim %s: %w: it is held", n, ErrUnclaimable)
	}
	if n.Queued {
		return nil, fmt.Errorf("claim %s: %w: it waits for a turn of its array", n, ErrUnclaimable)
	}
	to := n
	to.Attempt++
	// A name with nothing left was moved here by hand: mv dead/X pending/ means one
	// more attempt.
	to.Allowed = max(n.Allowed, to.Attempt)
	to.Outcome, to.Wait, to.Run = "", 0, 0
	from := pendingDir + "/" + l.s.file(n)
	c := &Claim{lease: l, name: to}
	// Where a lost reply is verified, a second claim of the same name would find what
	// the first one made, and the job would run twice at once.
	if _, have := l.claims.LoadOrStore(c.path(), true); have {
		return nil, fmt.Errorf("claim %s: %w", n, ErrLost)
	}
	err := l.s.move(from, c.path())
	if err != nil {
		l.claims.Delete(c.path())
	}
	if errors.Is(err, fs.ErrNotExist) {
		// The job is gone, or this worker's directory is: without that look a worker
		// that was taken for dead would go through the whole queue and find nothing.
		if _, dirErr := l.s.ops.look(l.s.abs(claimsDir(l.Worker())), "."); errors.Is(dirErr, fs.ErrNotExist) {
			return nil, l.fail()
		}
		return nil, fmt.Errorf("claim %s: %w", n, ErrLost)
	}
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w: %w", ErrUnclaimable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", n, err)
	}
	return c, nil
}

// outlive makes a claim durable. A job that takes the machine down with it must run out of
// attempts: from the second on, the name with the higher number must survive. A failure
// costs only that, not the job.
func (c *Claim) outlive() {
	if c.name.Attempt > 1 {
		_ = c.lease.s.Sync(claimsDir(c.lease.Worker()), pendingDir)
	}
}

// SyncClaims makes all claims durable that were made before the call. On btrfs a power cut
// can leave them under both names, and the claim counts: see Recover.
func (l *Lease) SyncClaims() error {
	if err := l.s.Sync(claimsDir(l.Worker())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keep the claims of worker %s: %w", l.Worker(), err)
	}
	return nil
}

// Resume makes a Claim of a job that Claims listed and nobody runs: the claim was
// made, but its reply was lost. ok is false if there is a Claim of it already.
func (l *Lease) Resume(n Name) (c *Claim, ok bool) {
	c = &Claim{lease: l, name: n}
	_, have := l.claims.LoadOrStore(c.path(), true)
	return c, !have
}

// Abandon gives the Claim up and leaves the file where it lies.
func (c *Claim) Abandon() { c.end() }

// Name is the claim's: its Attempt counts this run.
func (c *Claim) Name() Name { return c.name }

func (c *Claim) path() string { return claimsDir(c.lease.Worker()) + "/" + c.lease.s.file(c.name) }

// Content is what a job's file holds and whose it is.
type Content struct {
	Data []byte
	UID  uint32
	GID  uint32
	Mode fs.FileMode
	// Unfinished says that someone may still be writing it: its content must not be
	// judged yet. Files put by Put are never unfinished; copies made by hand can be.
	Unfinished bool

	in info
}

// Read reads the job's file, opened once and judged by its descriptor.
func (c *Claim) Read() (Content, error) {
	s := c.lease.s
	f, err := s.ops.open(s.abs(c.path()))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = ErrLost
		}
		return Content{}, fmt.Errorf("read job %q: %w", c.name.ID, err)
	}
	defer f.Close()
	data, in, err := readAll(f, s.format.MaxJobBytes)
	content := Content{Data: data, UID: in.uid, GID: in.gid, Mode: in.mode, in: in}
	if errors.Is(err, ErrChanging) {
		content.Unfinished = true
		return content, nil
	}
	if err != nil {
		return content, fmt.Errorf("read job %q: %w", c.name.ID, err)
	}
	if writing, known := s.beingWritten(f); known {
		content.Unfinished = writing
	} else {
		content.Unfinished = s.Now().Sub(in.ctime) < quietFor(s.network)
	}
	return content, nil
}

// Linked reports whether the file that was read has a name beside the job's own and the
// binding of its id. Somebody other than its owner may have given it the name here.
func (c *Claim) Linked(content Content) bool {
	return c.lease.s.strangeLinks(c.name.ID, content.in) > 0
}

func (s *Spool) strangeLinks(id string, in info) int {
	if in.nlink < 2 {
		return 0
	}
	ref := s.idPath(id)
	if bound, err := s.ops.look(s.abs(path.Dir(ref)), path.Base(ref)); err == nil && bound.same(in) {
		return int(in.nlink) - 2
	}
	return int(in.nlink) - 1
}

// Trusted reports whether a worker may run a file of this owner: its own and root's,
// as sshd(8) and cron(8) have it, and with trustGroup those of the spool's group.
func (s *Spool) Trusted(uid, gid uint32, trustGroup bool) bool {
	return uid == uint32(geteuid()) || uid == 0 || trustGroup && s.format.Group != "" && gid == s.gid
}

// othersWrite are the permissions by which others than its owner change a file.
const othersWrite fs.FileMode = 0o022

// Exposed reports whether others than its owner may have written a file of this mode, so
// that its owner says nothing about who wants it run. In a spool for one user nobody else
// gets at the file, whatever its mode: there a drop that was made under umask 002 is as
// good as any. With trustGroup all members are trusted.
func (s *Spool) Exposed(mode fs.FileMode, trustGroup bool) bool {
	return s.format.Group != "" && !trustGroup && mode&othersWrite != 0
}

// Held reports whether the claim is still this worker's.
func (c *Claim) Held() (bool, error) {
	s := c.lease.s
	_, err := s.ops.look(s.abs(claimsDir(c.lease.Worker())), path.Base(c.path()))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
