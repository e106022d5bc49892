package fsq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// CheckOptions say what Check does.
type CheckOptions struct {
	Repair bool // mend what is safe to mend
}

// Breach is a place where the spool is not as FORMAT.md says.
type Breach struct {
	Code       string `json:"code"`
	Path       string `json:"path"` // below the spool
	Problem    string `json:"problem"`
	Hint       string `json:"hint"`
	Harmless   bool   `json:"harmless"` // what a removal by hand leaves over, and nothing depends on
	Repairable bool   `json:"repairable"`
	Repaired   bool   `json:"repaired"`
}

// CheckReport is what Check found.
type CheckReport struct {
	Jobs     int      `json:"jobs"`
	Breaches []Breach `json:"breaches"`
}

// Check verifies the spool's invariants and names every breach. Without Repair it
// changes nothing. It can run beside workers.
//
// One repair can bring another breach to light, as a directory that is missing hides
// what is wrong with its content: so it looks again after a repair.
func (q *Queue) Check(ctx context.Context, opt CheckOptions) (CheckReport, error) {
	report, err := q.checkOnce(ctx, opt)
	for round := 1; err == nil && round < repairRounds && report.repaired() > 0; round++ {
		var again CheckReport
		again, err = q.checkOnce(ctx, opt)
		mended := slices.DeleteFunc(report.Breaches, func(b Breach) bool { return !b.Repaired })
		report = CheckReport{Jobs: again.Jobs, Breaches: append(mended, again.Breaches...)}
		if again.repaired() == 0 {
			break
		}
	}
	return report, err
}

// repairRounds bounds what somebody can do who breaks the spool as fast as it is mended.
const repairRounds = 4

func (r CheckReport) repaired() (n int) {
	for _, b := range r.Breaches {
		if b.Repaired {
			n++
		}
	}
	return n
}

func (q *Queue) checkOnce(ctx context.Context, opt CheckOptions) (CheckReport, error) {
	found, err := q.s.Check(func(_ spool.Entry, data []byte) error {
		_, err := ParseJob(data, time.Now())
		return err
	})
	if err != nil {
		return CheckReport{}, err
	}
	dead, err := q.deadWorkers()
	if err != nil {
		return CheckReport{}, err
	}
	if data, err := q.s.ReadConfig(); err == nil {
		if _, err := parseSettings(q.Dir(), data); err != nil {
			found.Breaches = append(found.Breaches, spool.Breach{Code: "bad-settings", Path: spool.ConfigFile, Problem: err.Error(), Hint: "mend it by hand"})
		}
	}
	report := CheckReport{Jobs: found.Jobs, Breaches: []Breach{}}
	for _, b := range append(found.Breaches, dead...) {
		out := Breach{Code: b.Code, Path: b.Path, Problem: b.Problem, Hint: b.Hint, Harmless: b.Harmless(), Repairable: b.Repair != nil}
		if opt.Repair && b.Repair != nil {
			if err := errors.Join(ctx.Err(), b.Repair()); err != nil {
				return report, fmt.Errorf("repair %s: %w", b.Path, err)
			}
			out.Repaired = true
		}
		report.Breaches = append(report.Breaches, out)
	}
	return report, nil
}

// deadWorkers are a breach until somebody gives their jobs back.
func (q *Queue) deadWorkers() (breaches []spool.Breach, err error) {
	verdicts, err := q.s.NewCensus().Look(time.Second, q.cfg.Lease)
	if err != nil {
		return nil, err
	}
	for _, v := range verdicts {
		if !v.Dead {
			continue
		}
		breaches = append(breaches, spool.Breach{
			Code: "dead-worker", Path: spool.WorkerPath(v.Worker), Problem: "the worker is dead: " + v.Reason,
			Hint: "the next worker gives its jobs back, and so does a repair",
			Repair: func() error {
				_, err := q.reap(v)
				return err
			},
		})
	}
	return breaches, nil
}
