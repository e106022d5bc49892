package main

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

var serviceUnits = []string{"queuectl.service", "queuectl-drain.service", "queuectl.timer"}

// What the serviceUnits start must be command lines of this queuectl.
func TestUnitsStartWorkers(t *testing.T) {
	for _, unit := range serviceUnits {
		for line := range strings.SplitSeq(readText(t, "scripts/"+unit), "\n") {
			command, ok := strings.CutPrefix(line, "ExecStart=")
			if !ok {
				continue
			}
			a := testApp()
			root := newRoot(a)
			words := strings.Fields(command)
			l, err := parseLine(root, a.settings.flags, words[1:])
			if err == nil {
				err = root.ffcli().Parse(l.argv())
			}
			if err == nil && a.queue != "" {
				_, err = parseQueues(a.queue, l.cmd.queues)
			}
			if err != nil || l.cmd.path != "queuectl worker start" {
				t.Errorf("%s: %q: %v", unit, command, err)
			}
		}
	}
}

func TestUnitsAreSound(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze here")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"verify"}
	for _, unit := range serviceUnits {
		// It wants the program and the user to be there.
		text := strings.NewReplacer("/usr/local/bin/queuectl", binary(t), "User=queuectl", "User="+me.Username).Replace(readText(t, "scripts/"+unit))
		path := filepath.Join(dir, unit)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	out, err := exec.Command(analyze, args...).CombinedOutput()
	if err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze %q: %v\n%s", args, err, out)
	}
}
