package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// makeFS makes a file system in a file. The sizes are the least that the tools like.
func makeFS(fs, image string) error {
	size, args := int64(256<<20), []string{"-q"}
	switch fs {
	case "ext4":
		args = append(args, "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0")
	case "xfs":
		size = 320 << 20
	}
	f, err := os.OpenFile(image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	return tool("mkfs."+fs, append(args, image)...)
}

func tool(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// isolate starts this program anew with mounts of its own, which go when it ends,
// however it ends. It is asked to end when ctx is done.
func isolate(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	return cmd
}

// ownMounts keeps what is mounted from now on from others.
func ownMounts() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }

// makeStore mounts a file system below dir that can copy a file in one instant: that is
// what a cut is, the disk as it was at one moment while it was written to.
func makeStore(dir string) (store string, err error) {
	image, store := filepath.Join(dir, "store.img"), filepath.Join(dir, "store")
	f, err := os.Create(image)
	if err != nil {
		return "", err
	}
	err = errors.Join(f.Truncate(8<<30), f.Close(), os.Mkdir(store, 0o700))
	if err == nil {
		err = tool("mkfs.xfs", "-q", "-m", "reflink=1", image)
	}
	if err == nil {
		err = tool("mount", "-o", "loop,discard", image, store)
	}
	return store, err
}

// cut copies a disk as it is at this moment.
func cut(image, to string) error {
	from, err := os.Open(image)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(unix.IoctlFileClone(int(f.Fd()), int(from.Fd())), f.Close())
}

// start boots the machine: its process 1 is this program. To kill that is to switch the
// machine off, because the kernel then kills all other processes in it. So is it when ctx
// is done.
func (m machine) start(ctx context.Context) (*exec.Cmd, error) {
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the machine has its own descriptor
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{"boot", m.fs, m.image, m.boot, m.role}, m.args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL}
	err = cmd.Start()
	return cmd, err
}

// bootMachine is what process 1 does before anything else. The disk is mounted beside
// its image.
func bootMachine(fs, image, bootID string) (disk string, err error) {
	if err := ownMounts(); err != nil {
		return "", err
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return "", fmt.Errorf("mount /proc: %w", err)
	}
	id := image + ".boot"
	if err := os.WriteFile(id, []byte(bootID+"\n"), 0o600); err != nil {
		return "", err
	}
	if err := unix.Mount(id, "/proc/sys/kernel/random/boot_id", "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("set the boot id: %w", err)
	}
	disk = image + ".disk"
	if err := os.Mkdir(disk, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return disk, tool("mount", "-t", fs, "-o", mountOptions[fs], image, disk)
}

// shutDown writes all to the disk.
func shutDown(disk string) error { return tool("umount", disk) }

// released waits until the kernel has let go of a disk whose machine is off: two disks
// with one identity cannot be mounted at a time.
func released(image string) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		used, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
		if err != nil {
			return err
		}
		busy := false
		for _, file := range used {
			name, err := os.ReadFile(file)
			busy = busy || err == nil && strings.HasPrefix(string(name), image)
		}
		if !busy {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is still mounted a minute after its machine was switched off", image)
		}
	}
}

// syncDisk writes all to the disk that dir is on.
func syncDisk(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}

// writeOut is what spool does with a new job where the order of changes is kept.
func writeOut(f *os.File) error {
	return unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
}
