package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// export says which variables of the caller's environment a job gets.
type export struct {
	all   bool
	names []string
}

func parseExport(s string) (*export, error) {
	switch s {
	case "ALL":
		return &export{all: true}, nil
	case "NONE":
		return &export{}, nil
	}
	e := &export{names: strings.Split(s, ",")}
	for _, name := range e.names {
		switch {
		case name == "" || strings.ContainsAny(name, "= \t"):
			return nil, fmt.Errorf("must be ALL, NONE or names with commas between, not %q", s)
		case strings.HasPrefix(name, envPrefix+"_"):
			return nil, fmt.Errorf("cannot hand %s on: a job gets its own", name)
		}
	}
	return e, nil
}

// exported is what a job gets unless --export says otherwise: what makes a command find
// its programs, its home and its language, and nothing that may be a secret. Not TERM: a
// job has no terminal.
var exported = []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR"}

// pick takes from environ (os.Environ's form) what e asks for; nil stands for the
// default. A variable of queuectl's own is never taken: in a job those are of that job.
// missed are names that are asked for and not set, and those whose value JSON cannot
// carry.
func (e *export) pick(environ []string) (env map[string]string, missed []string) {
	env = make(map[string]string)
	var wrong []string
	for _, kv := range environ {
		name, v, ok := strings.Cut(kv, "=")
		if !ok || name == "" || strings.HasPrefix(name, envPrefix+"_") || !e.wants(name) {
			continue
		}
		if !utf8.ValidString(kv) {
			wrong = append(wrong, name)
			continue
		}
		env[name] = v
	}
	if e != nil {
		for _, name := range e.names {
			if _, ok := env[name]; !ok && !slices.Contains(wrong, name) {
				missed = append(missed, fmt.Sprintf("%s is not set", name))
			}
		}
	}
	for _, name := range wrong {
		missed = append(missed, fmt.Sprintf("%s is not UTF-8, the job does not get it", name))
	}
	return env, missed
}

func (e *export) wants(name string) bool {
	switch {
	case e == nil:
		return slices.Contains(exported, name) || strings.HasPrefix(name, "LC_")
	case e.all:
		return true
	}
	return slices.Contains(e.names, name)
}

// here is the working directory as its user sees it.
func here() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", &hinted{fmt.Errorf("finding the working directory: %w", err), "--cwd DIR names another"}
	}
	if !utf8.ValidString(dir) {
		return "", &usageError{
			problem: fmt.Sprintf("the working directory %q is not UTF-8, and a job's document must be", dir),
			hint:    "--cwd DIR names another",
		}
	}
	return dir, nil
}
