package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// notifier tells a service manager how the worker is, by the protocol of sd_notify(3):
// datagrams of NAME=VALUE lines to the socket that $NOTIFY_SOCKET names. Its methods
// are safe for concurrent use; those of a nil one do nothing.
type notifier struct {
	conn  *net.UnixConn
	every time.Duration // how often it must be told that the worker is alive; 0: never

	mu      sync.Mutex
	expects int // registrations until the worker is ready
	running int
	ended   int
	said    time.Time // when the last status was sent
	stale   bool      // and whether it has changed since
}

const (
	// A manager that does not read must not hold up the worker's loop.
	notifyPatience = 100 * time.Millisecond
	statusPause    = time.Second
)

// newNotifier takes the variables of sd_notify(3) out of the environment, so that no job
// speaks for its worker, and connects to the manager if there is one.
func newNotifier() (*notifier, error) {
	take := func(name string) string {
		v := os.Getenv(name)
		_ = os.Unsetenv(name)
		return v
	}
	socket, usec, pid := take("NOTIFY_SOCKET"), take("WATCHDOG_USEC"), take("WATCHDOG_PID")
	if socket == "" {
		return nil, nil
	}
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %q is neither a path nor an abstract socket", socket)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("connecting to the service manager: %w", err)
	}
	return &notifier{conn: conn, every: watchdogInterval(usec, pid, os.Getpid())}, nil
}

// watchdogInterval is half of the time after which the manager loses patience, as
// sd_watchdog_enabled(3) advises; 0 if there is none for this process.
func watchdogInterval(usec, pid string, self int) time.Duration {
	if pid != "" && pid != strconv.Itoa(self) {
		return 0
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(1<<63-1)/int64(time.Microsecond) {
		return 0
	}
	return max(time.Duration(n)*time.Microsecond/2, time.Millisecond)
}

func (n *notifier) send(lines ...string) {
	_ = n.conn.SetWriteDeadline(time.Now().Add(notifyPatience))
	_, _ = n.conn.Write([]byte(strings.Join(lines, "\n")))
}

// event tells what changes with an event.
func (n *notifier) event(e fsq.Event) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case e.Kind == fsq.EventReady:
		if n.expects--; n.expects == 0 {
			n.send("READY=1", n.status())
		}
		return
	case e.Kind == fsq.EventDraining:
		n.send("STOPPING=1", n.status())
		return
	case e.Kind == fsq.EventStarted:
		n.running++
	case e.Kind == fsq.EventLost || e.Outcome != "":
		n.running--
		n.ended++
	default:
		return
	}
	n.stale = true
	n.tell()
}

// tell sends the status if it is news and the last one is not too fresh.
func (n *notifier) tell() {
	if n.stale && n.expects <= 0 && time.Since(n.said) >= statusPause {
		n.send(n.status())
	}
}

func (n *notifier) status() string {
	n.said, n.stale = time.Now(), false
	return fmt.Sprintf("STATUS=%s running, %d ended", plural(max(n.running, 0), "job"), n.ended)
}

// alive is called from the worker's loop.
func (n *notifier) alive() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.every > 0 {
		n.send("WATCHDOG=1")
	}
	n.tell()
}

func (n *notifier) close() {
	if n != nil {
		_ = n.conn.Close()
	}
}
