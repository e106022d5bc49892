package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var callErrors = []error{unix.ENOSPC, unix.EDQUOT, unix.EIO, unix.EACCES, unix.ESTALE, unix.EINTR}

// losable are the calls that a file server can have executed although the client is
// told that they failed: a repeat of one that was executed finds it done.
var losable = []string{"link", "rename", "mkdir", "unlink", "rmdir"}

// sampled reports whether some of the cases are enough: the race detector makes each
// several times as dear, and is no help where there is one goroutine.
func sampled() bool { return testing.Short() || raceEnabled }

// stride passes over calls of the longest operations, where a batch repeats itself.
// It is prime to the number of calls that a job of a batch takes.
func stride(n int) int {
	if sampled() && n > 100 {
		return 11
	}
	return 1
}

// trouble is what befalls one call of an operation.
type trouble struct {
	k       int
	err     error
	after   bool // its reply is lost
	network bool
	again   bool // the operation is tried again, and then all is well
}

// Any system call may fail. The operation then succeeds all the same or says so; what
// was acknowledged is kept; a claim can still be settled; check --repair mends what
// is left; and no fsync that failed is tried again on the same file.
func TestErrorAtEveryCall(t *testing.T) {
	t.Parallel()
	eachTrouble(t, func(_ *testing.T, n int, _ []call, run func(trouble)) {
		for k := 0; k < n; k += stride(n) {
			for i, err := range callErrors {
				if sampled() && i%3 != k%3 {
					continue
				}
				run(trouble{k: k, err: err, again: (k+i)%2 == 0})
			}
			run(trouble{k: k, err: callErrors[k%len(callErrors)], network: true, again: k%2 == 1})
		}
	})
}

// On a network file system the reply of a call that was executed can be lost.
func TestLostReplyAtEveryCall(t *testing.T) {
	t.Parallel()
	eachTrouble(t, func(_ *testing.T, n int, trace []call, run func(trouble)) {
		for k := 0; k < n; k += stride(n) {
			if !slices.Contains(losable, trace[k].op) {
				continue
			}
			// What the repeat of an executed call is told.
			errs := []error{map[string]error{"link": unix.EEXIST, "mkdir": unix.EEXIST}[trace[k].op], unix.EIO, unix.ESTALE}
			if errs[0] == nil {
				errs[0] = unix.ENOENT
			}
			for i, err := range errs {
				run(trouble{k: k, err: err, after: true, network: true, again: (k+i)%2 == 0})
			}
		}
	})
}

// eachTrouble runs cases of each operation. The trace is that of the operation without
// trouble, on a network file system.
func eachTrouble(t *testing.T, cases func(t *testing.T, n int, trace []call, run func(trouble))) {
	dir := exploreDir(t)
	for i, op := range operations() {
		if op.name == "Init" {
			continue // TestInitFailsAtEveryCall
		}
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			serial := 0
			root := func() string { serial++; return filepath.Join(dir, fmt.Sprint(i, "-", serial)) }
			w := newScene(t, root(), op)
			w.x.network = true
			trace := w.traced()
			w.end()
			n := len(trace)
			cases(t, n, trace, func(b trouble) { troubled(t, root(), op, b) })
			t.Logf("%d cases", serial-1)
		})
	}
}

// traced runs the operation, which must succeed, and returns its calls.
func (w *scene) traced() (trace []call) {
	w.t.Helper()
	w.hook = func(c call) fault { trace = append(trace, c); return fault{} }
	err := w.op()
	w.hook = nil
	if err != nil {
		w.t.Fatalf("without trouble: %v", err)
	}
	return trace
}

func troubled(t *testing.T, root string, op operation, b trouble) {
	t.Helper()
	w := newScene(t, root, op)
	defer w.end()
	w.x.network = b.network
	var problems []string
	look := func(when string, found []string) {
		for _, p := range found {
			problems = append(problems, when+": "+p)
		}
	}
	n := 0
	at := call{}
	failed := map[string]bool{}
	w.hook = func(c call) fault {
		if c.op == "fsync" && failed[c.path] {
			look("", []string{"a second fsync of " + c.path})
		}
		n++
		if n-1 != b.k {
			return fault{}
		}
		at = c
		if c.op == "fsync" {
			failed[c.path] = true
		}
		return fault{err: b.err, after: b.after}
	}
	err := w.op()
	w.hook = nil
	if n <= b.k {
		return // on a local file system it makes fewer calls
	}
	look(fmt.Sprintf("it says %v", err), w.truthful(err))
	if err != nil && b.again {
		w.secondTry(err, look)
	}
	w.kill()
	s := w.later()
	look("check", w.mended(s))
	look("after check", w.conserved())
	w.next(s)
	look("check in the end", w.mended(s))
	look("in the end", w.settledDown(s))
	if len(problems) > 0 {
		t.Errorf("call %d, %s: %v (executed: %v, network: %v, tried again: %v):\n%s", b.k+1, at, b.err, b.after, b.network, b.again, strings.Join(problems, "\n"))
	}
}

// secondTry makes the operation again, without trouble.
func (w *scene) secondTry(first error, look func(string, []string)) {
	w.t.Helper()
	again := w.again
	if again == nil {
		again = w.op
	}
	err := again()
	gone := errors.Is(err, ErrLost) || errors.Is(err, fs.ErrNotExist)
	switch {
	case err == nil, errors.Is(err, ErrDuplicate) && errors.Is(first, ErrUncertain), gone && w.again == nil:
		// What says that there is nothing to do any more must have done it.
		for c := range w.fates {
			if w.each[c] != nil {
				w.each[c] = nil
			}
		}
		look(fmt.Sprintf("tried again after %v: %v", first, err), w.truthful(nil))
	default:
		look("", []string{fmt.Sprintf("after %v it cannot be tried again: %v", first, err)})
	}
}

// An Init that fails can be made again.
func TestInitFailsAtEveryCall(t *testing.T) {
	t.Parallel()
	dir := exploreDir(t)
	op := operations()[0]
	w := newScene(t, filepath.Join(dir, "trace"), op)
	n := len(w.traced())
	for k := range n {
		for _, lost := range []bool{false, true} {
			w := newScene(t, filepath.Join(dir, fmt.Sprint(k, lost)), op)
			calls := 0
			var at call
			w.hook = func(c call) fault {
				calls++
				if calls-1 != k || lost && !slices.Contains(losable, c.op) {
					return fault{}
				}
				at = c
				return fault{err: callErrors[k%len(callErrors)], after: lost}
			}
			err := w.op()
			w.hook = nil
			s := w.later()
			w.next(s)
			if problems := append(w.mended(s), w.settledDown(s)...); len(problems) > 0 {
				t.Errorf("call %d, %s (%v): %q", k+1, at, err, problems)
			}
			w.end()
		}
	}
	t.Logf("%d cases", 2*n)
}
