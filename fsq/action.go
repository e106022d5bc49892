package fsq

import (
	"context"
	"encoding/json"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/queuectl/queuectl/spool"
)

// Action is something that a person has done to a job. It is kept beside the records of
// the job's attempts, as long as the job.
type Action struct {
	At     time.Time `json:"at"`
	Action string    `json:"action"` // retry, cancel, hold, release, run-now, set, edit or signal
	By     string    `json:"by"`     // USER@HOST, or whoever acted through the dashboard
	Detail string    `json:"detail"` // what it was changed to, or the signal
}

// The actions.
const (
	ActionRetry   = "retry"
	ActionCancel  = "cancel"
	ActionHold    = "hold"
	ActionRelease = "release"
	ActionRunNow  = "run-now"
	ActionSet     = "set"
	ActionEdit    = "edit"
	ActionSignal  = "signal"
)

type actorKey struct{}

// WithActor says on whose behalf the calls with this context act on jobs, for
// JobInfo.Actions. Without it that is Self.
func WithActor(ctx context.Context, by string) context.Context {
	return context.WithValue(ctx, actorKey{}, by)
}

func actor(ctx context.Context) string {
	if by, ok := ctx.Value(actorKey{}).(string); ok && by != "" {
		return by
	}
	return Self()
}

// Self is who runs this process, USER@HOST, as far as these are known.
var Self = sync.OnceValue(func() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if name == "" {
		name = "uid " + strconv.Itoa(os.Getuid())
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
})

// maxActionText bounds who and what an action tells, in bytes.
const maxActionText = 1000

// acted keeps what was done to a job. It comes after the act itself, which must not fail
// because a disk is full or this spool may only be read: then it is not kept.
func (q *Queue) acted(ctx context.Context, id, action, detail string) {
	text := func(s string) string {
		return strings.ToValidUTF8(s[:min(len(s), maxActionText)], "")
	}
	data, err := json.Marshal(Action{At: spool.Truncate(q.s.Now()), Action: action, By: text(actor(ctx)), Detail: text(detail)})
	if err == nil {
		_ = q.s.WriteAct(id, append(data, '\n'))
	}
}

// clocksApart is how far the times may differ that two processes take for a network file
// server's: a call that took longer tells neither of them.
const clocksApart = 2 * time.Second

// actions adds what was done to the job, in order, as far as ReadActs reads it. What was
// done before it was enqueued was done to another job, which had its id: who acts on a job
// that somebody removes meanwhile keeps that after the records are gone.
func (q *Queue) actions(i *JobInfo) {
	var since time.Time
	if i.EnqueuedAt != nil {
		if since = *i.EnqueuedAt; q.s.Network() {
			since = since.Add(-clocksApart)
		}
	}
	another := false
	earlier := q.s.ReadActs(i.ID, func(data []byte) {
		var a Action
		if json.Unmarshal(data, &a) != nil || a.Action == "" {
			return
		}
		if a.At.Before(since) {
			another = true
			return
		}
		i.Actions = append(i.Actions, a)
	})
	if !another {
		i.ActionsCut = earlier
	}
}
