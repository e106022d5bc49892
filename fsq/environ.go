package fsq

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The variables by which the processes of a dead worker are found.
const (
	envJobID   = "QUEUECTL_JOB_ID"
	envAttempt = "QUEUECTL_ATTEMPT"
	envWorker  = "QUEUECTL_WORKER"
)

// arrayVariables tell an element which one it is, as sbatch's do.
var arrayVariables = [...]string{
	"QUEUECTL_ARRAY_ID", "QUEUECTL_ARRAY_INDEX", "QUEUECTL_ARRAY_COUNT",
	"QUEUECTL_ARRAY_MIN", "QUEUECTL_ARRAY_MAX", "QUEUECTL_ARRAY_STEP",
}

// defaultSearchPath is searched when neither the job nor the worker has a PATH, as
// execvp(3) does.
const defaultSearchPath = "/usr/bin:/bin"

// workDir returns cwd as an absolute path, or "" for the worker's own
// directory. It is looked at beforehand because execve(2)'s error does not
// tell a missing directory from a missing program.
func workDir(cwd string) (string, error) {
	if cwd == "" {
		return "", nil
	}
	dir, err := filepath.Abs(cwd)
	if err != nil {
		return "", fmt.Errorf("working directory %q: %w", cwd, err)
	}
	fi, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("working directory %q does not exist", cwd)
	case err == nil && !fi.IsDir():
		err = unix.ENOTDIR
	case err == nil:
		err = mayUse(dir, unix.X_OK)
	}
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return "", fmt.Errorf("working directory %q: %w", cwd, err)
	}
	return dir, nil
}

// jobEnv is the worker's environment, or its owner's bare one, then the job's, then what the
// job is told about itself. Of what a job costs a worker, a tenth was maps and sorting here.
func jobEnv(r *Run, dir string) []string {
	own := make(map[string]string, len(r.Job.Env)+16)
	maps.Copy(own, r.Job.Env)
	if dir != "" {
		own["PWD"] = dir
	}
	without := map[string]bool{}
	// Those of a job in which the worker was started are not this one's.
	for _, k := range arrayVariables {
		delete(own, k)
		without[k] = true
	}
	if e := r.Job.Array; e != nil {
		for i, v := range []string{e.ID, strconv.Itoa(e.Index), strconv.Itoa(e.Count), strconv.Itoa(e.Min), strconv.Itoa(e.Max), strconv.Itoa(e.Step)} {
			own[arrayVariables[i]] = v
		}
	}
	own[envJobID] = r.ID
	own[envAttempt] = strconv.Itoa(r.Attempt)
	own["QUEUECTL_MAX_RETRIES"] = strconv.Itoa(r.MaxRetries)
	// Both, always: a job must not be told of the queues that its worker was started for.
	own["QUEUECTL_SPOOL"], own["QUEUECTL_QUEUE"] = r.Spool, r.Queue
	own[envWorker] = r.Worker
	// A worker that a job has started has that job's own in its environment.
	for _, v := range [...]struct{ name, path string }{{"QUEUECTL_RESULT", r.Result}, {"QUEUECTL_PROGRESS", r.Progress}} {
		delete(own, v.name)
		without[v.name] = true
		if v.path != "" {
			own[v.name] = v.path
		}
	}
	base := baseEnv(r)
	list := make([]string, 0, len(base)+len(own))
	for _, kv := range base {
		k, _, ok := strings.Cut(kv, "=")
		if _, replaced := own[k]; ok && !replaced && !without[k] {
			list = append(list, kv)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(own)) {
		list = append(list, k+"="+own[k])
	}
	return list
}

// lookupEnv finds a variable in an environment as execve(2) takes it.
func lookupEnv(env []string, name string) (string, bool) {
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			return v, true
		}
	}
	return "", false
}

// lookPath finds a program as execvp(3) would for a process whose PATH is list
// and whose working directory is dir. os/exec's own looks at the worker's PATH
// and directory instead.
func lookPath(name, list, dir string) (string, error) {
	if name == "" {
		return "", &StartError{codeNotFound, errors.New("start: the program's name is empty")}
	}
	if strings.Contains(name, "/") {
		return name, nil
	}
	denied := ""
	for _, d := range filepath.SplitList(list) {
		if !filepath.IsAbs(d) {
			d = filepath.Join(dir, d)
		}
		path := filepath.Join(d, name)
		if d == "" {
			path = "./" + name // an empty element and no cwd: the worker's directory
		}
		fi, err := os.Stat(path)
		if err != nil || !fi.Mode().IsRegular() {
			continue
		}
		if executable(path) {
			return path, nil
		}
		denied = path
	}
	if denied != "" {
		return "", &StartError{codeCannotRun, fmt.Errorf("start %q: %s is not executable", name, denied)}
	}
	return "", &StartError{codeNotFound, fmt.Errorf("start %q: not found in PATH", name)}
}

// tempStdin is an unlinked temporary file with the text in it. A file and not
// a pipe: nobody has to feed it, so a job that reads none of it, or only some,
// blocks nobody.
func tempStdin(text string) (*os.File, error) {
	f, err := os.CreateTemp("", "stdin-")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Remove(f.Name()), fill(f, text)); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// fill writes text into f and goes back to its start.
func fill(f *os.File, text string) error {
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	_, err := f.Seek(0, 0)
	return err
}
