package fsq_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// sendMail is the example of the README, word for word.
func sendMail(ctx context.Context, dir string) error {
	cfg := fsq.DefaultConfig()
	cfg.BackoffBase = 0.1 // the first retry waits 0.1 s
	q, err := fsq.Open(dir, cfg)
	if err != nil {
		return err
	}
	job := fsq.Job{ID: "welcome-7", Command: fsq.Command{Args: []string{"send", "ann@example.org"}}}
	if _, err := q.Enqueue(ctx, job); err != nil {
		return err
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	return q.Work(ctx, fsq.WorkerOptions{
		Slots: 4,
		Handler: fsq.HandlerFunc(func(_ context.Context, r *fsq.Run) error {
			fmt.Printf("attempt %d of %s: %s\n", r.Attempt, r.ID, r.Job.Command)
			if r.Attempt == 1 {
				return errors.New("the mail server is away")
			}
			return nil
		}),
		Events: func(e fsq.Event) {
			switch e.Kind {
			case fsq.EventRetry:
				fmt.Println("again, because", e.Error)
			case fsq.EventDone:
				stop() // finish what runs, then return
			}
		},
	})
}

// The whole way of a job: it is enqueued, fails once, and is done by a Go function.
func Example() {
	dir, remove := temporary()
	defer remove()
	if err := sendMail(context.Background(), dir); err != nil {
		log.Println(err)
	}
	// Output:
	// attempt 1 of welcome-7: send ann@example.org
	// again, because the mail server is away
	// attempt 2 of welcome-7: send ann@example.org
}

// Without a Handler a worker runs each job's command, as queuectl does, and keeps
// what it writes.
func Example_commands() {
	dir, remove := temporary()
	defer remove()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	q, err := fsq.Open(dir, fsq.DefaultConfig())
	if err != nil {
		log.Println(err)
		return
	}
	job := fsq.Job{ID: "hello", Command: fsq.Command{Shell: "echo Hello World"}}
	if _, err := q.Enqueue(ctx, job); err != nil {
		log.Println(err)
		return
	}
	err = q.Work(ctx, fsq.WorkerOptions{Events: func(e fsq.Event) {
		if e.Kind == fsq.EventDone {
			stop()
		}
	}})
	if err != nil {
		log.Println(err)
		return
	}

	out, attempt, err := q.Log("hello", 0, fsq.Stdout)
	if err != nil {
		log.Println(err)
		return
	}
	defer out.Close()
	text, err := io.ReadAll(out)
	if err != nil {
		log.Println(err)
		return
	}
	fmt.Printf("attempt %d, %s: %s", attempt.Number, attempt.Outcome, text)
	// Output:
	// attempt 1, done: Hello World
}

// A handler says by its error whether a retry is worth it: Snooze costs none, and after
// Fatal there is none.
func ExampleSnooze() {
	dir, remove := temporary()
	defer remove()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	q, err := fsq.Open(dir, fsq.DefaultConfig())
	if err != nil {
		log.Println(err)
		return
	}
	job := fsq.Job{ID: "invoice-7", Command: fsq.Command{Args: []string{"print"}}}
	if _, err := q.Enqueue(ctx, job); err != nil {
		log.Println(err)
		return
	}
	err = q.Work(ctx, fsq.WorkerOptions{
		Handler: fsq.HandlerFunc(func(_ context.Context, r *fsq.Run) error {
			if r.Attempt == 1 {
				return fmt.Errorf("the printer is busy: %w", fsq.Snooze(10*time.Millisecond))
			}
			return fsq.Fatal(errors.New("there is no invoice 7"))
		}),
		Events: func(e fsq.Event) {
			switch e.Kind {
			case fsq.EventSnoozed, fsq.EventDead:
				fmt.Printf("attempt %d of %d %s: %s\n", e.Attempt, e.MaxAttempts, e.Outcome, e.Error)
			}
			if e.Kind == fsq.EventDead {
				stop()
			}
		},
	})
	if err != nil {
		log.Println(err)
	}
	// Output:
	// attempt 1 of 4 snoozed: the printer is busy: snoozed for 10ms
	// attempt 2 of 5 failed: there is no invoice 7 (fatal: not tried again)
}

// An id of one's own makes enqueuing idempotent: the second time is a duplicate.
func ExampleQueue_Enqueue() {
	dir, remove := temporary()
	defer remove()
	q, err := fsq.Open(dir, fsq.DefaultConfig())
	if err != nil {
		log.Println(err)
		return
	}
	job := fsq.Job{ID: "report-2026-11", Command: fsq.Command{Shell: "./report"}, Priority: 10}
	for range 2 {
		_, err := q.Enqueue(context.Background(), job)
		fmt.Println(err, errors.Is(err, fsq.ErrDuplicate))
	}
	info, err := q.Get(context.Background(), "report-2026-11")
	fmt.Println(info.State, info.Priority, err)
	// Output:
	// <nil> false
	// the queue holds a job "report-2026-11" already true
	// pending 10 <nil>
}

// Fields that have no meaning are kept; Unknown names those, and what was perhaps
// meant.
func ExampleParseJob() {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	job, err := fsq.ParseJob([]byte(`{"command":["make","all"],"run_at":"+10m","timeout":300}`), now)
	fmt.Println(job.Command, job.RunAt.UTC().Format(time.TimeOnly), err)
	for _, u := range job.Unknown() {
		fmt.Printf("%s: did you mean %s?\n", u.Name, u.Nearest)
	}
	_, err = fsq.ParseJob([]byte(`{"command":"make","priority":"high"}`), now)
	fmt.Println(err)
	// Output:
	// make all 12:10:00 <nil>
	// timeout: did you mean timeout_seconds?
	// field "priority": must be a whole number from -999 to 999, not "high"
}

// temporary is a place for a spool, and what removes it.
func temporary() (dir string, remove func()) {
	parent, err := os.MkdirTemp("", "fsq-example-")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(parent, "spool"), func() { _ = os.RemoveAll(parent) }
}
