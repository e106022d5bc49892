package main

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/beanstalkd/go-beanstalk"
)

type beanstalkd struct {
	server *server
	conn   *beanstalk.Conn
	socket string
	bin    string
}

func beanstalkdServer() candidate {
	c := candidate{
		name: "beanstalkd", synced: true, setting: "-f0", measures: libraryMeasures(openBeanstalkd),
		missing: have("beanstalkd", "beanstalkd"), notes: []string{"bulk by 32 connections: it has no call for that"},
	}
	if c.missing == "" {
		out, _ := exec.Command("beanstalkd", "-v").Output()
		c.version = strings.TrimSpace(string(out))
	}
	return c
}

func openBeanstalkd(ctx context.Context, e *env, dir string) (library, error) {
	b := &beanstalkd{socket: e.socket(), bin: filepath.Join(e.bin, "put-beanstalkd")}
	var err error
	if b.server, err = serve(ctx, b.socket, "beanstalkd", "-b", dir, "-f0", "-l", "unix:"+b.socket); err != nil {
		return nil, err
	}
	if b.conn, err = b.dial(); err != nil {
		b.server.stop()
		return nil, err
	}
	return b, nil
}

func (b *beanstalkd) dial() (*beanstalk.Conn, error) { return beanstalk.Dial("unix", b.socket) }

func (b *beanstalkd) close() error {
	err := b.conn.Close()
	b.server.stop()
	return err
}

func (b *beanstalkd) put(body string) *exec.Cmd { return exec.Command(b.bin, b.socket, body) }

func (b *beanstalkd) enqueue(_ context.Context, body string) error { return putOn(b.conn, body) }

func putOn(c *beanstalk.Conn, body string) error {
	_, err := c.Put([]byte(body), 1, 0, time.Minute)
	return err
}

func (b *beanstalkd) bulk(ctx context.Context, body string, n int) error {
	l := &load{jobs: n}
	return b.each(l, 32, func(c *beanstalk.Conn) error {
		return errors.Join(ctx.Err(), putOn(c, body))
	})
}

// each has one do a job's part again and again, on a connection for each of the slots.
func (b *beanstalkd) each(l *load, slots int, one func(*beanstalk.Conn) error) error {
	return l.each(slots, func() error {
		c, err := b.dial()
		if err != nil {
			return err
		}
		defer c.Close()
		for l.take() {
			if err := one(c); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *beanstalkd) work(ctx context.Context, slots int, l *load) error {
	err := b.each(l, slots, func(c *beanstalk.Conn) error {
		for {
			id, body, err := c.Reserve(time.Second)
			if ctx.Err() != nil {
				return context.Canceled
			}
			if errors.Is(err, beanstalk.ErrTimeout) {
				continue
			}
			if err == nil {
				err = l.run(string(body))
			}
			if err == nil {
				err = c.Delete(id)
			}
			if err == nil {
				l.completed()
			}
			return err
		}
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}
