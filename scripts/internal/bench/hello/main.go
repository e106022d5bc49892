// Command hello makes one file as durable as a job, and prints its name: what a program
// in Go costs that calls what queuectl enqueue calls, and knows nothing else.
package main

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

func main() {
	dir := flag.String("dir", ".", "with tmp/ and q/ in it")
	flag.Parse()
	name := strconv.FormatInt(time.Now().UnixNano(), 36)
	if err := put(*dir, name); err != nil {
		println(err.Error())
		os.Exit(1) //nolint:forbidigo // this is main
	}
	_, _ = os.Stdout.WriteString(name + "\n") //nolint:forbidigo // this is main
}

func put(dir, name string) error {
	tmp := filepath.Join(dir, "tmp", name)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.WriteString(`{"command":["true"]}`); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(tmp, filepath.Join(dir, "q", name))
	}
	if err != nil {
		return err
	}
	q, err := os.Open(filepath.Join(dir, "q"))
	if err != nil {
		return err
	}
	defer q.Close()
	return q.Sync()
}
