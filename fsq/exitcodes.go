package fsq

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// ExitCodes is a set of a command's exit statuses, of 1 to 255: 0 is success and can
// mean nothing else. It is a value and can be compared; the zero one is empty.
type ExitCodes [4]uint64

// maxExitCode is the highest that wait(2) hands on.
const maxExitCode = 255

// noCodes is the empty set in a setting: an empty value looks like a mistake in a list
// of settings, and unset like the default.
const noCodes = "none"

const (
	wantCode  = "a whole number from 1 to 255"
	wantCodes = "exit statuses from 1 to 255 with commas between, such as 75,111, or none"
)

// Codes makes a set. It leaves out what no exit status can be.
func Codes(codes ...int) ExitCodes {
	var set ExitCodes
	for _, c := range codes {
		if c >= 1 && c <= maxExitCode {
			set[c/64] |= 1 << (c % 64)
		}
	}
	return set
}

// Has reports whether code is in the set.
func (e ExitCodes) Has(code int) bool {
	return code >= 1 && code <= maxExitCode && e[code/64]&(1<<(code%64)) != 0
}

// List are the members in ascending order; it is never nil.
func (e ExitCodes) List() []int {
	all := []int{}
	for c := 1; c <= maxExitCode; c++ {
		if e.Has(c) {
			all = append(all, c)
		}
	}
	return all
}

// String is the form that settings have: "75,111", or "none".
func (e ExitCodes) String() string {
	if e == (ExitCodes{}) {
		return noCodes
	}
	var words []string
	for _, c := range e.List() {
		words = append(words, strconv.Itoa(c))
	}
	return strings.Join(words, ",")
}

// MarshalJSON writes an array of numbers.
func (e ExitCodes) MarshalJSON() ([]byte, error) { return json.Marshal(e.List()) }

// UnmarshalJSON reads an array of numbers of 1 to 255.
func (e *ExitCodes) UnmarshalJSON(data []byte) error {
	var codes []int
	if err := json.Unmarshal(data, &codes); err != nil {
		return fmt.Errorf("exit statuses: %w", err)
	}
	for _, c := range codes {
		if c < 1 || c > maxExitCode {
			return fmt.Errorf("exit statuses: want %s, have %d", wantCode, c)
		}
	}
	*e = Codes(codes...)
	return nil
}

// parseCodes reads String's form, with blanks and in any order; "" is empty too.
func parseCodes(s string) (ExitCodes, error) {
	var set ExitCodes
	if s = strings.TrimSpace(s); s == "" || s == noCodes {
		return set, nil
	}
	for word := range strings.SplitSeq(s, ",") {
		c, ok := parseWhole(strings.TrimSpace(word))
		if !ok || c < 1 || c > maxExitCode {
			return set, fmt.Errorf("must be %s, not %s", wantCodes, quote(s))
		}
		set[c/64] |= Codes(c)[c/64]
	}
	return set, nil
}

// codes reads a job's field: an array of whole numbers.
func (v value) codes() (*ExitCodes, error) {
	if !v.isArray() {
		return nil, v.mustBe("an array of whole numbers from 1 to 255")
	}
	items, err := v.items()
	if err != nil {
		return nil, err
	}
	var codes []int
	for _, item := range items {
		c, err := item.whole(wantCode)
		if err != nil {
			return nil, err
		}
		if c < 1 || c > maxExitCode {
			return nil, item.mustBe(wantCode)
		}
		codes = append(codes, c)
	}
	set := Codes(codes...)
	return &set, nil
}
