package fsq

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/queuectl/queuectl/spool"
)

// Limits of a job's fields.
const (
	MinPriority   = spool.MinPriority
	MaxPriority   = spool.MaxPriority
	MaxMaxRetries = 100_000

	// MinTimeout: what is shorter can only be a wrong unit.
	MinTimeout = time.Millisecond
	// MaxTimeout is about 31 years. Up to here whole microseconds survive the way
	// through a JSON number, which has 15 certain digits.
	MaxTimeout = 1_000_000_000 * time.Second
)

// Job is the document that says what to run. It is written once. A Job is a
// value; the functions here only read it.
type Job struct {
	ID          string            // "": Enqueue makes one
	Command     Command           // required
	Priority    int               // MinPriority to MaxPriority, higher first
	RunAt       time.Time         // not before; the zero time means now; kept in whole milliseconds
	Timeout     time.Duration     // of one attempt, kept in whole microseconds; 0: none if TimeoutSet, else the setting
	TimeoutSet  bool              // the document says so; a Timeout above 0 implies it
	MaxRetries  *int              // nil: the setting
	BackoffBase *float64          // nil: the setting
	SnoozeCodes *ExitCodes        // exit statuses that ask to be tried later; nil: the setting
	SnoozeMax   *int              // how often that costs no attempt; nil: the setting
	FatalCodes  *ExitCodes        // exit statuses after which no retry helps; nil: the setting
	Cwd         string            // "": the worker's
	Env         map[string]string // added to the worker's
	Umask       string            // octal, such as "0022"; "": the worker's
	Stdin       string            // what the command reads
	Tags        []string          // for people
	Metadata    json.RawMessage   // any JSON, kept as it is
	EnqueuedAt  time.Time         // set by Enqueue; kept in whole milliseconds
	Array       *Element          // which element of an array it is; nil: of none

	// Extra are fields that have no meaning here. They are kept, byte for byte.
	Extra map[string]json.RawMessage
}

// What each field wants, in the words of the error messages.
var (
	wantPriority   = "a whole number from " + strconv.Itoa(MinPriority) + " to " + strconv.Itoa(MaxPriority)
	wantMaxRetries = "a whole number from 0 to " + strconv.Itoa(MaxMaxRetries)
	wantTimeout    = "a number of seconds from " + secondsText(MinTimeout) + " to " + secondsText(MaxTimeout) + ", or 0 for none"
)

const (
	wantBackoffBase = "a number above 0"
	wantTags        = "an array of strings"
	wantYears       = "a time in the years 0001 to 9999 (UTC)"
)

func secondsText(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

// Validate reports the first field that ParseJob would refuse, as a *FieldError,
// or nil. An empty ID is valid.
func (j Job) Validate() error {
	for _, check := range []func(*Job) error{
		(*Job).checkID, (*Job).checkCommand, (*Job).checkNumbers, (*Job).checkTimes,
		(*Job).checkProcess, (*Job).checkUmask, (*Job).checkTags, (*Job).checkArray, (*Job).checkRaw,
	} {
		if err := check(&j); err != nil {
			return err
		}
	}
	return nil
}

func (j *Job) checkID() error {
	if j.ID == "" {
		return nil
	}
	err := spool.ValidateID(j.ID)
	if err == nil {
		return nil
	}
	// "invalid id: it is too long" reads well alone, but not after the field's name.
	problem := strings.TrimPrefix(err.Error(), spool.ErrInvalidID.Error()+": ")
	return &FieldError{Field: "id", Problem: strings.TrimPrefix(problem, "it "), err: err}
}

func (j *Job) checkCommand() error {
	if j.Command.Shell == "" && j.Command.Args == nil {
		for _, unknown := range j.Unknown() {
			if unknown.Nearest == "command" {
				return fieldErrorf("command", "is missing: did you mean it by %q?", unknown.Name)
			}
		}
	}
	return j.Command.validate()
}

func (j *Job) checkNumbers() error {
	if j.Priority < MinPriority || j.Priority > MaxPriority {
		return mustBe("priority", wantPriority, strconv.Itoa(j.Priority))
	}
	if t := j.Timeout; t != 0 && (t < MinTimeout || t > MaxTimeout) {
		return mustBe("timeout_seconds", wantTimeout, secondsText(t))
	}
	if r := j.MaxRetries; r != nil && (*r < 0 || *r > MaxMaxRetries) {
		return mustBe("max_retries", wantMaxRetries, strconv.Itoa(*r))
	}
	if m := j.SnoozeMax; m != nil && (*m < 0 || *m > MaxMaxRetries) {
		return mustBe("snooze_max", wantMaxRetries, strconv.Itoa(*m))
	}
	if b := j.BackoffBase; b != nil && (!(*b > 0) || math.IsInf(*b, 0)) {
		return mustBe("backoff_base", wantBackoffBase, strconv.FormatFloat(*b, 'g', -1, 64))
	}
	return nil
}

func (j *Job) checkTimes() error {
	if !inYears(j.RunAt) {
		return mustBe("run_at", wantYears, j.RunAt.UTC().Format(time.RFC3339))
	}
	if !inYears(j.EnqueuedAt) {
		return mustBe("enqueued_at", wantYears, j.EnqueuedAt.UTC().Format(time.RFC3339))
	}
	return nil
}

func (j *Job) checkProcess() error {
	if err := checkText("cwd", j.Cwd); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(j.Env)) {
		if key == "" || strings.ContainsAny(key, "=\x00") {
			return fieldErrorf("env."+key, "must have a name that is not empty and has no \"=\" or NUL in it")
		}
		if !utf8.ValidString(key) {
			return fieldErrorf("env."+key, "must have a name in UTF-8")
		}
		if err := checkText("env."+key, j.Env[key]); err != nil {
			return err
		}
	}
	if !utf8.ValidString(j.Stdin) {
		return fieldErrorf("stdin", "must be UTF-8")
	}
	return nil
}

func (j *Job) checkTags() error {
	for i, tag := range j.Tags {
		field := "tags[" + strconv.Itoa(i) + "]"
		switch {
		case tag == "":
			return fieldErrorf(field, "must not be empty")
		case !utf8.ValidString(tag):
			return fieldErrorf(field, "must be UTF-8")
		case strings.ContainsFunc(tag, unicode.IsControl):
			return fieldErrorf(field, "must not contain control characters")
		}
	}
	return nil
}

func (j *Job) checkRaw() error {
	if j.Metadata != nil && !validRaw(j.Metadata) {
		return fieldErrorf("metadata", "must be valid JSON")
	}
	for _, name := range slices.Sorted(maps.Keys(j.Extra)) {
		switch {
		case !utf8.ValidString(name):
			return fieldErrorf(name, "must have a name in UTF-8")
		case isKnown(name):
			return fieldErrorf(name, "must not be among the extra fields")
		case !validRaw(j.Extra[name]):
			return fieldErrorf(name, "must be valid JSON")
		}
	}
	return nil
}

func validRaw(raw json.RawMessage) bool { return json.Valid(raw) && utf8.Valid(raw) }

// checkText is for strings that reach exec, where a NUL would end them.
func checkText(field, s string) error {
	if strings.Contains(s, "\x00") {
		return fieldErrorf(field, "must not contain a NUL character")
	}
	if !utf8.ValidString(s) {
		return fieldErrorf(field, "must be UTF-8")
	}
	return nil
}
