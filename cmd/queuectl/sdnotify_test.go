package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is the receiving end of sd_notify(3).
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	got  []string
}

func newManager(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &manager{t: t, conn: conn}
}

// await reads until a datagram has the line.
func (m *manager) await(line string) {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(hangGuard)); err != nil {
		m.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := m.conn.Read(buf)
		if err != nil {
			m.t.Fatalf("no %q: %v; there was %q", line, err, m.got)
		}
		text := string(buf[:n])
		m.got = append(m.got, text)
		for l := range strings.SplitSeq(text, "\n") {
			if strings.HasPrefix(l, line) {
				return
			}
		}
	}
}

func TestServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	names := []string{"path"}
	if runtime.GOOS == "linux" {
		names = append(names, "abstract")
	}
	for _, kind := range names {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			// Short: a socket's path has 108 bytes at most, and a test's directory may need them.
			dir, err := os.MkdirTemp("", "sd")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			socket := filepath.Join(dir, "notify")
			if kind == "abstract" {
				socket = "@" + socket
			}
			m := newManager(t, socket)
			r.ok("queue", "create", "mail")
			r.enqueue(job{"id": "env", "command": `env >"$DIR/env.tmp"; mv "$DIR/env.tmp" "$DIR/env"`})
			r.env = append(r.env, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=20000")
			w := r.worker("--queue", "default,mail")
			m.await("READY=1")
			for _, text := range m.got[:len(m.got)-1] {
				if text != "WATCHDOG=1" {
					t.Errorf("before it is ready it says %q", text)
				}
			}
			m.await("WATCHDOG=1")
			m.await("STATUS=")
			await(t, "the job's environment", func() bool { return exists(r.path("env")) })
			env, err := os.ReadFile(r.path("env"))
			if err != nil || strings.Contains(string(env), "NOTIFY_SOCKET=") || strings.Contains(string(env), "WATCHDOG_") {
				t.Errorf("the job can speak for its worker: %v\n%s", err, env)
			}
			w.signal(syscall.SIGTERM)
			m.await("STOPPING=1")
			if ws := w.wait(); ws.ExitStatus() != 0 {
				t.Errorf("the worker ended with %v", w.cmd.ProcessState)
			}
		})
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"x", "", 0}, {"0", "", 0}, {"-1", "", 0}, {"99999999999999999999", "", 0}, {"9223372036854775807", "", 0},
		{"30000000", "", 15 * time.Second}, {"30000000", "42", 15 * time.Second}, {"30000000", "43", 0}, {"1", "", time.Millisecond},
	} {
		if got := watchdogInterval(c.usec, c.pid, 42); got != c.want {
			t.Errorf("%q, %q: %v, want %v", c.usec, c.pid, got, c.want)
		}
	}
}

// A socket that is not there is no reason not to work.
func TestServiceManagerThatIsAway(t *testing.T) {
	t.Parallel()
	for _, socket := range []string{"relative", filepath.Join(t.TempDir(), "none")} {
		t.Run(fmt.Sprint(len(socket)), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.env = append(r.env, "NOTIFY_SOCKET="+socket)
			res := r.run("worker", "start", "--drain")
			if res.code != 0 || !strings.Contains(res.stderr, "warning: ") {
				t.Errorf("exit status %d\n%s", res.code, res.stderr)
			}
		})
	}
}
