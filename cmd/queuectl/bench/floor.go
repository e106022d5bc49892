package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// document is a job as a bare queue would write it.
var document = []byte(`{"id":"01JABCDEFGHJKMNPQRSTVWXYZ0","command":"true","enqueued_at":"2026-11-10T18:30:00.123Z"}` + "\n")

// rate calls f again and again on n goroutines and returns the calls per second.
func rate(ctx context.Context, window time.Duration, n int, f func(caller, i int) error) (float64, error) {
	var (
		all   sync.WaitGroup
		total atomic.Int64
		errs  = make([]error, n)
	)
	begun := time.Now()
	end := begun.Add(window)
	for c := range n {
		all.Go(func() {
			i := 0
			for ; errs[c] == nil && ctx.Err() == nil && time.Now().Before(end); i++ {
				errs[c] = f(c, i)
			}
			total.Add(int64(i))
		})
	}
	all.Wait()
	return float64(total.Load()) / time.Since(begun).Seconds(), errors.Join(errs...)
}

func openDir(path string) (int, error) {
	return unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

func syncFS(dir string) error {
	d, err := openDir(dir)
	if err != nil {
		return err
	}
	defer unix.Close(d)
	return fsErr("syncfs", syncAll(d))
}

func fsErr(op string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// dirs opens directories below one that is made for them.
func (e *env) dirs(names ...string) (fds []int, closeAll func(), err error) {
	d, err := e.fresh(names...)
	closeAll = func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}
	for _, n := range names {
		if err != nil {
			break
		}
		var fd int
		if fd, err = openDir(filepath.Join(d, n)); err == nil {
			fds = append(fds, fd)
		}
	}
	return fds, closeAll, err
}

func makeFile(dir int, name string, data []byte) (int, error) {
	f, err := unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err == nil {
		_, err = unix.Write(f, data)
	}
	return f, err
}

// floorCreate writes a file, syncs it, renames it and syncs the directory: the least that
// makes one job durable.
func floorCreate(ctx context.Context, e *env, callers int) (float64, error) {
	fds, done, err := e.dirs("tmp", "q")
	defer done()
	if err != nil {
		return 0, err
	}
	tmp, q := fds[0], fds[1]
	return rate(ctx, e.window, callers, func(c, i int) error {
		n := strconv.Itoa(c) + "." + strconv.Itoa(i)
		f, err := makeFile(tmp, n, document)
		if err != nil {
			return fsErr("create", err)
		}
		return errors.Join(unix.Fsync(f), unix.Close(f), unix.Renameat(tmp, n, q, n), unix.Fsync(q))
	})
}

// perSyncfs is how many files one syncfs makes durable.
const perSyncfs = 1000

// batch makes files durable by one syncfs; i tells them from those of another batch.
func batch(tmp, q, i int) error {
	name := func(j int) string { return strconv.Itoa(i) + "." + strconv.Itoa(j) }
	for j := range perSyncfs {
		f, err := makeFile(tmp, name(j), document)
		if err = errors.Join(err, unix.Close(f)); err != nil {
			return fsErr("create", err)
		}
	}
	if err := syncAll(q); err != nil {
		return fsErr("syncfs", err)
	}
	for j := range perSyncfs {
		if err := unix.Renameat(tmp, name(j), q, name(j)); err != nil {
			return fsErr("rename", err)
		}
	}
	return unix.Fsync(q)
}

// floorBulk makes files durable, a batch after the other.
func floorBulk(ctx context.Context, e *env) (float64, error) {
	fds, done, err := e.dirs("tmp", "q")
	defer done()
	if err != nil {
		return 0, err
	}
	batches, err := rate(ctx, e.window, 1, func(_, i int) error { return batch(fds[0], fds[1], i) })
	return batches * perSyncfs, err
}

// enoughForAll is how long a batch may take on a file system that gets all the jobs, 5,000
// files a second: a local disk needs a third of it. On slower ones there are fewer, so that
// all is over in time.
const enoughForAll = 200 * time.Millisecond

// adapt makes the scale fit the file system.
func (e *env) adapt() error {
	fds, done, err := e.dirs("tmp", "q")
	defer done()
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := batch(fds[0], fds[1], 0); err != nil {
		return fmt.Errorf("try the file system: %w", err)
	}
	e.scale = scaleFor(e.scale, time.Since(begun))
	return nil
}

// scaleFor is the scale where a batch took so long, if it is full elsewhere.
func scaleFor(full int, took time.Duration) int {
	if took <= enoughForAll {
		return full
	}
	return max(1, int(float64(full)*float64(enoughForAll)/float64(took)))
}

// floorLife claims and settles files by a rename each. With durable, each is also read,
// added to and synced, and then its directory, as who keeps the outcome in the file does.
func floorLife(ctx context.Context, e *env, callers, jobs int, durable bool) (float64, error) {
	fds, done, err := e.dirs("pending", "processing", "done")
	defer done()
	if err != nil {
		return 0, err
	}
	pending, processing, finished := fds[0], fds[1], fds[2]
	for i := range jobs {
		f, err := makeFile(pending, strconv.Itoa(i), document)
		if err = errors.Join(err, unix.Close(f)); err != nil {
			return 0, fsErr("create", err)
		}
	}
	if err := syncAll(pending); err != nil {
		return 0, err
	}
	one := func(name string, buf []byte) error {
		if err := unix.Renameat(pending, name, processing, name); err != nil {
			return fsErr("claim", err)
		}
		if durable {
			f, err := unix.Openat(processing, name, unix.O_RDWR|unix.O_CLOEXEC, 0)
			if err != nil {
				return fsErr("open", err)
			}
			n, err := unix.Read(f, buf)
			var doc map[string]any
			err = errors.Join(err, json.Unmarshal(buf[:n], &doc))
			out, marshalErr := json.Marshal(doc)
			_, writeErr := unix.Write(f, out)
			if err = errors.Join(err, marshalErr, writeErr, unix.Fsync(f), unix.Close(f)); err != nil {
				return err
			}
		}
		err := fsErr("settle", unix.Renameat(processing, name, finished, name))
		if err == nil && durable {
			err = unix.Fsync(finished)
		}
		return err
	}
	begun := time.Now()
	names := make(chan []string, 1)
	var (
		all  sync.WaitGroup
		errs = make([]error, callers+1)
	)
	all.Go(func() { errs[callers] = list(pending, names) })
	for c := range callers {
		all.Go(func() {
			buf := make([]byte, 4096)
			for some := range names {
				for _, n := range some {
					if ctx.Err() == nil { // else only the listing has to end
						errs[c] = errors.Join(errs[c], one(n, buf))
					}
				}
			}
		})
	}
	all.Wait()
	return float64(jobs) / time.Since(begun).Seconds(), errors.Join(errs...)
}

func list(dir int, names chan<- []string) error {
	defer close(names)
	d, err := os.Open(fmt.Sprintf("/dev/fd/%d", dir))
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		some, err := d.Readdirnames(64)
		if len(some) > 0 {
			names <- some
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// floorRun claims by a rename, runs a shell that does nothing, and settles by a rename, two
// at a time: the least that a worker in Go does.
func floorRun(ctx context.Context, e *env, jobs int) (float64, error) {
	fds, done, err := e.dirs("pending", "processing", "done")
	defer done()
	if err != nil {
		return 0, err
	}
	names := make(chan string, jobs)
	for i := range jobs {
		n := strconv.Itoa(i)
		f, err := makeFile(fds[0], n, document)
		if err = errors.Join(err, unix.Close(f)); err != nil {
			return 0, fsErr("create", err)
		}
		names <- n
	}
	close(names)
	var (
		all  sync.WaitGroup
		errs [2]error
	)
	begun := time.Now()
	for c := range errs {
		all.Go(func() {
			for n := range names {
				if ctx.Err() != nil {
					return
				}
				errs[c] = errors.Join(errs[c], unix.Renameat(fds[0], n, fds[1], n), exec.Command("/bin/sh", "-c", "true").Run(), unix.Renameat(fds[1], n, fds[2], n))
			}
		})
	}
	all.Wait()
	return float64(jobs) / time.Since(begun).Seconds(), errors.Join(errs[:]...)
}

// floorSpawn is two C programs that start a shell again and again by posix_spawn.
func floorSpawn(e *env, each int) (float64, error) {
	var (
		all  sync.WaitGroup
		errs [2]error
	)
	begun := time.Now()
	for c := range errs {
		all.Go(func() { errs[c] = exec.Command(e.o.Spawn, strconv.Itoa(each), "/bin/sh", "-c", "true").Run() })
	}
	all.Wait()
	return float64(2*each) / time.Since(begun).Seconds(), errors.Join(errs[:]...)
}

// started returns how long a command takes from its start to its end, the median of n, in
// milliseconds.
func started(n int, command func() *exec.Cmd) (float64, error) {
	var all []float64
	for range n {
		c := command()
		begun := time.Now()
		if err := c.Run(); err != nil {
			return 0, fmt.Errorf("%s: %w", c.Path, err)
		}
		all = append(all, float64(time.Since(begun).Microseconds())/1e3)
	}
	return median(all), nil
}
