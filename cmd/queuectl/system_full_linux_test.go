//go:build linux && (amd64 || arm64)

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// smallDisks are file systems that are soon full. Each mounts one on dir or says why
// it cannot.
var smallDisks = map[string]func(t *testing.T, dir string) (problem string){
	"tmpfs": func(_ *testing.T, dir string) string {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=700"); err != nil {
			return "mount a tmpfs: " + err.Error()
		}
		return ""
	},
	"ext4": diskImage{size: 8 << 20, mkfs: []string{"mkfs.ext4", "-q", "-m", "0"}}.mount,
	// Less than 300 MB mkfs.xfs refuses.
	"xfs": diskImage{size: 300 << 20, mkfs: []string{"mkfs.xfs", "-q"}}.mount,
}

func onSmallDisks(t *testing.T, test func(t *testing.T, r *rig)) {
	t.Helper()
	for name, mount := range smallDisks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if os.Geteuid() != 0 {
				t.Skip("only root can mount a small file system")
			}
			dir := t.TempDir()
			if problem := mount(t, dir); problem != "" {
				t.Skip(problem)
			}
			unmounted(t, dir)
			test(t, rigOn(t, dir))
		})
	}
}

// fill leaves no space on the spool's file system, not even for a directory's next
// block or an empty file. The function that it returns makes room again.
func (r *rig) fill() (room func()) {
	r.t.Helper()
	dir := filepath.Join(filepath.Dir(r.spool), "ballast")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	allot(r.t, filepath.Join(dir, "allotted"))
	block := make([]byte, 256<<10)
	for i, size := 0, len(block); size > 0; {
		f, err := os.OpenFile(filepath.Join(dir, "full"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err == nil {
			_, err = f.Write(block[:size])
			err = errors.Join(err, f.Sync(), f.Close())
		}
		switch i++; {
		case err == nil:
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		default:
			r.t.Fatal(err)
		}
	}
	return func() {
		r.t.Helper()
		if err := os.RemoveAll(dir); err != nil {
			r.t.Fatal(err)
		}
	}
}

// allot takes most of the space at once, where that goes without writing it.
func allot(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for size := int64(256 << 20); size >= 1<<20; {
		if err := syscall.Fallocate(int(f.Fd()), 0, at, size); err != nil {
			size /= 2
			continue
		}
		at += size
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// On a full disk enqueue says so, acknowledges nothing and leaves nothing.
func TestEnqueueOnFullDisk(t *testing.T) {
	t.Parallel()
	onSmallDisks(t, func(t *testing.T, r *rig) {
		r.enqueue(job{"id": "before", "command": "true"})
		room := r.fill()
		for _, j := range []job{{"command": "true"}, {"id": "chosen", "command": "true"}} {
			// Larger than what may be left of a block.
			j["metadata"] = strings.Repeat("x", 16<<10)
			res := r.run("enqueue", j.String())
			if res.code != exitFailed || res.stdout != "" || !strings.Contains(res.stderr, "no space left on device") {
				t.Errorf("enqueue %v on a full disk: exit status %d\n%s%s", j["id"], res.code, res.stdout, res.stderr)
			}
		}
		if left := r.files("tmp"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if st := r.status(); st.Pending != 1 {
			t.Errorf("%d jobs wait, want 1", st.Pending)
		}
		r.sound()
		room()
		r.enqueue(job{"id": "chosen", "command": "true"})
		r.runDry()
		if st := r.status(); st.Done != 2 {
			t.Errorf("%d jobs are done, want 2", st.Done)
		}
		r.sound()
	})
}

// Jobs that end while the disk is full: their worker keeps the outcomes, also while
// it drains, and settles when there is room.
func TestSettleOnFullDisk(t *testing.T) {
	t.Parallel()
	onSmallDisks(t, func(t *testing.T, r *rig) {
		r.enqueue(
			job{"id": "good", "command": `until [ -e "$DIR/go" ]; do sleep 0.02; done; echo good >>"$DIR/ran"`},
			job{"id": "bad", "max_retries": 0, "command": `until [ -e "$DIR/go" ]; do sleep 0.02; done; echo bad >>"$DIR/ran"; exit 3`},
		)
		w := r.worker("--count", "2")
		w.awaitEvent("started", "good")
		w.awaitEvent("started", "bad")
		room := r.fill()
		r.touch("go")
		await(t, "both jobs have ended", func() bool { return len(r.lines("ran")) == 2 })
		await(t, "the worker tells of the full disk", func() bool {
			n := 0
			for _, e := range w.told("problem", "") {
				if strings.Contains(e.Error, "no space left on device") {
					n++
				}
			}
			return n >= 2
		})
		w.signal(syscall.SIGTERM)
		w.awaitEvent("draining", "")
		if st := r.status(); st.Processing != 2 || w.hasExited() {
			t.Errorf("%d claims are kept, want 2; the worker has exited: %v", st.Processing, w.hasExited())
		}
		room()
		if ws := w.wait(); ws.ExitStatus() != 0 {
			t.Errorf("the worker ended with %v", w.cmd.ProcessState)
		}
		for id, state := range map[string]string{"good": "done", "bad": "dead"} {
			if j := r.show(id); string(j.State) != state || j.Attempts != 1 || j.Lost != 0 || len(j.Records) != 1 {
				t.Errorf("job %s is %s after %d attempts, %d lost, with %d records; want %s, 1, 0, 1",
					id, j.State, j.Attempts, j.Lost, len(j.Records), state)
			}
		}
		if ran := r.lines("ran"); len(ran) != 2 {
			t.Errorf("ran: %v", ran)
		}
		r.sound()
	})
}
