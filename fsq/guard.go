package fsq

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guardScript waits for the end of its input, which comes when the worker has died, and
// kills the process groups that are then in the file at descriptor 3. Signals for the
// whole session or service do not concern it: its time comes after the worker's. It uses
// the shell's own commands only.
const guardScript = `trap '' HUP INT QUIT TERM
while read -r l; do :; done
while read -r g; do [ -z "$g" ] || kill -9 "-$g"; done <&3`

// guardPatience bounds what a guardian that hangs can cost when the worker ends.
const guardPatience = time.Second

// A guard kills the process groups of a worker that dies, also by SIGKILL. It
// is a shell in a session of its own that outlives the worker by a moment. It
// reaches the grandchildren that a parent-death signal does not. A nil guard
// does nothing. Its methods are safe for concurrent use.
//
// The groups are in a file that has no name, one to a line. Told by lines in its pipe the
// shell would wake up, and read byte by byte, twice for each job.
type guard struct {
	mu     sync.Mutex
	set    *os.File
	lines  map[int]int64 // of each group, its line in set
	free   []int64       // lines that are blank again
	pipe   *os.File      // nil: no guardian, the next change tries again
	proc   *os.Process
	exited chan struct{}
	closed bool
}

// guardLine is the length of a line: ten digits and the newline.
const guardLine = 11

// startGuard starts the guardian. A worker can do without one, at the price
// that grandchildren may outlive it until the next sweep.
func startGuard() (*guard, error) {
	set, err := stdinFile("")
	if err != nil {
		return nil, fmt.Errorf("start guardian: %w", err)
	}
	g := &guard{set: set, lines: make(map[int]int64)}
	if err := g.start(); err != nil {
		_ = set.Close()
		return nil, fmt.Errorf("start guardian: %w", err)
	}
	return g, nil
}

// add puts a process group under guard. It cannot fail: a guardian that is
// gone is replaced, and if that fails the next call tries again.
func (g *guard) add(pgid int) {
	g.change(func() {
		if _, have := g.lines[pgid]; have {
			return
		}
		line := int64(len(g.lines) + len(g.free))
		if n := len(g.free); n > 0 {
			line, g.free = g.free[n-1], g.free[:n-1]
		}
		g.lines[pgid] = line
		g.write(line, fmt.Sprintf("%*d\n", guardLine-1, pgid))
	})
}

// remove takes a process group away again. Its number may be another's as soon as this
// returns.
func (g *guard) remove(pgid int) {
	g.change(func() {
		line, have := g.lines[pgid]
		if !have {
			return
		}
		g.write(line, fmt.Sprintf("%*s\n", guardLine-1, ""))
		delete(g.lines, pgid)
		g.free = append(g.free, line)
	})
}

// write leaves the offset where it is, which the guardian shares. The file is in memory,
// or where that cannot be, on a disk that may be full: then a group is not guarded.
func (g *guard) write(line int64, s string) { _, _ = g.set.WriteAt([]byte(s), line*guardLine) }

func (g *guard) change(apply func()) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	apply()
	if g.pipe != nil {
		select {
		case <-g.exited:
		default:
			return
		}
	}
	g.stop()
	// The error is of no use to a job; it runs less well guarded.
	_ = g.start()
}

// close ends the guardian. Groups that are still in its set are killed.
func (g *guard) close() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stop()
	if !g.closed {
		_ = g.set.Close()
	}
	g.closed = true
}

// start runs a guardian. It inherits nothing: no environment, by which it would be taken
// for a part of a job, no descriptor but its own, no directory to hold a mount busy.
func (g *guard) start() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	if _, err := g.set.Seek(0, 0); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	proc, err := os.StartProcess("/bin/sh", []string{"sh", "-c", guardScript}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{r, null, null, g.set},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		_ = w.Close()
		return err
	}
	exited := make(chan struct{})
	go func() {
		_, _ = proc.Wait()
		close(exited)
	}()
	g.pipe, g.proc, g.exited = w, proc, exited
	return nil
}

// stop ends the guardian, after it has done its work.
func (g *guard) stop() {
	if g.pipe == nil {
		return
	}
	_ = g.pipe.Close()
	_ = g.proc.Signal(unix.SIGCONT) // somebody may have stopped it
	select {
	case <-g.exited:
	case <-time.After(guardPatience):
		_ = g.proc.Kill()
		<-g.exited
	}
	g.pipe, g.proc, g.exited = nil, nil, nil
}
