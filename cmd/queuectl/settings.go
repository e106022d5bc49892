package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/peterbourgon/ff/v3"

	"github.com/queuectl/queuectl/fsq"
)

const envPrefix = "QUEUECTL"

// settings are the flags that have an environment variable and, --count apart, a
// key in the spool's config.json. Every command knows all of them, whichever it
// takes as flags: a library call may need any.
type settings struct {
	flags *flag.FlagSet
	cfg   fsq.Config
	count int

	args     []string          // as given, for whom the flags are handed on to
	explicit map[string]bool   // given as a flag
	inFile   map[string]string // which config.json sets it: "queue" or "spool"

	untrusted []untrusted
}

func newSettings() *settings {
	s := &settings{
		flags:    newFlagSet(),
		cfg:      fsq.DefaultConfig(),
		explicit: make(map[string]bool),
		inFile:   make(map[string]string),
	}
	for _, def := range fsq.Settings() {
		s.flags.Var(&value{
			text:   def.Default,
			arg:    def.Takes,
			isBool: def.Default == "false",
			set:    func(v string) error { return s.set(def.Key, v) },
		}, def.Key, def.Help)
	}
	intFlag(s.flags, &s.count, "count", 1, 1, "how many jobs run at the same time")
	return s
}

func (s *settings) set(key, v string) error {
	err := s.cfg.Set(key, v)
	if field := (*fsq.FieldError)(nil); errors.As(err, &field) {
		return errors.New(field.Problem)
	}
	return err
}

// configFile is a config.json and what the settings in it are called.
type configFile struct {
	path, origin string
	queue        string // a flag that names the queue whose it is; "" for the spool's
}

// parse reads args, then the environment, then the files that are there; the first one
// that knows a setting decides.
func (s *settings) parse(args []string, files ...configFile) error {
	s.args = args
	for _, a := range args {
		if f, _, ok := splitFlag(a); ok {
			s.explicit[f.name] = true
		}
	}
	files = slices.DeleteFunc(slices.Clone(files), func(f configFile) bool { return !exists(f.path) })
	options := []ff.Option{ff.WithEnvVarPrefix(envPrefix)}
	var reading configFile
	if len(files) > 0 {
		reading = files[0]
		parser := func(r io.Reader, set func(name, value string) error) error {
			for i, f := range files {
				reading = f
				if i > 0 {
					opened, err := os.Open(f.path)
					if err != nil {
						return err
					}
					defer opened.Close()
					r = opened
				}
				if err := s.parseFile(r, f.path, f.origin, set); err != nil {
					return err
				}
			}
			return nil
		}
		options = append(options, ff.WithConfigFile(reading.path), ff.WithConfigFileParser(parser))
	}
	err := ff.Parse(s.flags, args, options...)
	if err == nil {
		return nil
	}
	if name, why := refusal(s.flags); why != nil {
		return s.refused(name, why)
	}
	return badConfig(reading, err)
}

// parseFile takes from a config.json what none before it has set. It is stricter than
// ff's own parsers: only settings may be in the file, each once and of its type.
func (s *settings) parseFile(r io.Reader, path, origin string, set func(name, value string) error) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	values, err := fsq.ParseConfig(data)
	if err != nil {
		return err
	}
	for _, key := range sortedKeys(values) {
		if s.inFile[key] != "" {
			continue
		}
		if slices.Contains(trustKeys, key) && !governsTrust(r) {
			if !s.personal(key) {
				s.untrusted = append(s.untrusted, untrusted{key, path})
			}
			continue
		}
		s.inFile[key] = origin
		if err := set(key, values[key]); err != nil {
			return err
		}
	}
	return nil
}

// trustKeys are the settings that a config.json of another member of the group does not
// decide: they would make themselves trusted.
var trustKeys = []string{"trust-group", "run-as-owner"}

// untrusted is such a setting in a file where it does not count.
type untrusted struct{ key, path string }

func governsTrust(r io.Reader) bool {
	f, ok := r.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return false
	}
	in, err := f.Stat()
	return err == nil && fsq.GovernsTrust(in)
}

// refused says where a bad value came from: the command line, else the environment.
func (s *settings) refused(name string, why error) error {
	if s.explicit[name] {
		return usagef("--%s: %v", name, why)
	}
	return usagef("%s: %v", envName(name), why)
}

// badConfig says what is wrong with config.json, and what mends it.
func badConfig(file configFile, err error) error {
	var (
		field *fsq.FieldError
		key   *fsq.UnknownKeyError
		hint  = "it must be one JSON object of settings: mend it, or remove it for the defaults"
	)
	switch {
	case errors.Is(err, fs.ErrPermission):
		hint = "it belongs to the spool's user, or to the group of queuectl init --group"
	case errors.As(err, &key):
		hint = fmt.Sprintf("queuectl config unset%s %s removes it", file.queue, shellQuote(key.Key))
	case errors.As(err, &field) && field.Field != "":
		hint = fmt.Sprintf("queuectl config set%s %s VALUE mends it", file.queue, field.Field)
	}
	return &hinted{&configError{file.path, err}, hint}
}

// configError says that the spool's config.json cannot be used.
type configError struct {
	path string
	err  error
}

func (e *configError) Error() string { return fmt.Sprintf("reading %s: %v", e.path, e.err) }

func (e *configError) Unwrap() error { return e.err }

// origin is where the value of a setting comes from.
func (s *settings) origin(key string) string {
	switch {
	case s.explicit[key]:
		return "flag"
	case os.Getenv(envName(key)) != "":
		return "env"
	case s.inFile[key] != "":
		return s.inFile[key]
	}
	return "default"
}

// personal reports whether whoever typed the command chose the value of key, and
// not the spool for everybody.
func (s *settings) personal(key string) bool {
	o := s.origin(key)
	return o == "flag" || o == "env"
}

func envName(name string) string {
	return envPrefix + "_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
}

func settingKeys() []string {
	var keys []string
	for _, s := range fsq.Settings() {
		keys = append(keys, s.Key)
	}
	return keys
}

func isSetting(key string) bool {
	for _, s := range fsq.Settings() {
		if s.Key == key {
			return true
		}
	}
	return false
}

// exists is false only for what is certainly not there; for everything else the
// error of opening it is the better message.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}
