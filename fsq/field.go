package fsq

import (
	"fmt"
	"strconv"
)

// FieldError says what is wrong with one field of a job's document, or with one
// setting.
type FieldError struct {
	Field   string // as the document spells it, such as "priority", "env.PATH" or "command[1]"; "" for the document as a whole
	Problem string // what is wanted, and what was found

	kind string // what Field is, for the message; "" means a field
	err  error  // the cause, if another package found the problem
}

// Error is the problem, with the name of the field before it.
func (e *FieldError) Error() string {
	switch {
	case e.Field == "":
		return e.Problem
	case e.kind == "":
		return fmt.Sprintf("field %q: %s", e.Field, e.Problem)
	default:
		return fmt.Sprintf("%s %q: %s", e.kind, e.Field, e.Problem)
	}
}

// Unwrap is the cause, such as an error that wraps spool.ErrInvalidID, or nil.
func (e *FieldError) Unwrap() error { return e.err }

func fieldErrorf(field, format string, args ...any) error {
	return &FieldError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// mustBe is the usual problem. got is printed as it is: see quote and describe.
func mustBe(field, want, got string) error {
	return fieldErrorf(field, "must be %s, not %s", want, got)
}

// maxQuoted keeps a message on one line of a terminal even when the value is a
// whole script.
const maxQuoted = 40

// quote is s for a message: short, and safe to print whatever s contains.
func quote(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxQuoted {
			return strconv.Quote(s[:i] + "…")
		}
	}
	return strconv.Quote(s)
}
