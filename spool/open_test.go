package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestInitMakesTheTree(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testDir(t), "a", "b", "spool")
	if _, err := Open(dir); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotSpool) {
		t.Errorf("before it is made: %v", err)
	}
	s, err := Init(dir, "")
	mustDo(t, err)
	want := []string{
		".lock", "ctl/", "ctl/booted/", "ctl/cancel/", "ctl/drain/", "ctl/interrupt/", "ctl/signal/", "dead/", "done/", "editing/", "ids/", "logs/", "pending/", "pending/later/",
		"processing/", "queuectl.json", "rejected/", "tmp/", "workers/",
	}
	if got := tree(t, s); !slices.Equal(got, want) {
		t.Errorf("want %q, have %q", want, got)
	}
	for _, rel := range append(want, ".") {
		st, err := os.Stat(filepath.Join(dir, rel))
		mustDo(t, err)
		if p := st.Mode(); p.IsDir() && p.Perm() != 0o700 || !p.IsDir() && p.Perm() != 0o600 || p&fs.ModeSetgid != 0 {
			t.Errorf("%s has mode %s", rel, p)
		}
	}
	if s.Dir() != dir || s.Group() != "" || s.MaxJobBytes() != DefaultMaxJobBytes || s.FilePerm() != 0o600 || s.format.FoldCase {
		t.Errorf("%+v", s.format)
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
}

func TestInitTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	mustPut(t, s, "job-1")
	before, document := tree(t, s), readString(t, s.abs(formatFile))
	again, err := Init(s.Dir(), "")
	mustDo(t, err)
	if after := tree(t, s); !slices.Equal(before, after) || readString(t, s.abs(formatFile)) != document || again.format != s.format {
		t.Errorf("before %q, after %q", before, after)
	}
	if _, err := Init(s.Dir(), strconv.Itoa(os.Getgid())); err == nil || !strings.Contains(err.Error(), "not for group") {
		t.Errorf("a group that it is not for: %v", err)
	}
}

// A making that was cut short anywhere is completed by the next.
func TestInitCompletesWhatWasCutShort(t *testing.T) {
	t.Parallel()
	for stop := 1; ; stop++ {
		dir := filepath.Join(testDir(t), "spool")
		o := realOps()
		calls := 0
		cut := errors.New("cut short")
		count := func() error {
			if calls++; calls >= stop {
				return cut
			}
			return nil
		}
		mkdir, create, link, unlink := o.mkdir, o.create, o.link, o.unlink
		o.mkdir = func(p string, perm fs.FileMode) error {
			return errors.Join(count(), doUnless(calls >= stop, func() error { return mkdir(p, perm) }))
		}
		o.create = func(p string, perm fs.FileMode) (file, error) {
			if err := count(); err != nil {
				return nil, err
			}
			return create(p, perm)
		}
		o.link = func(a, b string) error {
			return errors.Join(count(), doUnless(calls >= stop, func() error { return link(a, b) }))
		}
		o.unlink = func(p string) error {
			return errors.Join(count(), doUnless(calls >= stop, func() error { return unlink(p) }))
		}
		_, err := initialise(dir, "", o)
		whole := calls < stop
		if err == nil != whole {
			t.Fatalf("cut at call %d: %v", stop, err)
		}
		s, err := Init(dir, "")
		if err != nil {
			t.Fatalf("after a making cut at call %d: %v", stop, err)
		}
		mustPut(t, s, "job-1")
		for _, b := range must(breaches(t, s)) {
			if !strings.HasPrefix(b, "stale-tmp ") {
				t.Errorf("after a making cut at call %d: %s", stop, b)
			}
		}
		if whole {
			if stop < 20 {
				t.Errorf("the whole of it was %d calls", calls)
			}
			return
		}
	}
}

func must[T, U any](v T, _ U) T { return v }

func doUnless(not bool, do func() error) error {
	if not {
		return nil
	}
	return do()
}

