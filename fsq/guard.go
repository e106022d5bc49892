package fsq

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// guardScript keeps a set of process groups, told by lines "+PGID" and
// "-PGID", and kills them when its input ends, which it does when the worker
// has died. Signals for the whole session or service do not concern it: its
// time comes after the worker's. It uses the shell's own commands only.
const guardScript = `trap '' HUP INT QUIT TERM
s=' '
while read -r l; do
  g=${l#?}
  case $l in
  +*) s="$s$g " ;;
  -*) case $s in *" $g "*) s="${s%% $g *} ${s#* $g }" ;; esac ;;
  esac
done
for g in $s; do kill -9 "-$g"; done`

// guardPatience bounds what a guardian that is stopped or hangs can cost. Its
// pipe takes thousands of lines before a write waits at all.
const guardPatience = time.Second

// A guard kills the process groups of a worker that dies, also by SIGKILL. It
// is a shell in a session of its own that outlives the worker by a moment. It
// reaches the grandchildren that a parent-death signal does not. A nil guard
// does nothing. Its methods are safe for concurrent use.
type guard struct {
	mu     sync.Mutex
	groups map[int]struct{}
	pipe   *os.File // nil: no guardian, the next change tries again
	proc   *os.Process
	exited chan struct{}
	closed bool
}

// startGuard starts the guardian. A worker can do without one, at the price
// that grandchildren may outlive it until the next sweep.
func startGuard() (*guard, error) {
	g := &guard{groups: make(map[int]struct{})}
	if err := g.start(); err != nil {
		return nil, fmt.Errorf("start guardian: %w", err)
	}
	return g, nil
}

// add puts a process group under guard. It cannot fail: a guardian that is
// gone is replaced, and if that fails the next call tries again.
func (g *guard) add(pgid int) {
	g.change('+', pgid, func() { g.groups[pgid] = struct{}{} })
}

// remove takes a process group away again.
func (g *guard) remove(pgid int) {
	g.change('-', pgid, func() { delete(g.groups, pgid) })
}

func (g *guard) change(sign byte, pgid int, apply func()) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return
	}
	apply()
	if g.pipe != nil && g.send(fmt.Sprintf("%c%d\n", sign, pgid)) == nil {
		return
	}
	g.stop(true)
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
	g.closed = true
	g.stop(false)
}

// start runs a guardian and tells it the whole set. It inherits nothing: no
// environment, by which it would be taken for a part of a job, no descriptor,
// no directory to hold a mount busy.
func (g *guard) start() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	proc, err := os.StartProcess("/bin/sh", []string{"sh", "-c", guardScript}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{r, null, null},
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
	var all strings.Builder
	for pgid := range g.groups {
		fmt.Fprintf(&all, "+%d\n", pgid)
	}
	if err := g.send(all.String()); err != nil {
		g.stop(true)
		return err
	}
	return nil
}

// send does not raise SIGPIPE: Go does that for descriptors 1 and 2 only.
func (g *guard) send(lines string) error {
	if err := g.pipe.SetWriteDeadline(time.Now().Add(guardPatience)); err != nil {
		return err
	}
	_, err := g.pipe.WriteString(lines)
	return err
}

// stop ends the guardian, after it has done its work unless at once.
func (g *guard) stop(atOnce bool) {
	if g.pipe == nil {
		return
	}
	if atOnce {
		_ = g.proc.Kill()
	}
	_ = g.pipe.Close()
	select {
	case <-g.exited:
	case <-time.After(guardPatience):
		_ = g.proc.Kill()
		<-g.exited
	}
	g.pipe, g.proc, g.exited = nil, nil, nil
}
