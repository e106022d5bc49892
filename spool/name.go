package spool

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what a file name can say (FORMAT.md, "Names").
const (
	MinPriority = -999
	MaxPriority = 999
	MaxAttempt  = 999999
	// MaxIDLength is the length in bytes that an id may have once it is escaped.
	// With every other field at its longest a name is then 251 bytes, and 255 is
	// what the file systems allow.
	MaxIDLength = 128
)

const suffix = ".json"

// The marks that follow the counts: a job that is held, and elements of an array that
// wait for one of its turns or have one (array.go).
const (
	heldMark   = 'h'
	queuedMark = 'q'
	turnMark   = 't'
)

// Name is everything that a job's file name says: the whole mutable state of a
// job that is not its directory. A Name is a value; changing one renames nothing.
type Name struct {
	Due      time.Time     // when it may run; in done/ and dead/ when it was settled; UTC, whole milliseconds
	Priority int           // higher runs first
	Attempt  int           // attempts begun, ever; it only grows, so no name ever recurs
	Allowed  int           // attempts that may be begun
	Lost     int           // attempts whose worker died, since the last Revive
	Given    int           // attempts that their worker gave back unfinished, ever
	Snoozed  int           // attempts that asked to be repeated at no cost, since the last Revive
	Changed  int           // changes that were made to it while it waited, ever: with Attempt it makes each name new
	Held     bool          // it must not be claimed before somebody releases it
	Queued   bool          // it waits for a turn of its array and must not be claimed before it has one
	Turn     bool          // it has one of the turns of its array, in pending/ and processing/ only; not with Queued
	Outcome  string        // how it ended, in done/ and dead/ only; else ""
	Wait     time.Duration // with an Outcome: from due to start of the last attempt, whole milliseconds
	Run      time.Duration // with an Outcome: length of the last attempt, whole milliseconds
	ID       string        // as its user gave it, not escaped
}

// String is the file name. ParseName is its inverse.
func (n Name) String() string { return n.encode(false) }

// encode writes the name; fold escapes upper case too, for file systems that do
// not tell "Job" from "job".
func (n Name) encode(fold bool) string {
	b := make([]byte, 0, 64+len(n.ID))
	b = appendStamp(b, n.Due)
	b = append(b, ".p"...)
	b = strconv.AppendInt(b, int64(n.Priority), 10)
	b = append(b, ".a"...)
	b = strconv.AppendInt(b, int64(n.Attempt), 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, int64(n.Allowed), 10)
	for _, c := range n.counts() {
		if *c.count > 0 {
			b = append(b, c.letter)
			b = strconv.AppendInt(b, int64(*c.count), 10)
		}
	}
	if n.Held {
		b = append(b, heldMark)
	}
	if n.Queued {
		b = append(b, queuedMark)
	}
	if n.Turn {
		b = append(b, turnMark)
	}
	if n.Outcome != "" {
		b = append(b, '=')
		b = append(b, n.Outcome...)
		b = append(b, ",w"...)
		b = strconv.AppendInt(b, max(n.Wait.Milliseconds(), 0), 10)
		b = append(b, ",r"...)
		b = strconv.AppendInt(b, max(n.Run.Milliseconds(), 0), 10)
	}
	b = append(b, '.')
	b = appendEscaped(b, n.ID, fold)
	return string(append(b, suffix...))
}

// stampLen is the length of a time in a name: 20261123T084718123Z.
const stampLen = len("20261123T084718123Z")

