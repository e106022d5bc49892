//go:build linux && (amd64 || arm64)

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracer runs a program and kills it just before one of the system calls by which it
// changes something below a directory, or tells somebody on its stdout. Unlike
// strace's inject=…:when=K, which counts for each thread alone, it counts over all
// threads of the program, and leaves out what the Go runtime and the program's
// children do. So K = 1, 2, … goes through every gap between two changes.
type tracer struct {
	path string
	args []string
	env  []string
	dir  string        // what is below counts
	kill int           // before which call; 0: none
	pid  chan<- int    // gets the process's number, if not nil
	out  *bytes.Buffer // gets stdout, if not nil
}

// traced is how a traced program ended.
type traced struct {
	calls  []string // what counted, in order; the last one was not made if killed
	killed bool
	status syscall.WaitStatus
	stderr string
}

// gap names where the program was killed.
func (r traced) gap() string {
	if !r.killed {
		return "nowhere"
	}
	return r.calls[len(r.calls)-1]
}

const (
	syscallStop = syscall.SIGTRAP | 0x80 // with PTRACE_O_TRACESYSGOOD
	traceFlags  = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
	infoEntry   = 1 // PTRACE_SYSCALL_INFO_ENTRY
)

// syscallInfo is struct ptrace_syscall_info, as far as the entry to a call fills it.
type syscallInfo struct {
	op   uint8
	_    [3]uint8
	arch uint32
	ip   uint64
	sp   uint64
	nr   uint64
	args [6]uint64
	_    [4]uint64 // room for later kernels
}

// run may be called by many goroutines at once, each with a tracer of its own.
func (c tracer) run(t *testing.T) traced {
	t.Helper()
	// Only the thread that started the program may trace it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tmp := t.TempDir()
	var files [3]*os.File
	for i, name := range []string{"in", "out", "err"} {
		f, err := os.OpenFile(filepath.Join(tmp, name), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	pid, err := syscall.ForkExec(c.path, append([]string{c.path}, c.args...), &syscall.ProcAttr{
		Env:   c.env,
		Files: []uintptr{files[0].Fd(), files[1].Fd(), files[2].Fd()},
		Sys:   &syscall.SysProcAttr{Ptrace: true, Setpgid: true},
	})
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("ptrace is not allowed here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &ws, syscall.WALL, nil); err != nil {
		t.Fatal(err)
	}
	if err := syscall.PtraceSetOptions(pid, traceFlags); err != nil {
		t.Fatal(err)
	}
	if c.pid != nil {
		c.pid <- pid
	}
	r := c.follow(t, pid)
	stderr, _ := os.ReadFile(files[2].Name())
	r.stderr = string(stderr)
	if c.out != nil {
		stdout, _ := os.ReadFile(files[1].Name())
		c.out.Write(stdout)
	}
	return r
}

// follow lets the stopped program go and sees it to its end.
func (c tracer) follow(t *testing.T, pid int) (r traced) {
	t.Helper()
	known := map[int]bool{pid: true}
	next, signal := pid, 0
	for {
		if next != 0 {
			if err := syscall.PtraceSyscall(next, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
		}
		var ws syscall.WaitStatus
		// Threads and nothing else: the children that the program starts go into process
		// groups of their own, and are not traced.
		tid, err := syscall.Wait4(-pid, &ws, syscall.WALL, nil)
		if errors.Is(err, syscall.EINTR) {
			next = 0
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		next, signal = tid, 0
		switch {
		case ws.Exited() || ws.Signaled():
			next = 0
			if tid == pid {
				r.status = ws
				return r
			}
		case ws.StopSignal() == syscallStop:
			if call, ok := c.changes(pid, tid); ok && !r.killed {
				r.calls = append(r.calls, call)
				if len(r.calls) == c.kill {
					r.killed = true
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		case ws.StopSignal() == syscall.SIGTRAP: // a thread was made
		case ws.StopSignal() == syscall.SIGSTOP && !known[tid]: // a new thread's first stop
		default:
			signal = int(ws.StopSignal())
		}
		known[tid] = true
	}
}

// changes says whether a thread is about to make a call that counts, and which.
func (c tracer) changes(pid, tid int) (string, bool) {
	var info syscallInfo
	_, _, errno := syscall.Syscall6(syscall.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(tid),
		unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 || info.op != infoEntry {
		return "", false
	}
	fd := func(name string) (string, bool) {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, int32(info.args[0])))
		return name + " " + c.short(to), err == nil && c.below(to)
	}
	paths := func(name string, args ...int) (string, bool) {
		counts := false
		for _, i := range args {
			path := readString(pid, uintptr(info.args[i]))
			counts = counts || c.below(path)
			name += " " + c.short(path)
		}
		return name, counts
	}
	switch info.nr {
	case unix.SYS_OPENAT:
		if info.args[2]&unix.O_CREAT == 0 {
			return "", false
		}
		return paths("create", 1)
	case unix.SYS_MKDIRAT:
		return paths("mkdir", 1)
	case unix.SYS_UNLINKAT:
		return paths("unlink", 1)
	case unix.SYS_LINKAT:
		return paths("link", 1, 3)
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		return paths("rename", 1, 3)
	case unix.SYS_WRITE:
		if info.args[0] == 1 {
			return "write stdout", true
		}
		return fd("write")
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		return fd("fsync")
	case unix.SYS_SYNCFS:
		return fd("syncfs")
	case unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE:
		return fd("cut")
	case unix.SYS_UTIMENSAT:
		return fd("touch")
	case unix.SYS_FLOCK:
		return fd("flock")
	}
	return "", false
}

func (c tracer) below(path string) bool {
	return path == c.dir || strings.HasPrefix(path, c.dir+"/")
}

// short is a path without what differs from run to run.
func (c tracer) short(path string) string {
	rel := strings.TrimPrefix(strings.TrimPrefix(path, c.dir), "/")
	parts := strings.Split(rel, "/")
	for i, p := range parts {
		if i > 0 && p != "later" && (parts[0] != "ctl" || i > 1) {
			parts[i] = "*"
			if strings.HasPrefix(p, ".") {
				parts[i] = ".*"
			}
			if ext := filepath.Ext(p); parts[0] == "logs" && i == 2 {
				parts[i] += ext
			}
		}
	}
	if rel = strings.Join(parts, "/"); rel == "" {
		return "."
	}
	return rel
}

// readString reads a C string in the memory of a stopped program.
func readString(pid int, addr uintptr) string {
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return ""
	}
	defer mem.Close()
	var s []byte
	// Not beyond a page at a time: the next one need not be there.
	for page := os.Getpagesize(); len(s) < unix.PathMax; {
		buf := make([]byte, page-int(addr+uintptr(len(s)))%page)
		n, err := mem.ReadAt(buf, int64(addr)+int64(len(s)))
		if i := bytes.IndexByte(buf[:n], 0); i >= 0 {
			return string(append(s, buf[:i]...))
		}
		if err != nil {
			return ""
		}
		s = append(s, buf[:n]...)
	}
	return ""
}
