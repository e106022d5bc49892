package fsq

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/queuectl/queuectl/spool"
)

// account is what the system knows of a user.
type account struct {
	uid, gid uint32
	groups   []uint32 // the supplementary ones
	name     string
	home     string
}

// ownerUmask is that of a job that says nothing: the usual one, and not root's, which may
// be anything.
const ownerUmask = "0022"

// ownerShell is what runs a job's command, whatever the user logs in with, as cron(8) has
// it.
const ownerShell = "/bin/sh"

// lookupAccount asks the system about a user. One that it does not know has no group that
// could be his, so nothing is run as him. In a variable for tests.
var lookupAccount = func(uid uint32) (account, error) {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return account{}, fmt.Errorf("there is no account of user %d: %w", uid, err)
	}
	return accountOf(u)
}

func accountOf(u *user.User) (account, error) {
	uid, err := parseID(u.Uid)
	if err != nil {
		return account{}, err
	}
	gid, err := parseID(u.Gid)
	if err != nil {
		return account{}, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, fmt.Errorf("look up the groups of user %s: %w", u.Username, err)
	}
	acc := account{uid: uid, gid: gid, name: u.Username, home: u.HomeDir}
	for _, id := range ids {
		g, err := parseID(id)
		if err != nil {
			return account{}, err
		}
		acc.groups = append(acc.groups, g)
	}
	return acc, nil
}

func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 1<<32-1 { // (uid_t)-1 means "leave it as it is" to setresuid(2)
		return 0, fmt.Errorf("not a user's or group's number: %q", s)
	}
	return uint32(n), nil
}

// handOver prepares what the job's owner is to write: his output, which only he and root
// can open, also as /dev/stderr; and the two reports, as empty files of his, because he
// can make none in logs/. There he can neither rename nor link anything: what root opens
// there again is what root has made.
func (s *slot) handOver(r *Run) error {
	if r.owner == nil {
		return nil
	}
	acc, err := lookupAccount(*r.owner)
	if err != nil {
		return &StartError{Code: codeCannotRun, Err: err}
	}
	r.account = acc
	files := []*os.File{r.Stdout, r.Stderr}
	for _, path := range []string{r.Result, r.Progress} {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return fmt.Errorf("make the job's files: %w", err)
		}
		defer func() { _ = f.Close() }()
		files = append(files, f)
	}
	for _, f := range files {
		if err := spool.GiveLog(f, acc.uid, acc.gid); err != nil {
			return err
		}
	}
	return nil
}

// clear removes a report that root has made for a job's owner, and he never wrote.
func (r *report) clear() error {
	fi, err := os.Lstat(r.path)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > 0 {
		return nil // not there, or read by readReport
	}
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove an empty report: %w", err)
	}
	return nil
}

// ownerBase is the environment of an owner's job before its document and what it is told
// about itself: nothing in it is the worker's.
func ownerBase(acc account) []string {
	path := "/usr/local/bin:/usr/bin:/bin"
	if acc.uid == 0 {
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	return []string{"HOME=" + acc.homeDir(), "USER=" + acc.name, "LOGNAME=" + acc.name, "SHELL=" + ownerShell, "PATH=" + path}
}

func (acc account) homeDir() string {
	if !filepath.IsAbs(acc.home) {
		return "/"
	}
	return acc.home
}

// ownerDir is the working directory of an owner's job: relative to his home, and that if
// the job names none, or "/" if he cannot enter it. It is called as the owner.
func ownerDir(cwd string, acc account) (string, error) {
	home := acc.homeDir()
	if cwd != "" {
		if !filepath.IsAbs(cwd) {
			cwd = filepath.Join(home, cwd)
		}
		return workDir(cwd)
	}
	if dir, err := workDir(home); err == nil {
		return dir, nil
	}
	return "/", nil
}

// ownerAttr makes the command the owner's: his user, his groups, a session of its own,
// because a process in the worker's could type into the worker's terminal.
func ownerAttr(acc account) *syscall.SysProcAttr {
	attr := commandAttr()
	attr.Setpgid, attr.Setsid = false, true
	attr.Credential = &syscall.Credential{Uid: acc.uid, Gid: acc.gid, Groups: acc.groups}
	return attr
}

// baseEnv is what the run's environment begins with.
func baseEnv(r *Run) []string {
	if r.owner != nil {
		return ownerBase(r.account)
	}
	return os.Environ()
}

// executable reports whether the process that asks may run a program.
func executable(path string) bool { return mayUse(path, unix.X_OK) == nil }
