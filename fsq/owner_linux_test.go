package fsq

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Two users that this system has no accounts of. Both are in group 61100, too.
const (
	ann uint32 = 61001
	bob uint32 = 61002
)

// The accounts are the tests' own, of a system that has them.
func init() {
	system := lookupAccount
	lookupAccount = func(uid uint32) (account, error) {
		name, ok := map[uint32]string{ann: "ann", bob: "bob"}[uid]
		if !ok {
			return system(uid)
		}
		return account{uid: uid, gid: uid, groups: []uint32{uid, 61100}, name: name, home: "/nonexistent"}, nil
	}
}

// openOwned is a spool of root's with boxes for ann and bob, and a configuration in which
// jobs run as their owners.
func openOwned(t *testing.T) *Queue {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become other users")
	}
	dir := t.TempDir()
	// Others than root must get to the spool: a test's directory, and the one above it, let
	// nobody pass.
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cfg := testConfig()
	cfg.RunAsOwner, cfg.MaxRetries = true, 0
	q, err := Open(filepath.Join(dir, "spool"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for name, uid := range map[string]uint32{"ann": ann, "bob": bob} {
		if _, err := q.s.MakeBox(name, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	return q
}

// fileOf makes a file of a user's.
func fileOf(t *testing.T, uid uint32, path, data string) {
	t.Helper()
	// Given away before it has its name: a worker may look as soon as it is there.
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := errors.Join(os.WriteFile(tmp, []byte(data), 0o600), os.Chown(tmp, int(uid), int(uid)), os.Rename(tmp, path)); err != nil {
		t.Fatal(err)
	}
}

// dropAs drops a shell command as one of the users.
func dropAs(t *testing.T, q *Queue, box string, uid uint32, id, command string) {
	t.Helper()
	j := Job{Command: Command{Shell: command}}
	data, err := j.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	fileOf(t, uid, filepath.Join(q.Dir(), "drop", box, id+".json"), string(data))
}

func stdoutOf(t *testing.T, q *Queue, id string, kind string) string {
	t.Helper()
	data, err := os.ReadFile(q.s.LogPath(id, 1, kind))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Two users' jobs and root's run as them, and have nothing of the worker: not its
// environment, not a descriptor that it was started with, not its umask or directory.
func TestJobsRunAsTheirOwners(t *testing.T) {
	q := openOwned(t)
	t.Setenv("WORKERS_SECRET", "1")
	// As whoever started the worker has left it open. Its number is above all that the
	// script's shell opens for its own pipes, which would else pass for it.
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := unix.FcntlInt(uintptr(null), unix.F_DUPFD, 60)
	if err := errors.Join(err, unix.Close(null)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(inherited) }()
	const script = `echo "$(id -u) $(id -g) $(id -G)"; umask; pwd; for f in /proc/$$/fd/*; do echo "${f##*/}"; done | sort -n | tr '\n' ' '; echo; ulimit -n; env | sort | grep -v ^QUEUECTL_; cut -d' ' -f5-7 /proc/$$/stat; echo $$ 1>&2`
	dropAs(t, q, "ann", ann, "hers", script)
	dropAs(t, q, "bob", bob, "his", script)
	enqueue(t, q, fmt.Sprintf(`{"id":"roots","command":%q,"cwd":"/tmp","umask":"0027","env":{"MINE":"1"}}`, script))
	w := startWorker(t, q, WorkerOptions{Slots: 2})
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	base := func(user, home, path string, more ...string) string {
		env := append([]string{"HOME=" + home, "LOGNAME=" + user, "PATH=" + path, "SHELL=/bin/sh", "USER=" + user}, more...)
		slices.Sort(env)
		return strings.Join(env, "\n")
	}
	const users, roots = "/usr/local/bin:/usr/bin:/bin", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	root, err := lookupAccount(0)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string][4]string{
		"hers":  {"61001 61001 61001 61100", "0022", "/", base("ann", "/nonexistent", users, "PWD=/")},
		"his":   {"61002 61002 61002 61100", "0022", "/", base("bob", "/nonexistent", users, "PWD=/")},
		"roots": {"0 0", "0027", "/tmp", base(root.name, root.home, roots, "PWD=/tmp", "MINE=1")},
	} {
		w.awaitJob(EventDone, id)
		out := stdoutOf(t, q, id, kindStdout)
		lines := strings.SplitN(out, "\n", 6)
		if len(lines) < 6 {
			t.Errorf("%s: %s", id, out)
			continue
		}
		env, stat, _ := strings.Cut(lines[5], "\n"+strings.TrimSpace(stdoutOf(t, q, id, kindStderr))+" ")
		// A group and a session of its own, and no terminal: session, tty.
		pid := strings.TrimSpace(stdoutOf(t, q, id, kindStderr))
		if !strings.HasPrefix(lines[0], want[0]) || lines[1] != want[1] || lines[2] != want[2] || env != want[3] || strings.TrimSpace(stat) != pid+" 0" {
			t.Errorf("%s: %q, then %q; want %q", id, lines, stat, want)
		}
		// 10 is where the shell keeps a descriptor of its own while it redirects.
		if fds := strings.Fields(lines[3]); !slices.Equal(fds[:3], []string{"0", "1", "2"}) || slices.Contains(fds, strconv.Itoa(inherited)) || slices.Contains(fds, strconv.Itoa(lockFD)) {
			t.Errorf("%s has the descriptors %s", id, lines[3])
		}
		if lines[4] != strconv.FormatUint(limit.Cur, 10) {
			t.Errorf("%s may open %s files, the worker %d", id, lines[4], limit.Cur)
		}
	}
	w.drain()
	sound(t, q)
}

// What a job writes about itself is its own, and nothing else is: no trick makes root read
// or write another file.
func TestOwnersFilesAndNoOthers(t *testing.T) {
	t.Parallel()
	q := openOwned(t)
	dir := filepath.Dir(q.Dir())
	secret, target := filepath.Join(dir, "secret"), filepath.Join(dir, "target")
	fileOf(t, 0, secret, `{"secret":1}`)
	fileOf(t, bob, target, "bob's")
	open := filepath.Join(dir, "open") // where both may write
	if err := errors.Join(os.Mkdir(open, 0o777), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	dropAs(t, q, "ann", ann, "good", `echo '{"rows":3}' >"$QUEUECTL_RESULT"; echo '50% half' >"$QUEUECTL_PROGRESS"; echo out >/dev/stdout; echo err >/dev/stderr; cat /dev/stdin`)
	dropAs(t, q, "ann", ann, "silent", "true")
	// Everything that would lead root elsewhere must be refused.
	dropAs(t, q, "bob", bob, "tricks", fmt.Sprintf(`
		ln -sf %[1]s "$QUEUECTL_RESULT" && echo linked
		rm -f "$QUEUECTL_RESULT" && echo removed
		mkfifo "${QUEUECTL_RESULT%%/*}/fifo" && echo fifo
		mv "$QUEUECTL_PROGRESS" %[2]s/ && echo moved
		ls "$QUEUECTL_SPOOL" "$QUEUECTL_SPOOL/pending" "$QUEUECTL_SPOOL/logs" "$QUEUECTL_SPOOL/drop" "$QUEUECTL_SPOOL/drop/ann" && echo listed
		cat "$QUEUECTL_SPOOL/queuectl.json" && echo read
		echo '{"command":"id"}' >"$QUEUECTL_SPOOL/pending/x.json" && echo dropped
		touch "$QUEUECTL_SPOOL/ctl/paused" && echo paused
		cat %[1]s && echo secret
		cat %[3]s %[4]s && echo hers
		ln "$QUEUECTL_RESULT" %[2]s/result; echo '{"linked":1}' >"$QUEUECTL_RESULT"
		exit 0`, secret, open, q.s.LogPath("good", 1, kindStdout), q.s.LogPath("good", 1, kindResult)))
	w := startWorker(t, q, WorkerOptions{})
	for _, id := range []string{"good", "silent", "tricks"} {
		w.awaitJob(EventDone, id)
	}
	w.drain()
	if r := q.readReport("good", 1); string(r.Result) != `{"rows":3}` || r.Progress == nil || r.Progress.Text != "half" {
		t.Errorf("%+v", r)
	}
	if out, e := stdoutOf(t, q, "good", kindStdout), stdoutOf(t, q, "good", kindStderr); out != "out\n" || e != "err\n" {
		t.Errorf("%q, %q", out, e)
	}
	if out, err := os.ReadFile(q.s.LogPath("tricks", 1, kindStdout)); err == nil && len(out) > 0 {
		t.Errorf("these tricks work: %s", out)
	}
	// A file with another name means nothing to a reader.
	if r := q.readReport("tricks", 1); r.Result != nil {
		t.Errorf("%+v", r)
	}
	for _, kind := range []string{kindStdout, kindStderr, kindResult, kindProgress} {
		if q.s.HasLog("silent", 1, kind) {
			t.Errorf("an empty file is left: %s", kind)
		}
	}
	for _, kind := range []string{kindStdout, kindResult} {
		fi, err := os.Lstat(q.s.LogPath("good", 1, kind))
		if err != nil || fi.Mode().Perm() != 0o600 || fi.Sys().(*syscall.Stat_t).Uid != ann {
			t.Errorf("%s: %v, %v", kind, fi, err)
		}
	}
	sound(t, q)
}

// Where the owner cannot go, his job does not run, although root could.
func TestWhereTheOwnerCannotGo(t *testing.T) {
	t.Parallel()
	q := openOwned(t)
	dir := filepath.Join(filepath.Dir(q.Dir()), "roots")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "program"), []byte("#!/bin/sh\necho it ran\n"), 0o700)); err != nil {
		t.Fatal(err)
	}
	box := filepath.Join(q.Dir(), "drop", "ann")
	fileOf(t, ann, filepath.Join(box, "cwd.json"), fmt.Sprintf(`{"command":"echo it ran","cwd":%q}`, dir))
	fileOf(t, ann, filepath.Join(box, "program.json"), fmt.Sprintf(`{"command":[%q]}`, filepath.Join(dir, "program")))
	fileOf(t, ann, filepath.Join(box, "path.json"), fmt.Sprintf(`{"command":["program"],"env":{"PATH":%q}}`, dir))
	fileOf(t, ann, filepath.Join(box, "relative.json"), `{"command":"echo it ran","cwd":"sub"}`)
	w := startWorker(t, q, WorkerOptions{})
	for id, want := range map[string]struct {
		code int
		text string
	}{
		"cwd":      {codeCannotRun, "working directory \"" + dir + "\": permission denied"},
		"program":  {codeCannotRun, "permission denied"},
		"path":     {codeNotFound, "not found in PATH"},
		"relative": {codeCannotRun, `working directory "/nonexistent/sub" does not exist`},
	} {
		w.awaitJob(EventDead, id)
		r := get(t, q, id).Records
		if len(r) != 1 || r[0].ExitCode == nil || *r[0].ExitCode != want.code || !strings.Contains(r[0].Error, want.text) {
			t.Errorf("%s: %+v", id, r)
		}
		if out, err := os.ReadFile(q.s.LogPath(id, 1, kindStdout)); err == nil {
			t.Errorf("%s: %s", id, out)
		}
	}
	w.drain()
	// It is this process that asked, as ann: it must be root again.
	if _, err := os.ReadDir(dir); err != nil {
		t.Error(err)
	}
}

// A user without an account has no groups that could be his: his job waits for one.
func TestOwnerWithoutAnAccount(t *testing.T) {
	t.Parallel()
	q := openOwned(t)
	enqueue(t, q, `{"id":"whose","command":"id"}`)
	if err := os.Chown(filepath.Join(q.Dir(), get(t, q, "whose").File), 61999, 61999); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, q, WorkerOptions{})
	if e := w.awaitJob(EventDead, "whose"); !strings.Contains(e.Error, "no account of user 61999") {
		t.Error(e.Error)
	}
}

