package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// ErrLost is news, not a failure: somebody else has the job, or the worker.
var ErrLost = errors.New("lost to another")

// ErrHeld says of a heartbeat that could not be written that nobody has taken the worker
// for dead all the same. Until somebody can write, nobody will.
var ErrHeld = errors.New("nobody has taken its jobs")

// Holder is what a worker tells of itself in its registry entry.
type Holder struct {
	Worker    string    `json:"worker"`
	Host      string    `json:"host"`
	BootID    string    `json:"boot_id"`
	PIDNS     string    `json:"pid_namespace"`
	PID       int       `json:"pid"`
	ProcStart string    `json:"process_start"`
	UID       int       `json:"uid"`
	Slots     int       `json:"slots"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	LeaseMS   int64     `json:"lease_ms"`
	Only      string    `json:"only,omitempty"` // takes no job but the one with this id
}

// Lease is the registration of one worker incarnation: a file with a lock for
// its life (where locks say something) and a modification time for its heartbeat, and
// the directory of its claims. Only a Lease can claim. Its methods are safe for concurrent use.
type Lease struct {
	s      *Spool
	holder Holder
	file   file // keeps the lock; nil on a network file system
	in     info
	lost   atomic.Bool
	claims sync.Map // paths of the claims that are not over: one name is claimed once
}

func workerPath(wid string) string { return workersDir + "/" + wid + suffix }

func claimsDir(wid string) string { return workDir + "/" + wid }

// Register makes a worker known. slots, version and lease are for others to read.
func (s *Spool) Register(slots int, version string, lease time.Duration) (*Lease, error) {
	return s.RegisterFor("", slots, version, lease)
}

// RegisterFor is Register for a worker that takes no job but the one with the id only, so
// that nobody waits for it to take another.
func (s *Spool) RegisterFor(only string, slots int, version string, lease time.Duration) (*Lease, error) {
	l, err := s.register(only, slots, version, lease)
	if err != nil {
		return nil, fmt.Errorf("register a worker: %w", err)
	}
	return l, nil
}

func (s *Spool) register(only string, slots int, version string, lease time.Duration) (*Lease, error) {
	pid := os.Getpid()
	l := &Lease{s: s, holder: Holder{
		Worker: s.host.newWID(), Host: s.host.Name, BootID: s.host.BootID, PIDNS: s.host.PIDNS,
		PID: pid, ProcStart: s.processes.startOf(pid), UID: os.Getuid(), Slots: slots, Version: version,
		StartedAt: Truncate(s.Now()), LeaseMS: lease.Milliseconds(), Only: only,
	}}
	data, err := json.MarshalIndent(l.holder, "", "  ")
	if err != nil {
		return nil, err
	}
	wid := l.holder.Worker
	// Under a dot name until it is locked: nobody must see a living worker unlocked.
	hidden := workersDir + "/." + wid
	if l.file, err = s.ops.create(s.abs(hidden), s.FilePerm()); err != nil {
		return nil, err
	}
	ok := false
	defer func() {
		if !ok {
			_ = s.ops.unlink(s.abs(hidden))
			_ = s.ops.unlink(s.abs(workerPath(wid)))
			_ = l.Close()
		}
	}()
	if _, err = l.file.Write(append(data, '\n')); err != nil {
		return nil, err
	}
	if err = l.file.Sync(); err != nil {
		return nil, err
	}
	if l.in, err = l.file.info(); err != nil {
		return nil, err
	}
	if err = l.hold(); err != nil {
		return nil, err
	}
	ownLeases.Store(wid, l)
	if err = s.move(hidden, workerPath(wid)); err != nil {
		return nil, err
	}
	if err = s.ops.mkdir(s.abs(claimsDir(wid)), s.dirPerm()); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	// Claims land in this directory: it must not vanish under them in a power cut.
	if err = s.Sync(workDir); err != nil {
		return nil, err
	}
	ok = true
	return l, nil
}

// hold locks the entry. On a network file system the lock may be refused or mean nothing,
// and the heartbeat alone tells: there the file is not even kept open. An open or locked
// file is a state that the client must give back when the server was restarted, and Linux
// 6.1 has been seen to hang in that for ever, with all that asks the mount for anything.
func (l *Lease) hold() error {
	if l.s.network {
		f := l.file
		l.file = nil
		return f.Close()
	}
	if locked, err := l.file.tryLock(); err != nil || !locked {
		return fmt.Errorf("lock its registry entry: %w", errors.Join(err, errors.ErrUnsupported))
	}
	return nil
}

// Worker is the name of this incarnation.
func (l *Lease) Worker() string { return l.holder.Worker }

// Lock is the descriptor whose lock says that the worker lives. A child that
// inherits it keeps the lock until it is gone too. nil where locks say nothing.
func (l *Lease) Lock() *os.File {
	if l.file == nil {
		return nil
	}
	return l.file.os()
}

// Beat renews the lease. The error wraps ErrLost if another worker has taken this
// one for dead: all its claims are gone then, and it must register anew. It wraps ErrHeld
// if a local file system takes no writes, from anybody, and the lease is still its own:
// there a look is the truth. On a network another host may be able to write.
func (l *Lease) Beat() error {
	if l.lost.Load() {
		return fmt.Errorf("worker %s: its lease: %w", l.Worker(), ErrLost)
	}
	before := l.s.ops.now()
	if err := l.s.ops.touch(l.s.abs(workerPath(l.Worker()))); err != nil {
		if isStale(err) || errors.Is(err, fs.ErrNotExist) {
			return l.fail()
		}
		err = fmt.Errorf("worker %s: heartbeat: %w", l.Worker(), err)
		if l.s.network || !takesNoWrites(err) {
			return err
		}
		if _, lookErr := l.check(); lookErr != nil {
			return fmt.Errorf("%w; %w", err, lookErr)
		}
		return fmt.Errorf("%w; %w", err, ErrHeld)
	}
	after := l.s.ops.now()
	in, err := l.check()
	if err == nil {
		l.s.observe(in.mtime, before, after)
	}
	return err
}

// check looks whether the registry entry is still this one.
func (l *Lease) check() (info, error) {
	in, err := l.s.ops.look(l.s.abs(workersDir), path.Base(workerPath(l.Worker())))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !in.same(l.in) {
		return in, l.fail()
	}
	if err == nil {
		_, err = l.s.ops.look(l.s.abs(claimsDir(l.Worker())), ".")
		if errors.Is(err, fs.ErrNotExist) {
			return in, l.fail()
		}
	}
	if err != nil {
		return in, fmt.Errorf("worker %s: look at its lease: %w", l.Worker(), err)
	}
	return in, nil
}

func (l *Lease) fail() error {
	l.lost.Store(true)
	return fmt.Errorf("worker %s: its lease: %w", l.Worker(), ErrLost)
}

// Lost reports whether another worker has taken this one for dead.
func (l *Lease) Lost() bool { return l.lost.Load() }

// Claims lists what lies in this worker's directory. One that the worker does not
// run is a claim whose reply was lost: Adopt makes it a Claim.
func (l *Lease) Claims() (names []Name, err error) {
	err = l.s.walkDir(Processing, claimsDir(l.Worker()), l.Worker(), func(f Found) error {
		if f.Err == nil {
			names = append(names, f.Name)
		}
		return nil
	})
	return names, err
}

// Leave ends the registration. Claims must have been settled; the error wraps
// fs.ErrExist or the like if some are left, and then the next reaper sees to them.
func (l *Lease) Leave() error {
	defer l.Close()
	if l.lost.Load() {
		return nil
	}
	err := l.s.ops.rmdir(l.s.abs(claimsDir(l.Worker())))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("worker %s: leave: %w", l.Worker(), err)
	}
	for _, r := range []Request{Drain, Interrupt} {
		if err := l.s.Withdraw(r, l.Worker()); err != nil {
			return err
		}
	}
	if err := l.s.ops.unlink(l.s.abs(workerPath(l.Worker()))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("worker %s: leave: %w", l.Worker(), err)
	}
	return nil
}

// Close lets go of the lock and leaves everything as it is: what a killed worker
// does. For tests and for a lease that is lost.
func (l *Lease) Close() error {
	ownLeases.Delete(l.Worker())
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

// Registered is a registry entry.
type Registered struct {
	Holder
	Heartbeat time.Time // the file server's stamp
	in        info
}

// Workers lists the registry. An entry that cannot be read is listed with its name
// alone: it may be that of a worker of a later version.
func (s *Spool) Workers() ([]Registered, error) { return s.workers(nil, "") }

// workers takes what it knows of an entry, but for the heartbeat, from an earlier list:
// nobody changes what is in one. It leaves one worker out.
func (s *Spool) workers(known map[string]Registered, out string) ([]Registered, error) {
	var all []Registered
	err := s.walkEach(workersDir, func(base string) error {
		wid, ok := strings.CutSuffix(base, suffix)
		if !ok || wid == out {
			return nil
		}
		if _, _, ok := parseWID(wid); !ok {
			return nil
		}
		r, err := s.readWorker(wid, known[wid])
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		all = append(all, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	return all, nil
}

// readWorker has the server asked for the heartbeat. On a network file system it opens the
// entry only to read it for the first time, and gives back what the server lets it keep for
// that, a delegation (RFC 8881, section 10.4): until the server has it back no heartbeat is
// written, and a host that is gone gives nothing back.
func (s *Spool) readWorker(wid string, known Registered) (Registered, error) {
	r := Registered{}
	if known.LeaseMS > 0 {
		in, err := s.ops.refresh(s.abs(workerPath(wid)))
		if err != nil {
			return r, err
		}
		if known.in.same(in) && known.in.size == in.size {
			known.in, known.Heartbeat = in, in.mtime
			return known, nil
		}
	}
	f, err := s.ops.open(s.abs(workerPath(wid)))
	if err != nil {
		return r, err
	}
	defer f.Close()
	if r.in, err = f.info(); err != nil {
		return r, err
	}
	r.Heartbeat = r.in.mtime
	// A heartbeat may fall between two looks at the file, which is no fault here.
	if data, _, err := readAll(f, 64<<10); err == nil || errors.Is(err, ErrChanging) {
		_ = json.Unmarshal(data, &r.Holder)
	}
	if s.network {
		f.release()
	}
	host, pid, _ := parseWID(wid)
	r.Worker, r.Host = wid, host
	if r.PID == 0 {
		r.PID = pid
	}
	return r, nil
}
