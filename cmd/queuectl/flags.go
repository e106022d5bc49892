package main

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/queuectl/queuectl/fsq"
)

// value is the flag.Value behind every flag. It remembers why it refused a text,
// because package flag hands that on as words only.
type value struct {
	set     func(string) error
	text    string
	arg     string // what the help calls the value
	isBool  bool
	refused error
}

func (v *value) String() string {
	if v == nil {
		return ""
	}
	return v.text
}

func (v *value) Set(s string) error {
	if err := v.set(s); err != nil {
		v.refused = err
		return err
	}
	v.text = s
	return nil
}

func (v *value) IsBoolFlag() bool { return v.isBool }

func newFlagSet() *flag.FlagSet {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// refusal is the flag of fs that refused its value, and why; or nil.
func refusal(fs *flag.FlagSet) (name string, err error) {
	fs.VisitAll(func(f *flag.Flag) {
		if v, ok := f.Value.(*value); ok && v.refused != nil && err == nil {
			name, err = f.Name, v.refused
		}
	})
	return name, err
}

func stringFlag(fs *flag.FlagSet, p *string, name, arg, usage string) {
	fs.Var(&value{arg: arg, set: func(s string) error {
		if s == "" {
			return fmt.Errorf("must not be empty")
		}
		*p = s
		return nil
	}}, name, usage)
}

// stringsFlag may be given again and again.
func stringsFlag(fs *flag.FlagSet, p *[]string, name, arg, usage string) {
	fs.Var(&value{arg: arg, set: func(s string) error {
		if s == "" {
			return fmt.Errorf("must not be empty")
		}
		*p = append(*p, s)
		return nil
	}}, name, usage)
}

func boolFlag(fs *flag.FlagSet, p *bool, name, usage string) {
	fs.Var(&value{isBool: true, set: func(s string) (err error) {
		if *p, err = strconv.ParseBool(s); err != nil {
			return fmt.Errorf("must be true or false, not %q", s)
		}
		return nil
	}}, name, usage)
}

func intFlag(fs *flag.FlagSet, p *int, name string, def, least int, usage string) {
	*p = def
	fs.Var(&value{arg: "N", text: strconv.Itoa(def), set: func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < least {
			return fmt.Errorf("must be a whole number from %d up, not %q", least, s)
		}
		*p = n
		return nil
	}}, name, usage)
}

// durationFlag leaves *p nil unless the flag is given.
func durationFlag(fs *flag.FlagSet, p **time.Duration, name, usage string) {
	fs.Var(&value{arg: "DURATION", set: func(s string) error {
		d, err := fsq.ParseDuration(s)
		if err != nil {
			return err
		}
		*p = &d
		return nil
	}}, name, usage)
}

func choiceFlag(fs *flag.FlagSet, p *string, name, def string, choices []string, usage string) {
	*p = def
	fs.Var(&value{arg: strings.Join(choices, "|"), text: def, set: func(s string) error {
		for _, c := range choices {
			if s == c {
				*p = s
				return nil
			}
		}
		near := fsq.Nearest(s, choices)
		if near != "" {
			near = fmt.Sprintf("; did you mean %q?", near)
		}
		return fmt.Errorf("must be one of %s, not %q%s", strings.Join(choices, ", "), s, near)
	}}, name, usage)
}
