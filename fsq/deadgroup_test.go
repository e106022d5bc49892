package fsq

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/queuectl/queuectl/spool"
)

func TestDeadGroups(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	mail := named(t, q, "mail", testConfig())
	die := func(q *Queue, b *bench, id, command, outcome string, a Attempt) {
		enqueue(t, q, fmt.Sprintf(`{"id":%q,"command":%q}`, id, command))
		b.end(id, spool.Ending{Outcome: outcome, Run: time.Second}, a)
	}
	b, m := newBench(t, q), newBench(t, mail)
	for i := range 7 {
		die(q, b, fmt.Sprintf("r%d", i), fmt.Sprintf("./render /img/%d.png", i), "failed", Attempt{ExitCode: ptr(3), Error: fmt.Sprintf("exit status 3: no space for %d bytes in /var/tmp/x%d", 17*i, i)})
	}
	die(mail, m, "r0", "./render other", "failed", Attempt{ExitCode: ptr(3), Error: "exit status 3: no space for 1 bytes in /y"})
	die(q, b, "code", "./render x", "failed", Attempt{ExitCode: ptr(4), Error: "exit status 4: no space for 2 bytes in /y"})
	die(q, b, "other", "./fetch x", "failed", Attempt{ExitCode: ptr(3), Error: "exit status 3: no space for 2 bytes in /y"})
	die(q, b, "killed", "./render x", "failed", Attempt{Signal: "SIGKILL", Error: "killed by SIGKILL"})
	enqueue(t, q, `{"id":"cancelled","command":"./render x"}`)
	if _, err := q.Cancel(t.Context(), "cancelled"); err != nil {
		t.Fatal(err)
	}
	// One that somebody buried by hand has died of nothing.
	enqueue(t, q, `{"id":"buried","command":"./render x"}`)
	e, err := q.find("buried")
	if err == nil {
		err = os.Rename(filepath.Join(q.Dir(), e.Path), filepath.Join(q.Dir(), "dead", filepath.Base(e.Path)))
	}
	if err != nil {
		t.Fatal(err)
	}

	qs := []*Queue{q, mail}
	var x DeadIndex
	part, err := x.Groups(t.Context(), qs, 3)
	if err != nil || part.Dead != 12 || part.Unread != 9 {
		t.Errorf("in part: %+v, %v", part, err)
	}
	all, err := x.Groups(t.Context(), qs, 0)
	if err != nil || all.Dead != 12 || all.Unread != 0 || all.Rest != 0 {
		t.Fatalf("%+v, %v", all, err)
	}
	var have []string
	for _, g := range all.Groups {
		code := "-"
		if g.ExitCode != nil {
			code = fmt.Sprint(*g.ExitCode)
		}
		have = append(have, fmt.Sprintf("%d %s %s %s%s %s", g.Count, g.Program, g.Outcome, code, g.Signal, g.Error))
		if len(g.Jobs) != min(g.Count, groupSamples) || g.Newest.Before(g.Oldest) || g.Count > 0 && !strings.Contains(g.Example, strings.SplitN(g.Error, "#", 2)[0]) {
			t.Errorf("%+v", g)
		}
		// Its selector means its jobs, and no others.
		jobs, _, err := ListAll(t.Context(), qs, ListOptions{Where: g.Where()})
		if err != nil || len(jobs) != g.Count || !slices.ContainsFunc(jobs, func(i JobInfo) bool { return i.ID == g.Jobs[0].ID && i.Queue == g.Jobs[0].Queue }) {
			t.Errorf("%s selects %s, %v", g.Key, names(jobs), err)
		}
	}
	slices.Sort(have)
	want := []string{
		"1 ./fetch failed 3 exit status 3: no space for # bytes in …",
		"1 ./render failed -SIGKILL killed by SIGKILL",
		"1 ./render failed 4 exit status 4: no space for # bytes in …",
		"1 ./render moved by hand - ",
		"8 ./render failed 3 exit status 3: no space for # bytes in …",
	}
	if !slices.Equal(have, want) {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
	if first := all.Groups[0]; first.Count != 8 || first.Jobs[0] != (JobRef{"mail", "r0"}) || first.Jobs[1] != (JobRef{DefaultQueue, "r6"}) {
		t.Errorf("%+v", first)
	}

	// What is known is not read again: it is told also where nothing can be read any more.
	for _, q := range qs {
		if err := os.RemoveAll(filepath.Join(q.Dir(), "logs")); err != nil {
			t.Fatal(err)
		}
	}
	again, err := x.Groups(t.Context(), qs, 0)
	if err != nil || len(again.Groups) != len(all.Groups) || again.Groups[0].Error != all.Groups[0].Error {
		t.Errorf("again: %+v, %v", again, err)
	}
	// A job that is retried is in no group.
	if err := q.RetryDead(t.Context(), "other"); err != nil {
		t.Fatal(err)
	}
	if after, err := x.Groups(t.Context(), qs, 0); err != nil || after.Dead != 11 || len(after.Groups) != len(all.Groups)-1 {
		t.Errorf("after a retry: %+v, %v", after, err)
	}
}

// More groups than anybody looks at are counted, and memory stays bounded.
func TestDeadGroupsAreBounded(t *testing.T) {
	t.Parallel()
	var x DeadIndex
	q := openQueue(t, testConfig())
	dead := filepath.Join(q.Dir(), "dead")
	const n = maxDeadGroups + 50
	for i := range n {
		program := strings.NewReplacer("0", "a", "1", "b", "2", "c", "3", "d", "4", "e", "5", "f", "6", "g", "7", "h", "8", "i", "9", "j").Replace(fmt.Sprint(i))
		name := fmt.Sprintf("20261123T0847%02d123Z.p0.a1-1=failed,w3,r20.j%d.json", i%60, i)
		if err := os.WriteFile(filepath.Join(dead, name), fmt.Appendf(nil, `{"command":"./%s"}`, program), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all, err := x.Groups(t.Context(), []*Queue{q}, 0)
	if err != nil || len(all.Groups) != maxDeadGroups || all.Rest != 50 || all.Dead != n {
		t.Fatalf("%d groups, %d in others, %d in all, %v", len(all.Groups), all.Rest, all.Dead, err)
	}
	// Those that are gone make room.
	names, err := filepath.Glob(filepath.Join(dead, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, "j1049.json") {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 { // the first finds out
		if all, err = x.Groups(t.Context(), []*Queue{q}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if len(all.Groups) != 1 || all.Rest != 0 || len(x.seen[q.Dir()]) != 1 {
		t.Errorf("%+v, %d are remembered", all, len(x.seen[q.Dir()]))
	}
}

// A look at one queue leaves what is known of the others, as long as they are there.
func TestDeadIndexOfSeveralQueues(t *testing.T) {
	t.Parallel()
	q := openQueue(t, testConfig())
	mail := named(t, q, "mail", testConfig())
	const n = 1100 // more than are remembered in vain
	for i := range n {
		for _, dead := range []*Queue{q, mail}[min(i, 1):] {
			name := fmt.Sprintf("20261123T084700123Z.p0.a1-1=failed,w3,r20.j%d.json", i)
			if err := os.WriteFile(filepath.Join(dead.Dir(), "dead", name), []byte(`{"command":"./x"}`), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	var x DeadIndex
	for _, look := range []struct {
		at     []*Queue
		reads  int // allowed
		dead   int
		queues int // remembered
	}{
		{[]*Queue{q, mail}, 0, n + 1, 2}, {[]*Queue{q}, 1, 1, 2}, {[]*Queue{q}, 1, 1, 2}, {[]*Queue{mail}, 1, n, 2}, {[]*Queue{q, mail}, 1, n + 1, 2},
		{[]*Queue{q}, 1, 1, 1},
	} {
		if look.queues == 1 {
			if err := os.RemoveAll(mail.Dir()); err != nil {
				t.Fatal(err)
			}
		}
		all, err := x.Groups(t.Context(), look.at, look.reads)
		if err != nil || all.Dead != look.dead || all.Unread != 0 || len(all.Groups) != 1 || all.Groups[0].Count != look.dead || len(x.seen) != look.queues {
			t.Errorf("%d queues: %+v, %d are remembered, %v", len(look.at), all, len(x.seen), err)
		}
	}
}

func TestErrorPatterns(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "  exit status 3\nmore": "exit status 3",
		"exit status 3: line 17":                     "exit status 3: line #",
		"open /var/lib/x7/data.bin: no such file":    "open …: no such file",
		"open ./a/b: no such file":                   "open …: no such file",
		`unknown user "ann smith", want 'bob'`:       `unknown user "…", want '…'`,
		"dial tcp 10.0.0.1:5432: connection refused": "dial tcp #: connection refused",
		"GET https://h.example/a/b?x=1: 503":         "GET https:/…?x=#: #",
		"object 0xdeadBEEF12 at 2026-11-23T08:47:18": "object # at #",
		"id 4f6c2b1a-0c1d-4e2f-8a3b-5c6d7e8f9a0b":    "id #",
		"timed out after 1m30s":                      "timed out after #m#s",
		"read/write failed, café":                    "read/write failed, café",
		"a\ttab   and blanks":                        "a tab and blanks",
		strings.Repeat("é", 5000):                    strings.Repeat("é", 199) + "…",
		strings.Repeat("\xff", 5000):                 "",
	} {
		have := errorPattern(in)
		if have != want || utf8.RuneCountInString(have) > maxPattern {
			t.Errorf("%.60q: have %q, want %q", in, have, want)
		}
	}
}

func TestProgramOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"./render a.png": "./render", "exit 3": "exit", "A=1 B='x y' make -j4": "make", "cd /data && ./render x": "./render",
		"set -e; cd /x; tar c .|gzip": "tar", "python3 -u train.py --fast": "python3 train.py", "sh -c 'exec ./run 1'": "exec ./run",
		"bash -ec './a; ./b'": "bash ./a; ./b", "sudo -u ann env X=1 ./job": "sudo ann", "cd /data": "cd", "": "", "&& x": "x",
		`"./my render" x`: "./my render", "true;false": "true", "python -c 'print(1)'": "print(1)",
	} {
		if have := programOf(Command{Shell: in}); have != want {
			t.Errorf("%q: have %q, want %q", in, have, want)
		}
	}
	for want, args := range map[string][]string{"make": {"make", "all"}, "/bin/my prog": {"/bin/my prog", "-c", "x"}, "./x": {"sh", "-c", "./x 1"}, "perl a.pl": {"perl", "-w", "a.pl"}} {
		if have := programOf(Command{Args: args}); have != want {
			t.Errorf("%q: have %q, want %q", args, have, want)
		}
	}
	if have := programOf(Command{Args: []string{strings.Repeat("x", 5000)}}); utf8.RuneCountInString(have) != maxProgram {
		t.Errorf("%d runes", utf8.RuneCountInString(have))
	}
}
