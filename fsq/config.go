package fsq

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Config are the settings of a spool. A Config is a value.
type Config struct {
	MaxRetries    int           // of jobs that do not say
	BackoffBase   float64       // of jobs that do not say, in seconds
	BackoffMax    time.Duration // the longest wait before a retry
	BackoffJitter float64       // up to this fraction of the wait is added to it
	Timeout       time.Duration // of jobs that do not say; 0: none
	KillGrace     time.Duration // from SIGTERM to SIGKILL
	OutputLimit   int64         // bytes kept of each stream of each attempt
	MaxLost       int           // a job that lost more workers than this is dead
	SnoozeCodes   ExitCodes     // of jobs that do not say: exit statuses that ask to be tried later
	SnoozeMax     int           // how often a job may ask for that, if it does not say
	FatalCodes    ExitCodes     // of jobs that do not say: exit statuses after which no retry helps
	Lease         time.Duration // a worker on another host that is silent for this long is dead
	PollInterval  time.Duration // 0: chosen by the file system
	RetentionDone time.Duration // 0: kept for ever
	RetentionDead time.Duration // 0: kept for ever
	TrustGroup    bool          // run jobs that other users of the spool's group enqueued
	RunAsOwner    bool          // run each job as its file's owner; for root's workers only
}

// MinLease is the shortest lease that still leaves several heartbeats in it. On
// network file systems take 30 s or more: clients are known to stall that long.
const MinLease = time.Second

// DefaultConfig is what holds where nothing is set.
func DefaultConfig() Config {
	return Config{
		MaxRetries:    3,
		BackoffBase:   2,
		BackoffMax:    time.Hour,
		BackoffJitter: 0.1,
		KillGrace:     5 * time.Second,
		OutputLimit:   10 << 20,
		MaxLost:       3,
		// EX_TEMPFAIL of sysexits(3), and what qmail takes for a permanent failure.
		SnoozeCodes: Codes(75),
		FatalCodes:  Codes(100),
		// At the longest wait of an hour that is four days.
		SnoozeMax: 100,
		// 12 heartbeats of 15 s. Stalls of network clients were seen up to 163 s.
		Lease: 3 * time.Minute,
	}
}

// Setting describes one setting.
type Setting struct {
	Key     string // in lower case, with hyphens
	Default string
	Help    string // one line
	Takes   string // what its value is, in a word of capitals; "" for true or false
}

// setting ties a key to a field of Config. The errors of set begin with "must be".
type setting struct {
	key, help string
	takes     string
	bare      bool // written to JSON without quotes
	set       func(c *Config, value string) error
	get       func(c *Config) string
}

