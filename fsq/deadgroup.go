package fsq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// DeadGroup are dead jobs that died alike: of the same program, with the same error as far
// as that is not about one of them, such as a number or a file.
type DeadGroup struct {
	Key      string    `json:"key"`       // the same for the same deaths, at any time and in any queue
	Program  string    `json:"program"`   // what the command runs first
	Outcome  string    `json:"outcome"`   // of the last attempt: failed, timeout or lost
	ExitCode *int      `json:"exit_code"` // null if it did not end by itself
	Signal   string    `json:"signal"`    // that ended it
	Error    string    `json:"error"`     // with # for numbers, … for quoted text and paths
	Example  string    `json:"example"`   // the whole error of one of them
	Count    int       `json:"count"`
	Newest   time.Time `json:"newest_at"`
	Oldest   time.Time `json:"oldest_at"`
	Jobs     []JobRef  `json:"jobs"` // the newest of them
}

// Where selects the jobs of the group: those that are in it when it is used.
func (g *DeadGroup) Where() Selector { return Selector{States: []State{Dead}, Group: g.Key} }

// JobRef names a job: an id is one of its queue.
type JobRef struct {
	Queue string `json:"queue"`
	ID    string `json:"id"`
}

// DeadGroups is what a DeadIndex makes of the dead jobs.
type DeadGroups struct {
	Groups []DeadGroup `json:"groups"` // the greatest first
	Dead   int         `json:"dead"`   // jobs in all
	Unread int         `json:"unread"` // of them are in no group yet: no more were to be read
	Rest   int         `json:"rest"`   // of them are in groups that are too many to list
}

const (
	// maxDeadGroups bounds the groups: with more, the errors are not alike in a way that
	// can be seen, and nobody looks through them.
	maxDeadGroups = 1000
	groupSamples  = 5
)

// DeadIndex groups dead jobs, and remembers of each in which group it is: its files never
// change, and no name recurs. So it reads each once, however often it is asked. It is safe
// for concurrent use; it takes some 40 bytes for each dead job. The zero value is ready.
type DeadIndex struct {
	mu     sync.Mutex
	groups []deadKind
	at     map[string]int32              // place in groups, by key
	seen   map[string]map[seenFile]int32 // likewise, by the queue's directory and the name
}

// deadKind is what makes a group.
type deadKind struct {
	program, outcome, signal, error, example string
	code                                     *int
}

// seenFile is the hash of a name: of a million names two are the same once in
// 40 million times.
type seenFile uint64

// restKind is the place of those beyond maxDeadGroups.
const restKind = -1

// Groups lists the groups of the dead jobs of several queues. It lists their names, and
// reads at most reads jobs that it does not know yet (0: all), as long as ctx lasts; the
// rest of them are counted, and are read the next time.
func (x *DeadIndex) Groups(ctx context.Context, qs []*Queue, reads int) (DeadGroups, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.at == nil {
		x.at, x.seen = map[string]int32{}, map[string]map[seenFile]int32{}
	}
	all := DeadGroups{Groups: []DeadGroup{}}
	tallies := map[int32]*deadTally{}
	there := map[string][]seenFile{}
	unknown := 0
	for _, q := range qs {
		at, dir := q.now(), q.Dir()
		seen := x.seen[dir]
		if seen == nil {
			seen = map[seenFile]int32{}
			x.seen[dir] = seen
		}
		there[dir] = nil
		err := q.s.Each(func(e spool.Entry) error {
			if stateOf(e, at) != Dead {
				return nil
			}
			all.Dead++
			file := seenFileOf(&e)
			kind, known := seen[file]
			if !known {
				if ctx.Err() != nil || reads > 0 && unknown >= reads {
					all.Unread++
					return nil
				}
				unknown++
				kind = x.read(q, e, at)
				seen[file] = kind
			}
			there[dir] = append(there[dir], file)
			if kind == restKind {
				all.Rest++
				return nil
			}
			t := tallies[kind]
			if t == nil {
				t = &deadTally{}
				tallies[kind] = t
			}
			t.add(q.Name(), &e)
			return nil
		}, spool.Dead)
		if err != nil {
			return all, err
		}
	}
	for kind, t := range tallies {
		all.Groups = append(all.Groups, x.groups[kind].group(t))
	}
	x.forget(there)
	slices.SortFunc(all.Groups, func(a, b DeadGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.Newest.Compare(a.Newest), strings.Compare(a.Key, b.Key))
	})
	return all, nil
}

