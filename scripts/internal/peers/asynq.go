package main

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/hibiken/asynq"
)

type redis struct {
	server *server
	client *asynq.Client
	at     asynq.RedisClientOpt
	bin    string
}

func asynqRedis() candidate {
	c := candidate{
		name: "asynq + Redis", synced: true, setting: "appendfsync always", measures: libraryMeasures(openRedis),
		missing: have("redis-server", "redis-server"),
		notes:   []string{"bulk by 32 callers: it has no call for that", "an idle worker polls every second, its default"},
	}
	if c.missing == "" {
		out, _ := exec.Command("redis-server", "--version").Output()
		c.version = "asynq " + moduleVersion("github.com/hibiken/asynq") + ", Redis " + redisVersion(string(out))
	}
	return c
}

func redisVersion(out string) string {
	m := regexp.MustCompile(`\bv=(\S+)`).FindStringSubmatch(out)
	if m == nil {
		return "of unknown version"
	}
	return m[1]
}

func openRedis(ctx context.Context, e *env, dir string) (library, error) {
	socket := e.socket()
	s, err := serve(ctx, socket, "redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir,
		"--appendonly", "yes", "--appendfsync", "always", "--save", "")
	if err != nil {
		return nil, err
	}
	r := &redis{server: s, at: asynq.RedisClientOpt{Network: "unix", Addr: socket, PoolSize: 32}, bin: filepath.Join(e.bin, "put-asynq")}
	r.client = asynq.NewClient(r.at)
	// It listens before it has read its files.
	for {
		err := r.client.Ping()
		if err == nil {
			return r, nil
		}
		select {
		case <-s.done:
			return nil, errors.Join(err, r.close())
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), r.close())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (r *redis) close() error {
	err := r.client.Close()
	r.server.stop()
	return err
}

func (r *redis) put(body string) *exec.Cmd { return exec.Command(r.bin, r.at.Addr, body) }

func (r *redis) enqueue(ctx context.Context, body string) error {
	_, err := r.client.EnqueueContext(ctx, asynq.NewTask("job", []byte(body)))
	return err
}

func (r *redis) bulk(ctx context.Context, body string, n int) error {
	l := &load{jobs: n}
	return l.each(32, func() error {
		for l.take() {
			if err := r.enqueue(ctx, body); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *redis) work(ctx context.Context, slots int, l *load) error {
	last := make(chan struct{})
	s := asynq.NewServer(r.at, asynq.Config{Concurrency: slots, LogLevel: asynq.FatalLevel, Logger: silent{}})
	err := s.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		if !l.take() {
			return errors.New("more than was to be handled")
		}
		err := l.run(string(t.Payload()))
		// It tells nobody when it has acknowledged the job.
		if err == nil && l.completed() {
			close(last)
		}
		return err
	}))
	if err != nil {
		return err
	}
	defer s.Shutdown()
	select {
	case <-last:
	case <-ctx.Done():
	}
	return nil
}

// silent is where asynq's log goes: it has a line for each start and stop.
type silent struct{}

func (silent) Debug(...any) {}
func (silent) Info(...any)  {}
func (silent) Warn(...any)  {}
func (silent) Error(...any) {}
func (silent) Fatal(...any) {}
