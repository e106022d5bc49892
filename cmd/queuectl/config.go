package main

import (
	"context"
	"errors"
	"strings"

	"github.com/queuectl/queuectl/fsq"
)

func newConfig(a *app) *command {
	return &command{
		name:  "config",
		args:  "COMMAND",
		short: "Show and change the settings",
		long: `A setting is a flag of the commands that it matters to, else the environment variable
QUEUECTL_…, else the key of the queue's config.json that these commands change, else
that of the spool's, else its default.`,
		examples: []example{
			{"All settings, and where they come from", "queuectl config list"},
			{"Five retries for all jobs that do not say", "queuectl config set max-retries 5"},
		},
		sub: []*command{newConfigList(a), newConfigGet(a), newConfigSet(a), newConfigUnset(a)},
	}
}

// setting is a setting as config list and get print it.
type setting struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Origin  string `json:"origin"`
	Default string `json:"default"`
	Help    string `json:"-"`
}

func (a *app) effective() []setting {
	var out []setting
	for _, s := range fsq.Settings() {
		out = append(out, setting{s.Key, a.settings.cfg.Get(s.Key), a.settings.origin(s.Key), s.Default, s.Help})
	}
	return out
}

func newConfigList(a *app) *command {
	return &command{
		name:  "list",
		short: "List all settings, their values, and where these come from",
		long:  `The origin is flag, env, queue, spool (their config.json) or default.`,
		examples: []example{
			{"All settings", "queuectl config list"},
			{"What a worker with a shorter lease would use", "queuectl config list --lease 30s"},
		},
		settings: settingKeys(),
		run:      func(context.Context, []string) error { return a.configList() },
	}
}

func (a *app) configList() error {
	all := a.effective()
	if a.json {
		return a.out.json(struct {
			Settings []setting `json:"settings"`
		}{all})
	}
	t := &table{head: []string{"KEY", "VALUE", "ORIGIN", "DEFAULT", "MEANING"}}
	for _, s := range all {
		origin := cell{text: s.Origin, style: dim}
		if s.Origin != "default" {
			origin.style = cyan
		}
		t.add(cell{s.Key, bold}, cell{text: clean(s.Value)}, origin, cell{s.Default, dim}, cell{s.Help, dim})
	}
	t.write(a.out)
	return nil
}

func newConfigGet(a *app) *command {
	return &command{
		name:  "get",
		args:  "KEY",
		least: 1,
		most:  1,
		short: "Print the value of a setting",
		examples: []example{
			{"How often jobs are retried", "queuectl config get max-retries"},
			{"Where the value comes from", "queuectl config get max-retries --json | jq -r .origin"},
		},
		run: func(_ context.Context, args []string) error { return a.configGet(args[0]) },
	}
}

func (a *app) configGet(key string) error {
	for _, s := range a.effective() {
		switch {
		case s.Key != key:
		case a.json:
			return a.out.json(s)
		default:
			a.out.printf("%s\n", s.Value)
			return nil
		}
	}
	return unknownSetting(key)
}

func newConfigSet(a *app) *command {
	return &command{
		name:  "set",
		args:  "KEY VALUE",
		least: 1,
		most:  2,
		short: "Set a setting for everybody who uses the spool",
		long:  `With --queue NAME for those who use that queue.`,
		examples: []example{
			{"Five retries for all jobs that do not say", "queuectl config set max-retries 5"},
			{"Keep finished jobs for a week", "queuectl config set retention-done=7d"},
		},
		ignoreConfig: true,
		run: func(ctx context.Context, args []string) error {
			if len(args) == 2 {
				return a.configSet(ctx, args[0], args[1])
			}
			key, value, ok := strings.Cut(args[0], "=")
			if !ok {
				return usagef("config set needs a value for %q", key)
			}
			return a.configSet(ctx, key, value)
		},
	}
}

func (a *app) configSet(ctx context.Context, key, value string) error {
	// Checked before a spool is made for it.
	if err := newSettings().set(key, value); err != nil {
		if !isSetting(key) {
			return unknownSetting(key)
		}
		return usagef("%s: %v", key, err)
	}
	return a.changeConfig(ctx, a.open, func(q *fsq.Queue) error { return q.Set(key, value) })
}

func newConfigUnset(a *app) *command {
	return &command{
		name:  "unset",
		args:  "KEY…",
		least: 1,
		most:  anyNumber,
		short: "Return settings to their defaults",
		long:  `Keys that config.json has and queuectl does not know can be unset as well.`,
		examples: []example{
			{"The default number of retries again", "queuectl config unset max-retries"},
			{"Keep everything for ever again", "queuectl config unset retention-done retention-dead"},
		},
		ignoreConfig: true,
		run: func(ctx context.Context, args []string) error {
			return a.changeConfig(ctx, a.existing, func(q *fsq.Queue) error {
				for _, key := range args {
					if err := q.Unset(key); err != nil {
						if unknown := (*fsq.UnknownKeyError)(nil); errors.As(err, &unknown) {
							return unknownSetting(key)
						}
						return err
					}
				}
				return nil
			})
		},
	}
}

// changeConfig makes a change and says whom it does not reach.
func (a *app) changeConfig(ctx context.Context, open func() (*fsq.Queue, error), change func(*fsq.Queue) error) error {
	q, err := open()
	if err != nil {
		return err
	}
	if err := change(q); err != nil {
		return err
	}
	if ws, err := q.Workers(ctx); err == nil && alive(ws) > 0 {
		a.note("%s keeps the old settings until it is started again", strings.Replace(plural(alive(ws), "running worker"), "1 ", "the ", 1))
	}
	return nil
}

func unknownSetting(key string) error {
	var none fsq.Config
	return &hinted{none.Set(key, ""), "queuectl config list lists the settings"}
}
