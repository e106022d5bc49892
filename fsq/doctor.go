package fsq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Finding is one thing that Doctor has looked at.
type Finding struct {
	Queue string `json:"queue"` // "" while there is no spool
	Level string `json:"level"` // ok, note, warn, bad
	Code  string `json:"code"`  // what was looked at
	What  string `json:"what"`
	Hint  string `json:"hint"` // what to do; "": nothing
}

// Levels of a Finding. Only bad makes a spool unsafe: a guarantee does not hold then, so
// that jobs may be lost, run twice or be somebody else's.
const (
	FindingOK   = "ok"
	FindingNote = "note" // good to know, and harmless
	FindingWarn = "warn" // it will hurt under some conditions
	FindingBad  = "bad"
)

// DoctorReport is what Doctor found.
type DoctorReport struct {
	Directory string    `json:"directory"` // the spool; without one the directory in which it would be made
	Planned   bool      `json:"planned"`   // there is no spool yet
	Safe      bool      `json:"safe"`      // nothing is bad
	Findings  []Finding `json:"findings"`
}

// Doctor tries the file systems of queues for what their spools need, beside their
// workers, and says what it found. Each file system is tried once. It leaves nothing
// behind; the error is ctx's, or says that a spool cannot be looked at.
func Doctor(ctx context.Context, queues []*Queue) (DoctorReport, error) {
	r := DoctorReport{Safe: true, Findings: []Finding{}}
	tried := map[uint64]bool{}
	for i, q := range queues {
		p, err := q.s.Probe(ctx, true)
		if err == nil && !tried[p.Device] {
			tried[p.Device] = true
			p, err = q.s.Probe(ctx, false)
		}
		if err != nil {
			return r, err
		}
		workers, err := q.Workers(ctx)
		if err != nil {
			return r, err
		}
		if i == 0 {
			r.Directory = p.Dir
		}
		r.add(q.Name(), diagnose(p, workers))
	}
	return r, nil
}

// DoctorPlan is Doctor for a directory in which a spool would be made. It makes none, and
// tries the nearest directory above it that is there.
func DoctorPlan(ctx context.Context, dir string) (DoctorReport, error) {
	r := DoctorReport{Safe: true, Planned: true, Findings: []Finding{}}
	p, err := spool.ProbePlan(ctx, dir)
	if err != nil {
		return r, err
	}
	r.Directory = p.Dir
	r.add("", diagnose(p, nil))
	return r, nil
}

func (r *DoctorReport) add(queue string, found []Finding) {
	for _, f := range found {
		f.Queue = queue
		r.Safe = r.Safe && f.Level != FindingBad
		r.Findings = append(r.Findings, f)
	}
}

// findings collects what is said.
type findings []Finding

func (l *findings) say(level, code, hint, format string, args ...any) {
	*l = append(*l, Finding{Level: level, Code: code, What: fmt.Sprintf(format, args...), Hint: hint})
}

