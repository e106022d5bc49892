package spool

import (
	"flag"
	"os"
	"testing"
)

// The same suite runs on any file system: go test ./spool -spool.dir /mnt/xfs.
var spoolDir = flag.String("spool.dir", "", "make the tests' spools below this `directory` instead of the default for temporary files")

// testOps are the real system calls but fsync, which no test without a power cut can
// tell and which would be most of the suite's time. On a file system that was asked
// for, it is made all the same.
func testOps() ops {
	s := &Spool{ops: realOps()}
	if *spoolDir == "" {
		unsynced(s)
	}
	s.ops.ordered = func(string) bool { return false } // or the budgets would be the file system's
	return s.ops
}

func testDir(t *testing.T) string {
	t.Helper()
	if *spoolDir == "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(*spoolDir, "spool-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