// read finds out in which group a job is.
func (x *DeadIndex) read(q *Queue, e spool.Entry, now time.Time) int32 {
	i := info(e, now)
	q.detail(&i, e)
	kind := groupOf(&i)
	key := kind.key()
	at, known := x.at[key]
	if !known {
		if len(x.groups) >= maxDeadGroups {
			return restKind
		}
		at = int32(len(x.groups))
		x.at[key], x.groups = at, append(x.groups, *kind)
	}
	return at
}

// forget drops of the queues that were looked at what is not there any more, when that is
// most of what is remembered of one, and the queues that are gone. Groups without jobs go
// with everything else: what is there is read again then.
func (x *DeadIndex) forget(there map[string][]seenFile) {
	full := len(x.groups) >= maxDeadGroups
	used := map[int32]bool{}
	for dir, seen := range x.seen {
		files, looked := there[dir]
		switch {
		case looked && (full || len(seen) > 2*len(files)+1024):
			kept := make(map[seenFile]int32, len(files))
			for _, file := range files {
				kept[file] = seen[file]
			}
			seen, x.seen[dir] = kept, kept
		case !looked:
			if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
				delete(x.seen, dir)
				continue
			}
		}
		if full {
			for _, kind := range seen {
				used[kind] = true
			}
		}
	}
	if full && len(used) < maxDeadGroups/2 {
		x.groups, x.at, x.seen = nil, nil, nil
	}
}

func seenFileOf(e *spool.Entry) seenFile {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.Path))
	return seenFile(h.Sum64())
}

// deadTally counts the jobs of a group.
type deadTally struct {
	count          int
	newest, oldest time.Time
	jobs           []datedRef // the newest first
}

type datedRef struct {
	JobRef
	at time.Time
}

func (t *deadTally) add(queue string, e *spool.Entry) {
	t.count++
	t.oldest = earliest(t.oldest, e.Due)
	t.newest = latest(t.newest, e.Due)
	if len(t.jobs) == groupSamples && !e.Due.After(t.jobs[groupSamples-1].at) {
		return
	}
	ref := datedRef{JobRef{queue, e.Name.ID}, e.Due}
	at, _ := slices.BinarySearchFunc(t.jobs, ref, func(a, b datedRef) int {
		return cmp.Or(b.at.Compare(a.at), strings.Compare(a.ID, b.ID), strings.Compare(a.Queue, b.Queue))
	})
	t.jobs = slices.Insert(t.jobs, at, ref)
	t.jobs = t.jobs[:min(len(t.jobs), groupSamples)]
}

func (k *deadKind) group(t *deadTally) DeadGroup {
	g := DeadGroup{
		Key: k.key(), Program: k.program, Outcome: k.outcome, ExitCode: k.code, Signal: k.signal, Error: k.error, Example: k.example,
		Count: t.count, Newest: t.newest, Oldest: t.oldest,
	}
	for _, j := range t.jobs {
		g.Jobs = append(g.Jobs, j.JobRef)
	}
	return g
}

// groupOf tells the group of a dead job of which the details are known.
func groupOf(i *JobInfo) *deadKind {
	k := deadKind{outcome: i.LastOutcome, signal: i.Signal, code: i.ExitCode, example: i.Error}
	if k.outcome == "" {
		k.outcome = i.Outcome
	}
	if i.Command != nil {
		k.program = programOf(*i.Command)
	}
	k.error = errorPattern(i.Error)
	return &k
}

// key is a name for the group that its members have in common with no others.
func (k *deadKind) key() string {
	code := ""
	if k.code != nil {
		code = strconv.Itoa(*k.code)
	}
	h := fnv.New64a()
	for _, s := range []string{k.program, k.outcome, code, k.signal, k.error} {
		_, _ = h.Write([]byte(s))
		_, _ = h.Write([]byte{0})
	}
	return fmt.Sprintf("%016x", h.Sum64())
}

// maxPattern bounds an error, in runes: it is for a line of a table.
const maxPattern = 200