// diagnose judges what was seen.
func diagnose(p spool.Probe, workers []WorkerInfo) []Finding {
	var l findings
	if t := p.Tried; t != nil {
		l.fileSystem(p)
		l.mount(p)
		l.room(p)
		if t.Err != nil {
			l.refused(t.Err)
		} else {
			l.races(*t)
			l.tried(p, *t)
			l.syncs(p, *t)
			l.events(p, *t)
			l.clock(p, *t)
		}
	}
	if len(p.Apart) > 0 {
		l.say(FindingBad, "one-file-system", "a spool must lie on one file system: unmount them, or move the spool",
			"%s in the spool %s on another file system: no job can be moved there", strings.Join(p.Apart, ", "), isAre(len(p.Apart)))
	}
	l.strangers(p)
	if !p.Planned {
		l.say(FindingOK, "format", "", "the spool has format %d, which this program knows", p.Format)
		l.versions(workers)
	}
	return l
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// inMemory forget everything when the machine stops.
var inMemory = []string{"tmpfs", "ramfs"}

func isNFS(kind string) bool { return kind == "nfs" || kind == "nfs4" }

func isSMB(kind string) bool { return kind == "cifs" || kind == "smb3" || kind == "smbfs" }

func (l *findings) fileSystem(p spool.Probe) {
	kind, m := p.Mount.Type, p.Mount
	at := ""
	if m.Point != "" {
		at = " at " + m.Point
	}
	if kind == "" {
		kind = "an unknown file system"
	}
	switch {
	case slices.Contains(inMemory, kind):
		l.say(FindingBad, "file-system", "put the spool on a disk, unless jobs may be lost with the machine", "%s%s is in memory: when the machine stops, all jobs are lost", kind, at)
	case kind == "ext2":
		l.say(FindingBad, "file-system", "use ext4, xfs or btrfs", "%s%s has no journal: a power cut may lose jobs", kind, at)
	case kind == "overlay":
		l.say(FindingNote, "file-system", "in a container, put the spool on a volume", "overlay%s is a local file system; a container's goes with the container, jobs and all", at)
	case isSMB(kind):
		l.say(FindingWarn, "file-system", "use NFS for a spool of several hosts", "%s%s: an SMB server need not replace files in one step, nor give links", kind, at)
	case strings.HasPrefix(kind, "fuse"):
		l.say(FindingWarn, "file-system", "power cuts and other hosts cannot be tried here: ask its documentation", "%s%s: what is kept is up to the program that serves it", kind, at)
	case isNFS(kind):
		l.say(FindingOK, "file-system", "", "%s%s, a network file system: workers poll, and lost replies are looked into", kind, at)
		l.say(FindingNote, "nfs-export", "see that the server's /etc/exports does not say async", "whether the server writes before it answers cannot be seen from here")
	case !m.Known:
		l.say(FindingWarn, "file-system", "power cuts and other hosts cannot be tried here: ask its documentation", "%s%s is not known to be local: it is treated as a network file system", kind, at)
	default:
		l.say(FindingOK, "file-system", "", "%s%s, a local file system", kind, at)
	}
	if m.NoJournal {
		l.say(FindingBad, "journal", "tune2fs -O has_journal, on the unmounted device, gives it one", "this ext4 has no journal: a power cut may lose jobs that were acknowledged")
	}
}

// mount judges the mount's options, which nothing that is tried can show.
func (l *findings) mount(p spool.Probe) {
	kind := p.Mount.Type
	for _, o := range p.Mount.Options {
		name, value, _ := strings.Cut(o, "=")
		switch {
		case isNFS(kind) && (name == "soft" || name == "softerr"):
			l.say(FindingBad, "mount", "mount it with hard", "mounted %s: a call that is given up may still be carried out, behind the back of who was told that it failed", o)
		case isNFS(kind) && (name == "nolock" || name == "local_lock" && value != "none" && value != "flock"):
			l.say(FindingWarn, "mount", "mount it without "+o, "mounted %s: locks do not reach other hosts, so that two of them may give out one id at once", o)
		case isNFS(kind) && name == "nocto":
			l.say(FindingWarn, "mount", "mount it without nocto", "mounted nocto: a lost reply is looked into with a stale cache, up to a minute old")
		case isNFS(kind) && (name == "noac" || name == "sync" || name == "lookupcache" && value != "all"):
			l.say(FindingNote, "mount", "", "mounted %s: harmless and slow, the spool does not need it", o)
		case isNFS(kind) && (name == "actimeo" || name == "acdirmax") && longCache(value):
			l.say(FindingNote, "mount", "", "mounted %s: harmless, workers look past that cache; ls shows old news for so many seconds", o)
		case o == "nobarrier" || o == "barrier=0":
			l.say(FindingWarn, "mount", "mount it with barriers, unless the disk's cache has a battery", "mounted %s: at a power cut the disk may forget what fsync has written", o)
		case o == "data=writeback":
			l.say(FindingNote, "mount", "", "mounted %s: harmless, each job is synced before it gets its name", o)
		}
	}
}

// longCache reports whether a number of seconds is more than what NFS has by itself.
func longCache(seconds string) bool {
	var n int
	_, err := fmt.Sscanf(seconds, "%d", &n)
	return err == nil && n > 60
}

// When room is short. A job makes up to 6 files: itself, record, two of output, result
// and progress. The output of one attempt may take 2 output-limits, 20 MiB.
const (
	filesPerJob = 6
	fewJobs     = 1000
	littleRoom  = 200 << 20
	noRoom      = 1 << 20 // less than the longest document of a job
)

func (l *findings) room(p spool.Probe) {
	m := p.Mount
	switch {
	case m.Size == 0: // it does not tell
	case m.Free < noRoom:
		l.say(FindingBad, "space", "make room, or queuectl prune", "the file system is full: %s of %s are free", FormatSize(int64(m.Free)), FormatSize(roundSize(m.Size)))
	case m.Free < littleRoom:
		l.say(FindingWarn, "space", "make room, or queuectl prune", "%s of %s are free: the output of ten attempts may take that", FormatSize(roundSize(m.Free)), FormatSize(roundSize(m.Size)))
	default:
		l.say(FindingOK, "space", "", "%s of %s are free", FormatSize(roundSize(m.Free)), FormatSize(roundSize(m.Size)))
	}
	jobs := m.FreeFiles / filesPerJob
	switch {
	case m.Files == 0: // as many as there is room for
	case jobs == 0:
		l.say(FindingBad, "inodes", "remove files, or queuectl prune", "the file system has no inodes left: no file can be made")
	case jobs < fewJobs:
		l.say(FindingWarn, "inodes", "remove files, or queuectl prune", "inodes are left for some %d jobs", jobs)
	default:
		l.say(FindingOK, "inodes", "", "inodes are left for some %d jobs", jobs)
	}
}

// roundSize keeps three digits or so: FormatSize is exact.
func roundSize(n uint64) int64 {
	unit := uint64(1)
	for n/unit >= 10<<10 {
		unit <<= 10
	}
	return int64(n / unit * unit)
}

func (l *findings) refused(err error) {
	full, readOnly, forbidden := spool.Refusal(err)
	switch {
	case full:
		l.say(FindingBad, "write", "make room; queuectl prune removes finished jobs", "no file can be written: there is no room, or a quota is used up")
	case readOnly:
		l.say(FindingBad, "write", "mount it read-write; after a disk's error look into the kernel's log first", "no file can be written: the file system is read-only")
	case forbidden:
		l.say(FindingBad, "write", "ask as the user that the workers run as, or choose another --spool", "no file can be written: this user may not write here")
	default:
		l.say(FindingBad, "write", "", "no file can be written: %v", err)
	}
}

func (l *findings) races(t spool.Tried) {
	for _, r := range []struct {
		code     string
		race     spool.Race
		ok, fail string
	}{
		{"rename", t.Claims, "a rename is one step, and of two of one file one wins", "two renames of one file do not end with one winner: jobs may run twice or be lost"},
		{"replace", t.Replace, "a rename onto a file replaces it in one step", "a rename onto a file leaves a moment without either: ids may be given twice"},
		{"link", t.Links, "hard links work, and of two to one name one wins", "two links to one name do not end with one winner: ids may be given twice"},
		{"create", t.Creates, "O_EXCL works: of two that make one file one wins", "O_EXCL lets two make one file: ids may be given twice"},
	} {
		const move = "put the spool on ext4, xfs, btrfs or NFS"
		switch {
		case r.race.Err != nil:
			l.say(FindingBad, r.code, move, "it does not work here: %v", cause(r.race.Err))
		case r.race.Broken > 0:
			l.say(FindingBad, r.code, move, "%s (%d of %d)", r.fail, r.race.Broken, r.race.Rounds)
		default:
			l.say(FindingOK, r.code, "", "%s (%d races)", r.ok, r.race.Rounds)
		}
	}
}

// cause is an error without the names of files that are gone again.
func cause(err error) error {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err
}

func (l *findings) tried(p spool.Probe, t spool.Tried) {
	switch {
	case t.LockErr == nil && p.Network:
		l.say(FindingOK, "lock", "", "locks work on this host; no job depends on them across hosts")
	case t.LockErr == nil:
		l.say(FindingOK, "lock", "", "flock works: the death of a worker is seen at once")
	case p.Network:
		l.say(FindingWarn, "lock", "see that the server's lock service runs", "locks do not work: two hosts may give out one id at once (%v)", cause(t.LockErr))
	default:
		l.say(FindingBad, "lock", "put the spool on ext4, xfs, btrfs or NFS", "flock does not work, so that no worker can start (%v)", cause(t.LockErr))
	}
	if !t.DropLease {
		l.say(FindingNote, "drops", "write a dropped file elsewhere and mv it", "the system does not tell who still writes a file: dropped ones are taken after some seconds of quiet")
	}
	if !p.Planned && t.FoldsCase != p.FoldCase {
		l.say(FindingBad, "case", "move the jobs to a spool that is made here", "the spool was made where upper and lower case %s, which is not so here: names of jobs may collide", map[bool]string{true: "are one", false: "differ"}[p.FoldCase])
	}
}

// When fsync is slow, and when it is too quick to be true. An enqueue waits for two or
// three of them, one after the other; 20 ms are a plain disk's. No disk answers in 50 µs.
const (
	slowSync    = 20 * time.Millisecond
	sluggish    = 200 * time.Millisecond
	untrueSync  = 50 * time.Microsecond
	syncsOfAPut = 3
)

func (l *findings) syncs(p spool.Probe, t spool.Tried) {
	if t.SyncDirErr != nil {
		level := FindingBad
		if p.Network {
			level = FindingNote // the server has written names before it answers
		}
		l.say(level, "fsync", "", "a directory cannot be synced: %v", cause(t.SyncDirErr))
		return
	}
	if t.SyncFile == 0 {
		return // it could not be timed
	}
	slowest := max(t.SyncFile, t.SyncDir)
	figures := fmt.Sprintf("fsync takes %s for a file, %s for a directory", shortly(t.SyncFile), shortly(t.SyncDir))
	switch {
	case slowest > sluggish:
		l.say(FindingWarn, "fsync", "enqueue many jobs in one call: they share it", "%s: an enqueue takes %s", figures, shortly(syncsOfAPut*slowest))
	case slowest > slowSync:
		l.say(FindingNote, "fsync", "enqueue many jobs in one call: they share it", "%s: an enqueue takes %s", figures, shortly(syncsOfAPut*slowest))
	case t.SyncFile < untrueSync && !p.Network && !slices.Contains(inMemory, p.Mount.Type):
		l.say(FindingNote, "fsync", "see that no disk, virtual machine or library leaves it out", "%s: that is quicker than disks are", figures)
	default:
		l.say(FindingOK, "fsync", "", "%s", figures)
	}
}

// shortly keeps what matters of a measurement.
func shortly(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func (l *findings) events(p spool.Probe, t spool.Tried) {
	instances, watches := spool.TooMany(t.NotifyErr)
	switch {
	case p.Network:
		l.say(FindingNote, "events", "", "no events come of what other hosts do: workers poll, and a job starts some seconds late")
	case instances:
		l.say(FindingWarn, "events", "raise it: sysctl fs.inotify.max_user_instances", "this user has no watcher left of %d: workers poll, and jobs start late", p.Mount.Instances)
	case watches:
		l.say(FindingWarn, "events", "raise it: sysctl fs.inotify.max_user_watches", "this user has no watch left of %d: workers poll, and jobs start late", p.Mount.Watches)
	case t.NotifyErr != nil:
		l.say(FindingWarn, "events", "", "no events come of changes: workers poll, and jobs start late (%v)", cause(t.NotifyErr))
	case p.Mount.Instances > 0:
		l.say(FindingOK, "events", "", "events come; a user may have %d watchers and %d watches", p.Mount.Instances, p.Mount.Watches)
	default:
		l.say(FindingOK, "events", "", "events come of changes")
	}
}

// From when on a difference of clocks is told. Stamps of a local file system are a tick
// behind, some milliseconds.
const (
	clockNote = 2 * time.Second
	clockWarn = time.Minute
)

func (l *findings) clock(p spool.Probe, t spool.Tried) {
	off := max(t.Offset.Abs()-t.Spread, 0)
	if t.Coarse {
		off = max(off-time.Second, 0)
	}
	which := "ahead of"
	if t.Offset > 0 {
		which = "behind"
	}
	whose := "the file system's"
	if p.Network {
		whose = "the file server's"
	}
	const hint = "keep both clocks by NTP"
	switch {
	case off < clockNote:
		l.say(FindingOK, "clock", "", "this host's clock and %s agree", whose)
	case off < clockWarn && p.Network:
		l.say(FindingNote, "clock", hint, "this host's clock is %s %s %s, which decides when jobs are due", shortly(off), which, whose)
	case p.Network:
		l.say(FindingWarn, "clock", hint, "this host's clock is %s %s %s, which decides when jobs are due", shortly(off), which, whose)
	default:
		l.say(FindingWarn, "clock", hint, "this host's clock is %s %s %s: is it really a local file system", shortly(off), which, whose)
	}
	if t.Coarse {
		l.say(FindingNote, "stamps", "", "stamps of files are whole seconds: a request for a job that was just enqueued may be taken for an older one's")
	}
}

// strangers says who could change the spool or put another in its place: where a worker
// does not start because of them.
func (l *findings) strangers(p spool.Probe) {
	found := (*StrangersError)(nil)
	switch {
	case errors.As(p.Strangers, &found) && found.ByMode:
		l.say(FindingBad, "modes", "chmod go-w "+found.Path, "%v", found)
	case found != nil:
		l.say(FindingBad, "modes", "take a spool in a directory of your own, below directories of yours or root's", "%v", found)
	case p.Strangers != nil:
		l.say(FindingWarn, "modes", "", "%v", p.Strangers)
	case p.Planned:
		l.say(FindingOK, "modes", "", "no stranger can write %s or what is above it", p.Dir)
	default:
		l.say(FindingOK, "modes", "", "no stranger can write the spool or what is above it")
	}
	if p.Group != "" {
		l.say(FindingNote, "modes", "", "members of group %s can run commands as the spool's workers if trust-group is set", p.Group)
	}
}

func (l *findings) versions(workers []WorkerInfo) {
	others := map[string]int{}
	same := 0
	for _, w := range workers {
		if w.Version == Version {
			same++
		} else {
			others[w.Version]++
		}
	}
	for _, v := range slices.Sorted(maps.Keys(others)) {
		if v == "" {
			l.say(FindingWarn, "versions", "queuectl worker list names the workers", "%d of %d workers do not tell their version: their entries cannot be read", others[v], len(workers))
			continue
		}
		l.say(FindingNote, "versions", "run one version on all hosts", "%d of %d workers are of version %s, this is %s", others[v], len(workers), v, Version)
	}
	if len(others) == 0 && same > 0 {
		l.say(FindingOK, "versions", "", "all workers are of this version, %s (%d)", Version, same)
	}
}
