package fsq

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStopWakesAStoppedCommand(t *testing.T) {
	b := handleInBackground(t, newRun(t, shell(`
		trap 'echo term; exit 5' TERM
		echo $$ >leader; kill -STOP $$; while :; do sleep 0.01; done`)))
	leader := b.pid(t, "leader")
	waitUntil(t, "the command is stopped", func() bool {
		state, _, _ := procStat(leader)
		return state == 'T'
	})
	b.stop(ErrTimeout)
	wantStopped(t, b.wait(t), ErrTimeout, ExitError{Code: 5}, leader)
	if got := stdout(t, b.Run); got != "term\n" {
		t.Errorf("got %q", got)
	}
}

func TestStopDoesNotWaitForZombies(t *testing.T) {
	b := handleInBackground(t, newRun(t, shell(`echo $$ >leader; exec sleep 1000`)))
	leader := b.pid(t, "leader")
	// A member of the group whose parent, this process, does not reap it.
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: leader}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	b.stop(ErrTimeout)
	wantStopped(t, b.wait(t), ErrTimeout, ExitError{Code: -1, Signal: "SIGTERM"}, leader)
	if state, pgid, ok := procStat(cmd.Process.Pid); state != 'Z' || pgid != leader {
		t.Errorf("the test shows nothing: %c, group %d, %v", state, pgid, ok)
	}
}

func TestExitedLeaderKeepsItsNumberUntilReaped(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	p, err := startProcess("/bin/sh", []string{"sh", "-c", "exit 6"}, &os.ProcAttr{
		Files: []*os.File{null, null, null}, Sys: commandAttr(),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-p.exited
	if err := unix.Kill(-p.pid, 0); err != nil {
		t.Errorf("group of the dead leader: %v", err)
	}
	if err := p.reap(); err == nil || err.Error() != (&ExitError{Code: 6}).Error() {
		t.Errorf("got %v", err)
	}
	if err := p.reap(); err == nil || err.Error() != (&ExitError{Code: 6}).Error() {
		t.Errorf("the second time: %v", err)
	}
	if groupLives(p.pid, false) {
		t.Error("group is still there")
	}
}
