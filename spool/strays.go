package spool

import (
	"errors"
	"io/fs"
	"strings"
	"time"
)

// strays names what lies among directories of which each name has a meaning. What it
// passed over, nobody would ever find: a job in an hour that is none never runs.
func (c *checker) strays() error {
	dirs := map[string]func(base string, m fs.FileMode) bool{
		laterDir: func(base string, m fs.FileMode) bool {
			at, err := parseLaterHour(base)
			return m.IsDir() && err == nil && laterHour(at) == base
		},
		workDir: func(base string, m fs.FileMode) bool {
			_, _, ok := parseWID(base)
			return m.IsDir() && ok
		},
		boxesDir: func(base string, m fs.FileMode) bool {
			_, _, taken := parseTaken(base)
			return m.IsDir() || m.IsRegular() && taken
		},
		editingDir: func(base string, m fs.FileMode) bool { return m.IsDir() && isWriter(base) },
		doneDir:    func(base string, m fs.FileMode) bool { return m.IsDir() && isDay(base) },
		idsDir:     func(base string, m fs.FileMode) bool { return m.IsDir() && isBucket(base) },
		logsDir: func(base string, m fs.FileMode) bool {
			return m.IsDir() && isBucket(base) || m.IsRegular() && strings.HasPrefix(base, "worker-")
		},
		workersDir: func(base string, m fs.FileMode) bool {
			wid, ok := strings.CutSuffix(base, suffix)
			_, _, isWID := parseWID(wid)
			return m.IsRegular() && ok && isWID
		},
		ctlDir: func(base string, m fs.FileMode) bool {
			switch rel := ctlDir + "/" + base; rel {
			case bootedDir, cancelDir, signalDir:
				return true
			case pausedFile, limitFile, limitLock:
				return m.IsRegular()
			}
			return base == string(Drain) || base == string(Interrupt)
		},
		cancelDir: func(base string, m fs.FileMode) bool {
			_, ok := parseDemand(cancelDir, base)
			return ok && m.IsRegular()
		},
		signalDir: func(base string, m fs.FileMode) bool {
			_, ok := parseDemand(signalDir, base)
			return ok && m.IsRegular()
		},
	}
	if err := c.s.walkEach(doneDir, func(day string) error {
		if isDay(day) {
			dirs[doneDir+"/"+day] = func(base string, m fs.FileMode) bool {
				_, err := parseDoneHour(day, base)
				return m.IsDir() && err == nil
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for dir, known := range dirs {
		err := c.s.walkEach(dir, func(base string) error {
			in, err := c.s.ops.look(c.s.abs(dir), base)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && !known(base, in.mode) {
				c.unknown(dir + "/" + base)
			}
			return err
		})
		if err != nil && (dir == doneDir || !notDir(err)) {
			return err
		}
	}
	return nil
}

// isWriter reports whether s is WRITER-N.
func isWriter(s string) bool {
	writer, n, ok := cutLast(s, "-")
	_, _, isWID := parseWID(writer)
	return ok && isWID && n != ""
}

func isDay(s string) bool {
	at, err := time.Parse("20060102", s)
	return err == nil && at.Format("20060102") == s
}

func isBucket(s string) bool { return len(s) == 2 && strings.Trim(s, "0123456789abcdef") == "" }
