package spool

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var aDue = time.Date(2026, 11, 23, 8, 47, 18, 123e6, time.UTC)

// The examples of FORMAT.md, section 3, and what is at the edges of it.
var spellings = []struct {
	name   Name
	plain  string
	folded string // "": as plain
}{
	{Name{Due: aDue, Priority: 5, Allowed: 4, ID: "01kb3q7m2x9v0t4h6r5w8e1cz4"}, "20261123T084718123Z.p5.a0-4.01kb3q7m2x9v0t4h6r5w8e1cz4.json", ""},
	{Name{Due: aDue, Priority: -10, Allowed: 4, ID: "backup-db.2026-11-23"}, "20261123T084718123Z.p-10.a0-4.backup-db.2026-11-23.json", ""},
	{Name{Due: aDue, Priority: 5, Attempt: 1, Allowed: 5, Lost: 1, ID: "job-1"}, "20261123T084718123Z.p5.a1-5x1.job-1.json", ""},
	{Name{Due: aDue, Attempt: 6, Allowed: 9, Lost: 1, Given: 2, Snoozed: 3, ID: "a"}, "20261123T084718123Z.p0.a6-9x1y2z3.a.json", ""},
	{Name{Due: aDue, Allowed: 4, Held: true, ID: "a"}, "20261123T084718123Z.p0.a0-4h.a.json", ""},
	{Name{Due: aDue, Attempt: 2, Allowed: 5, Lost: 1, Held: true, ID: "a"}, "20261123T084718123Z.p0.a2-5x1h.a.json", ""},
	{Name{Due: aDue, Allowed: 4, Queued: true, ID: "a-7"}, "20261123T084718123Z.p0.a0-4q.a-7.json", ""},
	{Name{Due: aDue, Allowed: 4, Held: true, Queued: true, ID: "a-0"}, "20261123T084718123Z.p0.a0-4hq.a-0.json", ""},
	{Name{Due: aDue, Attempt: 1, Allowed: 4, Lost: 1, Turn: true, ID: "b-1-2147483647"}, "20261123T084718123Z.p0.a1-4x1t.b-1-2147483647.json", ""},
	{Name{Due: aDue, Attempt: 1, Allowed: 5, Snoozed: 1, ID: "a"}, "20261123T084718123Z.p0.a1-5z1.a.json", ""},
	{
		Name{Due: aDue, Priority: 5, Attempt: 1, Allowed: 4, Outcome: "done", Wait: 12 * time.Millisecond, Run: 1747 * time.Millisecond, ID: "job-1"},
		"20261123T084718123Z.p5.a1-4=done,w12,r1747.job-1.json", "",
	},
	{Name{Due: aDue, Attempt: 4, Allowed: 4, Lost: 2, Outcome: "failed", Wait: 0, Run: 0, ID: "a"}, "20261123T084718123Z.p0.a4-4x2=failed,w0,r0.a.json", ""},
	{Name{Due: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), ID: "a"}, "00000101T000000000Z.p0.a0-0.a.json", ""},
	{Name{Due: time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC), Priority: 999, Attempt: MaxAttempt, Allowed: MaxAttempt, ID: "a"}, "99991231T235959999Z.p999.a999999-999999.a.json", ""},
	{Name{Due: aDue, ID: "Job"}, "20261123T084718123Z.p0.a0-0.Job.json", "20261123T084718123Z.p0.a0-0.%4aob.json"},
	{Name{Due: aDue, ID: "a b%é"}, "20261123T084718123Z.p0.a0-0.a%20b%25%c3%a9.json", ""},
	{Name{Due: aDue, ID: "x.json"}, "20261123T084718123Z.p0.a0-0.x.json.json", ""},
	{Name{Due: aDue, ID: "a..b-._"}, "20261123T084718123Z.p0.a0-0.a..b-._.json", ""},
	{Name{Due: aDue, ID: "%"}, "20261123T084718123Z.p0.a0-0.%25.json", ""},
	{Name{Due: aDue, ID: "*!@:\\~"}, "20261123T084718123Z.p0.a0-0.%2a%21%40%3a%5c%7e.json", ""},
}

func TestNameIsSpelledAndReadBack(t *testing.T) {
	t.Parallel()
	for _, c := range spellings {
		folded := c.folded
		if folded == "" {
			folded = c.plain
		}
		if got := c.name.String(); got != c.plain {
			t.Errorf("String: want %s, have %s", c.plain, got)
		}
		if got := c.name.encode(true); got != folded {
			t.Errorf("folded: want %s, have %s", folded, got)
		}
		for _, s := range []string{c.plain, folded} {
			got, err := ParseName(s)
			if err != nil || got != c.name {
				t.Errorf("ParseName(%s) = %+v, %v; want %+v", s, got, err, c.name)
			}
		}
	}
}