// Names in boxes that say "elsewhere", contents that name ids that are paths, and what is
// no file.
func TestHostileBoxes(t *testing.T) {
	t.Parallel()
	q := openOwned(t)
	box := filepath.Join(q.Dir(), "drop", "ann")
	bad := map[string]string{
		"dots.json":  `{"command":"id","id":"../../etc/x"}`,
		"nul.json":   `{"command":"id","id":"a\u0000b"}`,
		"nul2.json":  `{"command":"id\u0000"}`,
		"slash.json": `{"command":"id","id":"a/b"}`,
		"array.json": `[1]`,
	}
	for name, data := range bad {
		fileOf(t, ann, filepath.Join(box, name), data)
	}
	fileOf(t, ann, filepath.Join(box, "a..%2f..%2fetc.json"), `{"command":"true"}`)
	if err := errors.Join(unix.Mkfifo(filepath.Join(box, "fifo.json"), 0o666), unix.Mkfifo(filepath.Join(q.Dir(), "pending", "fifo.json"), 0o666)); err != nil {
		t.Fatal(err)
	}
	dropAs(t, q, "bob", bob, "good", "true")
	w := startWorker(t, q, WorkerOptions{})
	w.awaitJob(EventDone, "good")
	for name := range bad {
		w.awaitJob(EventRejected, "drop/ann/"+name)
	}
	w.await("the file with an odd name", func(e Event) bool { return e.Kind == EventDone && strings.Contains(e.JobID, "%2fetc") })
	w.drain()
	for _, fifo := range []string{filepath.Join(box, "fifo.json"), filepath.Join(q.Dir(), "pending", "fifo.json")} {
		if fi, err := os.Lstat(fifo); err != nil || fi.Mode()&os.ModeNamedPipe == 0 {
			t.Errorf("%s: %v, %v", fifo, fi, err)
		}
	}
}

