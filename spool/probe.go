package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// Probe is what the file system of a spool was seen to do. It holds facts; what they
// mean is for others to say.
type Probe struct {
	Dir      string // what was looked at: the spool, or where it would be made
	Planned  bool   // there is no spool yet
	Format   int    // of the spool; 0 if it is planned
	FoldCase bool   // what the spool's queuectl.json says
	Group    string
	Device   uint64
	Network  bool // it is treated as a network file system
	Mount    Mount
	// Strangers is what Strangers says of the spool, or of where it would be, to the user
	// whose workers run there: nil, a *StrangersError, or why nobody could look.
	Strangers error
	Apart     []string // directories of the spool that are on another file system
	Tried     *Tried   // nil if nothing was tried
}

// Mount is what the system says of a mounted file system. What it does not say is empty.
type Mount struct {
	Type, Source, Point string
	Options             []string // of the mount and of the file system
	Known               bool     // the type is one that is known to be local
	NoJournal           bool     // it is an ext4 that is known to have none
	ReadOnly            bool
	Free, Size          uint64 // bytes, for this user
	FreeFiles, Files    uint64 // Files is 0 where their number has no limit
	Watches, Instances  int    // inotify's limits for each user; 0: not known
}

// MountOf tells of the mount that a directory is on; what the system does not tell is not
// set.
func MountOf(dir string) Mount { return mountOf(dir) }

// Tried is what came of trying.
type Tried struct {
	Err error // no file could be written; nothing else was tried then

	Claims  Race // two renames of one name: one must win
	Replace Race // a rename onto a name: whoever looks must see one file or the other
	Links   Race // two links to one name: one must win
	Creates Race // O_EXCL, twice for one name: one must win

	LockErr   error // nil: of two descriptors one gets the lock, and gives it up when closed
	DropLease bool  // the system tells whether a file is still being written
	FoldsCase bool

	SyncFile, SyncDir time.Duration // medians of fsync(2), of a small new file and of its directory
	SyncDirErr        error

	NotifyErr error // nil: an event arrived

	Offset time.Duration // the file system's stamps minus this host's clock
	Spread time.Duration // how wrong Offset may be
	Coarse bool          // stamps are whole seconds
}

// Race is how often two calls were raced, and how often it did not end as it must.
type Race struct {
	Rounds, Broken int
	Err            error // what kept it from being tried
}

// ErrNoEvent says that no event came of a change that was made.
var ErrNoEvent = errors.New("no event arrived")

// ErrNotExclusive says that a lock was given twice, or was not given back.
var ErrNotExclusive = errors.New("a lock does not exclude")

// Rounds of a race. Calls that are not atomic collide within some microseconds of each
// other: an emulated link or O_EXCL, a look and then a write, fails in every second or
// third round, so that 64 do not miss it. On a network a round costs some milliseconds.
const (
	localRounds   = 64
	networkRounds = 24
	syncRounds    = 9 // a median that one slow call does not move
)

// eventPatience is how long an event may take that comes at once where it comes at all.
const eventPatience = 2 * time.Second

// Probe looks at the spool's file system and, unless it shall only look, tries on it what
// the protocol needs, with files of its own below tmp/ and workers/ that no reader minds.
// It removes them; what a kill leaves, Sweep clears. It may run beside workers. The error
// is ctx's, or says that the spool cannot be looked at; what the file system refuses is
// no error but a fact.
func (s *Spool) Probe(ctx context.Context, lookOnly bool) (Probe, error) {
	p := Probe{Dir: s.dir, Format: s.format.Format, FoldCase: s.format.FoldCase, Group: s.format.Group, Network: s.network, Mount: mountOf(s.dir)}
	in, err := s.ops.look(s.dir, ".")
	if err == nil {
		p.Device = in.dev
		p.Strangers = s.strangersTo(masterOf(in.uid), privateGroup)
	}
	if err != nil {
		return p, fmt.Errorf("look at spool %s: %w", s.dir, err)
	}
	for _, d := range skeleton {
		if at, err := s.ops.look(s.abs(d), "."); err == nil && at.dev != in.dev {
			p.Apart = append(p.Apart, d)
		}
	}
	if lookOnly {
		return p, nil
	}
	wid := s.host.newWID()
	t := &prober{ops: s.ops, network: s.network, perm: s.FilePerm(), home: s.abs(tmpDir) + "/" + wid + "!probe", away: s.abs(workersDir) + "/." + wid + "!probe"}
	p.Tried, err = t.run(ctx)
	return p, err
}

