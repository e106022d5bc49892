//go:build linux && (amd64 || arm64)

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An error of the disk makes ext4 read-only for good. The worker lives and keeps the
// outcome; after a repair each acknowledged job is there, and what was not settled runs
// once more.
func TestErrorsMakeItReadOnly(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	dir := t.TempDir()
	disk := diskImage{path: filepath.Join(t.TempDir(), "image"), size: 16 << 20, options: "errors=remount-ro", mkfs: []string{"mkfs.ext4", "-q", "-m", "0"}}
	if problem := disk.mount(t, dir); problem != "" {
		t.Skip(problem)
	}
	unmounted(t, dir)
	fail := "/sys/fs/ext4/" + filepath.Base(deviceOf(t, dir)) + "/trigger_fs_error"
	if _, err := os.Stat(fail); err != nil {
		t.Skip(err)
	}
	r, why := rigOn(t, dir), outages["read-only"]
	r.enqueue(note("first"))
	r.runDry()
	r.enqueue(job{"id": "runs", "command": `echo runs >>"$DIR/ran"; until [ -e "$DIR/go" ]; do sleep 0.02; done`})
	w := r.worker()
	w.awaitEvent("started", "runs")
	r.enqueue(note("waits"))
	if err := os.WriteFile(fail, []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	why.refused(t, r.run("enqueue", note("late").String()), "enqueue")
	r.touch("go")
	await(t, "the outcome is refused", func() bool {
		for _, e := range w.told("problem", "") {
			if strings.Contains(e.Error, `"runs"`) && strings.Contains(e.Error, why.says) {
				return true
			}
		}
		return false
	})
	if st := r.status(); st.Processing != 1 || st.Pending != 1 || w.hasExited() {
		t.Errorf("%d jobs are claimed, %d wait, want 1 and 1; the worker has exited: %v", st.Processing, st.Pending, w.hasExited())
	}
	w.signal(syscall.SIGTERM)
	asked := w.awaitEvent("draining", "").Time
	await(t, "a second signal is no echo of the first", func() bool { return time.Since(asked) > 2*echo })
	w.signal(syscall.SIGTERM)
	if ws := w.wait(); ws.ExitStatus() == 0 {
		t.Errorf("the worker ended with %v, as if all were well", w.cmd.ProcessState)
	}
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if problem := perform("sh", "-c", `e2fsck -fy "$1" >&2 || [ $? -eq 1 ]`, "sh", disk.path); problem != "" {
		t.Fatal(problem)
	}
	if problem := disk.again(dir); problem != "" {
		t.Fatal(problem)
	}
	r.runDry()
	for id, ran := range map[string]int{"first": 1, "waits": 1, "runs": 2} {
		if j, have := r.show(id), tally(r.lines("ran"))[id]; j.State != "done" || have != ran || j.Lost != ran-1 {
			t.Errorf("job %s is %s, ran %d times, and was lost %d times; want %d runs", id, j.State, have, j.Lost, ran)
		}
	}
	if jobs := r.list(); len(jobs) != 3 {
		t.Errorf("%d jobs, want 3", len(jobs))
	}
	r.sound()
}

// deviceOf is what is mounted on dir.
func deviceOf(t *testing.T, dir string) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if field := strings.Fields(line); len(field) > 1 && field[1] == dir {
			return field[0]
		}
	}
	t.Fatalf("nothing is mounted on %s", dir)
	return ""
}

// A disk that promises more than it has, as thin volumes do: the file system has room, and
// it is fsync that fails, of files with ENOSPC, of directories with EIO. What fsync has not
// confirmed is not acknowledged, whatever a second one would say; what was acknowledged is
// on the disk when the caches are gone.
func TestFsyncFails(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	store, dir := t.TempDir(), t.TempDir()
	if err := syscall.Mount("tmpfs", store, "tmpfs", 0, "size=4m,mode=700"); err != nil {
		t.Skip("mount a tmpfs: " + err.Error())
	}
	unmounted(t, store)
	// Without a journal: that would be given up at the first error, and all be read-only.
	disk := diskImage{path: filepath.Join(store, "image"), size: 32 << 20, mkfs: []string{"mkfs.ext4", "-q", "-m", "0", "-b", "1024", "-O", "^has_journal"}}
	if problem := disk.mount(t, dir); problem != "" {
		t.Skip(problem)
	}
	unmounted(t, dir)
	r := rigOn(t, dir)
	acknowledged := r.enqueue(note("before"))
	ballast := filepath.Join(store, "ballast")
	fillFile(t, ballast)
	var refused []job
	for i := 0; len(refused) < 3; i++ {
		j := note(fmt.Sprintf("job-%d", i))
		j["metadata"] = strings.Repeat("x", 32<<10)
		res := r.run("enqueue", j.String())
		line, hint, _ := strings.Cut(res.stderr, "\n")
		switch {
		case res.code == exitOK:
			acknowledged = append(acknowledged, strings.TrimSpace(res.stdout)) // on blocks that the disk has
		case res.code == exitFailed && res.stdout == "" && strings.HasPrefix(line, "queuectl: ") && strings.HasPrefix(hint, "hint: ") &&
			(strings.HasSuffix(line, "no space left on device") || strings.HasSuffix(line, "input/output error")):
			refused = append(refused, j)
		default:
			t.Fatalf("enqueue: exit status %d\n%s%s", res.code, res.stdout, res.stderr)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for _, j := range refused {
		// It may be there although that was not certain.
		if res := r.run("enqueue", j.String()); res.code != exitOK && res.code != exitConflict {
			t.Errorf("again: exit status %d\n%s", res.code, res.stderr)
		}
		acknowledged = append(acknowledged, j["id"].(string))
	}
	if err := syscall.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	if problem := disk.again(dir); problem != "" {
		t.Fatal(problem)
	}
	r.repair()
	r.runDry()
	r.once(acknowledged)
	r.sound()
}

// fillFile makes a file that takes all the space that there is.
func fillFile(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 64<<10); err == nil; {
		_, err = f.Write(block)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
