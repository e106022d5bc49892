package spool

import (
	"os"
	"os/exec"
	"testing"
)

func TestStatOfAProcess(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stat        string
		start       string
		dead, known bool
	}{
		"one":                {"7 (a) b) c) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0", "4711", false, true},
		"a zombie":           {"7 (sh) Z 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 0 0", "4711", true, true},
		"cut short":          {"7 (sh) S 1 7", "", false, false},
		"nothing":            {"", "", false, false},
		"no end to its name": {"7 (sh S 1", "", false, false},
	} {
		if start, dead, known := parseStat([]byte(test.stat)); start != test.start || dead != test.dead || known != test.known {
			t.Errorf("%s: %q, %t, %t", name, start, dead, known)
		}
	}
}

// A child that is dead and not waited for is a zombie; then it is gone.
func TestProcessesOfThisKernel(t *testing.T) {
	t.Parallel()
	p := realProcesses()
	self := os.Getpid()
	if start := p.startOf(self); start == "" || p.look(self, start) != living || p.look(self, start+"0") != vanished {
		t.Errorf("of this process: it began at %q", start)
	}
	child := exec.Command("/bin/sh", "-c", "read -r line")
	in, err := child.StdinPipe()
	mustDo(t, err, child.Start())
	start := p.startOf(child.Process.Pid)
	if p.look(child.Process.Pid, start) != living {
		t.Error("the child lives")
	}
	mustDo(t, in.Close())
	eventually(t, "the child is seen to be dead", func() bool { return p.look(child.Process.Pid, start) == vanished })
	_ = child.Wait() // its exit status is read's
	if p.look(child.Process.Pid, start) != vanished {
		t.Error("the child is gone")
	}
}
