package fsq

import (
	"fmt"
	"strconv"
	"strings"
)

const wantUmask = `an octal number in a string, from "0" to "0777"`

// checkUmask is for a document's umask; "" is the worker's own.
func (j *Job) checkUmask() error {
	if j.Umask == "" {
		return nil
	}
	if _, err := parseUmask(j.Umask); err != nil {
		return mustBe("umask", wantUmask, quote(j.Umask))
	}
	return nil
}

func parseUmask(s string) (int, error) {
	if len(s) > 4 || strings.Trim(s, "01234567") != "" {
		return 0, fmt.Errorf("not an octal number: %s", quote(s))
	}
	n, err := strconv.ParseUint(s, 8, 9)
	return int(n), err
}

// sameUmask reports whether two umasks are known and one.
func sameUmask(a, b string) bool {
	x, err := parseUmask(a)
	y, otherErr := parseUmask(b)
	return err == nil && otherErr == nil && x == y
}

// underShell has a shell set the umask and then become the program: where a thread
// cannot have an umask of its own, it is the whole worker's, and all its other children
// would get it. The arguments pass through it as they are; the program has been found
// already, so that what cannot be found is still said before anything runs.
func underShell(path string, argv []string, umask int) (string, []string) {
	if strings.HasPrefix(path, "-") {
		path = "./" + path // no option of exec
	}
	script := fmt.Sprintf(`umask %04o && exec "$0" "$@"`, umask)
	return "/bin/sh", append([]string{"sh", "-c", script, path}, argv[1:]...)
}
