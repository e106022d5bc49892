package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// inEveryState makes one job in each place where one can be.
func inEveryState(t *testing.T, s *Spool) (*Lease, map[string]State) {
	t.Helper()
	l := mustRegister(t, s)
	for _, id := range []string{"waiting", "far", "running", "done", "dead"} {
		it := item(s, id)
		if id == "far" {
			it.Name.Due = it.Name.Due.Add(24 * time.Hour)
		}
		mustDo(t, s.Put(it))
		if id == "waiting" || id == "far" {
			continue
		}
		c, err := l.Claim(it.Name)
		mustDo(t, err)
		switch id {
		case "done":
			_, err = c.Done(Ending{Outcome: "done"})
		case "dead":
			_, err = c.Bury(Ending{Outcome: "failed"})
		}
		mustDo(t, err)
	}
	return l, map[string]State{"waiting": Pending, "far": Pending, "running": Processing, "done": Done, "dead": Dead}
}

func TestEachFindsAllAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l, want := inEveryState(t, s)
	for _, rel := range tree(t, s) {
		if strings.HasSuffix(rel, "/") { // what it does not know it passes over
			writeFile(t, s.abs(rel+"notes.txt"), "x")
			writeFile(t, s.abs(rel+".nfs0001"), "x")
		}
	}
	drop(t, s, "dropped.json", aJob)
	got := map[string]State{}
	for _, e := range all(t, s) {
		got[e.Name.ID] = e.State
		if (e.Worker == l.Worker()) != (e.State == Processing) || path.Base(e.Path) != s.file(e.Name) {
			t.Errorf("%+v", e)
		}
		if data, err := s.Read(e); err != nil || string(data) != `{"command":"true"}` {
			t.Errorf("%s: %q, %v", e.Path, data, err)
		}
		if data, err := s.ReadChosen(e.Name.ID); err != nil || string(data) != `{"command":"true"}` {
			t.Errorf("%s by its id: %q, %v", e.Path, data, err)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("want %v, have %v", want, got)
	}
	var order []State
	mustDo(t, s.Each(func(e Entry) error { order = append(order, e.State); return nil }, Dead, Done))
	if !slices.Equal(order, []State{Dead, Done}) {
		t.Errorf("in order: %v", order)
	}
	visits := 0
	mustDo(t, s.Each(func(Entry) error { visits++; return Stop }, Pending, Dead))
	if visits != 1 {
		t.Errorf("it goes on after Stop: %d", visits)
	}
	fail := errors.New("enough")
	if err := s.Each(func(Entry) error { return fail }, Pending); !errors.Is(err, fail) {
		t.Errorf("%v", err)
	}
	var jobs, drops []string
	mustDo(t, s.Waiting(func(n Name) { jobs = append(jobs, n.ID) }, func(base string) { drops = append(drops, base) }))
	if !slices.Equal(jobs, []string{"waiting"}) || !slices.Equal(drops, []string{"dropped.json"}) {
		t.Errorf("waiting %q, dropped %q", jobs, drops)
	}
}

func TestDoneNewestHourFirst(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	begin := time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)
	for i := range 5 {
		settledAt(t, s, Done, fmt.Sprintf("job-%d", i), begin.Add(time.Duration(i)*time.Hour))
	}
	var got []string
	mustDo(t, s.Each(func(e Entry) error { got = append(got, e.Name.ID); return nil }, Done))
	if want := []string{"job-4", "job-3", "job-2", "job-1", "job-0"}; !slices.Equal(got, want) {
		t.Errorf("have %q", got)
	}
}