// Thousands of bad files: each is set aside with its reason, and no good job waits for them.
func TestTenThousandBadFiles(t *testing.T) {
	t.Parallel()
	q := openOwned(t)
	n, good := 10_000, 20
	if testing.Short() {
		n = 500
	}
	box := filepath.Join(q.Dir(), "drop", "ann")
	for i := range n {
		// Of every kind: another's, no job, one that others may write.
		path, uid, data, mode := filepath.Join(box, fmt.Sprintf("bad-%05d.json", i)), ann, `{"command":7}`, os.FileMode(0o600)
		switch i % 3 {
		case 1:
			uid, data = bob, `{"command":"false"}`
		case 2:
			data, mode = `{"command":"false"}`, 0o666
		}
		if err := errors.Join(os.WriteFile(path, []byte(data), mode), os.Chmod(path, mode), os.Chown(path, int(uid), -1)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range good {
		dropAs(t, q, "bob", bob, fmt.Sprintf("dropped-%d", i), "true")
		enqueue(t, q, fmt.Sprintf(`{"id":"queued-%d","command":"true"}`, i))
	}
	w := startWorker(t, q, WorkerOptions{Slots: 2})
	for i := range good {
		w.awaitJob(EventDone, fmt.Sprintf("queued-%d", i))
	}
	count := func(kind string) (count int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, e := range w.events {
			if e.Kind == kind {
				count++
			}
		}
		return count
	}
	if early := count(EventRejected); early == n {
		t.Error("jobs that waited came after all bad files")
	}
	for i := range good {
		w.awaitJob(EventDone, fmt.Sprintf("dropped-%d", i))
	}
	waitUntil(t, "all bad files are set aside", func() bool { return count(EventRejected) == n })
	w.drain()
	rejects, err := q.s.Rejects()
	if err != nil || len(rejects) != n {
		t.Fatalf("%d are set aside, %v", len(rejects), err)
	}
	for _, r := range rejects {
		if r.Reason == "" {
			t.Fatalf("%s: no reason", r.Base)
		}
	}
	if done := count(EventDone); done != 2*good {
		t.Errorf("%d jobs are done", done)
	}
}

// A job whose file somebody has linked from elsewhere is not run as that file's owner.
func TestLinkedFileIsNotRun(t *testing.T) {
	t.Parallel()
	q := openOwned(t)
	enqueue(t, q, `{"id":"bound","command":"true"}`)
	enqueue(t, q, `{"id":"linked","command":"true"}`)
	if err := os.Link(filepath.Join(q.Dir(), get(t, q, "linked").File), filepath.Join(filepath.Dir(q.Dir()), "elsewhere")); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, q, WorkerOptions{})
	w.awaitJob(EventDone, "bound") // the binding of its id is no strange name
	if e := w.awaitJob(EventRejected, "linked"); !strings.Contains(e.Error, "hard link") {
		t.Error(e.Error)
	}
}

// Without run-as-owner a worker of root's runs nothing that a user has dropped.
func TestBoxesWithoutRunAsOwner(t *testing.T) {
	t.Parallel()
	q := openOwned(t)
	q.cfg.RunAsOwner = false
	dropAs(t, q, "ann", ann, "hers", "true")
	enqueue(t, q, `{"id":"hers-moved","command":"true"}`)
	if err := os.Chown(filepath.Join(q.Dir(), get(t, q, "hers-moved").File), int(ann), -1); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, q, WorkerOptions{})
	if e := w.awaitJob(EventRejected, "hers-moved"); !strings.Contains(e.Error, "belongs to user 61001") {
		t.Error(e.Error)
	}
	w.drain()
	if _, err := os.Lstat(filepath.Join(q.Dir(), "drop", "ann", "hers.json")); err != nil {
		t.Error(err)
	}
}

