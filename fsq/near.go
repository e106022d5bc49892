package fsq

import (
	"maps"
	"slices"
	"strings"
)

// UnknownField is a field of a document that has no meaning here.
type UnknownField struct {
	Name    string
	Nearest string // the known field that was probably meant, or ""
}

// Unknown are the fields in Extra, sorted by name.
func (j Job) Unknown() []UnknownField {
	var all []UnknownField
	for _, name := range slices.Sorted(maps.Keys(j.Extra)) {
		all = append(all, UnknownField{Name: name, Nearest: nearestField(name)})
	}
	return all
}

// jobAliases are the names that other queues use, folded, and that the edit
// distance would miss or take for something else (cmd is one step from cwd).
var jobAliases = map[string]string{
	"cmd": "command", "exec": "command", "shell": "command", "script": "command",
	"run": "command", "argv": "command", "args": "command", "cmdline": "command",
	"timeout": "timeout_seconds", "timeoutsec": "timeout_seconds", "timeoutsecs": "timeout_seconds",
	"timeoutms": "timeout_seconds", "maxruntime": "timeout_seconds", "timelimit": "timeout_seconds",
	"retries": "max_retries", "maxretry": "max_retries", "retry": "max_retries",
	"retrylimit": "max_retries", "maxattempts": "max_retries", "maxtries": "max_retries",
	"prio": "priority", "nice": "priority",
	"at": "run_at", "delay": "run_at", "when": "run_at", "after": "run_at", "eta": "run_at",
	"schedule": "run_at", "scheduledat": "run_at", "startat": "run_at", "notbefore": "run_at",
	"delayseconds": "run_at", "runafter": "run_at", "due": "run_at",
	"dir": "cwd", "workdir": "cwd", "directory": "cwd", "workingdirectory": "cwd", "workingdir": "cwd",
	"chdir": "cwd", "pwd": "cwd",
	"environment": "env", "environ": "env", "envvars": "env", "vars": "env",
	"backoff": "backoff_base", "backofffactor": "backoff_base",
	"snooze": "snooze_codes", "tempfail": "snooze_codes", "retrycodes": "snooze_codes", "maxsnoozes": "snooze_max",
	"fatal": "fatal_codes", "permanentcodes": "fatal_codes", "noretrycodes": "fatal_codes",
	"input": "stdin", "label": "tags", "labels": "tags", "meta": "metadata",
	"jobid": "id", "uuid": "id",
}

func nearestField(name string) string {
	if field, ok := jobAliases[string(fold(name))]; ok {
		return field
	}
	return Nearest(name, userFields)
}

// userFields are the fields for users to set; enqueued_at is not.
var userFields = fieldNames("enqueued_at")

func fieldNames(except string) []string {
	var all []string
	for _, f := range jobFields {
		if f.name != except {
			all = append(all, f.name)
		}
	}
	return all
}

func isKnown(name string) bool {
	return slices.ContainsFunc(jobFields, func(f jobField) bool { return f.name == name })
}

// Nearest is the word among the given ones that was probably meant by word: the
// fewest letters added, dropped, changed or swapped, the first one if several
// are as near. Case, "-" and "_" do not count. It is "" if none is near: more
// than one letter in three would have to change.
func Nearest(word string, among []string) string {
	best, least := "", 0
	folded := fold(word)
	for _, candidate := range among {
		other := fold(candidate)
		d := distance(folded, other)
		if 3*d <= max(len(folded), len(other)) && (best == "" || d < least) {
			best, least = candidate, d
		}
	}
	return best
}

// maxFolded bounds the work, which is quadratic, for keys of any length.
const maxFolded = 64

func fold(word string) []rune {
	word = strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(word))
	runes := []rune(word)
	return runes[:min(len(runes), maxFolded)]
}

// distance is the optimal string alignment distance: Levenshtein's, with a swap
// of neighbours as one step.
func distance(a, b []rune) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range b {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
