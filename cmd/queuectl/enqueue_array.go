package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/queuectl/queuectl/fsq"
)

// enqueueArray makes a job of each index of --array.
func (a *app) enqueueArray(ctx context.Context, s source, over *overlay) error {
	if len(s.streams) == 1 {
		doc, err := a.readDocument(s.streams[0])
		if err != nil {
			return err
		}
		s.documents, s.streams = []string{string(doc)}, nil
	}
	jobs, err := a.fixedJobs(s, over)
	if err != nil {
		return err
	}
	if jobs[0].Array != nil {
		return usagef("--array makes an array of a job that is of none, and this one says \"array\"")
	}
	q, err := a.open()
	if err != nil {
		return err
	}
	b := newBulk(a, q, over)
	b.named = func(r fsq.Enqueued) string { return fmt.Sprintf("index %d", r.Job.Array.Index) }
	b.expected = len(over.flags.array.Indices)
	opt := fsq.EnqueueOptions{Hold: over.flags.hold}
	err = q.EnqueueArray(ctx, jobs[0], *over.flags.array, opt, func(results []fsq.Enqueued) error {
		entries := make([]entry, len(results))
		return b.report(entries, results)
	})
	if endErr := b.end(ctx); err == nil {
		err = endErr
	}
	return err
}

// readDocument reads a file that holds one document.
func (a *app) readDocument(name string) ([]byte, error) {
	in := a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, usagef("-f: %v", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxStdin))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return data, nil
}