func TestForeignDirectoriesAreRefused(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	writeFile(t, filepath.Join(dir, "letter.txt"), "dear")
	if _, err := Init(dir, ""); !errors.Is(err, ErrNotSpool) || !strings.Contains(err.Error(), "letter.txt") {
		t.Errorf("Init: %v", err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrNotSpool) {
		t.Errorf("Open: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := Init(filepath.Join(dir, "letter.txt"), ""); err == nil {
		t.Error("a spool is made of a file")
	}
	empty := filepath.Join(dir, "empty")
	mustDo(t, os.Mkdir(empty, 0o755))
	if _, err := Open(empty); !errors.Is(err, ErrNotSpool) {
		t.Errorf("Open of an empty directory: %v", err)
	}
	if _, err := Init(empty, ""); err != nil {
		t.Errorf("Init of an empty directory: %v", err)
	}
}

func TestVersionsAndBrokenFormats(t *testing.T) {
	t.Parallel()
	for document, want := range map[string]error{
		`{"format":2,"max_job_bytes":5}`: ErrVersion,
		`{"format":-1}`:                  ErrVersion,
		`{"format":0}`:                   ErrNotSpool,
		`{}`:                             ErrNotSpool,
		``:                               ErrNotSpool,
		`{"format":`:                     ErrNotSpool,
		`{"format":"1"}`:                 ErrNotSpool,
		strings.Repeat(" ", 64<<10) + `{"format":1}`:    ErrTooLarge,
		`{"format":1,"max_job_bytes":5,"new_key":true}`: nil,
	} {
		s := newSpool(t)
		writeFile(t, s.abs(formatFile), document)
		if _, err := Open(s.Dir()); !errors.Is(err, want) {
			t.Errorf("Open of %.40q: want %v, have %v", document, want, err)
		}
		if _, err := Init(s.Dir(), ""); want != nil && err == nil {
			t.Errorf("Init of %.40q: %v", document, err)
		}
		if got := readString(t, s.abs(formatFile)); got != document {
			t.Errorf("%.40q became %.40q", document, got)
		}
	}
}

func TestGroupSpool(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give directories to any group")
	}
	dir := filepath.Join(testDir(t), "spool")
	const gid = "54321"
	s, err := Init(dir, gid)
	mustDo(t, err)
	mustPut(t, s, "job-1", "job-2")
	mustDo(t, s.PrepareLogs("job-1"), s.WriteLog("job-1", 1, "json", []byte("{}")))
	l := mustRegister(t, s)
	c, err := l.Claim(all(t, s)[0].Name)
	mustDo(t, err)
	_, err = c.Done(Ending{Outcome: "done"})
	mustDo(t, err, s.Ask(Drain, l.Worker()), s.ChangeConfig(func([]byte) ([]byte, error) { return []byte("{}"), nil }))
	for _, rel := range append(tree(t, s), ".") {
		st, err := os.Stat(s.abs(rel))
		mustDo(t, err)
		in, err := s.ops.look(filepath.Dir(filepath.Clean(s.abs(rel))), filepath.Base(filepath.Clean(s.abs(rel))))
		mustDo(t, err)
		if in.gid != 54321 {
			t.Errorf("%s is of group %d", rel, in.gid)
		}
		want := fs.FileMode(0o660)
		switch {
		case st.IsDir():
			want = 0o770 | fs.ModeDir | fs.ModeSetgid
		case rel == configFile || rel == formatFile || strings.HasPrefix(rel, pendingDir+"/") || strings.HasPrefix(rel, doneDir+"/") || strings.HasPrefix(rel, idsDir+"/"):
			want = 0o640 // what is run, and how: its owner's alone
		}
		if m := st.Mode(); m != want {
			t.Errorf("%s has mode %s, want %s", rel, m, want)
		}
	}
	if s.Group() != gid || !s.Trusted(12345, 54321, true) || s.Trusted(12345, 54321, false) || s.Trusted(12345, 1, true) {
		t.Error("whose jobs it trusts is wrong")
	}
	if o, err := Init(dir, gid); err != nil || o.gid != 54321 {
		t.Errorf("again: %+v, %v", o, err)
	}
	if _, err := Init(filepath.Join(testDir(t), "x"), "no-such-group-here"); err == nil {
		t.Error("a group that does not exist")
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
}

// First use by several processes at once: all get the same spool.
func TestFirstUseByManyProcesses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testDir(t), "spool")
	var actors []*actor
	for range 6 {
		actors = append(actors, start(t, "init "+dir))
	}
	for _, a := range actors {
		if got := a.rest(t); len(got) != 1 || got[0] != "made "+dir {
			t.Errorf("one says %q", got)
		}
	}
	s, err := Open(dir)
	mustDo(t, err)
	if left := files(t, s, tmpDir); len(left) > 0 {
		t.Errorf("left in tmp: %q", left)
	}
}

