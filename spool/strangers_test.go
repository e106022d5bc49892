package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// noPrivate is a system on which no group is one user's alone.
func noPrivate(uint32, uint32) bool { return false }

// Each directory that leads to a job: whoever can write it decides what runs.
func TestStrangers(t *testing.T) {
	t.Parallel()
	chmod := func(rel string, mode fs.FileMode) func(*testing.T, *Spool, string) {
		return func(t *testing.T, s *Spool, parent string) {
			path := parent
			if rel != ".." {
				path = s.abs(rel)
			}
			mustDo(t, os.Chmod(path, mode))
		}
	}
	for name, test := range map[string]struct {
		spoil func(t *testing.T, s *Spool, parent string)
		path  string // relative to the directory that the spool is in; "": all is well
		group bool   // it is a group's spool
	}{
		"as it is made":                                {func(*testing.T, *Spool, string) {}, "", false},
		"the spool is anyone's to write":               {chmod(".", 0o707), "spool", false},
		"the spool is its group's to write":            {chmod(".", 0o770), "spool", false},
		"pending/ is anyone's":                         {chmod("pending", 0o703), "spool/pending", false},
		"pending/ is anyone's, sticky":                 {chmod("pending", 0o703|fs.ModeSticky), "spool/pending", false},
		"processing/ is anyone's":                      {chmod("processing", 0o702), "spool/processing", false},
		"ctl/drain/ is anyone's":                       {chmod("ctl/drain", 0o702), "spool/ctl/drain", false},
		"others may read and pass":                     {chmod(".", 0o755), "", false},
		"the directory above is anyone's":              {chmod("..", 0o777), ".", false},
		"the directory above is anyone's, sticky":      {chmod("..", 0o777|fs.ModeSticky), "", false},
		"the directory above is its group's":           {chmod("..", 0o775), ".", false},
		"a group's spool":                              {func(*testing.T, *Spool, string) {}, "", true},
		"a group's spool that is anyone's":             {chmod(".", 0o777), "spool", true},
		"a group's spool, in a directory of the group": {chmod("..", 0o775), ".", true},
		"it is another's": {func(t *testing.T, s *Spool, _ string) {
			needRoot(t)
			mustDo(t, os.Chown(s.abs("pending"), int(ann), -1))
		}, "spool/pending", false},
		"the directory above is another's": {func(t *testing.T, _ *Spool, parent string) {
			needRoot(t)
			mustDo(t, os.Chown(parent, int(ann), -1))
		}, ".", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := filepath.Join(testDir(t), "parent")
			mustDo(t, os.Mkdir(parent, 0o755), os.Chmod(parent, 0o755))
			group := ""
			if test.group {
				group = strconv.Itoa(os.Getegid())
			}
			s, err := Init(filepath.Join(parent, "spool"), group)
			mustDo(t, err)
			test.spoil(t, s, parent)
			err = s.strangers(noPrivate)
			var found *StrangersError
			switch {
			case test.path == "":
				mustDo(t, err)
			case !errors.As(err, &found) || found.Path != filepath.Join(parent, test.path):
				t.Errorf("%v", err)
			case found.ByMode == strings.Contains(name, "another's"):
				t.Errorf("%+v", found)
			}
		})
	}
}

// On the way through a symbolic link both sides count.
func TestStrangersBehindALink(t *testing.T) {
	t.Parallel()
	for _, open := range []string{"", "link", "target"} {
		dir := testDir(t)
		for _, d := range []string{"link", "target"} {
			mustDo(t, os.Mkdir(filepath.Join(dir, d), 0o755))
		}
		_, err := Init(filepath.Join(dir, "target", "spool"), "")
		mustDo(t, err, os.Symlink(filepath.Join(dir, "target", "spool"), filepath.Join(dir, "link", "to")))
		s, err := Open(filepath.Join(dir, "link", "to"))
		mustDo(t, err)
		if open != "" {
			mustDo(t, os.Chmod(filepath.Join(dir, open), 0o757))
		}
		var found *StrangersError
		if err := s.strangers(noPrivate); errors.As(err, &found) != (open != "") || open != "" && found.Path != filepath.Join(dir, open) {
			t.Errorf("%q is open: %v", open, err)
		}
	}
}

// Under a umask of 002 a directory is its user's own group's to write: nobody else's.
func TestPrivateGroup(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testDir(t), "parent")
	mustDo(t, os.Mkdir(dir, 0o775), os.Chmod(dir, 0o775))
	s, err := Init(filepath.Join(dir, "spool"), "")
	mustDo(t, err, s.strangers(func(uid, gid uint32) bool { return uid == uint32(os.Geteuid()) && gid == uint32(os.Getegid()) }))
	if privateGroup(61001, 61001) {
		t.Error("a group that nobody knows is one user's alone")
	}
	if os.Geteuid() != 0 {
		t.Skip("only of root's group is it known whose it is")
	}
	if !privateGroup(0, 0) || privateGroup(0, 1) {
		t.Error("root's own group is not told from another")
	}
}

// Who makes a spool somewhere is told who could put another in its place; root that looks
// at a user's spool finds no fault with its being that user's.
func TestStrangersToOthers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testDir(t), "parent")
	mustDo(t, os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755), strangersOf(dir))
	var found *StrangersError
	mustDo(t, os.Chmod(dir, 0o757))
	if err := strangersOf(dir); !errors.As(err, &found) || found.Path != dir {
		t.Errorf("anyone's: %v", err)
	}
	mustDo(t, os.Chmod(dir, 0o777|fs.ModeSticky), strangersOf(dir))
	if err := strangersOf(filepath.Join(dir, "none")); err == nil || errors.As(err, &found) {
		t.Errorf("of what is not there: %v", err)
	}
	needRoot(t)
	s, err := Init(filepath.Join(dir, "spool"), "")
	mustDo(t, err)
	for _, d := range append([]string{"."}, skeleton...) {
		mustDo(t, os.Chown(s.abs(d), int(ann), -1))
	}
	if err := s.strangers(noPrivate); !errors.As(err, &found) || found.UID != ann {
		t.Errorf("to root's worker: %v", err)
	}
	mustDo(t, s.strangersTo(masterOf(ann), noPrivate))
}

// A queue lies in its spool, which its group's members may write.
func TestStrangersOfAQueue(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"", strconv.Itoa(os.Getegid())} {
		dir := filepath.Join(testDir(t), "spool")
		_, err := Init(dir, group)
		mustDo(t, err)
		q, err := InitQueue(dir, "mail", group)
		mustDo(t, err, q.strangers(noPrivate))
		mustDo(t, os.Chmod(filepath.Join(dir, queuesDir), 0o707))
		var found *StrangersError
		if err := q.strangers(noPrivate); !errors.As(err, &found) || found.Path != filepath.Join(dir, queuesDir) {
			t.Errorf("group %q: %v", group, err)
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can have files of several users")
	}
}
