//go:build linux && (amd64 || arm64)

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Doctor on file systems that are no good, each for a reason of its own.
func TestDoctorOnBadFileSystems(t *testing.T) {
	t.Parallel()
	readOnly := func(t *testing.T, dir string) {
		t.Helper()
		if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
	}
	inodes := func(t *testing.T, dir string) {
		t.Helper()
		for i := 0; ; i++ {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("ballast", i)), nil, 0o600); err != nil {
				return
			}
		}
	}
	for _, c := range []struct {
		name  string
		mkfs  []string // of an image; none: a tmpfs
		spoil func(t *testing.T, dir string)
		says  []string
	}{
		{"tmpfs", nil, nil, []string{"bad   file-system: tmpfs", "ok    rename: "}},
		{"read-only", nil, readOnly, []string{"bad   write: no file can be written: the file system is read-only"}},
		{"no inodes", nil, inodes, []string{"bad   inodes: ", "bad   write: no file can be written: there is no room"}},
		{"full", nil, func(t *testing.T, dir string) {
			t.Helper()
			(&rig{t: t, spool: filepath.Join(dir, "spool")}).fill()
		}, []string{"bad   space: the file system is full", "bad   write: no file can be written: there is no room"}},
		{"ext4", []string{"mkfs.ext4", "-q"}, nil, []string{"ok    file-system: ext4", "warn  space: ", "ok    replace: "}},
		{"ext4 without journal", []string{"mkfs.ext4", "-q", "-O", "^has_journal"}, nil, []string{"bad   journal: this ext4 has no journal", "ok    link: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if os.Geteuid() != 0 {
				t.Skip("only root can mount a file system")
			}
			dir := t.TempDir()
			if c.mkfs == nil {
				if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,nr_inodes=400,mode=700"); err != nil {
					t.Skip("mount a tmpfs: " + err.Error())
				}
			} else if problem := mountImage(t, dir, c.mkfs); problem != "" {
				t.Skip(problem)
			}
			t.Cleanup(func() {
				if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
					t.Errorf("unmount: %v", err)
				}
			})
			r := newRigIn(t, dir)
			r.enqueue(job{"id": "before", "command": "true"})
			if c.spoil != nil {
				c.spoil(t, dir)
			}
			res := r.run("doctor")
			for _, line := range c.says {
				if !strings.Contains("\n"+res.stdout, "\n"+line) {
					t.Errorf("it does not say %q:\n%s%s", line, res.stdout, res.stderr)
				}
			}
			if bad := strings.Contains("\n"+res.stdout, "\nbad "); bad != (res.code == exitFailed) || res.code > exitFailed {
				t.Errorf("exit status %d\n%s%s", res.code, res.stdout, res.stderr)
			}
			if names := r.files("tmp"); len(names) > 0 {
				t.Errorf("left behind: %v", names)
			}
		})
	}
}

// mountImage mounts a small file system from a file, or says why it cannot.
func mountImage(t *testing.T, dir string, mkfs []string) (problem string) {
	t.Helper()
	return diskImage{size: 16 << 20, mkfs: mkfs}.mount(t, dir)
}