func appendStamp(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	if year < 0 || year > 9999 { // no such name can be read back
		return t.AppendFormat(b, "20060102T150405.000Z")
	}
	// By hand, as time.AppendFormat was a fifth of what a claim costs beside its rename.
	b = append(b, byte('0'+year/1000), byte('0'+year/100%10))
	b = append2(append2(append2(b, year%100), int(month)), day)
	b = append(b, 'T')
	b = append2(append2(append2(b, hour), minute), second)
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(b, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

func append2(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

func parseStamp(s string) (time.Time, error) {
	if len(s) != stampLen || s[8] != 'T' || s[18] != 'Z' {
		return time.Time{}, errors.New("the time is not of the form 20261123T084718123Z")
	}
	var f [7]int
	for i, at := range [...][2]int{{0, 4}, {4, 6}, {6, 8}, {9, 11}, {11, 13}, {13, 15}, {15, 18}} {
		for _, c := range []byte(s[at[0]:at[1]]) {
			if c < '0' || c > '9' {
				return time.Time{}, errors.New("the time has something else than digits")
			}
			f[i] = f[i]*10 + int(c-'0')
		}
	}
	t := time.Date(f[0], time.Month(f[1]), f[2], f[3], f[4], f[5], f[6]*int(time.Millisecond), time.UTC)
	// time.Date carries over what does not exist (a 13th month); two spellings of
	// one time would be two names of one job.
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	if year != f[0] || int(month) != f[1] || day != f[2] || hour != f[3] || minute != f[4] || second != f[5] {
		return time.Time{}, errors.New("there is no such time")
	}
	return t, nil
}

// Truncate rounds t down to what a name can say.
func Truncate(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// ParseName reads a job's file name. It accepts only what String writes (in
// either of the two ways to escape an id), so that a job has exactly one name.
func ParseName(s string) (Name, error) {
	n, err := parseName(s)
	if err != nil {
		return Name{}, fmt.Errorf("not a job's name: %q: %w", s, err)
	}
	return n, nil
}

func parseName(s string) (n Name, err error) {
	rest, ok := strings.CutSuffix(s, suffix)
	if !ok {
		return n, errors.New("it does not end in .json")
	}
	due, rest, _ := strings.Cut(rest, ".")
	priority, rest, _ := strings.Cut(rest, ".")
	counts, escaped, ok := strings.Cut(rest, ".")
	if !ok || !strings.HasPrefix(priority, "p") || !strings.HasPrefix(counts, "a") {
		return n, errors.New("it is not of the form TIME.pPRIORITY.aATTEMPT-ALLOWED.ID.json")
	}
	if n.Due, err = parseStamp(due); err != nil {
		return n, err
	}
	if n.Priority, err = number(priority[1:], MinPriority, MaxPriority); err != nil {
		return n, fmt.Errorf("priority: %w", err)
	}
	counts, outcome, ended := strings.Cut(counts[1:], "=")
	if err := n.parseCounts(counts); err != nil {
		return n, err
	}
	if ended {
		if err := n.parseOutcome(outcome); err != nil {
			return n, err
		}
	}
	if n.ID, err = unescapeID(escaped); err != nil {
		return n, err
	}
	if !n.Queued && !n.Turn {
		return n, nil
	}
	if _, _, ok := SplitElement(n.ID); !ok {
		return n, errors.New("it waits for its array or has a turn of it, but its id is no element's, ARRAY-INDEX")
	}
	return n, nil
}

func (n *Name) parseCounts(s string) (err error) {
	attempt, rest, ok := strings.Cut(s, "-")
	if !ok {
		return errors.New("attempts are not of the form ATTEMPT-ALLOWED")
	}
	if n.Attempt, err = number(attempt, 0, MaxAttempt); err != nil {
		return fmt.Errorf("attempt: %w", err)
	}
	if rest, n.Queued = strings.CutSuffix(rest, string(queuedMark)); !n.Queued {
		rest, n.Turn = strings.CutSuffix(rest, string(turnMark))
	}
	rest, n.Held = strings.CutSuffix(rest, string(heldMark))
	if n.Allowed, err = number(rest, 0, MaxAttempt); err == nil {
		return nil // the common one, without counts
	}
	return n.parseExtraCounts(rest)
}

func (n *Name) parseExtraCounts(rest string) (err error) {
	m := *n // what counts returns goes to the heap with it
	counts := m.counts()
	for i := len(counts) - 1; i >= 0; i-- {
		before, count, has := strings.Cut(rest, string(counts[i].letter))
		if !has {
			continue
		}
		if *counts[i].count, err = number(count, 1, MaxAttempt); err != nil {
			return fmt.Errorf("%s: %w", counts[i].what, err)
		}
		rest = before
	}
	if m.Allowed, err = number(rest, 0, MaxAttempt); err != nil {
		return fmt.Errorf("allowed attempts: %w", err)
	}
	*n = m
	return nil
}

// counts are the numbers that a name leaves out when they are 0, in their order.
func (n *Name) counts() [4]struct {
	letter byte
	what   string
	count  *int
} {
	return [...]struct {
		letter byte
		what   string
		count  *int
	}{{'x', "lost attempts", &n.Lost}, {'y', "given back attempts", &n.Given}, {'z', "snoozed attempts", &n.Snoozed}, {'c', "changes", &n.Changed}}
}

func (n *Name) parseOutcome(s string) error {
	part := strings.Split(s, ",")
	if len(part) != 3 || !strings.HasPrefix(part[1], "w") || !strings.HasPrefix(part[2], "r") {
		return errors.New("the outcome is not of the form WORD,wWAIT,rRUN")
	}
	if !isWord(part[0]) {
		return errors.New("the outcome is not a word in lower case")
	}
	n.Outcome = part[0]
	for i, d := range []*time.Duration{&n.Wait, &n.Run} {
		ms, err := millis(part[i+1][1:])
		if err != nil {
			return fmt.Errorf("the outcome's times: %w", err)
		}
		*d = time.Duration(ms) * time.Millisecond
	}
	return nil
}

// maxMillis is the longest time that a name can say: a century, which fits a
// time.Duration.
const maxMillis = 100 * 366 * 24 * 60 * 60 * 1000

// Millis rounds d to what a name can say: whole milliseconds from 0 to a century.
func Millis(d time.Duration) time.Duration {
	return min(max(d, 0), maxMillis*time.Millisecond).Truncate(time.Millisecond)
}

func isWord(s string) bool {
	for _, c := range []byte(s) {
		if c < 'a' || c > 'z' {
			return false
		}
	}
	return s != "" && len(s) <= 16
}

func millis(s string) (int64, error) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil || !isCanonical(s) || v < 0 || v > maxMillis {
		return 0, fmt.Errorf("%q is not a number of milliseconds", s)
	}
	return v, nil
}

// number parses a decimal number in its one canonical spelling.
func number(s string, lo, hi int) (int, error) {
	v, err := strconv.Atoi(s)
	if err != nil || !isCanonical(s) {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	if v < lo || v > hi {
		return 0, fmt.Errorf("%d is not from %d to %d", v, lo, hi)
	}
	return v, nil
}

// isCanonical reports whether s, which strconv takes for a decimal number, is spelled as
// strconv would spell it.
func isCanonical(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	return s == "0" || digits[0] >= '1' && digits[0] <= '9'
}

// ErrInvalidID is what ValidateID wraps.
var ErrInvalidID = errors.New("invalid id")

// ValidateID reports why id cannot be part of a file name, or nil. Every byte that
// is not a letter, a digit or one of ._- is escaped and so counts three times.
func ValidateID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%w: it is empty", ErrInvalidID)
	case isPlain(id) && len(id) <= MaxIDLength && id[0] != '.' && id[0] != '-':
		return nil // the common one
	case !utf8.ValidString(id):
		return fmt.Errorf("%w: it is not UTF-8", ErrInvalidID)
	case id[0] == '.' || id[0] == '-':
		return fmt.Errorf("%w: it must not begin with %q", ErrInvalidID, id[:1])
	case strings.Contains(id, "/"):
		return fmt.Errorf("%w: it must not contain \"/\"", ErrInvalidID)
	case strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%w: it must not contain control characters, or others that cannot be seen", ErrInvalidID)
	case strings.TrimSpace(id) != id:
		return fmt.Errorf("%w: it must not begin or end with a blank", ErrInvalidID)
	}
	// Where upper case is escaped too, Put refuses ids that are longer for it.
	if n := len(appendEscaped(nil, id, false)); n > MaxIDLength {
		return fmt.Errorf("%w: it is %d bytes long, %d is the limit (bytes other than letters, digits, \"._-\" count three times)", ErrInvalidID, n, MaxIDLength)
	}
	return nil
}

// isPlain reports whether an id needs no escapes where upper case does not.
func isPlain(id string) bool {
	for i := range len(id) {
		if !plain(id[i], false) {
			return false
		}
	}
	return true
}

func plain(c byte, fold bool) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' || c >= 'A' && c <= 'Z' && !fold
}

func appendEscaped(b []byte, id string, fold bool) []byte {
	const hex = "0123456789abcdef"
	for _, c := range []byte(id) {
		if plain(c, fold) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

func unescapeID(s string) (string, error) {
	if isPlain(s) {
		return s, ValidateID(s)
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errors.New("the id ends within an escape")
		}
		c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", errors.New("the id has a bad escape")
		}
		b = append(b, byte(c))
		i += 2
	}
	id := string(b)
	if err := ValidateID(id); err != nil {
		return "", err
	}
	if string(appendEscaped(nil, id, false)) != s && string(appendEscaped(nil, id, true)) != s {
		return "", errors.New("the id is not escaped as FORMAT.md says")
	}
	return id, nil
}
