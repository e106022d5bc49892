package fsq

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"
)

// jobField is one field of the document. encode gives nil for what is not set.
type jobField struct {
	name   string
	parse  func(j *Job, v value, now time.Time) error
	encode func(j *Job) any
}

// jobFields are the known fields in the order in which they are written.
var jobFields = []jobField{
	{"id", func(j *Job, v value, _ time.Time) (err error) {
		j.ID, err = v.nonEmptyText()
		return err
	}, func(j *Job) any { return unlessZero(j.ID) }},

	{"command", func(j *Job, v value, _ time.Time) (err error) {
		j.Command, err = parseCommand(v)
		return err
	}, func(j *Job) any { return j.Command }},

	{"priority", func(j *Job, v value, _ time.Time) (err error) {
		j.Priority, err = v.whole(wantPriority)
		return err
	}, func(j *Job) any { return unlessZero(j.Priority) }},

	{"run_at", func(j *Job, v value, now time.Time) (err error) {
		j.RunAt, err = parseTimeField(v, now)
		return err
	}, func(j *Job) any { return encodeTime(j.RunAt) }},

	{"timeout_seconds", func(j *Job, v value, _ time.Time) (err error) {
		j.TimeoutSet = true
		j.Timeout, err = parseTimeout(v)
		return err
	}, encodeTimeout},

	{"max_retries", func(j *Job, v value, _ time.Time) error {
		n, err := v.whole(wantMaxRetries)
		j.MaxRetries = &n
		return err
	}, func(j *Job) any { return unlessNil(j.MaxRetries) }},

	{"backoff_base", func(j *Job, v value, _ time.Time) error {
		f, err := v.number(wantBackoffBase)
		j.BackoffBase = &f
		return err
	}, func(j *Job) any { return unlessNil(j.BackoffBase) }},

	{"snooze_codes", func(j *Job, v value, _ time.Time) (err error) {
		j.SnoozeCodes, err = v.codes()
		return err
	}, func(j *Job) any { return encodeCodes(j.SnoozeCodes) }},

	{"snooze_max", func(j *Job, v value, _ time.Time) error {
		n, err := v.whole(wantMaxRetries)
		j.SnoozeMax = &n
		return err
	}, func(j *Job) any { return unlessNil(j.SnoozeMax) }},

	{"fatal_codes", func(j *Job, v value, _ time.Time) (err error) {
		j.FatalCodes, err = v.codes()
		return err
	}, func(j *Job) any { return encodeCodes(j.FatalCodes) }},

	{"cwd", func(j *Job, v value, _ time.Time) (err error) {
		j.Cwd, err = v.nonEmptyText()
		return err
	}, func(j *Job) any { return unlessZero(j.Cwd) }},

	{"env", func(j *Job, v value, _ time.Time) (err error) {
		j.Env, err = v.textMap()
		return err
	}, func(j *Job) any {
		if len(j.Env) == 0 {
			return nil
		}
		return j.Env
	}},

	{"umask", func(j *Job, v value, _ time.Time) (err error) {
		j.Umask, err = v.nonEmptyText()
		return err
	}, func(j *Job) any { return unlessZero(j.Umask) }},

	{"stdin", func(j *Job, v value, _ time.Time) (err error) {
		j.Stdin, err = v.text()
		return err
	}, func(j *Job) any { return unlessZero(j.Stdin) }},

	{"tags", func(j *Job, v value, _ time.Time) (err error) {
		if !v.isArray() {
			return v.mustBe(wantTags)
		}
		j.Tags, err = v.texts()
		return err
	}, func(j *Job) any {
		if len(j.Tags) == 0 {
			return nil
		}
		return j.Tags
	}},

	{"metadata", func(j *Job, v value, _ time.Time) error {
		j.Metadata = v.raw
		return nil
	}, func(j *Job) any {
		raw := trimRaw(j.Metadata)
		if len(raw) == 0 || string(raw) == "null" {
			return nil
		}
		return raw
	}},

	{"array", func(j *Job, v value, _ time.Time) (err error) {
		j.Array, err = parseElement(v)
		return err
	}, func(j *Job) any { return unlessNil(j.Array) }},

	{"enqueued_at", func(j *Job, v value, now time.Time) (err error) {
		j.EnqueuedAt, err = parseTimeField(v, now)
		return err
	}, func(j *Job) any { return encodeTime(j.EnqueuedAt) }},
}

