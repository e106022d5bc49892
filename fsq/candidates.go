package fsq

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/queuectl/queuectl/spool"
)

// Candidate is something that a word on a command line may be meant to become.
type Candidate struct {
	Word string
	Note string // a word or two about it
}

var errEnough = errors.New("enough")

// CandidateIDs are ids of jobs in the given states (nil: all) that begin with prefix:
// those that run first, then those that wait, the dead ones and the done ones, at most
// limit, and only what is found until ctx is done. It reads names alone, and writes
// nothing.
func (q *Queue) CandidateIDs(ctx context.Context, prefix string, states []State, limit int) []Candidate {
	if len(states) == 0 {
		states = States()
	}
	var found []Candidate
	seen := map[string]bool{}
	now := q.s.Now()
	for _, dir := range directories(states) {
		_ = q.s.Each(func(e spool.Entry) error {
			if len(found) >= limit || ctx.Err() != nil {
				return errEnough
			}
			st := stateOf(e, now)
			if strings.HasPrefix(e.Name.ID, prefix) && slices.Contains(states, st) && !seen[e.Name.ID] {
				seen[e.Name.ID] = true
				found = append(found, Candidate{e.Name.ID, string(st)})
			}
			return nil
		}, dir)
	}
	return found
}

// CandidateRejects are names of rejected files that begin with prefix, at most limit.
func (q *Queue) CandidateRejects(prefix string, limit int) []Candidate {
	var found []Candidate
	rejects, err := q.s.Rejects()
	if err != nil {
		return nil
	}
	for _, r := range rejects {
		if len(found) < limit && strings.HasPrefix(r.Base, prefix) {
			found = append(found, Candidate{r.Base, "rejected"})
		}
	}
	return found
}

// CandidateWorkers are ids of registered workers that begin with prefix, at most limit.
func (q *Queue) CandidateWorkers(ctx context.Context, prefix string, limit int) []Candidate {
	var found []Candidate
	workers, err := q.Workers(ctx)
	if err != nil {
		return nil
	}
	for _, w := range workers {
		if len(found) < limit && strings.HasPrefix(w.ID, prefix) {
			found = append(found, Candidate{w.ID, w.State})
		}
	}
	return found
}
