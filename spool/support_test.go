package spool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hangGuard bounds every wait for a condition. It is no part of what is tested.
const hangGuard = 30 * time.Second

// handClock is a clock that only the test moves.
type handClock struct {
	mu sync.Mutex
	t  time.Time
}

// driveClock makes the test the only one who moves the spool's clock.
func driveClock(s *Spool) *handClock {
	c := &handClock{t: time.Now().Round(0)}
	s.ops.now = c.now
	return c
}

func (c *handClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *handClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// reopen opens the spool again, as another process would.
func reopen(t *testing.T, s *Spool) *Spool {
	t.Helper()
	o, err := open(s.Dir(), testOps())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func mustPut(t *testing.T, s *Spool, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := s.Put(item(s, id)); err != nil {
			t.Fatal(err)
		}
	}
}

// only is the one job that the spool holds.
func only(t *testing.T, s *Spool) Entry {
	t.Helper()
	e := all(t, s)
	if len(e) != 1 {
		t.Fatalf("want one job, have %v", paths(e))
	}
	return e[0]
}

func paths(entries []Entry) []string {
	var p []string
	for _, e := range entries {
		p = append(p, e.Path)
	}
	return p
}

// mustClaim puts a job and claims it.
func mustClaim(t *testing.T, s *Spool, l *Lease, id string) *Claim {
	t.Helper()
	it := item(s, id)
	if err := s.Put(it); err != nil {
		t.Fatal(err)
	}
	c, err := l.Claim(it.Name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func writeFile(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readString(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// drop writes a file into pending/ and waits until the system knows that it is
// closed: a process that another test starts inherits the descriptor for a moment.
func drop(t *testing.T, s *Spool, base, data string) {
	t.Helper()
	writeFile(t, s.abs(DropPath(base)), data)
	closed(t, s, base)
}

func closed(t *testing.T, s *Spool, base string) {
	t.Helper()
	eventually(t, "nobody writes "+base, func() bool {
		f, err := realOps().open(s.abs(DropPath(base)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		writing, _ := f.beingWritten()
		return !writing
	})
}

// tree lists everything below the spool, directories with a slash at their end.
func tree(t *testing.T, s *Spool) (names []string) {
	t.Helper()
	err := filepath.WalkDir(s.Dir(), func(p string, d os.DirEntry, err error) error {
		if err != nil || p == s.Dir() {
			return err
		}
		rel, err := filepath.Rel(s.Dir(), p)
		if d.IsDir() {
			rel += "/"
		}
		names = append(names, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// files lists the files of one directory of the spool.
func files(t *testing.T, s *Spool, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(s.abs(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// breaches returns the breaches of a check, each as CODE PATH.
func breaches(t *testing.T, s *Spool) ([]string, []Breach) {
	t.Helper()
	r, err := s.Check(func(Entry, []byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, b := range r.Breaches {
		named = append(named, b.Code+" "+b.Path)
	}
	slices.Sort(named)
	return named, r.Breaches
}

// roleVariable makes this test binary act as another process of the same spool.
const roleVariable = "QUEUECTL_SPOOL_TEST_ROLE"

func init() {
	role := os.Getenv(roleVariable)
	if role == "" {
		return
	}
	if err := act(strings.Fields(role)); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// act plays a role: what another process would do. It says what it has done on
// standard output and, where it holds something, waits until its input ends.
func act(role []string) error {
	verb, dir := role[0], role[1]
	if verb == "wait" {
		fmt.Println("ready")
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	}
	if verb == "init" {
		s, err := Init(dir, "")
		if err == nil {
			fmt.Println("made", s.Dir())
		}
		return err
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	switch verb {
	case "hold", "hold-with-child":
		return actHold(s, verb == "hold-with-child")
	case "put":
		unsynced(s)
		for i := range 50 {
			id := fmt.Sprintf("job-%d", i)
			if err := s.Put(item(s, id)); err == nil {
				fmt.Println("won", id)
			} else if !errors.Is(err, ErrDuplicate) {
				return err
			}
		}
		return nil
	default:
		return fmt.Errorf("unknown role %q", verb)
	}
}

func actHold(s *Spool, child bool) error {
	l, err := s.Register(1, "test", time.Minute)
	if err != nil {
		return err
	}
	var names []Name
	if err := s.Waiting(func(n Name) { names = append(names, n) }, func(string) {}); err != nil {
		return err
	}
	for _, n := range names {
		if _, err := l.Claim(n); err != nil {
			return err
		}
	}
	if child {
		// The child shares the input, so it ends when the test closes that, and it has
		// the lock: the test can kill the parent alone.
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), roleVariable+"=wait -")
		cmd.Stdin, cmd.Stderr = os.Stdin, os.Stderr
		cmd.ExtraFiles = []*os.File{l.Lock()}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			return err
		}
	}
	fmt.Println(l.Worker())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// actor is a process that plays a role.
type actor struct {
	cmd   *exec.Cmd
	stdin *os.File
	out   *bufio.Reader
}

// start begins a role in a process of its own. Its standard input stays open until
// release.
func start(t *testing.T, role string) *actor {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	a := &actor{cmd: exec.Command(os.Args[0]), stdin: w}
	a.cmd.Env = append(os.Environ(), roleVariable+"="+role)
	a.cmd.Stdin, a.cmd.Stderr = r, os.Stderr
	out, err := a.cmd.StdoutPipe()
	mustDo(t, err, a.cmd.Start(), r.Close())
	a.out = bufio.NewReader(out)
	t.Cleanup(func() {
		a.release()
		_ = a.cmd.Process.Kill()
		_ = a.cmd.Wait()
	})
	return a
}

func (a *actor) release() { _ = a.stdin.Close() }

// line is the next line of what it says.
func (a *actor) line(t *testing.T) string {
	t.Helper()
	line, err := a.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the other process said %q and ended: %v", line, err)
	}
	return strings.TrimSpace(line)
}

// rest is all that it says until it ends.
func (a *actor) rest(t *testing.T) []string {
	t.Helper()
	data, err := io.ReadAll(a.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Wait(); err != nil {
		t.Fatalf("the other process failed: %v: %s", err, data)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

func (a *actor) kill(t *testing.T) {
	t.Helper()
	mustDo(t, a.cmd.Process.Kill())
	_ = a.cmd.Wait()
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	guard := time.After(hangGuard)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-guard:
			t.Fatalf("it never came true that %s", what)
		case <-tick.C:
		}
	}
}

// unsynced makes fsync free.
func unsynced(s *Spool) {
	open := s.ops.open
	s.ops.open = func(path string) (file, error) {
		f, err := open(path)
		if err != nil {
			return nil, err
		}
		return noSync{f}, nil
	}
	create := s.ops.create
	s.ops.create = func(path string, perm fs.FileMode) (file, error) {
		f, err := create(path, perm)
		if err != nil {
			return nil, err
		}
		return noSync{f}, nil
	}
	s.ops.syncDir = func(string) error { return nil }
}

type noSync struct{ file }

func (noSync) Sync() error     { return nil }
func (noSync) writeOut() error { return nil }

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	st, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.Sys().(*syscall.Stat_t).Ino
}
