package spool

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What is done at the same time by many is all kept, and goes with the job, however that
// goes.
func TestActsAreKeptAndGoWithTheJob(t *testing.T) {
	t.Parallel()
	read := func(s *Spool, id string) (all []string) {
		s.ReadActs(id, func(data []byte) { all = append(all, string(data)) })
		return all
	}
	s := newSpool(t)
	mustDo(t, s.Put(item(s, "job-1")))
	const writers, each = 3, fewAttempts // enough for the later ones to look for a number in a listing
	var g sync.WaitGroup
	for w := range writers {
		g.Go(func() {
			for i := range each {
				if err := s.WriteAct("job-1", fmt.Appendf(nil, "%d.%d", w, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	g.Wait()
	have := read(s, "job-1")
	for w := range writers {
		own := slices.DeleteFunc(slices.Clone(have), func(x string) bool { return !strings.HasPrefix(x, fmt.Sprintf("%d.", w)) })
		if len(own) != each || own[0] != fmt.Sprintf("%d.0", w) || own[each-1] != fmt.Sprintf("%d.%d", w, each-1) {
			t.Errorf("of writer %d: %q", w, own)
		}
	}
	if named, _ := breaches(t, s); len(named) > 0 {
		t.Errorf("%q", named)
	}

	entry := func(id string) Entry {
		found, err := s.Find(id)
		mustDo(t, err)
		return found[0]
	}
	for what, end := range map[string]func(id string){
		"removed": func(id string) { mustDo(t, s.Remove(entry(id))) },
		"pruned": func(id string) {
			c, err := mustRegister(t, s).Claim(entry(id).Name)
			mustDo(t, err)
			_, err = c.Done(Ending{Outcome: "done"})
			mustDo(t, err)
			_, err = s.Prune(s.Now().Add(time.Hour), time.Time{}, false, func(e Entry) bool { return e.Name.ID == id })
			mustDo(t, err)
		},
		"cancelled, and its id is another's": func(id string) {
			_, err := s.Cancel(entry(id))
			mustDo(t, err, s.Put(item(s, id)))
		},
	} {
		it := item(s, strings.Fields(what)[0])
		mustDo(t, s.Put(it), s.WriteAct(it.Name.ID, []byte("x")), s.WriteAct(it.Name.ID, []byte("y")))
		if have := read(s, it.Name.ID); len(have) != 2 {
			t.Errorf("%s: %q", what, have)
		}
		end(it.Name.ID)
		if have := read(s, it.Name.ID); len(have) != 0 {
			t.Errorf("%s: %q is left", what, have)
		}
	}

	// One that came too late is named, and a repair removes it.
	mustDo(t, s.WriteAct("gone", []byte("x")))
	named, all := breaches(t, s)
	if want := "stale-log " + strings.TrimPrefix(s.actPath("gone", 1), s.Dir()+"/"); len(named) != 1 || named[0] != want {
		t.Fatalf("%q, want %q", named, want)
	}
	mustDo(t, all[0].Repair())
	if named, _ := breaches(t, s); len(named) > 0 {
		t.Errorf("after the repair: %q", named)
	}
}

// A job to which nobody has done anything pays two calls for it when it is shown, and two
// when it is removed; what somebody puts in the way is no matter.
func TestActsCostLittle(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	it := item(s, s.NewID())
	it.Reserved = false
	mustDo(t, s.Put(it))
	var calls []string
	s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(c call) fault {
		if strings.Contains(c.path, ".act") {
			calls = append(calls, c.op)
		}
		return fault{}
	}})
	s.ReadActs(it.Name.ID, func([]byte) { t.Error("there is none") })
	found, err := s.Find(it.Name.ID)
	mustDo(t, err, s.Remove(found[0]))
	if have := strings.Join(calls, " "); have != "look look unlink unlink" {
		t.Errorf("%s", have)
	}
	mustDo(t, s.PrepareLogs("x"), os.Mkdir(s.actPath("x", 1), 0o700), s.WriteAct("x", []byte("kept")))
	s.ReadActs("x", func(data []byte) {
		if string(data) != "kept" {
			t.Errorf("%q", data)
		}
	})
	mustDo(t, s.removeActs("x"))
	if n, err := s.lastAct("x"); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// However many there are, only the newest are read, and none that is too long.
func TestActsThatAreReadAreBounded(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	for n := 1; n <= 3*readActs; n++ {
		mustDo(t, s.WriteAct("a", fmt.Append(nil, n)))
		var have []string
		opened := 0
		s := reopen(t, s)
		s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(c call) fault {
			if c.op == "open" {
				opened++
			}
			return fault{}
		}})
		if n%readActs > 1 && n%readActs != fewAttempts {
			continue // it takes long
		}
		earlier := s.ReadActs("a", func(data []byte) { have = append(have, string(data)) })
		first := max(1, n-readActs+1)
		if earlier != first-1 || len(have) != n-first+1 || have[0] != fmt.Sprint(first) || have[len(have)-1] != fmt.Sprint(n) || opened != len(have) {
			t.Errorf("of %d: %d are left out, %d opened, have %q", n, earlier, opened, have)
		}
	}
	mustDo(t, s.WriteAct("b", make([]byte, maxActBytes)), s.WriteAct("b", make([]byte, maxActBytes+1)), s.WriteAct("b", []byte("last")))
	var have []int
	if earlier := s.ReadActs("b", func(data []byte) { have = append(have, len(data)) }); earlier != 0 || !slices.Equal(have, []int{maxActBytes, 4}) {
		t.Errorf("%d are left out, sizes %v", earlier, have)
	}
}

// One that somebody has removed hides the others neither from who reads them nor from who
// removes the job.
func TestActsWithoutOneOfThem(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	for missing := 1; missing <= 3; missing++ {
		for what, end := range map[string]func(Entry) error{
			"removed": s.Remove,
			"pruned": func(e Entry) error {
				c, err := l.Claim(e.Name)
				mustDo(t, err)
				_, err = c.Done(Ending{Outcome: "done"})
				mustDo(t, err)
				_, err = s.Prune(s.Now().Add(time.Hour), time.Time{}, false, func(Entry) bool { return true })
				return err
			},
		} {
			id := fmt.Sprintf("%s-%d", what, missing)
			it := item(s, id)
			mustDo(t, s.Put(it))
			want := ""
			for n := range 4 {
				mustDo(t, s.WriteAct(id, fmt.Append(nil, n+1)))
				if n+1 != missing {
					want += fmt.Sprint(n + 1)
				}
			}
			mustDo(t, os.Remove(s.actPath(id, missing)))
			have := ""
			s.ReadActs(id, func(data []byte) { have += string(data) })
			found, err := s.Find(id)
			mustDo(t, err, end(found[0]))
			if n, err := s.lastAct(id); have != want || n != 0 || err != nil {
				t.Errorf("%s: have %s, want %s; act %d is left, %v", id, have, want, n, err)
			}
		}
	}
	if named, _ := breaches(t, s); len(named) > 0 {
		t.Errorf("%q", named)
	}
}

func TestNamesOfActs(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	for name, ok := range map[string]bool{
		"job-1.act1.json": true, "a.act3.act12.json": true, "a%20b.act1000.json": true, "job-1.a1.act2.json": true,
		"job-1.act0.json": false, "job-1.act01.json": false, "job-1.act1001.json": false, "job-1.act.json": false, ".act1.json": false,
		"job-1.act1.out": false, "job-1.act1.a1.json": false, "job-1.a1.json": false,
	} {
		id, n, err := parseAct(name)
		if (err == nil) != ok || ok && path.Base(s.actPath(id, n)) != name {
			t.Errorf("%s is read as %q %d, %v", name, id, n, err)
		}
		if _, _, _, logErr := parseLog(name); ok && logErr == nil {
			t.Errorf("%s is also a log's", name)
		}
	}
}
