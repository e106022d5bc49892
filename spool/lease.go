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
}

// Lease is the registration of one worker incarnation: a file with a lock for
// its life and a modification time for its heartbeat, and the directory of its
// claims. Only a Lease can claim. Its methods are safe for concurrent use.
type Lease struct {
	s      *Spool
	holder Holder
	file   file
	in     info
	lost   atomic.Bool
	claims sync.Map // paths of the claims that are not over: one name is claimed once
}

func workerPath(wid string) string { return workersDir + "/" + wid + suffix }

func claimsDir(wid string) string { return workDir + "/" + wid }

// Register makes a worker known. slots, version and lease are for others to read.
func (s *Spool) Register(slots int, version string, lease time.Duration) (*Lease, error) {
	l, err := s.register(slots, version, lease)
	if err != nil {
		return nil, fmt.Errorf("register a worker: %w", err)
	}
	return l, nil
}

func (s *Spool) register(slots int, version string, lease time.Duration) (*Lease, error) {
	pid := os.Getpid()
	l := &Lease{s: s, holder: Holder{
		Worker: s.host.newWID(), Host: s.host.Name, BootID: s.host.BootID, PIDNS: s.host.PIDNS,
		PID: pid, ProcStart: s.processes.startOf(pid), UID: os.Getuid(), Slots: slots, Version: version,
		StartedAt: Truncate(s.Now()), LeaseMS: lease.Milliseconds(),
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
	// On a network file system the lock may be refused or mean nothing; there the
	// heartbeat alone tells.
	if locked, lockErr := l.file.tryLock(); !s.network && (lockErr != nil || !locked) {
		return nil, fmt.Errorf("lock its registry entry: %w", errors.Join(lockErr, errors.ErrUnsupported))
	}
	if l.in, err = l.file.info(); err != nil {
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

// Worker is the name of this incarnation.
func (l *Lease) Worker() string { return l.holder.Worker }

// Lock is the descriptor whose lock says that the worker lives. A child that
// inherits it keeps the lock until it is gone too. nil where locks say nothing.
func (l *Lease) Lock() *os.File {
	if l.s.network {
		return nil
	}
	return l.file.os()
}

// Beat renews the lease. The error wraps ErrLost if another worker has taken this
// one for dead: all its claims are gone then, and it must register anew.
func (l *Lease) Beat() error {
	if l.lost.Load() {
		return fmt.Errorf("worker %s: its lease: %w", l.Worker(), ErrLost)
	}
	before := l.s.ops.now()
	if err := l.file.touch(); err != nil {
		if isStale(err) {
			return l.fail()
		}
		return fmt.Errorf("worker %s: heartbeat: %w", l.Worker(), err)
	}
	if in, err := l.file.info(); err == nil {
		l.s.observe(in.mtime, before, l.s.ops.now())
	}
	return l.check()
}

// check looks whether the registry entry is still this one.
func (l *Lease) check() error {
	in, err := l.s.ops.look(l.s.abs(workersDir), path.Base(workerPath(l.Worker())))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !in.same(l.in) {
		return l.fail()
	}
	if err == nil {
		_, err = l.s.ops.look(l.s.abs(claimsDir(l.Worker())), ".")
		if errors.Is(err, fs.ErrNotExist) {
			return l.fail()
		}
	}
	if err != nil {
		return fmt.Errorf("worker %s: look at its lease: %w", l.Worker(), err)
	}
	return nil
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
func (s *Spool) Workers() ([]Registered, error) {
	var all []Registered
	err := s.walkEach(workersDir, func(base string) error {
		wid, ok := strings.CutSuffix(base, suffix)
		if !ok {
			return nil
		}
		if _, _, ok := parseWID(wid); !ok {
			return nil
		}
		r, err := s.readWorker(wid)
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

func (s *Spool) readWorker(wid string) (Registered, error) {
	r := Registered{}
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
	host, pid, _ := parseWID(wid)
	r.Worker, r.Host = wid, host
	if r.PID == 0 {
		r.PID = pid
	}
	return r, nil
}
