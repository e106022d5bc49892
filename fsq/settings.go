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
	return q.change(func(values map[string]string) error {
		values[key] = check.Get(key)
		return nil
	})
}

// Unset takes a setting back to its default. A key that is no setting is an
// *UnknownKeyError, unless the file has it: then it is removed.
func (q *Queue) Unset(key string) error {
	_, unknown := findSetting(key)
	return q.change(func(values map[string]string) error {
		if _, there := values[key]; !there && unknown != nil {
			return unknown
		}
		delete(values, key)
		return nil
	})
}

// change reads the old settings without judging them: it must be able to mend a file
// that nothing else accepts.
func (q *Queue) change(edit func(map[string]string) error) error {
	return q.s.ChangeConfig(func(old []byte) ([]byte, error) {
		values, err := settingTexts(old)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", ConfigPath(q.Dir()), err)
		}
		if err := edit(values); err != nil {
			return nil, err
		}
		return FormatConfig(values), nil
	})
}

func settingTexts(data []byte) (map[string]string, error) {
	values := map[string]string{}
	if len(data) == 0 {
		return values, nil
	}
	all, err := readObject(data, wantConfig)
	if err != nil {
		return nil, err
	}
	for _, v := range all {
		values[v.field] = string(v.raw)
		if v.isString() {
			if values[v.field], err = v.text(); err != nil {
				return nil, err
			}
		}
	}
	return values, nil
}
