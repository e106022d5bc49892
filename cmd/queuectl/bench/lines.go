package bench

import (
	"context"
	"fmt"
)

// goalMemory is what a process may take that has ever so many jobs before it, in MiB.
const goalMemory = 64

// allLines are the rows of the table, in its order.
func allLines(o Options) []*line {
	all := enqueueLines(o)
	all = append(all,
		&line{
			name: "claim and settle", unit: "jobs/s", floor: "two renames", want: 0.8,
			of: lifeUnsynced, seconds: 4, quick: 1, files: 1000,
		},
		&line{
			name: "claim, settle durably, 8 slots", unit: "jobs/s", floor: "rename, append, fsync, rename, fsync", want: 0.9,
			of: lifeDurable, seconds: 5, quick: 1.5, files: 200,
		},
		&line{
			name: "sh -c true, 2 slots", unit: "jobs/s", floor: "rename, fork and exec in Go, rename", want: 0.9,
			of: runJobs, seconds: 6, quick: 2, files: 300,
		},
	)
	if o.Spawn != "" {
		all = append(all, &line{
			name: "sh -c true, 2 slots, against C", unit: "jobs/s", floor: "posix_spawn in two C programs", want: 0.85,
			of: runAgainstC, seconds: 5, quick: 2, files: 200,
		})
	}
	all = append(all, &line{
		name: "8 workers on one spool", unit: "jobs/s", floor: "one worker with as many slots", want: 0.8,
		of: manyWorkers, seconds: 7, quick: 3, files: 400,
	})
	all = append(all, manyLines()...)
	return append(all, idleLines()...)
}

func enqueueLines(o Options) []*line {
	var all []*line
	for _, n := range []int{1, 8, 32} {
		all = append(all, &line{
			name: fmt.Sprintf("enqueue, library, %d at a time", n), unit: "jobs/s", floor: "create, fsync, rename, fsync of the directory", want: 0.9,
			of: func(ctx context.Context, e *env) (floor, queue float64, err error) {
				return both(func() (float64, error) { return floorCreate(ctx, e, n) }, func() (float64, error) { return enqueueBy(ctx, e, n) })
			},
			seconds: 2.5, quick: 1, files: 500,
		})
	}
	if o.Hello != "" {
		all = append(all, &line{
			name: "enqueue, a process each", unit: "ms", floor: "a small Go program that does the same calls", want: 1.3, most: true,
			of: enqueueProcess, seconds: 3, quick: 1, files: 10,
		})
	}
	return append(all,
		&line{
			name: "enqueue, a stream", unit: "jobs/s", floor: "1,000 files a syncfs", want: 0.8,
			of: enqueueStream, bulk: true, seconds: 10, quick: 3, files: 2000,
		},
		&line{
			name: "memory of a bulk enqueue", unit: "MiB", want: goalMemory, most: true,
			of: bulkMemory, bulk: true, seconds: 1, quick: 0.5,
		},
	)
}

// manyLines are about a spool in which much waits.
func manyLines() []*line {
	return []*line{
		{
			name: "claims with many waiting", unit: "jobs/s", floor: "the same with 1,000 waiting", want: 0.9,
			of: claimsWithMany, many: true, seconds: 6, quick: 3, files: 300,
		},
		{
			name: "memory of a worker, many waiting", unit: "MiB", want: goalMemory, most: true,
			of: workerMemory, many: true, seconds: 1, quick: 1, files: 50,
		},
		// Half as much again is what noise, and an index of one level more, make of it.
		{
			name: "show with many waiting", unit: "ms", floor: "the same with 100 waiting", want: 1.5, most: true,
			of: showWithMany, many: true, seconds: 1, quick: 1, files: 10,
		},
		{
			name: "status with many waiting", unit: "ms", floor: "two listings of as many names", want: 1, most: true,
			of: statusWithMany, many: true, seconds: 2, quick: 0.5,
		},
		{
			name: "list --limit 20 of many", unit: "ms", floor: "two listings of as many names", want: 1, most: true,
			of: listWithMany, many: true, seconds: 2, quick: 0.5,
		},
	}
}

// idleLines are about a worker that waits.
func idleLines() []*line {
	return []*line{
		{
			name: "enqueue to start when idle, p50", unit: "ms", floor: "fork, exec and first instruction", want: 2, most: true,
			of: latencyMedian, seconds: 3, quick: 1.5, files: 20,
		},
		{
			name: "enqueue to start when idle, p99", unit: "ms", want: 5, most: true,
			of: latencyTail, seconds: 0.5, quick: 0.5, files: 20,
		},
		{
			name: "CPU of an idle worker, 64 slots", unit: "ms/s", want: 0.1, most: true,
			of: idle, seconds: 12, quick: 12,
		},
	}
}
