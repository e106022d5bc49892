package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/queuectl/queuectl/fsq"
)

// What a file system refuses, each for its own reason, has a remedy of its own.
func TestHintOfARefusal(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		syscall.ENOSPC: "df -i",
		syscall.EDQUOT: "quota",
		syscall.EROFS:  "read-write",
		syscall.EIO:    "dmesg",
		syscall.EBADF:  "",
	} {
		refused := fmt.Errorf("put job: %w", &os.PathError{Op: "open", Path: "x", Err: err})
		if hint := hintFor(refused); (hint == "") != (want == "") || !strings.Contains(hint, want) {
			t.Errorf("%v: %q", err, hint)
		}
		// That the job is there all the same counts before why its fsync failed.
		if hint := hintFor(fmt.Errorf("%w: %w", fsq.ErrUncertain, refused)); !strings.Contains(hint, "the job is in the queue") {
			t.Errorf("%v, and uncertain: %q", err, hint)
		}
	}
}
