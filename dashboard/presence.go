package dashboard

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// errGone says that there was a spool, and is none any more: it was moved, or a file system
// is not mounted. Its jobs are not done, and nothing is known of them.
var errGone = errors.New("nothing is known of its jobs")

// presence is whether the spool was ever seen, and since when it is gone. It is safe for
// concurrent use; the zero value has seen none.
type presence struct {
	mu   sync.Mutex
	seen bool
	gone time.Time // zero: it is there, or never was
}

// look takes what the reading of a spool has led to. The error wraps errGone if there is none
// where there was one.
func (p *presence) look(dir string, err error, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		p.seen, p.gone = p.seen || err == nil, time.Time{}
		return nil
	case !p.seen:
		return nil
	case p.gone.IsZero():
		p.gone = now
	}
	return fmt.Errorf("the spool %s is gone since %s: %w", dir, p.gone.UTC().Format("2006-01-02 15:04:05 UTC"), errGone)
}
