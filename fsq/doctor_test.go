package fsq

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// soundProbe is of a spool where nothing is to be found fault with.
func soundProbe() spool.Probe {
	race := spool.Race{Rounds: 64}
	return spool.Probe{
		Dir: "/home/ann/spool", Format: 1, Device: 7,
		Mount: spool.Mount{
			Type: "ext4", Point: "/home", Options: []string{"rw", "noatime"}, Known: true,
			Free: 10 << 30, Size: 20 << 30, FreeFiles: 1e6, Files: 2e6, Watches: 8192, Instances: 128,
		},
		Tried: &spool.Tried{
			Claims: race, Replace: race, Links: race, Creates: race, DropLease: true,
			SyncFile: 2 * time.Millisecond, SyncDir: time.Millisecond, Offset: -3 * time.Millisecond,
		},
	}
}

// onNFS makes a network file system of it.
func onNFS(options ...string) func(*spool.Probe) {
	return func(p *spool.Probe) {
		p.Network, p.Mount.Type, p.Mount.Known, p.Mount.Options = true, "nfs4", false, append([]string{"rw", "hard", "local_lock=none"}, options...)
		p.Tried.DropLease = false
	}
}

func mounted(options ...string) func(*spool.Probe) {
	return func(p *spool.Probe) { p.Mount.Options = append(p.Mount.Options, options...) }
}

func ofType(kind string, known bool) func(*spool.Probe) {
	return func(p *spool.Probe) { p.Mount.Type, p.Mount.Known, p.Network = kind, known, !known }
}

func TestDiagnoseNothing(t *testing.T) {
	t.Parallel()
	for _, f := range diagnose(soundProbe(), []WorkerInfo{{Version: Version}}) {
		if f.Level != FindingOK || f.Hint != "" || f.What == "" {
			t.Errorf("of a sound spool: %+v", f)
		}
	}
}