var settings = []setting{
	wholeSetting("max-retries", "retries of a job that does not say, after its first attempt; fixed when it is queued", 0, MaxMaxRetries,
		func(c *Config) *int { return &c.MaxRetries }),
	numberSetting("backoff-base", "a retry waits this to the power of the failures so far, in seconds",
		math.SmallestNonzeroFloat64, math.MaxFloat64, wantBackoffBase,
		func(c *Config) *float64 { return &c.BackoffBase }),
	durationSetting("backoff-max", "the longest wait before a retry", 0,
		func(c *Config) *time.Duration { return &c.BackoffMax }),
	numberSetting("backoff-jitter", "up to this fraction of the wait is added to it, at random", 0, 1, "a number from 0 to 1",
		func(c *Config) *float64 { return &c.BackoffJitter }),
	optionalSetting("timeout", "time-out of an attempt of a job that does not say (0: none)", MinTimeout,
		func(c *Config) *time.Duration { return &c.Timeout }),
	durationSetting("kill-grace", "time from SIGTERM to SIGKILL", 0,
		func(c *Config) *time.Duration { return &c.KillGrace }),
	sizeSetting("output-limit", "at most so much is kept of stdout and of stderr, for each attempt", 1,
		func(c *Config) *int64 { return &c.OutputLimit }),
	wholeSetting("max-lost", "how often a job's worker may die before the job counts as dead", 0, MaxMaxRetries,
		func(c *Config) *int { return &c.MaxLost }),
	codesSetting("snooze-codes", "exit statuses by which a job asks to be tried later and spends no retry: a list such as 75,111, or none",
		func(c *Config) *ExitCodes { return &c.SnoozeCodes }),
	wholeSetting("snooze-max", "how often a job may ask for that; from then on it counts as failed", 0, MaxMaxRetries,
		func(c *Config) *int { return &c.SnoozeMax }),
	codesSetting("fatal-codes", "exit statuses after which a job is dead at once, whatever retries it has left: a list, or none",
		func(c *Config) *ExitCodes { return &c.FatalCodes }),
	durationSetting("lease", "silence after which a worker on another host counts as dead", MinLease,
		func(c *Config) *time.Duration { return &c.Lease }),
	optionalSetting("poll-interval", "time between looks at the spool (0: chosen by the file system)", 10*time.Millisecond,
		func(c *Config) *time.Duration { return &c.PollInterval }),
	durationSetting("retention-done", "how long finished jobs are kept (0: for ever)", 0,
		func(c *Config) *time.Duration { return &c.RetentionDone }),
	durationSetting("retention-dead", "how long dead jobs are kept (0: for ever)", 0,
		func(c *Config) *time.Duration { return &c.RetentionDead }),
	boolSetting("trust-group", "run jobs that other users of the spool's group enqueued",
		func(c *Config) *bool { return &c.TrustGroup }),
	boolSetting("run-as-owner", "run each job as the user who owns its file; for root's workers, in root's spool",
		func(c *Config) *bool { return &c.RunAsOwner }),
}

func wholeSetting(key, help string, lo, hi int, field func(*Config) *int) setting {
	return setting{key, help, "N", true, func(c *Config, s string) error {
		n, ok := parseWhole(s)
		if !ok || n < lo || n > hi {
			return fmt.Errorf("must be a whole number from %d to %d, not %s", lo, hi, quote(s))
		}
		*field(c) = n
		return nil
	}, func(c *Config) string { return strconv.Itoa(*field(c)) }}
}

func numberSetting(key, help string, lo, hi float64, want string, field func(*Config) *float64) setting {
	return setting{key, help, "N", true, func(c *Config, s string) error {
		f, ok := parseNumber(s)
		if !ok || f < lo || f > hi {
			return fmt.Errorf("must be %s, not %s", want, quote(s))
		}
		*field(c) = f
		return nil
	}, func(c *Config) string { return strconv.FormatFloat(*field(c), 'g', -1, 64) }}
}

func durationSetting(key, help string, lo time.Duration, field func(*Config) *time.Duration) setting {
	return setting{key, help, "DURATION", false, func(c *Config, s string) error {
		d, err := ParseDuration(s)
		if err != nil {
			return err
		}
		if d < lo {
			return fmt.Errorf("must be at least %s, not %s", FormatDuration(lo), quote(s))
		}
		*field(c) = d
		return nil
	}, func(c *Config) string { return FormatDuration(*field(c)) }}
}

// optionalSetting is a duration that is either 0 or at least lo.
func optionalSetting(key, help string, lo time.Duration, field func(*Config) *time.Duration) setting {
	s := durationSetting(key, help, 0, field)
	setAny := s.set
	s.set = func(c *Config, value string) error {
		var scratch Config
		if err := setAny(&scratch, value); err != nil {
			return err
		}
		if d := *field(&scratch); d != 0 && d < lo {
			return fmt.Errorf("must be 0 or at least %s, not %s", FormatDuration(lo), quote(value))
		}
		return setAny(c, value)
	}
	return s
}

func sizeSetting(key, help string, lo int64, field func(*Config) *int64) setting {
	return setting{key, help, "SIZE", false, func(c *Config, s string) error {
		n, err := ParseSize(s)
		if err != nil {
			return err
		}
		if n < lo {
			return fmt.Errorf("must be at least %s, not %s", FormatSize(lo), quote(s))
		}
		*field(c) = n
		return nil
	}, func(c *Config) string { return FormatSize(*field(c)) }}
}