func TestOtherTimeZonesAndFractionsAreTheSameName(t *testing.T) {
	t.Parallel()
	n := Name{Due: aDue.In(time.FixedZone("", 5*3600)).Add(999 * time.Microsecond), ID: "a"}
	if got, want := n.String(), (Name{Due: aDue, ID: "a"}).String(); got != want {
		t.Errorf("want %s, have %s", want, got)
	}
	if got := Truncate(n.Due); !got.Equal(aDue) || got.Location() != time.UTC {
		t.Errorf("Truncate: want %s, have %s", aDue, got)
	}
}

func TestNotANameSaysWhy(t *testing.T) {
	t.Parallel()
	const ok = "20261123T084718123Z.p5.a0-3.job-1.json"
	if _, err := ParseName(ok); err != nil {
		t.Fatal(err)
	}
	for s, why := range map[string]string{
		"":                                                                  "does not end in .json",
		"job.json":                                                          "not of the form",
		ok + "~":                                                            "does not end in .json",
		strings.TrimSuffix(ok, "on"):                                        "does not end in .json",
		strings.ToUpper(ok):                                                 "does not end in .json",
		"20261123T084718123Z.5.a0-3.x.json":                                 "not of the form",
		"20261123T084718123Z.p5.0-3.x.json":                                 "not of the form",
		"20261123T084718123Z.p5.a0-3.json":                                  "not of the form",
		"20261123T084718123Z.p5.a0-3..json":                                 "it is empty",
		"20261123T084718123Z.p5.a0-3...json":                                "must not begin with",
		"20261123T084718123Z.p5.a0-3.-x.json":                               "must not begin with",
		"20261123t084718123z.p5.a0-3.x.json":                                "the time is not",
		"20261123T084718123.p5.a0-3.x.json":                                 "the time is not",
		"2026112xT084718123Z.p5.a0-3.x.json":                                "than digits",
		"20261323T084718123Z.p5.a0-3.x.json":                                "no such time",
		"20260230T084718123Z.p5.a0-3.x.json":                                "no such time",
		"20261123T240000000Z.p5.a0-3.x.json":                                "no such time",
		"20261123T084760000Z.p5.a0-3.x.json":                                "no such time",
		"00000000T000000000Z.p5.a0-3.x.json":                                "no such time",
		"20261123T084718123Z.p.a0-3.x.json":                                 "priority",
		"20261123T084718123Z.p1000.a0-3.x.json":                             "priority",
		"20261123T084718123Z.p-1000.a0-3.x.json":                            "priority",
		"20261123T084718123Z.p05.a0-3.x.json":                               "priority",
		"20261123T084718123Z.p-0.a0-3.x.json":                               "priority",
		"20261123T084718123Z.p+5.a0-3.x.json":                               "priority",
		"20261123T084718123Z.p99999999999999999999.a0-3.x.json":             "priority",
		"20261123T084718123Z.p5.a3.x.json":                                  "ATTEMPT-ALLOWED",
		"20261123T084718123Z.p5.a-3.x.json":                                 "attempt",
		"20261123T084718123Z.p5.a-1-3.x.json":                               "attempt",
		"20261123T084718123Z.p5.a00-3.x.json":                               "attempt",
		"20261123T084718123Z.p5.a0--3.x.json":                               "allowed attempts",
		"20261123T084718123Z.p5.a0-1000000.x.json":                          "allowed attempts",
		"20261123T084718123Z.p5.a0-3x0.x.json":                              "lost attempts",
		"20261123T084718123Z.p5.a0-3x.x.json":                               "lost attempts",
		"20261123T084718123Z.p5.a0-3x01.x.json":                             "lost attempts",
		"20261123T084718123Z.p5.a0-3=.x.json":                               "the outcome",
		"20261123T084718123Z.p5.a0-3=done.x.json":                           "the outcome",
		"20261123T084718123Z.p5.a0-3=done,w1.x.json":                        "the outcome",
		"20261123T084718123Z.p5.a0-3=done,w1,r1,x.x.json":                   "the outcome",
		"20261123T084718123Z.p5.a0-3=done,r1,w1.x.json":                     "the outcome",
		"20261123T084718123Z.p5.a0-3=Done,w1,r1.x.json":                     "lower case",
		"20261123T084718123Z.p5.a0-3=,w1,r1.x.json":                         "lower case",
		"20261123T084718123Z.p5.a0-3=abcdefghijklmnopq,w1,r1.x.json":        "lower case",
		"20261123T084718123Z.p5.a0-3=done,w-1,r1.x.json":                    "times",
		"20261123T084718123Z.p5.a0-3=done,w01,r1.x.json":                    "times",
		"20261123T084718123Z.p5.a0-3=done,w1,r9999999999999.x.json":         "times",
		"20261123T084718123Z.p5.a0-3.a%2.json":                              "escape",
		"20261123T084718123Z.p5.a0-3.a%.json":                               "escape",
		"20261123T084718123Z.p5.a0-3.a%zz.json":                             "escape",
		"20261123T084718123Z.p5.a0-3.a%2F.json":                             "must not contain",
		"20261123T084718123Z.p5.a0-3.a%2f.json":                             "must not contain",
		"20261123T084718123Z.p5.a0-3.a%00.json":                             "control",
		"20261123T084718123Z.p5.a0-3.%2e.json":                              "must not begin with",
		"20261123T084718123Z.p5.a0-3.%61.json":                              "not escaped as",
		"20261123T084718123Z.p5.a0-3.A%42.json":                             "not escaped as",
		"20261123T084718123Z.p5.a0-3.%C3%A9.json":                           "not escaped as",
		"20261123T084718123Z.p5.a0-3.%c3.json":                              "not UTF-8",
		"20261123T084718123Z.p5.a0-3.é.json":                                "not escaped as",
		"20261123T084718123Z.p5.a0-3.a b.json":                              "not escaped as",
		"20261123T084718123Z.p5.a0-3." + strings.Repeat("a", 129) + ".json": "128 is the limit",
	} {
		n, err := ParseName(s)
		if err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), "not a job's name") {
			t.Errorf("ParseName(%q) = %+v, %v; want an error with %q", s, n, err, why)
		}
	}
}

