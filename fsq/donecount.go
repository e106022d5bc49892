package fsq

import (
	"context"
	"sync"

	"github.com/queuectl/queuectl/spool"
)

// DoneCount counts the done jobs of a queue, and remembers how many each hour has: one in
// which nothing has changed is not listed again. It is safe for concurrent use, and the zero
// value is ready.
type DoneCount struct {
	mu    sync.Mutex
	hours map[string]spool.DoneHour
}

func (c *DoneCount) count(ctx context.Context, q *Queue) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, hours, err := q.s.CountDone(c.hours, ctx.Err)
	if err == nil {
		c.hours = hours
	}
	return n, err
}