// ProbePlan is Probe for a directory in which there is no spool yet, nor perhaps the
// directory: it tries the nearest one above that is there, in a directory of its own,
// which it removes. A kill leaves that one, under a name that begins with a dot.
func ProbePlan(ctx context.Context, dir string) (Probe, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Probe{}, fmt.Errorf("look at %s: %w", dir, err)
	}
	o := realOps()
	in, err := o.look(dir, ".")
	for errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
		in, err = o.look(dir, ".")
	}
	p := Probe{Dir: dir, Planned: true, Device: in.dev, Network: isNetwork(dir), Mount: mountOf(dir)}
	if err != nil {
		return p, fmt.Errorf("look at %s: %w", dir, err)
	}
	p.Strangers = strangersOf(dir)
	own := filepath.Join(dir, ".queuectl-"+thisHost().newWID())
	if err := o.mkdir(own, 0o700); err != nil {
		p.Tried = &Tried{Err: err}
		return p, nil
	}
	t := &prober{ops: o, network: p.Network, perm: 0o600, home: own + "/probe", away: own + "/.probe"}
	p.Tried, err = t.run(ctx)
	return p, errors.Join(err, o.rmdir(own))
}

// prober tries a file system. Each of its names is used once.
type prober struct {
	ops        ops
	network    bool
	perm       fs.FileMode
	home, away string // what its names begin with, in two directories if there are two
	seq        counter
	mu         sync.Mutex
	names      []string // that may be there
}

func (p *prober) name(prefix string) string {
	n := fmt.Sprintf("%s%d", prefix, p.seq.next())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names = append(p.names, n)
	return n
}

func (p *prober) run(ctx context.Context) (t *Tried, err error) {
	t = &Tried{}
	defer func() { err = errors.Join(err, p.clear()) }()
	if t.Err = p.write(p.name(p.home)); t.Err != nil {
		return t, nil
	}
	for _, step := range []func(*Tried){
		func(t *Tried) { t.Claims = p.race(ctx, p.claim) },
		func(t *Tried) { t.Links = p.race(ctx, p.link) },
		func(t *Tried) { t.Creates = p.race(ctx, p.create) },
		func(t *Tried) { t.Replace = p.replace(ctx) },
		p.locks, p.clock, p.folds, p.syncs, p.notify,
	} {
		if err := ctx.Err(); err != nil {
			return t, err
		}
		step(t)
		if err := p.clear(); err != nil {
			return t, err
		}
	}
	return t, ctx.Err()
}

// clear removes what the steps so far have made. A read-only file system refuses also to
// remove what is not there.
func (p *prober) clear() (err error) {
	for _, n := range p.names {
		if rmErr := p.ops.unlink(n); ignoreNotExist(rmErr) != nil && p.there(n) {
			err = errors.Join(err, rmErr)
		}
	}
	p.names = nil
	return err
}

func (p *prober) rounds() int {
	if p.network {
		return networkRounds
	}
	return localRounds
}