const wantJob = `one JSON object such as {"command": "echo hello"}`

// ParseJob reads a job's document: exactly one JSON object in UTF-8, with blanks
// around it. A null counts as not given. now is what "+10m" is relative to; its
// location is that of times without a zone (time.Now has the local one, so do
// not pass it in UTC). Errors are *FieldError. The size is for the caller to limit.
func ParseJob(data []byte, now time.Time) (Job, error) {
	var j Job
	all, err := readObject(data, wantJob)
	if err != nil {
		return Job{}, err
	}
	for _, v := range all {
		if err := j.parseField(v, now); err != nil {
			return Job{}, err
		}
	}
	if err := j.Validate(); err != nil {
		return Job{}, err
	}
	return j, nil
}

func (j *Job) parseField(v value, now time.Time) error {
	for _, f := range jobFields {
		if f.name != v.field {
			continue
		}
		if v.isNull() {
			return nil
		}
		return f.parse(j, v, now)
	}
	if j.Extra == nil {
		j.Extra = map[string]json.RawMessage{}
	}
	j.Extra[v.field] = v.raw
	return nil
}

// MarshalJSON writes the document that is stored: known fields in their order,
// without those not set, then the unknown ones by name. Equal jobs give equal
// bytes, and ParseJob gives an equal job back. It refuses what Validate refuses.
//
// Call it directly, or through a json.Encoder with SetEscapeHTML(false):
// json.Marshal escapes HTML in whatever a MarshalJSON returns.
func (j Job) MarshalJSON() ([]byte, error) {
	if err := j.Validate(); err != nil {
		return nil, err
	}
	b := []byte{'{'}
	var err error
	for _, f := range jobFields {
		if v := f.encode(&j); v != nil {
			if b, err = appendMember(b, f.name, v); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.Extra)) {
		if b, err = appendMember(b, name, trimRaw(j.Extra[name])); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// UnmarshalJSON is ParseJob at the present time. Without it encoding/json would
// match "Command" to command and drop unknown fields.
func (j *Job) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	parsed, err := ParseJob(data, time.Now())
	if err != nil {
		return err
	}
	*j = parsed
	return nil
}

func appendMember(b []byte, name string, v any) ([]byte, error) {
	if len(b) > 1 {
		b = append(b, ',')
	}
	b, err := appendJSON(b, name)
	if err != nil {
		return nil, err
	}
	return appendJSON(append(b, ':'), v)
}

func parseTimeField(v value, now time.Time) (time.Time, error) {
	s, err := v.text()
	if err != nil {
		return time.Time{}, v.mustBe(wantTime)
	}
	t, err := ParseTime(s, now)
	if err != nil {
		return time.Time{}, &FieldError{Field: v.field, Problem: err.Error(), err: err}
	}
	return t, nil
}

func encodeTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func parseTimeout(v value) (time.Duration, error) {
	f, err := v.number(wantTimeout)
	if err != nil {
		return 0, err
	}
	// Checked before the conversion, which would overflow.
	if f != 0 && (f < MinTimeout.Seconds() || f > MaxTimeout.Seconds()) {
		return 0, v.mustBe(wantTimeout)
	}
	return time.Duration(math.Round(f*1e6)) * time.Microsecond, nil
}

func encodeTimeout(j *Job) any {
	if !j.TimeoutSet && j.Timeout == 0 {
		return nil
	}
	return float64(j.Timeout.Round(time.Microsecond).Microseconds()) / 1e6
}

func encodeCodes(codes *ExitCodes) any {
	if codes == nil {
		return nil
	}
	return codes.List()
}

func trimRaw(raw json.RawMessage) json.RawMessage { return bytes.Trim(raw, " \t\r\n") }

func unlessZero[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

func unlessNil[T any](v *T) any {
	if v == nil {
		return nil
	}
	return *v
}
