package spool

import (
	"flag"
	"os"
	"testing"
)

// The same suite runs on any file system: go test ./spool -spool.dir /mnt/xfs.
var spoolDir = flag.String("spool.dir", "", "make the tests' spools below this `directory` instead of the default for temporary files")

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
