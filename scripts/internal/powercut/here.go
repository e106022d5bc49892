package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// loadHere keeps a queue busy on the machine that it runs on, until that is switched
// off. args: queuectl, the spool, where jobs note that they run, and a prefix of keys.
func loadHere(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	out, ok := stdout.(*os.File)
	self, err := os.Executable()
	if err != nil || !ok {
		return err
	}
	l := &loader{
		queue:  queue{binary: args[0], self: self, spool: args[1], ran: args[2]},
		record: &recorder{out: out}, prefix: args[3], seed: uint64(os.Getpid()), talk: stderr,
	}
	return l.load(ctx)
}

// verifyHere judges what the last cut has left. args: queuectl, the directory with the
// spools of all lives, and the record of all lives. Each life has a spool of its own,
// named after the prefix of its keys.
func verifyHere(ctx context.Context, args []string, stdout io.Writer) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return failed, err
	}
	record, err := os.ReadFile(args[2])
	if err != nil {
		return failed, err
	}
	start := bytes.LastIndex(record, []byte(string(begins)+" load "))
	if start < 0 {
		fmt.Fprintln(stdout, "nothing was acknowledged before the cut")
		return passed, nil
	}
	first, err := parseNote(string(bytes.SplitN(record[start:], []byte("\n"), 2)[0]))
	if err != nil {
		return failed, err
	}
	v := &verifier{record: record[start:], queue: queue{binary: args[0], self: self,
		spool: filepath.Join(args[1], first.key), ran: filepath.Join(os.TempDir(), "powercut.ran")}}
	if err := os.RemoveAll(v.ran); err != nil {
		return failed, err
	}
	r, err := v.verify(ctx)
	if err != nil {
		return failed, err
	}
	fmt.Fprintf(stdout, "%s: %d steps acknowledged, %d jobs there, mended by check: %s, breaches: %s\n",
		first.key, r.Acked, r.Jobs, counts(r.Mended), codes(r.Breaches))
	for _, b := range r.Breaches {
		fmt.Fprintf(stdout, "BREACH %s: %s\n", b.Code, b.Text)
	}
	if len(r.Breaches) > 0 {
		return failed, nil
	}
	return passed, nil
}