// A box that is made, and filled, while a worker runs is found.
func TestBoxMadeLater(t *testing.T) {
	t.Parallel()
	q := openOwned(t)
	if err := os.RemoveAll(filepath.Join(q.Dir(), "drop")); err != nil {
		t.Fatal(err)
	}
	w := startWorker(t, q, WorkerOptions{})
	w.await("ready", func(e Event) bool { return e.Kind == EventReady })
	if _, err := q.s.MakeBox("ann", ann, ann); err != nil {
		t.Fatal(err)
	}
	dropAs(t, q, "ann", ann, "hers", "true")
	w.awaitJob(EventDone, "hers")
	dropAs(t, q, "ann", ann, "again", "true")
	w.awaitJob(EventDone, "again")
}

// What left a dead worker's job is found and killed whoever it runs as.
func TestOrphansOfOthersAreKilled(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can become other users")
	}
	const w = "worker-of-roots"
	var pids []int
	for i, uid := range []uint32{ann, bob} {
		cmd := exec.Command("sleep", "1000")
		cmd.Env = []string{envWorker + "=" + w, envJobID + "=job", envAttempt + "=" + strconv.Itoa(i+1)}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		reaped := make(chan struct{})
		go func() {
			defer close(reaped)
			_ = cmd.Wait()
		}()
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			<-reaped
		})
		pids = append(pids, cmd.Process.Pid)
	}
	if err := killOrphans(w, map[string]int{"job": 1}); err != nil {
		t.Fatal(err)
	}
	if running(pids[0]) || !running(pids[1]) {
		t.Errorf("the attempt's runs: %t; another's: %t", running(pids[0]), running(pids[1]))
	}
}

// A job is stopped, and the time-out kept, although it is another user's.
func TestOwnersJobIsStopped(t *testing.T) {
	t.Parallel()
	q := openOwned(t)
	fileOf(t, ann, filepath.Join(q.Dir(), "drop", "ann", "long.json"), `{"command":"setsid sleep 1000 & sleep 1000","timeout_seconds":0.2}`)
	w := startWorker(t, q, WorkerOptions{})
	if e := w.awaitJob(EventDead, "long"); e.Outcome != string(OutcomeTimeout) {
		t.Errorf("%+v", e)
	}
}
