package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver
	"maragu.dev/goqite"
)

type sqlite struct {
	db  *sql.DB
	q   *goqite.Queue
	dsn string
	bin string
}

func goqiteSQLite() candidate {
	version, err := sqliteVersion()
	c := candidate{
		name: "goqite + SQLite", synced: true, setting: "WAL, synchronous=FULL", measures: libraryMeasures(openSQLite),
		version: "goqite " + moduleVersion("maragu.dev/goqite") + ", SQLite " + version,
		notes:   []string{"bulk by transactions of 1,000", "an idle worker polls every 100 ms, as its job runner does"},
	}
	if err != nil {
		c.missing = err.Error()
	}
	return c
}

// sqliteVersion fails in a program that was built without a C compiler.
func sqliteVersion() (version string, err error) {
	db, err := sql.Open("sqlite3", ":memory:")
	if err != nil {
		return "", err
	}
	err = db.QueryRow("select sqlite_version()").Scan(&version)
	return version, errors.Join(err, db.Close())
}

func openSQLite(ctx context.Context, e *env, dir string) (library, error) {
	s := &sqlite{dsn: "file:" + filepath.Join(dir, "queue.db") + "?_journal=WAL&_sync=FULL&_timeout=5000", bin: filepath.Join(e.bin, "put-goqite")}
	schema, err := os.ReadFile(filepath.Join(e.bin, "goqite.sql"))
	if err != nil {
		return nil, err
	}
	if s.db, err = sql.Open("sqlite3", s.dsn); err != nil {
		return nil, err
	}
	// SQLite has one writer at a time, and goqite's documentation advises one connection.
	s.db.SetMaxOpenConns(1)
	if _, err := s.db.ExecContext(ctx, string(schema)); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	s.q = goqite.New(goqite.NewOpts{DB: s.db, Name: "jobs", Timeout: time.Minute})
	return s, nil
}

func (s *sqlite) close() error { return s.db.Close() }

func (s *sqlite) put(body string) *exec.Cmd { return exec.Command(s.bin, s.dsn, body) }

func (s *sqlite) enqueue(ctx context.Context, body string) error {
	return s.q.Send(ctx, goqite.Message{Body: []byte(body)})
}

func (s *sqlite) bulk(ctx context.Context, body string, n int) error {
	for n > 0 {
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		some := min(n, 1000)
		for range some {
			if err := s.q.SendTx(ctx, tx, goqite.Message{Body: []byte(body)}); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		n -= some
	}
	return nil
}

func (s *sqlite) work(ctx context.Context, slots int, l *load) error {
	return l.each(slots, func() error {
		for l.take() {
			m, err := s.q.ReceiveAndWait(ctx, 100*time.Millisecond)
			if ctx.Err() != nil {
				return nil
			}
			if err == nil {
				err = l.run(string(m.Body))
			}
			if err == nil {
				// What has been handled is also settled, though the worker is told to end.
				err = s.q.Delete(context.WithoutCancel(ctx), m.ID)
			}
			if err != nil {
				return err
			}
			l.completed()
		}
		return nil
	})
}
