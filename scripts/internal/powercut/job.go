package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// spec is the argument of a job's command: who it is and what it does, with a sum over
// that and its standard input. So a job proves what it ran.
type spec struct {
	key     string
	version int // rises with each edit
	works   int // the first attempt that succeeds
	sum     string
}

func sumOf(key string, version, works int, stdin string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %s", key, version, works, stdin))
	return hex.EncodeToString(h[:8])
}

func newSpec(key string, version, works int, stdin string) spec {
	return spec{key, version, works, sumOf(key, version, works, stdin)}
}

// String has only characters that need no quoting anywhere.
func (s spec) String() string {
	return fmt.Sprintf("%s/v%d/w%d/%s", s.key, s.version, s.works, s.sum)
}

func parseSpec(text string) (s spec, err error) {
	f := strings.Split(text, "/")
	if len(f) != 4 || !strings.HasPrefix(f[1], "v") || !strings.HasPrefix(f[2], "w") {
		return spec{}, fmt.Errorf("not what a job is given: %.80q", text)
	}
	s = spec{key: f[0], sum: f[3]}
	s.version, err = strconv.Atoi(f[1][1:])
	if err == nil {
		s.works, err = strconv.Atoi(f[2][1:])
	}
	return s, err
}

// runJob is an attempt of a job. It notes that it runs, and what.
func runJob(text string, stdin io.Reader) (code int, err error) {
	out, err := os.OpenFile(os.Getenv("POWERCUT_RAN"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	r := recorder{out: out}
	id, try := os.Getenv("QUEUECTL_JOB_ID"), os.Getenv("QUEUECTL_ATTEMPT")
	attempt, err := strconv.Atoi(try)
	if err != nil {
		return 1, err
	}
	payload, err := io.ReadAll(stdin)
	if err != nil {
		return 1, err
	}
	s, err := parseSpec(text)
	if err != nil || s.sum != sumOf(s.key, s.version, s.works, string(payload)) {
		r.note(torn, "job", "-", id, try)
		return 0, r.err
	}
	r.note(ran, "job", s.key, try, strconv.Itoa(s.version), id)
	if attempt < s.works {
		return 1, r.err
	}
	return 0, r.err
}
