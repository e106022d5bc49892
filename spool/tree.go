package spool

import (
	"fmt"
	"hash/fnv"
	"path"
	"strings"
	"time"
)

// State is a directory of the spool.
type State string

// The states of a job.
const (
	Pending    State = "pending"
	Processing State = "processing"
	Done       State = "done"
	Dead       State = "dead"
)

// The rest of the tree. Paths within this package are relative to the spool and
// use "/"; abs makes them absolute.
const (
	formatFile  = "queuectl.json"
	configFile  = ConfigFile
	lockFile    = ".lock"
	tmpDir      = "tmp"
	pendingDir  = string(Pending)
	laterDir    = pendingDir + "/later"
	editingDir  = "editing"
	workDir     = string(Processing)
	doneDir     = string(Done)
	deadDir     = string(Dead)
	rejectedDir = "rejected"
	idsDir      = "ids"
	logsDir     = "logs"
	workersDir  = "workers"
	ctlDir      = "ctl"
	bootedDir   = ctlDir + "/booted"
)

// skeleton is made by Init, parents first.
var skeleton = []string{
	tmpDir, pendingDir, laterDir, editingDir, workDir, doneDir, deadDir, rejectedDir, idsDir, logsDir, workersDir,
	ctlDir, bootedDir, ctlDir + "/" + string(Drain), ctlDir + "/" + string(Interrupt), cancelDir, signalDir,
}

// LaterAfter is how far ahead a job is due when it is put in pending/later/ rather
// than in pending/ itself, so that a scan of pending/ stays short.
const LaterAfter = time.Hour

func (s *Spool) abs(rel string) string { return s.dir + "/" + rel }

func (s *Spool) file(n Name) string { return n.encode(s.format.FoldCase) }

// pendingPath is where a job that waits belongs, seen from now.
func (s *Spool) pendingPath(n Name, now time.Time) string {
	if n.Due.Sub(now) > LaterAfter {
		return laterDir + "/" + laterHour(n.Due) + "/" + s.file(n)
	}
	return pendingDir + "/" + s.file(n)
}

func laterHour(t time.Time) string { return t.UTC().Format("20060102T15") }

func parseLaterHour(s string) (time.Time, error) { return time.Parse("20060102T15", s) }

// doneHour is the directory of jobs settled at t. Nth counts on where a directory
// is full (ext4 refuses names long before the disk is).
func doneHour(t time.Time, nth int) string {
	d := doneDir + "/" + t.UTC().Format("20060102/15")
	if nth > 0 {
		d += fmt.Sprintf(".%d", nth)
	}
	return d
}

// parseDoneHour reads DAY and HOUR or HOUR.N back.
func parseDoneHour(day, hour string) (time.Time, error) {
	hour, nth, more := strings.Cut(hour, ".")
	if more {
		if _, err := number(nth, 1, 9); err != nil {
			return time.Time{}, err
		}
	}
	return time.Parse("20060102/15", day+"/"+hour)
}

// bucket spreads ids over 256 directories.
func bucket(id string) string {
	h := fnv.New32a()
	h.Write([]byte(id))
	return fmt.Sprintf("%02x", h.Sum32()&0xff)
}

func (s *Spool) escape(id string) string {
	return string(appendEscaped(nil, id, s.format.FoldCase))
}

func (s *Spool) idPath(id string) string {
	return idsDir + "/" + bucket(id) + "/" + s.escape(id) + suffix
}

// LogPath is the path of a file about attempt number attempt of the job; kind is
// its suffix: "json" (the record), "out", "err", "result" or "progress". Such a path is used once: an
// attempt has one worker, and no attempt number recurs.
func (s *Spool) LogPath(id string, attempt int, kind string) string {
	return s.abs(fmt.Sprintf("%s/%s/%s.a%d.%s", logsDir, bucket(id), s.escape(id), attempt, kind))
}

// parseLog reads the name of a file below logs/XX/ back.
func parseLog(name string) (id string, attempt int, kind string, err error) {
	rest, kind, ok := cutLast(name, ".")
	if !ok {
		return "", 0, "", fmt.Errorf("not a log's name: %q", name)
	}
	escaped, number_, ok := cutLast(rest, ".a")
	if !ok {
		return "", 0, "", fmt.Errorf("not a log's name: %q", name)
	}
	if attempt, err = number(number_, 1, MaxAttempt); err != nil {
		return "", 0, "", fmt.Errorf("not a log's name: %q: %w", name, err)
	}
	if id, err = unescapeID(escaped); err != nil {
		return "", 0, "", fmt.Errorf("not a log's name: %q: %w", name, err)
	}
	return id, attempt, kind, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// ConfigFile is the name of the spool's settings.
const ConfigFile = "config.json"

// WorkerPath is the path of a worker's registry entry, relative to the spool.
func WorkerPath(wid string) string { return workerPath(wid) }

// DropPath is the path of a dropped file, relative to the spool.
func DropPath(base string) string { return pendingDir + "/" + base }

// ConfigPath is the path of the settings of the spool in dir.
func ConfigPath(dir string) string { return path.Join(dir, configFile) }