// What has not changed is not listed again; what has is, also within the same tick.
func TestCountDone(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	on := func() error { return nil }
	begin := time.Date(2026, 11, 23, 22, 0, 0, 0, time.UTC)
	for i := range 5 {
		settledAt(t, s, Done, fmt.Sprintf("job-%d", i), begin.Add(time.Duration(i)*20*time.Minute))
	}
	n, hours, err := s.CountDone(nil, on)
	if err != nil || n != 5 || len(hours) != 2 {
		t.Fatalf("%d in %v, %v", n, hours, err)
	}
	settledAt(t, s, Done, "more", begin)
	if n, hours, err = s.CountDone(hours, on); err != nil || n != 6 {
		t.Errorf("%d, %v", n, err)
	}
	for dir, h := range hours { // as if it had been listed later, and had more
		h.jobs, h.listed = h.jobs+100, h.listed.Add(time.Minute)
		hours[dir] = h
	}
	if n, _, err := s.CountDone(hours, on); err != nil || n != 206 {
		t.Errorf("%d, %v: it was listed again", n, err)
	}
	e := all(t, s)[0]
	mustDo(t, s.Remove(e))
	if n, _, err = s.CountDone(hours, on); err != nil || n >= 206 || n < 101 {
		t.Errorf("%d, %v: what has changed was not listed again", n, err)
	}
	enough := errors.New("enough")
	if _, _, err := s.CountDone(nil, func() error { return enough }); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	_, want := inEveryState(t, s)
	for id, st := range want {
		if e, err := s.Find(id); err != nil || len(e) != 1 || e[0].State != st || e[0].Name.ID != id {
			t.Errorf("%s: %v, %v", id, paths(e), err)
		}
	}
	if e, err := s.Find("nobody"); err != nil || len(e) != 0 {
		t.Errorf("%v, %v", paths(e), err)
	}
	if _, err := s.ReadChosen("nobody"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	// Two names of one id: the latest.
	n := all(t, s)[0].Name
	n.Attempt = 2
	writeFile(t, s.abs(deadDir+"/"+s.file(n)), aJob)
	if e, err := s.Find(n.ID); err != nil || len(e) != 1 || e[0].State != Dead {
		t.Errorf("%v, %v", paths(e), err)
	}
}

// One scan that does not see a job proves nothing: it may be moving.
func TestFindAJobThatMoves(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	o := reopen(t, s)
	mustPut(t, s, "job-1")
	names := o.ops.names
	moved := false
	o.ops.names = func(dir string, visit func(string) error) error {
		if dir == s.abs(pendingDir) && !moved { // before it is seen there, and back after processing is read
			moved = true
			c, err := l.Claim(only(t, s).Name)
			mustDo(t, err)
			defer func() {
				_, err := c.Retry(s.Now())
				mustDo(t, err)
			}()
			return names(dir, visit)
		}
		return names(dir, visit)
	}
	if e, err := o.Find("job-1"); err != nil || len(e) != 1 || e[0].State != Pending {
		t.Errorf("%v, %v", paths(e), err)
	}
}

func TestDirectoriesThatGoWhileTheyAreRead(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l, _ := inEveryState(t, s)
	o := reopen(t, s)
	names := o.ops.names
	o.ops.names = func(dir string, visit func(string) error) error {
		err := names(dir, visit)
		if dir == s.abs(workDir) || strings.HasPrefix(dir, s.abs(doneDir)) || dir == s.abs(laterDir) {
			for _, e := range all(t, s) {
				if e.State == Processing || e.State == Done || path.Dir(path.Dir(e.Path)) == laterDir {
					mustDo(t, os.RemoveAll(s.abs(path.Dir(e.Path))))
				}
			}
		}
		return err
	}
	seen := 0
	if err := o.Each(func(Entry) error { seen++; return nil }, Pending, Processing, Done, Dead); err != nil || seen != 2 {
		t.Errorf("%d seen, %v", seen, err)
	}
	_ = l
	mustDo(t, os.RemoveAll(s.abs(deadDir)))
	if err := s.Each(func(Entry) error { return nil }, Dead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a state that is not there: %v", err)
	}
}

func TestTimesOfAJob(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	c := mustClaim(t, s, l, "job-1")
	e := only(t, s)
	written, err := s.WrittenAt(e)
	mustDo(t, err)
	claimed, err := s.ClaimedAt(e)
	mustDo(t, err)
	again, err := s.ClaimTime(l.Worker(), c.Name())
	if err != nil || !again.Equal(claimed) || written.IsZero() || written.Sub(s.Now()).Abs() > hangGuard {
		t.Errorf("written %s, claimed %s and %s, %v", written, claimed, again, err)
	}
	mustDo(t, s.WriteLog("job-1", 1, "out", []byte("hello")))
	if n := s.LogSize("job-1", 1, "out"); n != 5 {
		t.Errorf("%d bytes", n)
	}
	if n := s.LogSize("job-1", 1, "err"); n != 0 {
		t.Errorf("%d bytes", n)
	}
	f, err := s.OpenLog("job-1", 1, "out")
	mustDo(t, err, f.Close())
	if _, err := s.OpenLog("job-1", 2, "out"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	// A directory that a person removed is made again.
	mustDo(t, os.RemoveAll(s.abs(logsDir+"/"+bucket("job-1"))), s.WriteLog("job-1", 1, "json", []byte("{}")))
	for name, ok := range map[string]bool{"job-1.a1.json": true, "a.a.a10.out": true, "a%20b.a1.err": true, "x": false, "x.json": false, "x.a0.json": false, "x.a01.json": false, ".a1.json": false} {
		if id, attempt, kind, err := parseLog(name); (err == nil) != ok || ok && path.Base(s.LogPath(id, attempt, kind)) != name {
			t.Errorf("%s is read as %q %d %q, %v", name, id, attempt, kind, err)
		}
	}
}