func TestIDsThatCannotBe(t *testing.T) {
	t.Parallel()
	for id, why := range map[string]string{
		"":                        "empty",
		".hidden":                 "begin with",
		"-rf":                     "begin with",
		"..":                      "begin with",
		"a/b":                     `"/"`,
		"a\x00b":                  "control",
		"a\nb":                    "control",
		"a\u0085b":                "control",
		"\xff":                    "UTF-8",
		"caf\xc3":                 "UTF-8",
		strings.Repeat("a", 129):  "128 is the limit",
		strings.Repeat("é", 22):   "count three times",
		strings.Repeat("~", 43):   "count three times",
		" ":                       "blank",
		"a ":                      "blank",
		"a\u00a0b":                "cannot be seen",
		"a\u202eb":                "cannot be seen",
		strings.Repeat("a", 9999): "128 is the limit",
	} {
		if err := ValidateID(id); !errors.Is(err, ErrInvalidID) || !strings.Contains(err.Error(), why) {
			t.Errorf("ValidateID(%q) = %v; want ErrInvalidID with %q", id, err, why)
		}
	}
	for _, id := range []string{"a", "0", "_", "%", "a b", "~", "é", "A", "job-1", "a.json", "日本", strings.Repeat("a", 128), strings.Repeat("A", 128), strings.Repeat("é", 21) + "aa"} {
		if err := ValidateID(id); err != nil {
			t.Errorf("ValidateID(%q) = %v", id, err)
		}
	}
}

// Every name that a spool makes, and every path's last part that is built of one,
// must fit the 255 bytes that file systems allow.
func TestLongestNamesFit(t *testing.T) {
	t.Parallel()
	n := Name{
		Due: aDue, Priority: MinPriority, Attempt: MaxAttempt, Allowed: MaxAttempt, Lost: MaxAttempt, Given: MaxAttempt, Snoozed: MaxAttempt, Changed: MaxAttempt, Held: true, Outcome: strings.Repeat("o", 16),
		Wait: Millis(1 << 62), Run: Millis(1 << 62), ID: strings.Repeat("a", MaxIDLength),
	}
	s := n.String()
	if got, err := ParseName(s); err != nil || got != n {
		t.Fatalf("ParseName(%s) = %+v, %v", s, got, err)
	}
	if len(s) > 251 {
		t.Errorf("%d bytes; name.go says 251", len(s))
	}
	put := Name{Due: aDue, Priority: MinPriority, Allowed: MaxAttempt, ID: n.ID}
	writer := Host{Name: strings.Repeat("h", 32)}.newWID() + "-" + strings.Repeat("z", 13)
	if tmp := writer + "!" + put.String(); len(tmp) > 255 {
		t.Errorf("a file in tmp/ has a name of %d bytes", len(tmp))
	}
	if old := oldPrefix + s; len(old) > 255 {
		t.Errorf("a file amid an edit has a name of %d bytes", len(old))
	}
	if r := strings.TrimPrefix(rejectedPath(strings.Repeat("a", 250)+".json", aDue), rejectedDir+"/") + whySuffix; len(r) > 255 {
		t.Errorf("a file in rejected/ has a name of %d bytes", len(r))
	}
}