var (
	// folded is what errors of the same cause differ in: quoted text, paths, numbers of any
	// kind, also those with letters such as the ids of objects and times.
	folded = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile("\"[^\"]*\"|'[^']*'|`[^`]*`|“[^”]*”" + // quoted
			`|(?:^|[\s=(\[:,/])(?:\.{1,2}|~)?(?:/[\w.@%+~-]+)+/?` + // paths and URLs
			`|\b(?:0x)?[0-9a-fA-F]*\d[0-9a-fA-F]*(?:[-:.,T][0-9a-fA-F]+)*\b` + // numbers, addresses, UUIDs, times
			`|\d+`)
	})
	// own is the beginning of the errors that tell the exit code, which is told apart anyway.
	own = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^exit status \d+`) })
)

// errorPattern is the first line of an error without what is about one job.
func errorPattern(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if len(line) > 4*maxPattern { // more than is kept of it, whatever is folded
		line = strings.ToValidUTF8(line[:4*maxPattern], "")
	}
	head := own().FindString(line)
	line = head + folded().ReplaceAllStringFunc(line[len(head):], func(s string) string {
		switch first := s[0]; {
		case strings.ContainsRune("\"'`", rune(first)):
			return string(first) + "…" + string(first)
		case strings.HasPrefix(s, "“"):
			return "“…”"
		case strings.Contains(s, "/"):
			if strings.ContainsRune(" \t=([:,", rune(first)) || strings.HasPrefix(s, "//") {
				return string(first) + "…"
			}
			return "…"
		}
		return "#"
	})
	line = strings.Join(strings.Fields(line), " ")
	if runes := []rune(line); len(runes) > maxPattern {
		line = string(runes[:maxPattern-1]) + "…"
	}
	return line
}

// interpreters are programs of which the script says what runs.
var interpreters = []string{"sh", "bash", "dash", "zsh", "ksh", "python", "python2", "python3", "perl", "ruby", "node", "php", "Rscript", "env", "nice", "ionice", "nohup", "sudo", "exec", "time", "setsid", "stdbuf", "command"}

// maxProgram bounds a program's name, in runes.
const maxProgram = 100

// programOf is what a command runs first, as far as a glance tells: "./render" of
// "FOO=1 cd /data && ./render a.png", "python3 train.py" of "python3 -u train.py --fast".
func programOf(c Command) string {
	words := c.Args
	if c.Args == nil {
		words = shellWords(c.Shell)
	}
	var program []string
	for i := 0; i < len(words); i++ {
		w := words[i]
		name := path.Base(w)
		switch {
		case len(program) == 0 && isAssignment(w), len(program) > 0 && (strings.HasPrefix(w, "-") && w != "-c" || isAssignment(w)):
			continue
		case w == "-c" && i+1 < len(words) && len(program) > 0:
			if inner := programOf(Command{Shell: words[i+1]}); inner != "" {
				return inner
			}
			continue
		case isEnd(w) && len(program) > 0 || w == "-c":
			i = len(words)
			continue
		case isEnd(w):
			continue
		case len(program) == 0 && (name == "cd" || name == "set" || name == "export" || name == "umask" || name == "ulimit"):
			// What prepares for the program.
			for i+1 < len(words) && !isEnd(words[i+1]) {
				i++
			}
			if i+1 >= len(words) {
				return w
			}
			continue
		}
		program = append(program, w)
		if !slices.Contains(interpreters, name) || len(program) > 2 {
			break
		}
	}
	text := strings.Join(program, " ")
	if runes := []rune(text); len(runes) > maxProgram {
		text = string(runes[:maxProgram-1]) + "…"
	}
	return text
}

// isEnd reports whether a word is between two commands.
func isEnd(w string) bool {
	return w == ";" || w == "&&" || w == "||" || w == "|" || w == "&" || w == "\n"
}

var assignment = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`) })

func isAssignment(w string) bool { return assignment().MatchString(w) }

// shellToken is a word of shell as far as programOf has to know: with quotes, or an end of
// a command.
var shellToken = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|[^\s;&|'"\\])+|&&|\|\||[;&|\n]`)
})

// maxGlance is how much of a script is looked at for its program.
const maxGlance = 2000

func shellWords(text string) []string {
	words := shellToken().FindAllString(text[:min(len(text), maxGlance)], 50)
	for i, w := range words {
		if len(w) > 1 && (w[0] == '\'' || w[0] == '"') && w[len(w)-1] == w[0] {
			words[i] = w[1 : len(w)-1]
		}
	}
	return words
}
