package fsq

import (
	"fmt"
	"os"

	"github.com/queuectl/queuectl/spool"
)

// ConfigPath is the path of the settings of the spool in dir: a flat JSON object.
func ConfigPath(dir string) string { return spool.ConfigPath(dir) }

// WorkerLog makes the log file of a worker in the background, below the spool.
func (q *Queue) WorkerLog() (*os.File, error) { return q.s.WorkerLog() }

// Settings returns what the spool's settings file says, by key.
func (q *Queue) Settings() (map[string]string, error) {
	data, err := q.s.ReadConfig()
	if err != nil {
		return nil, err
	}
	return parseSettings(q.Dir(), data)
}

func parseSettings(dir string, data []byte) (map[string]string, error) {
	if len(data) == 0 {
		return map[string]string{}, nil
	}
	values, err := ParseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", ConfigPath(dir), err)
	}
	return values, nil
}

// Set changes a setting of the spool. It holds for what is enqueued and for workers
// that start from then on. The error is an *UnknownKeyError or a *FieldError if key
// or value are not valid.
func (q *Queue) Set(key, value string) error {
	check := DefaultConfig()
	if err := check.Set(key, value); err != nil {
		return err
	}
	return q.change(func(values map[string]string) { values[key] = check.Get(key) })
}

// Unset takes a setting back to its default.
func (q *Queue) Unset(key string) error {
	if _, err := findSetting(key); err != nil {
		return err
	}
	return q.change(func(values map[string]string) { delete(values, key) })
}

func (q *Queue) change(edit func(map[string]string)) error {
	return q.s.ChangeConfig(func(old []byte) ([]byte, error) {
		values, err := parseSettings(q.Dir(), old)
		if err != nil {
			return nil, err
		}
		edit(values)
		return FormatConfig(values), nil
	})
}