// write makes a file with something in it: where only the bytes have no room, the file
// alone can be made.
func (p *prober) write(path string) error {
	f, err := p.ops.create(path, p.perm)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (p *prober) touch(path string) error {
	f, err := p.ops.create(path, p.perm)
	if err != nil {
		return err
	}
	return f.Close()
}

// look opens the directory anew: a plain stat would be answered from an NFS client's cache.
func (p *prober) look(path string) (info, error) {
	return p.ops.look(filepath.Dir(path), filepath.Base(path))
}

func (p *prober) there(path string) bool {
	_, err := p.look(path)
	return err == nil
}

// race plays rounds until one cannot be played.
func (p *prober) race(ctx context.Context, round func() (whole bool, err error)) (r Race) {
	for r.Rounds < p.rounds() && ctx.Err() == nil {
		whole, err := round()
		if err != nil {
			r.Err = err
			return r
		}
		r.Rounds++
		if !whole {
			r.Broken++
		}
	}
	return r
}

// both calls twice at once.
func both(call func(i int) error) (errs [2]error) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range errs {
		wg.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// beside is the first error that is not the one that the loser of a race must get.
func beside(errs [2]error, loser error) error {
	for _, err := range errs {
		if err != nil && !errors.Is(err, loser) && !isStale(err) {
			return err
		}
	}
	return nil
}

// claim renames one file to two names, in two directories where there are two, as claims
// do. What the calls say is not asked beyond that: on a network a reply may be lost.
func (p *prober) claim() (bool, error) {
	from, to := p.name(p.home), [2]string{p.name(p.home), p.name(p.away)}
	if err := p.touch(from); err != nil {
		return false, err
	}
	errs := both(func(i int) error { return p.ops.rename(from, to[i]) })
	if err := beside(errs, fs.ErrNotExist); err != nil {
		return false, err
	}
	won := errs[0] != nil || errs[1] != nil
	return won && p.there(to[0]) != p.there(to[1]) && !p.there(from), nil
}

// link gives two files one name, as of two that bind an id.
func (p *prober) link() (bool, error) {
	from, to := [2]string{p.name(p.home), p.name(p.home)}, p.name(p.home)
	for _, f := range from {
		if err := p.touch(f); err != nil {
			return false, err
		}
	}
	errs := both(func(i int) error { return p.ops.link(from[i], to) })
	if err := beside(errs, fs.ErrExist); err != nil {
		return false, err
	}
	got, err := p.look(to)
	if err != nil {
		return false, nil
	}
	for i, f := range from {
		in, err := p.look(f)
		if err != nil {
			return false, err
		}
		if errs[i] == nil && in.same(got) && in.nlink != 2 {
			return false, nil // the number of links tells whether an id's job is still there
		}
	}
	return (errs[0] == nil) != (errs[1] == nil) || p.network && errs[0] != nil, nil
}

// create makes one name twice.
func (p *prober) create() (bool, error) {
	path := p.name(p.home)
	errs := both(func(int) error { return p.touch(path) })
	if err := beside(errs, fs.ErrExist); err != nil {
		return false, err
	}
	return (errs[0] == nil) != (errs[1] == nil) || p.network && errs[0] != nil, nil
}

// replace renames files onto one name, as settings and bindings are replaced, while
// somebody looks: a name that is gone for a moment is an id that is free for a moment.
func (p *prober) replace(ctx context.Context) (r Race) {
	to := p.name(p.home)
	if r.Err = p.touch(to); r.Err != nil {
		return r
	}
	done, looked := make(chan struct{}), make(chan int)
	go func() {
		missing := 0
		for {
			select {
			case <-done:
				looked <- missing
				return
			default:
			}
			if _, err := p.look(to); errors.Is(err, fs.ErrNotExist) {
				missing++
			}
		}
	}()
	r = p.race(ctx, func() (bool, error) {
		from := p.name(p.home)
		if err := p.touch(from); err != nil {
			return false, err
		}
		err := p.ops.rename(from, to)
		return err == nil && !p.there(from), err
	})
	close(done)
	r.Broken += <-looked
	return r
}

// locks asks two descriptors for the lock on which this file system relies.
func (p *prober) locks(t *Tried) {
	try := func(f file) (bool, error) {
		across, ok := f.(interface{ tryLockAcrossHosts() (bool, error) })
		if p.network && ok {
			return across.tryLockAcrossHosts()
		}
		return f.tryLock()
	}
	path := p.name(p.home)
	first, err := p.ops.create(path, p.perm)
	if err != nil {
		t.LockErr = err
		return
	}
	second, err := p.ops.update(path, 0)
	if err != nil {
		t.LockErr = errors.Join(err, first.Close())
		return
	}
	held, err := try(first)
	twice, err2 := try(second)
	t.LockErr = errors.Join(err, err2, first.Close())
	if t.LockErr == nil {
		var later bool
		later, t.LockErr = try(second)
		if t.LockErr == nil && (!held || twice || !later) {
			t.LockErr = ErrNotExclusive
		}
	}
	if err := second.Close(); t.LockErr == nil {
		t.LockErr = err
	}
	f, err := p.ops.open(path)
	if err != nil {
		return
	}
	_, t.DropLease = f.beingWritten()
	_ = f.Close() // it was only read
}

// clock compares the stamps of new files with this host's clock. The quickest answer
// tells most.
func (p *prober) clock(t *Tried) {
	t.Coarse = true
	for i := range 5 {
		before := p.ops.now()
		f, err := p.ops.create(p.name(p.home), p.perm)
		if err != nil {
			return
		}
		after := p.ops.now()
		in, err := f.info()
		if errors.Join(err, f.Close()) != nil {
			return
		}
		t.Coarse = t.Coarse && in.mtime.Nanosecond() == 0
		if half := after.Sub(before) / 2; i == 0 || half < t.Spread {
			t.Offset, t.Spread = in.mtime.Sub(before.Add(half)), half
		}
	}
}

func (p *prober) folds(t *Tried) {
	path := p.name(p.home)
	if p.touch(path+"case") != nil {
		return
	}
	t.FoldsCase = p.there(path + "CASE")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.names = append(p.names, path+"case")
}

// syncs times what each acknowledgement waits for.
func (p *prober) syncs(t *Tried) {
	var files, dirs []time.Duration
	for range syncRounds {
		f, err := p.ops.create(p.name(p.home), p.perm)
		if err != nil {
			return
		}
		_, err = f.Write([]byte("probe\n"))
		before := p.ops.now()
		err = errors.Join(err, f.Sync())
		files = append(files, p.ops.now().Sub(before))
		if errors.Join(err, f.Close()) != nil {
			return
		}
		before = p.ops.now()
		if t.SyncDirErr = syncDirStrictly(filepath.Dir(p.home)); t.SyncDirErr != nil {
			return
		}
		dirs = append(dirs, p.ops.now().Sub(before))
	}
	slices.Sort(files)
	slices.Sort(dirs)
	t.SyncFile, t.SyncDir = files[len(files)/2], dirs[len(dirs)/2]
}

// notify looks whether an event comes of a new file.
func (p *prober) notify(t *Tried) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.NotifyErr = err
		return
	}
	defer w.Close()
	if t.NotifyErr = w.Add(filepath.Dir(p.home)); t.NotifyErr != nil {
		return
	}
	path := p.name(p.home)
	if t.NotifyErr = p.touch(path); t.NotifyErr != nil {
		return
	}
	patience := time.NewTimer(eventPatience)
	defer patience.Stop()
	for {
		select {
		case e := <-w.Events:
			if filepath.Base(e.Name) == filepath.Base(path) {
				return
			}
		case t.NotifyErr = <-w.Errors:
			return
		case <-patience.C:
			t.NotifyErr = ErrNoEvent
			return
		}
	}
}

// syncDirStrictly is syncDirectory where the refusal is what is asked for.
func syncDirStrictly(dir string) error {
	d, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", dir, err)
	}
	defer unix.Close(d)
	return pathError("fsync", dir, unix.Fsync(d))
}

// TooMany reports whether an error is a limit on watchers or watches.
func TooMany(err error) (instances, watches bool) {
	return errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENOSPC)
}

// Refusal tells the reasons why a file system takes nothing.
func Refusal(err error) (full, readOnly, forbidden bool) {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EROFS), errors.Is(err, os.ErrPermission)
}