func TestMillisFitsAName(t *testing.T) {
	t.Parallel()
	for in, want := range map[time.Duration]time.Duration{
		-time.Hour:                        0,
		1999 * time.Microsecond:           time.Millisecond,
		time.Duration(1<<63 - 1):          maxMillis * time.Millisecond,
		maxMillis*time.Millisecond - 1000: (maxMillis - 1) * time.Millisecond,
	} {
		if got := Millis(in); got != want {
			t.Errorf("Millis(%d) = %s, want %s", in, got, want)
		}
	}
}

// anID makes ids of all sorts that ValidateID accepts.
func anID() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[a-z0-9_][a-zA-Z0-9._-]{0,40}`),
		rapid.StringN(1, 12, 40),
	).Filter(func(id string) bool { return ValidateID(id) == nil })
}

func aTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		return time.UnixMilli(rapid.Int64Range(-62167219200000, 253402300799999).Draw(t, "ms")).UTC()
	})
}

func aName() *rapid.Generator[Name] {
	return rapid.Custom(func(t *rapid.T) Name {
		n := Name{
			Due:      aTime().Draw(t, "due"),
			Priority: rapid.IntRange(MinPriority, MaxPriority).Draw(t, "priority"),
			Attempt:  rapid.IntRange(0, MaxAttempt).Draw(t, "attempt"),
			Allowed:  rapid.IntRange(0, MaxAttempt).Draw(t, "allowed"),
			Lost:     rapid.IntRange(0, MaxAttempt).Draw(t, "lost"),
			Given:    rapid.IntRange(0, 2).Draw(t, "given back"),
			Snoozed:  rapid.IntRange(0, 2).Draw(t, "snoozed"),
			Held:     rapid.Bool().Draw(t, "held"),
			ID:       anID().Draw(t, "id"),
		}
		if rapid.Bool().Draw(t, "ended") {
			n.Outcome = rapid.StringMatching(`[a-z]{1,16}`).Draw(t, "outcome")
			n.Wait = time.Duration(rapid.Int64Range(0, maxMillis).Draw(t, "wait")) * time.Millisecond
			n.Run = time.Duration(rapid.Int64Range(0, maxMillis).Draw(t, "run")) * time.Millisecond
		}
		return n
	})
}

func TestNamesSurviveTheRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := aName().Draw(t, "name")
		for _, fold := range []bool{false, true} {
			s := n.encode(fold)
			got, err := ParseName(s)
			if err != nil || got != n {
				t.Fatalf("ParseName(%q) = %+v, %v; want %+v", s, got, err, n)
			}
			if len(s) > 255 || strings.ContainsAny(s, "/\x00") || !utf8.ValidString(s) {
				t.Fatalf("%q cannot be a file's name", s)
			}
			if IsDrop(s) {
				t.Fatalf("%q is taken for a drop", s)
			}
		}
	})
}

// ls pending is the schedule: names sort as their due times do.
func TestNamesSortByDue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := aName().Draw(t, "a"), aName().Draw(t, "b")
		if strings.Compare(a.String()[:stampLen], b.String()[:stampLen]) != a.Due.Compare(b.Due) {
			t.Fatalf("%s and %s sort otherwise than %s and %s", a, b, a.Due, b.Due)
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, c := range spellings {
		f.Add(c.plain)
		f.Add(c.name.encode(true))
	}
	f.Add("")
	f.Add("20261323T084718123Z.p5.a0-3.x.json")
	f.Add("20261123T084718123Z.p5.a0-3=done,w1,r1.%2e.json")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			if n != (Name{}) {
				t.Errorf("an error, and yet %+v", n)
			}
			return
		}
		if n.encode(false) != s && n.encode(true) != s {
			t.Errorf("%q is read as %+v, which is written %q or %q", s, n, n.encode(false), n.encode(true))
		}
		for _, fold := range []bool{false, true} {
			if got, err := ParseName(n.encode(fold)); err != nil || got != n {
				t.Errorf("ParseName(%q) = %+v, %v; want %+v", n.encode(fold), got, err, n)
			}
		}
		if err := ValidateID(n.ID); err != nil {
			t.Error(err)
		}
		later := n
		later.Due = n.Due.Add(time.Millisecond)
		if later.Due.Year() <= 9999 && later.String()[:stampLen] <= n.String()[:stampLen] {
			t.Errorf("%s does not sort before %s", n, later)
		}
	})
}