// Each finding, by what brings it about.
func TestDiagnose(t *testing.T) {
	t.Parallel()
	broken := spool.Race{Rounds: 64, Broken: 3}
	untried := spool.Race{Err: &fs.PathError{Op: "link", Path: "x", Err: syscall.EPERM}}
	for _, c := range []struct {
		name        string
		change      func(*spool.Probe)
		level, code string
		says        string
	}{
		{"tmpfs", ofType("tmpfs", true), FindingBad, "file-system", "in memory"},
		{"ramfs", ofType("ramfs", true), FindingBad, "file-system", "in memory"},
		{"ext2", ofType("ext2", true), FindingBad, "file-system", "no journal"},
		{"overlay", ofType("overlay", true), FindingNote, "file-system", "container"},
		{"smb", ofType("cifs", false), FindingWarn, "file-system", "SMB"},
		{"fuse", ofType("fuse.sshfs", false), FindingWarn, "file-system", "program that serves it"},
		{"unknown", ofType("strangefs", false), FindingWarn, "file-system", "not known to be local"},
		{"unnamed", ofType("", false), FindingWarn, "file-system", "an unknown file system"},
		{"nfs", onNFS(), FindingOK, "file-system", "network file system"},
		{"export", onNFS(), FindingNote, "nfs-export", "cannot be seen"},
		{"no journal", func(p *spool.Probe) { p.Mount.NoJournal = true }, FindingBad, "journal", "no journal"},
		{"soft", onNFS("soft"), FindingBad, "mount", "mounted soft"},
		{"softerr", onNFS("softerr"), FindingBad, "mount", "mounted softerr"},
		{"nolock", onNFS("nolock"), FindingWarn, "mount", "one id at once"},
		{"local_lock", onNFS("local_lock=all"), FindingWarn, "mount", "local_lock=all"},
		{"nocto", onNFS("nocto"), FindingWarn, "mount", "stale cache"},
		{"noac", onNFS("noac"), FindingNote, "mount", "harmless and slow"},
		{"lookupcache", onNFS("lookupcache=none"), FindingNote, "mount", "harmless and slow"},
		{"actimeo", onNFS("actimeo=600"), FindingNote, "mount", "look past that cache"},
		{"nobarrier", mounted("nobarrier"), FindingWarn, "mount", "forget"},
		{"barrier=0", mounted("barrier=0"), FindingWarn, "mount", "forget"},
		{"writeback", mounted("data=writeback"), FindingNote, "mount", "harmless"},
		{"full", func(p *spool.Probe) { p.Mount.Free = 4096 }, FindingBad, "space", "full"},
		{"little room", func(p *spool.Probe) { p.Mount.Free = 100 << 20 }, FindingWarn, "space", "100MiB of 20GiB"},
		{"no inodes", func(p *spool.Probe) { p.Mount.FreeFiles = 5 }, FindingBad, "inodes", "no inodes"},
		{"few inodes", func(p *spool.Probe) { p.Mount.FreeFiles = 600 }, FindingWarn, "inodes", "100 jobs"},
		{"ENOSPC", func(p *spool.Probe) { p.Tried.Err = syscall.ENOSPC }, FindingBad, "write", "no room"},
		{"EDQUOT", func(p *spool.Probe) { p.Tried.Err = syscall.EDQUOT }, FindingBad, "write", "quota"},
		{"EROFS", func(p *spool.Probe) { p.Tried.Err = syscall.EROFS }, FindingBad, "write", "read-only"},
		{"EACCES", func(p *spool.Probe) { p.Tried.Err = syscall.EACCES }, FindingBad, "write", "may not write"},
		{"EIO", func(p *spool.Probe) { p.Tried.Err = syscall.EIO }, FindingBad, "write", "input/output error"},
		{"rename", func(p *spool.Probe) { p.Tried.Claims = broken }, FindingBad, "rename", "3 of 64"},
		{"replace", func(p *spool.Probe) { p.Tried.Replace = broken }, FindingBad, "replace", "3 of 64"},
		{"link", func(p *spool.Probe) { p.Tried.Links = broken }, FindingBad, "link", "3 of 64"},
		{"no links", func(p *spool.Probe) { p.Tried.Links = untried }, FindingBad, "link", "operation not permitted"},
		{"create", func(p *spool.Probe) { p.Tried.Creates = broken }, FindingBad, "create", "3 of 64"},
		{"flock", func(p *spool.Probe) { p.Tried.LockErr = spool.ErrNotExclusive }, FindingBad, "lock", "no worker can start"},
		{"network lock", func(p *spool.Probe) { onNFS()(p); p.Tried.LockErr = syscall.ENOLCK }, FindingWarn, "lock", "one id at once"},
		{"leases", func(p *spool.Probe) { p.Tried.DropLease = false }, FindingNote, "drops", "quiet"},
		{"case", func(p *spool.Probe) { p.Tried.FoldsCase = true }, FindingBad, "case", "case differ"},
		{"no sync", func(p *spool.Probe) { p.Tried.SyncDirErr = syscall.EINVAL }, FindingBad, "fsync", "cannot be synced"},
		{"no sync on a network", func(p *spool.Probe) { onNFS()(p); p.Tried.SyncDirErr = syscall.EINVAL }, FindingNote, "fsync", "cannot be synced"},
		{"slow", func(p *spool.Probe) { p.Tried.SyncDir = 30 * time.Millisecond }, FindingNote, "fsync", "takes 90ms"},
		{"very slow", func(p *spool.Probe) { p.Tried.SyncFile = 400 * time.Millisecond }, FindingWarn, "fsync", "takes 1.2s"},
		{"untrue", func(p *spool.Probe) { p.Tried.SyncFile = 3 * time.Microsecond }, FindingNote, "fsync", "quicker than disks"},
		{"no watchers", func(p *spool.Probe) { p.Tried.NotifyErr = syscall.EMFILE }, FindingWarn, "events", "128"},
		{"no watches", func(p *spool.Probe) { p.Tried.NotifyErr = syscall.ENOSPC }, FindingWarn, "events", "8192"},
		{"no event", func(p *spool.Probe) { p.Tried.NotifyErr = spool.ErrNoEvent }, FindingWarn, "events", "no event arrived"},
		{"polling", onNFS(), FindingNote, "events", "other hosts"},
		{"clock", func(p *spool.Probe) { onNFS()(p); p.Tried.Offset = 5 * time.Second }, FindingNote, "clock", "5s behind the file server's"},
		{"wrong clock", func(p *spool.Probe) { onNFS()(p); p.Tried.Offset = -3 * time.Hour }, FindingWarn, "clock", "3h0m0s ahead of the file server's"},
		{"local clock", func(p *spool.Probe) { p.Tried.Offset = time.Minute }, FindingWarn, "clock", "really a local"},
		{"an answer that took long", func(p *spool.Probe) { p.Tried.Offset, p.Tried.Spread = 9*time.Second, 9*time.Second }, FindingOK, "clock", "agree"},
		{"stamps", func(p *spool.Probe) { p.Tried.Coarse = true }, FindingNote, "stamps", "whole seconds"},
		{"apart", func(p *spool.Probe) { p.Apart = []string{"done"} }, FindingBad, "one-file-system", "done in the spool is"},
		{"anyone's", func(p *spool.Probe) { p.Strangers = &StrangersError{Path: "/home", Mode: 0o777, ByMode: true} }, FindingBad, "modes", "others may write /home"},
		{"another's", func(p *spool.Probe) { p.Strangers = &StrangersError{Path: "/home", UID: 1001} }, FindingBad, "modes", "belongs to user 1001"},
		{"unseen", func(p *spool.Probe) { p.Strangers = fs.ErrPermission }, FindingWarn, "modes", "permission denied"},
		{"nobody's", func(*spool.Probe) {}, FindingOK, "modes", "no stranger can write the spool"},
		{"of a group", func(p *spool.Probe) { p.Group = "staff" }, FindingNote, "modes", "members of group staff"},
		{"planned", func(p *spool.Probe) { p.Planned = true }, FindingOK, "modes", "no stranger can write /home/ann/spool"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := soundProbe()
			c.change(&p)
			found := diagnose(p, nil)
			fits := func(f Finding) bool {
				return f.Level == c.level && f.Code == c.code && strings.Contains(f.What, c.says)
			}
			if !slices.ContainsFunc(found, fits) {
				t.Errorf("nothing says %s %s: …%s…; it says %+v", c.level, c.code, c.says, found)
			}
			worst := func(f Finding) bool { return f.Level == FindingBad && f.Code != c.code && c.code != "write" }
			if slices.ContainsFunc(found, worst) {
				t.Errorf("something else is bad as well: %+v", found)
			}
		})
	}
}

