package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// server is a process that listens on a socket.
type server struct {
	cmd  *exec.Cmd
	out  strings.Builder
	done chan struct{}
}

// serve starts a server and waits until it listens.
func serve(ctx context.Context, socket, name string, args ...string) (*server, error) {
	s := &server{cmd: exec.Command(name, args...), done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	// If this program is killed, nobody else would stop it. That signal is sent when the
	// thread that started it ends, so the thread is kept.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait()
		}
		close(s.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		c, err := net.Dial("unix", socket)
		if err == nil {
			return s, c.Close()
		}
		select {
		case <-s.done:
			return nil, fmt.Errorf("%s ended: %s", name, s.out.String())
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
	s.stop()
	return nil, fmt.Errorf("%s does not listen on %s: %s", name, socket, s.out.String())
}

// stop ends the server: what it holds is not needed any more.
func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	<-s.done
}