func boolSetting(key, help string, field func(*Config) *bool) setting {
	return setting{key, help, "", true, func(c *Config, s string) error {
		b, err := strconv.ParseBool(s)
		if err != nil {
			return fmt.Errorf("must be true or false, not %s", quote(s))
		}
		*field(c) = b
		return nil
	}, func(c *Config) string { return strconv.FormatBool(*field(c)) }}
}

func codesSetting(key, help string, field func(*Config) *ExitCodes) setting {
	return setting{key, help, "CODES", false, func(c *Config, s string) error {
		set, err := parseCodes(s)
		if err != nil {
			return err
		}
		*field(c) = set
		return nil
	}, func(c *Config) string { return field(c).String() }}
}

// Settings are all settings, in the order in which to show them.
func Settings() []Setting {
	defaults := DefaultConfig()
	all := make([]Setting, len(settings))
	for i, s := range settings {
		all[i] = Setting{Key: s.key, Default: s.get(&defaults), Help: s.help, Takes: s.takes}
	}
	return all
}

// UnknownKeyError says that there is no such setting.
type UnknownKeyError struct {
	Key     string
	Nearest string // the setting that was probably meant, or ""
}

// Error names the key, and the nearest one if there is one.
func (e *UnknownKeyError) Error() string {
	if e.Nearest == "" {
		return fmt.Sprintf("there is no setting %q", e.Key)
	}
	return fmt.Sprintf("there is no setting %q: did you mean %q?", e.Key, e.Nearest)
}

func findSetting(key string) (setting, error) {
	var keys []string
	for _, s := range settings {
		if s.key == key {
			return s, nil
		}
		keys = append(keys, s.key)
	}
	return setting{}, &UnknownKeyError{Key: key, Nearest: Nearest(key, keys)}
}

// Set changes one setting. A key that does not exist is an *UnknownKeyError, a
// value that is refused a *FieldError; c is as before then.
func (c *Config) Set(key, value string) error {
	s, err := findSetting(key)
	if err != nil {
		return err
	}
	if err := s.set(c, strings.TrimSpace(value)); err != nil {
		return &FieldError{Field: key, Problem: err.Error(), kind: "setting"}
	}
	return nil
}

// Get is the value of one setting in the form that Set takes, "" for a key that
// does not exist.
func (c Config) Get(key string) string {
	s, err := findSetting(key)
	if err != nil {
		return ""
	}
	return s.get(&c)
}

const wantConfig = `one JSON object such as {"max-retries": 5}`

// ParseConfig reads a spool's config.json: one flat JSON object of strings,
// numbers and booleans. It gives the values as Set takes them, and refuses what
// Set refuses, with the same errors.
func ParseConfig(data []byte) (map[string]string, error) {
	all, err := readObject(data, wantConfig)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(all))
	for _, v := range all {
		s, err := settingText(v)
		if err != nil {
			return nil, err
		}
		var scratch Config
		if err := scratch.Set(v.field, s); err != nil {
			return nil, err
		}
		values[v.field] = s
	}
	return values, nil
}

func settingText(v value) (string, error) {
	if _, err := findSetting(v.field); err != nil {
		return "", err
	}
	if v.isNull() || v.isArray() || v.isObject() {
		return "", &FieldError{Field: v.field, Problem: "must be a string, a number, true or false, not " + v.describe(), kind: "setting"}
	}
	if !v.isString() {
		return string(v.raw), nil
	}
	return v.text()
}

// FormatConfig is the inverse of ParseConfig: sorted, one key to a line, with a
// newline at the end. Numbers and booleans are written bare, the rest as strings.
func FormatConfig(values map[string]string) []byte {
	doc := make(map[string]any, len(values))
	for key, value := range values {
		doc[key] = settingJSON(key, value)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	// Strings and valid JSON always encode, and a Buffer takes them.
	_ = enc.Encode(doc)
	return buf.Bytes()
}

// settingJSON writes bare what Set takes, in its own spelling ("1" for a boolean
// becomes true), so that the file says what holds.
func settingJSON(key, value string) any {
	var c Config
	if s, err := findSetting(key); err == nil && s.bare && s.set(&c, strings.TrimSpace(value)) == nil {
		return json.RawMessage(s.get(&c))
	}
	return value
}