func TestDiagnoseVersions(t *testing.T) {
	t.Parallel()
	workers := []WorkerInfo{{Version: Version}, {Version: "9.1"}, {Version: "9.1"}, {}}
	var said []string
	for _, f := range diagnose(soundProbe(), workers) {
		if f.Code == "versions" {
			said = append(said, f.Level+" "+f.What)
		}
	}
	if len(said) != 2 || !strings.HasPrefix(said[0], "warn 1 of 4") || !strings.HasPrefix(said[1], "note 2 of 4 workers are of version 9.1") {
		t.Errorf("%q", said)
	}
}

// Doctor tries each file system once, and leaves the spool as it was.
func TestDoctor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() + "/spool"
	q, err := Open(dir, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	mail, err := OpenQueue(dir, "mail", DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	r, err := Doctor(t.Context(), []*Queue{q, mail})
	if err != nil || r.Planned || r.Directory != q.Dir() {
		t.Fatalf("%+v, %v", r, err)
	}
	tried := map[string]int{}
	for _, f := range r.Findings {
		if f.Code == "rename" {
			tried[f.Queue]++
		}
	}
	if tried[DefaultQueue] != 1 || tried["mail"] != 0 {
		t.Errorf("tried: %v", tried)
	}
	if c, err := q.Check(t.Context(), CheckOptions{}); err != nil || len(c.Breaches) > 0 {
		t.Errorf("afterwards: %+v, %v", c, err)
	}
	if _, err := DoctorPlan(t.Context(), "\x00"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that cannot be: %v", err)
	}
}
