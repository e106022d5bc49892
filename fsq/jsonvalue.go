package fsq

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// value is one JSON value and the field that it belongs to. The JSON is known to
// be valid, without blanks around it.
type value struct {
	field string
	raw   json.RawMessage
}

// readObject reads a document that must be exactly one JSON object, in the order
// of the document. A key given twice is an error: JSON leaves open which one
// counts, and two readers of the same job must not disagree. want names the
// document in messages.
func readObject(data []byte, want string) ([]value, error) {
	if err := checkDocument(data, want); err != nil {
		return nil, err
	}
	return members(data, "")
}

func checkDocument(data []byte, want string) error {
	trimmed := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return fieldErrorf("", "the document is empty: want %s", want)
	// A file that was being extended when the power failed ends in NULs.
	case bytes.IndexByte(data, 0) >= 0:
		return fieldErrorf("", "the document has a NUL byte at %s", position(data, bytes.IndexByte(data, 0)))
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		return fieldErrorf("", "the document begins with a byte order mark: want plain UTF-8")
	case !utf8.Valid(data):
		return fieldErrorf("", "the document is not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return syntaxError(data, err)
	}
	if trimmed[0] != '{' {
		return fieldErrorf("", "the document must be %s, not %s", want, value{raw: whole}.describe())
	}
	return nil
}

func syntaxError(data []byte, err error) error {
	problem := "the document is not valid JSON: " + err.Error()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset > 0 {
		// Offset counts the offending byte as read.
		problem += " at " + position(data, int(syntax.Offset)-1)
	}
	return &FieldError{Problem: problem, err: err}
}

// position is where an editor shows the byte at offset.
func position(data []byte, offset int) string {
	before := data[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("line %d, column %d", line, column)
}

// members reads a valid JSON object; its members' fields get the prefix.
func members(object []byte, prefix string) ([]value, error) {
	var all []value
	seen := map[string]bool{}
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("read a JSON object: %w", err)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("read a key of a JSON object: %w", err)
		}
		v := value{field: prefix + key.(string)}
		if err := dec.Decode(&v.raw); err != nil {
			return nil, fmt.Errorf("read a value of a JSON object: %w", err)
		}
		if seen[v.field] {
			return nil, fieldErrorf(v.field, "must not be given twice")
		}
		seen[v.field] = true
		all = append(all, v)
	}
	return all, nil
}

func (v value) isNull() bool   { return string(v.raw) == "null" }
func (v value) isString() bool { return v.raw[0] == '"' }
func (v value) isArray() bool  { return v.raw[0] == '[' }
func (v value) isObject() bool { return v.raw[0] == '{' }

// describe is the value for a message.
func (v value) describe() string {
	switch {
	case v.isArray():
		return "an array"
	case v.isObject():
		return "an object"
	case v.isString():
		var s string
		if json.Unmarshal(v.raw, &s) != nil {
			return "a string"
		}
		return quote(s)
	case len(v.raw) > maxQuoted:
		return "a number of " + strconv.Itoa(len(v.raw)) + " characters"
	default:
		return string(v.raw)
	}
}

func (v value) mustBe(want string) error { return mustBe(v.field, want, v.describe()) }

func (v value) text() (string, error) {
	if !v.isString() {
		return "", v.mustBe("a string")
	}
	if loneSurrogate(v.raw) {
		return "", fieldErrorf(v.field, `must not contain half a character (a \ud800 to \udfff without its partner)`)
	}
	var s string
	if err := json.Unmarshal(v.raw, &s); err != nil {
		return "", &FieldError{Field: v.field, Problem: "must be a string: " + err.Error(), err: err}
	}
	return s, nil
}

// nonEmptyText is for optional fields in which "" can only be a mistake.
func (v value) nonEmptyText() (string, error) {
	s, err := v.text()
	if err == nil && s == "" {
		return "", fieldErrorf(v.field, "must not be empty: leave it out instead")
	}
	return s, err
}

// loneSurrogate finds what encoding/json would silently turn into U+FFFD: the
// job would run another command than its document says.
func loneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		r, ok := unicodeEscape(raw[i:])
		if !ok {
			i++
			continue
		}
		i += 5
		if !utf16.IsSurrogate(r) {
			continue
		}
		low, ok := unicodeEscape(raw[i+1:])
		if !ok || utf16.DecodeRune(r, low) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

func unicodeEscape(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	r, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(r), err == nil
}

// items are the elements of an array.
func (v value) items() ([]value, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(v.raw, &raws); err != nil {
		return nil, &FieldError{Field: v.field, Problem: "must be an array: " + err.Error(), err: err}
	}
	all := make([]value, len(raws))
	for i, raw := range raws {
		all[i] = value{field: v.field + "[" + strconv.Itoa(i) + "]", raw: raw}
	}
	return all, nil
}

func (v value) texts() ([]string, error) {
	items, err := v.items()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, item := range items {
		s, err := item.text()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func (v value) textMap() (map[string]string, error) {
	if !v.isObject() {
		return nil, v.mustBe("an object of strings")
	}
	all, err := members(v.raw, v.field+".")
	if err != nil || len(all) == 0 {
		return nil, err
	}
	m := make(map[string]string, len(all))
	for _, member := range all {
		s, err := member.text()
		if err != nil {
			return nil, err
		}
		m[strings.TrimPrefix(member.field, v.field+".")] = s
	}
	return m, nil
}

// number is a finite JSON number.
func (v value) number(want string) (float64, error) {
	f, ok := parseNumber(string(v.raw))
	if !ok {
		return 0, v.mustBe(want)
	}
	return f, nil
}

// whole is a whole number in any spelling (3, 3.0, 3e0).
func (v value) whole(want string) (int, error) {
	n, ok := parseWhole(string(v.raw))
	if !ok {
		return 0, v.mustBe(want)
	}
	return n, nil
}

// isNumber reports whether s is a number as JSON spells it: no "+1", "0x10",
// "1_000", "inf" or "007", which strconv would take.
func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') &&
		json.Valid([]byte(s)) && s[len(s)-1] > ' '
}

func parseNumber(s string) (float64, bool) {
	if !isNumber(s) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, false
	}
	// 1e-999 is not nought: a time-out of nought means none at all.
	if mantissa, _, _ := strings.Cut(strings.ToLower(s), "e"); f == 0 && strings.ContainsAny(mantissa, "123456789") {
		return math.Copysign(math.SmallestNonzeroFloat64, f), true
	}
	return f, true
}

// parseWhole takes numbers up to 2^31, which is more than any limit here and
// fits an int everywhere.
func parseWhole(s string) (int, bool) {
	f, ok := parseNumber(s)
	if !ok || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
		return 0, false
	}
	return int(f), true
}

// appendJSON appends v as JSON, without the escapes that only HTML needs.
// Raw JSON goes in byte for byte.
func appendJSON(b []byte, v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return append(b, raw...), nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("write as JSON: %w", err)
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...), nil
}
