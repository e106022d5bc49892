package spool

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReleasesOfLinux(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]bool{
		"5.2.0": true, "5.2": true, "5.10.0-8-amd64": true, "6.1.0": true, "10.0": true, "5.2-rc1": true,
		"5.1.21": false, "4.18.0-553.el8": false, "3.99": false, "": false, "6": false, "x.y": false,
	} {
		if got := atLeast(release, 5, 2); got != want {
			t.Errorf("%q is at least 5.2: %v, want %v", release, got, want)
		}
	}
}

// Where nothing is known of the order each file is synced.
func TestOrderIsNotPresumed(t *testing.T) {
	t.Parallel()
	if ordersNames(t.TempDir() + "/missing") {
		t.Error("a directory that is not there keeps the order")
	}
	var st unix.Statfs_t
	const memory = "/dev/shm"
	if err := unix.Statfs(memory, &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		t.Skipf("%s is no tmpfs here: %v", memory, err)
	}
	if ordersNames(memory) {
		t.Error("a tmpfs keeps the order")
	}
}

// What was written out can still be read, and an error is told.
func TestWriteOut(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/job"
	f, err := realOps().create(path, 0o600)
	mustDo(t, err)
	_, err = f.Write([]byte("{}"))
	mustDo(t, err, f.writeOut(), f.Close())
	if data, err := os.ReadFile(path); err != nil || string(data) != "{}" {
		t.Errorf("%q, %v", data, err)
	}
	if err := f.writeOut(); err == nil {
		t.Error("a closed file was written out")
	}
}
