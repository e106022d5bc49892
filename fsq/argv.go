package fsq

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Command is what a job runs. Exactly one of the two is set. In JSON it is a
// string or an array of strings.
type Command struct {
	Shell string   // run by sh -c
	Args  []string // a program and its arguments, run without a shell
}

const wantCommand = "a string (run by sh -c) or an array of strings (run without a shell)"

// String is the command for people. Args are quoted so that a shell would read
// them back. Control characters are kept: a terminal needs them escaped.
func (c Command) String() string {
	if c.Args == nil {
		return c.Shell
	}
	quoted := make([]string, len(c.Args))
	for i, arg := range c.Args {
		quoted[i] = shellQuote(arg)
	}
	return strings.Join(quoted, " ")
}

// shellQuote leaves alone what no shell gives a meaning to. A "=" is not among
// it: FOO=1 as the first word would be an assignment.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("%+,-./:@_", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func parseCommand(v value) (c Command, err error) {
	switch {
	case v.isString():
		if c.Shell, err = v.text(); err == nil && c.Shell == "" {
			err = fieldErrorf(v.field, "must not be blank")
		}
	case v.isArray():
		if c.Args, err = v.texts(); err == nil && c.Args == nil {
			err = fieldErrorf(v.field, "must not be an empty array: want the program and its arguments")
		}
	default:
		err = v.mustBe(wantCommand)
	}
	return c, err
}

func (c Command) validate() error {
	switch {
	case c.Shell != "" && c.Args != nil:
		return fieldErrorf("command", "must be either a shell command or arguments, not both")
	case c.Args == nil:
		return c.validateShell()
	case len(c.Args) == 0:
		return fieldErrorf("command", "must not be an empty array: want the program and its arguments")
	case c.Args[0] == "":
		return fieldErrorf("command[0]", "must name a program, not be empty")
	}
	for i, arg := range c.Args {
		if err := checkText(fmt.Sprintf("command[%d]", i), arg); err != nil {
			return err
		}
	}
	return nil
}

func (c Command) validateShell() error {
	if c.Shell == "" {
		return fieldErrorf("command", "is missing: must be %s", wantCommand)
	}
	if strings.TrimSpace(c.Shell) == "" {
		return fieldErrorf("command", "must not be blank")
	}
	return checkText("command", c.Shell)
}

// MarshalJSON writes a string or an array of strings.
func (c Command) MarshalJSON() ([]byte, error) {
	if c.Args != nil {
		return appendJSON(nil, c.Args)
	}
	return appendJSON(nil, c.Shell)
}

// UnmarshalJSON reads what MarshalJSON writes. Errors are *FieldError.
func (c *Command) UnmarshalJSON(data []byte) error {
	v := value{field: "command", raw: json.RawMessage(data)}
	if v.isNull() {
		return nil
	}
	parsed, err := parseCommand(v)
	if err != nil {
		return err
	}
	*c = parsed
	return nil
}
