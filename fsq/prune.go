package fsq

import (
	"context"
	"errors"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// ErrNoRetention says that neither the options nor the settings tell what to prune.
var ErrNoRetention = errors.New("nothing says what to prune")

// PruneOptions say how old a job must be to be removed. nil stands for the setting
// (retention-done, retention-dead), of which 0 means to keep; a 0 here means all.
type PruneOptions struct {
	DoneOlder, DeadOlder *time.Duration
	// Where spares what it does not mean. With it, an age that is not given is no limit,
	// whatever the settings say.
	Where  Selector
	DryRun bool
	Would  func(id string) // told of each job that a dry run would remove, if not nil
}

// PruneResult counts what was removed, or would be.
type PruneResult struct {
	Done   int  `json:"done"`
	Dead   int  `json:"dead"`
	DryRun bool `json:"dry_run"`
}

// Prune removes jobs that were settled long ago, with their records and output. The
// error wraps ErrNoRetention if it has nothing to go by.
func (q *Queue) Prune(ctx context.Context, opt PruneOptions) (PruneResult, error) {
	if err := q.calibrate(); err != nil {
		return PruneResult{}, err // by a wrong clock it would remove what is young
	}
	now := q.s.Now()
	limit := func(older *time.Duration, setting time.Duration) time.Time {
		switch {
		case older != nil:
			return now.Add(-*older)
		case opt.Where.restricts():
			return now.Add(time.Second) // what has ended just now has, too
		case setting > 0:
			return now.Add(-setting)
		default:
			return time.Time{}
		}
	}
	done, dead := limit(opt.DoneOlder, q.cfg.RetentionDone), limit(opt.DeadOlder, q.cfg.RetentionDead)
	r := PruneResult{DryRun: opt.DryRun}
	if done.IsZero() && dead.IsZero() {
		return r, ErrNoRetention
	}
	if !opt.DryRun {
		if err := q.recover(); err != nil {
			return r, err
		}
		// What is pruned is not counted any more. That the history cannot be written must not
		// keep a full disk full.
		_ = q.Roll(ctx, nil)
	}
	judge := q.judge(opt.Where, now)
	p, err := q.s.Prune(done, dead, opt.DryRun, func(e spool.Entry) bool {
		if ctx.Err() != nil || !judge.meant(e, stateOf(e, now)) {
			return false
		}
		if opt.DryRun && opt.Would != nil {
			opt.Would(e.Name.ID)
		}
		return true
	})
	r.Done, r.Dead = p.Done, p.Dead
	return r, errors.Join(err, ctx.Err())
}
