package bench

import (
	"context"
	"os/exec"
	"time"
)

func bulkMemory(ctx context.Context, e *env) (floor, queue float64, err error) {
	b, err := bulkOf(ctx, e)
	return 0, b.peak, err
}

// workerMemory is of a worker that has all that waits to choose from, and ends when it has
// run some of it.
func workerMemory(ctx context.Context, e *env) (floor, queue float64, err error) {
	many, err := e.many(ctx)
	if err != nil {
		return 0, 0, err
	}
	peak, err := peakOf(e.queuectl(ctx, many.dir, "worker", "start", "--max-jobs", "200", "--count", "8"))
	return 0, peak, err
}

// peakOf runs a process and returns the most memory that it had resident, in MiB. Where the
// system tells it of a running process it is asked again and again, and the last answer
// counts: what getrusage(2) says of a process that was started by vfork, as Go does, is
// never less than its parent had (Linux, exec_mmap).
func peakOf(c *exec.Cmd) (float64, error) {
	if err := c.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- said(c, c.Wait()) }()
	seen := 0.0
	for {
		if now, ok := residentPeak(c.Process.Pid); ok {
			seen = max(seen, now)
		}
		select {
		case err := <-ended:
			if seen == 0 {
				seen = usedPeak(c.ProcessState)
			}
			return seen, err
		case <-time.After(20 * time.Millisecond): // a peak stays told until the end
		}
	}
}
