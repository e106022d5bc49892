package fsq

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

// A background is a Handle call that goes on.
type background struct {
	*Run
	stop context.CancelCauseFunc
	done chan error
}

func handleInBackground(t *testing.T, r *Run) *background {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	b := &background{r, cancel, make(chan error, 1)}
	go func() { b.done <- CommandHandler{}.Handle(ctx, r) }()
	t.Cleanup(func() { cancel(ErrLost) }) // no process outlives its test
	return b
}

func (b *background) pid(t *testing.T, name string) int {
	t.Helper()
	return readPid(t, filepath.Join(b.Job.Cwd, name))
}

func (b *background) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-b.done:
		return err
	case <-time.After(hang):
		t.Fatal("Handle does not return")
		return nil
	}
}

// wantStopped checks the error of a stopped command and that none of the
// processes was left when Handle returned.
func wantStopped(t *testing.T, err, cause error, want ExitError, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		if running(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	var got *ExitError
	if !errors.Is(err, cause) || !errors.As(err, &got) || *got != want {
		t.Errorf("got %v, want %v and %v", err, cause, &want)
	}
}

func TestStopReachesGrandchildren(t *testing.T) {
	b := handleInBackground(t, newRun(t, shell(`
		sh -c 'echo $$ >grandchild; exec sleep 1000' &
		echo $$ >leader; wait`)))
	leader, grandchild := b.pid(t, "leader"), b.pid(t, "grandchild")
	b.stop(ErrTimeout)
	wantStopped(t, b.wait(t), ErrTimeout, ExitError{Code: -1, Signal: "SIGTERM"}, leader, grandchild)
}

func TestStopLetsACommandEndInItsOwnWay(t *testing.T) {
	for _, c := range []struct {
		code string
		want int
	}{{"0", 0}, {"5", 5}} {
		b := handleInBackground(t, newRun(t, shell(`
			trap 'echo cleaned up; exit `+c.code+`' TERM
			echo $$ >leader; while :; do sleep 0.01; done`)))
		leader := b.pid(t, "leader")
		b.stop(ErrInterrupted)
		wantStopped(t, b.wait(t), ErrInterrupted, ExitError{Code: c.want}, leader)
		if got := stdout(t, b.Run); got != "cleaned up\n" {
			t.Errorf("got %q", got)
		}
	}
}

func TestStopKillsWhatIgnoresTheSignal(t *testing.T) {
	r := newRun(t, shell(`
		trap '' TERM # children inherit it
		sh -c 'echo $$ >grandchild; sleep 1000' &
		echo $$ >leader; while :; do sleep 0.01; done`))
	r.KillGrace = 50 * time.Millisecond
	b := handleInBackground(t, r)
	leader, grandchild := b.pid(t, "leader"), b.pid(t, "grandchild")
	b.stop(ErrTimeout)
	wantStopped(t, b.wait(t), ErrTimeout, ExitError{Code: -1, Signal: "SIGKILL"}, leader, grandchild)
}

func TestStopKillsWhatOutlivesTheLeader(t *testing.T) {
	r := newRun(t, shell(`
		sh -c 'trap "" TERM; echo $$ >grandchild; while :; do sleep 0.01; done' &
		trap 'exit 4' TERM
		echo $$ >leader; while :; do sleep 0.01; done`))
	r.KillGrace = 300 * time.Millisecond
	b := handleInBackground(t, r)
	leader, grandchild := b.pid(t, "leader"), b.pid(t, "grandchild")
	b.stop(ErrTimeout)
	wantStopped(t, b.wait(t), ErrTimeout, ExitError{Code: 4}, leader, grandchild)
}

func TestStopIsAtOnceForALostClaim(t *testing.T) {
	b := handleInBackground(t, newRun(t, shell(`
		trap 'echo term' TERM
		echo $$ >leader; while :; do sleep 0.01; done`)))
	leader := b.pid(t, "leader")
	b.stop(ErrLost)
	wantStopped(t, b.wait(t), ErrLost, ExitError{Code: -1, Signal: "SIGKILL"}, leader)
	if got := stdout(t, b.Run); got != "" {
		t.Errorf("it got another signal first: %q", got)
	}
}

func TestEndLeavesADaemonAlone(t *testing.T) {
	// The daemon holds the output files; Handle must not wait for it.
	r := newRun(t, shell(`sh -c 'echo $$ >daemon; echo up; while [ ! -e stop ]; do sleep 0.01; done; echo down' &
		while [ ! -s daemon ]; do sleep 0.01; done`))
	g, err := startGuard()
	if err != nil {
		t.Fatal(err)
	}
	r.guard = g
	if err := handle(t, r); err != nil {
		t.Fatal(err)
	}
	g.close() // as a worker's end does
	daemon := readPid(t, filepath.Join(r.Job.Cwd, "daemon"))
	if err := os.WriteFile(filepath.Join(r.Job.Cwd, "stop"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// It ends by itself, and says so.
	waitUntil(t, "the daemon's end", func() bool { return !running(daemon) })
	if got := stdout(t, r); got != "up\ndown\n" {
		t.Errorf("got %q", got)
	}
}

func TestCommandOutlivesThreads(t *testing.T) {
	b := handleInBackground(t, newRun(t, shell(`echo $$ >leader; while [ ! -e stop ]; do sleep 0.01; done; exit 7`)))
	b.pid(t, "leader")
	// A goroutine that ends while it holds its thread takes the thread along.
	var wg sync.WaitGroup
	for range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			runtime.LockOSThread()
		}()
	}
	wg.Wait()
	if err := os.WriteFile(filepath.Join(b.Job.Cwd, "stop"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var got *ExitError
	if err := b.wait(t); !errors.As(err, &got) || got.Code != 7 {
		t.Errorf("got %v", err)
	}
}

func TestCommandsRunConcurrently(t *testing.T) {
	g, err := startGuard()
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	var wg sync.WaitGroup
	for i := range 6 {
		r := newRun(t, shell("exit 3"))
		r.ID = fmt.Sprintf("job-%d", i) // of two runs of one attempt, the one that is stopped kills the other as its stray
		r.guard = g
		if i%2 == 0 {
			r.Job.Command = shell("sleep 1000")
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 5 {
				ctx, cancel := context.WithCancelCause(context.Background())
				if i%2 == 0 {
					r.started = func(int) { cancel(ErrInterrupted) }
				}
				var got *ExitError
				if err := (CommandHandler{}).Handle(ctx, r); !errors.As(err, &got) || (i%2 == 0) != errors.Is(err, ErrInterrupted) {
					t.Errorf("%d: %v", i, err)
				}
				cancel(nil)
			}
		}()
	}
	wg.Wait()
	if len(g.lines) != 0 {
		t.Errorf("still under guard: %v", g.lines)
	}
}