// The other one is through at whatever moment.
func TestFirstUseRace(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		dir := filepath.Join(testDir(t), "spool")
		o := realOps()
		calls := 0
		var other *Spool
		meanwhile := func() {
			if calls++; calls == at {
				var err error
				if other, err = Init(dir, ""); err != nil {
					t.Errorf("before call %d the other fails: %v", at, err)
				}
			}
		}
		mkdir, create, link, names := o.mkdir, o.create, o.link, o.names
		o.mkdir = func(p string, perm fs.FileMode) error { meanwhile(); return mkdir(p, perm) }
		o.create = func(p string, perm fs.FileMode) (file, error) { meanwhile(); return create(p, perm) }
		o.link = func(a, b string) error { meanwhile(); return link(a, b) }
		o.names = func(d string, visit func(string) error) error { meanwhile(); return names(d, visit) }
		s, err := initialise(dir, "", o)
		if err != nil {
			t.Fatalf("the other was through before call %d: %v", at, err)
		}
		if other == nil {
			return
		}
		if s.format != other.format {
			t.Errorf("two formats: %+v and %+v", s.format, other.format)
		}
	}
}

func TestConfigIsReplacedWhole(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	if data, err := s.ReadConfig(); err != nil || data != nil {
		t.Fatalf("before there is one: %q, %v", data, err)
	}
	const goroutines, each = 8, 5
	var wg sync.WaitGroup
	for range goroutines {
		o := reopen(t, s)
		wg.Go(func() {
			for range each {
				err := o.ChangeConfig(func(old []byte) ([]byte, error) { return append(bytes.Clone(old), 'x'), nil })
				if err != nil {
					t.Error(err)
				}
				data, err := o.ReadConfig()
				if err != nil || strings.Trim(string(data), "x") != "" {
					t.Errorf("%q, %v", data, err)
				}
			}
		})
	}
	wg.Wait()
	data, err := s.ReadConfig()
	if err != nil || len(data) != goroutines*each {
		t.Errorf("%d changes of %d were kept, %v", len(data), goroutines*each, err)
	}
	if got := readString(t, ConfigPath(s.Dir())); got != string(data) {
		t.Errorf("in the file: %q", got)
	}
	refuse := errors.New("refused")
	if err := s.ChangeConfig(func([]byte) ([]byte, error) { return nil, refuse }); !errors.Is(err, refuse) {
		t.Errorf("a change that is refused: %v", err)
	}
	s.ops.rename = func(string, string) error { return refuse }
	if err := s.ChangeConfig(func([]byte) ([]byte, error) { return []byte("y"), nil }); !errors.Is(err, refuse) {
		t.Errorf("a rename that is refused: %v", err)
	}
	if got, err := s.ReadConfig(); err != nil || !bytes.Equal(got, data) {
		t.Errorf("after that: %q, %v", got, err)
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
	mustDo(t, os.Remove(ConfigPath(s.Dir())), os.Mkdir(ConfigPath(s.Dir()), 0o700))
	if _, err := s.ReadConfig(); err == nil {
		t.Error("a directory is read as settings")
	}
}

func TestHostNamesFitAFileName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"web1": "web1", "Web1.Example.ORG": "web1", "": "host", ".": "host", "---": "host", "büro_1": "b--ro-1",
		strings.Repeat("x", 50): strings.Repeat("x", 32), "a-b": "a-b", strings.Repeat("x", 31) + "-y": strings.Repeat("x", 31),
	} {
		if got := HostName(in); got != want {
			t.Errorf("HostName(%q) = %q, want %q", in, got, want)
		}
	}
	wid := Host{Name: "web-1"}.newWID()
	if host, pid, ok := parseWID(wid); !ok || host != "web-1" || pid != os.Getpid() {
		t.Errorf("%s is of %q and %d, %t", wid, host, pid, ok)
	}
	random := strings.Split(wid, ".")[2]
	for _, bad := range []string{"", "web-1", "web-1.1", "web-1.1." + random + ".x", "web-1.0." + random, "web-1.01." + random, "web-1.-1." + random, "Web.1." + random, "-a.1." + random, "web.1." + random[1:], "web.1." + random[1:] + "1", fmt.Sprintf("web.%d.%s", int64(1)<<31, random)} {
		if _, _, ok := parseWID(bad); ok {
			t.Errorf("%q is taken for a worker's name", bad)
		}
	}
}
