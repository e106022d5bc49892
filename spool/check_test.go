package spool

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A healthy spool with all that can be in one has no breach.
func TestHealthySpoolHasNoBreach(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	record := func(c *Claim) {
		mustDo(t, s.WriteLog(c.Name().ID, c.Name().Attempt, "json", []byte("{}")), s.WriteLog(c.Name().ID, c.Name().Attempt, "out", []byte("x")))
	}
	for _, id := range []string{"done", "Dead Job", "retried", "running", "revived"} {
		c := mustClaim(t, s, l, id)
		record(c)
		var err error
		switch id {
		case "done":
			_, err = c.Done(Ending{Outcome: "done"})
		case "retried":
			_, err = c.Retry(s.Now().Add(2 * time.Hour))
		case "running":
		default:
			_, err = c.Bury(Ending{Outcome: "failed"})
		}
		mustDo(t, err)
	}
	for _, e := range all(t, s) {
		if e.Name.ID == "revived" {
			_, err := s.Revive(e, 4)
			mustDo(t, err)
		}
	}
	mustPut(t, s, "waiting", s.NewID())
	it := item(s, "far")
	it.Name.Due = it.Name.Due.Add(100 * time.Hour)
	mustDo(t, s.Put(it), s.Ask(Drain, l.Worker()), s.ChangeConfig(func([]byte) ([]byte, error) { return []byte("{}"), nil }))
	drop(t, s, "dropped.json", aJob)
	for _, base := range []string{"x.json.part", ".hidden", "#x#", "x.json~", "x.tmp", ".x.json.swp"} {
		writeFile(t, s.abs(DropPath(base)), "")
	}
	writeFile(t, s.abs(tmpDir+"/"+s.writer+"-0!"+s.file(it.Name)), "") // a living writer's
	_, err := s.Recover()
	mustDo(t, err)
	f, err := s.WorkerLog()
	mustDo(t, err, f.Close(), os.Mkdir(s.abs("queues"), 0o700), os.Mkdir(s.abs("lost+found"), 0o700))
	drop(t, s, "bad.json", "{}")
	adoptAll(t, s, driveClock(s), soon)
	r, err := s.Check(func(e Entry, data []byte) error {
		if e.State == Done {
			t.Errorf("it reads %s, which will not run again", e.Path)
		}
		if len(data) == 0 {
			return errors.New("it is empty")
		}
		return nil
	})
	mustDo(t, err)
	for _, b := range r.Breaches {
		t.Errorf("%s %s: %s", b.Code, b.Path, b.Problem)
	}
	if r.Jobs != 9 {
		t.Errorf("it looked at %d jobs", r.Jobs)
	}
}

// Each fault is made by hand in a spool with one job in pending and is named with
// its path; a repair leaves nothing to name.
func TestBreaches(t *testing.T) {
	t.Parallel()
	const otherBoot = "host.1.aaaaaaaaaaaaa"
	job := func(s *Spool) Entry { return only(t, s) }
	write := func(rel string) func(*Spool) string {
		return func(s *Spool) string { writeFile(t, s.abs(rel), "x"); return rel }
	}
	under := func(dir, rel string) func(*Spool) string {
		return func(s *Spool) string { mustDo(t, os.MkdirAll(s.abs(dir), 0o700)); return write(rel)(s) }
	}
	for what, c := range map[string]struct {
		fault  func(*Spool) string // returns the path that is to be named
		code   string
		repair bool
	}{
		"a directory is gone": {func(s *Spool) string {
			mustDo(t, os.Remove(s.abs(idsDir+"/"+bucket("job-1")+"/job-1.json")), os.Remove(s.abs(idsDir+"/"+bucket("job-1"))), os.Remove(s.abs(idsDir)))
			return idsDir
		}, "missing-directory", true},
		"pending is gone":   {func(s *Spool) string { mustDo(t, os.RemoveAll(s.abs(pendingDir))); return pendingDir }, "missing-directory", true},
		"done is gone":      {func(s *Spool) string { mustDo(t, os.Remove(s.abs(doneDir))); return doneDir }, "missing-directory", true},
		"tmp is gone":       {func(s *Spool) string { mustDo(t, os.Remove(s.abs(tmpDir))); return tmpDir }, "missing-directory", true},
		"requests are gone": {func(s *Spool) string { mustDo(t, os.RemoveAll(s.abs(ctlDir+"/drain"))); return ctlDir + "/drain" }, "missing-directory", true},
		"a file for a directory": {func(s *Spool) string {
			mustDo(t, os.Remove(s.abs(bootedDir)))
			return write(bootedDir)(s)
		}, "not-a-directory", false},
		"anyone may write":          {func(s *Spool) string { mustDo(t, os.Chmod(s.abs(pendingDir), 0o707)); return pendingDir }, "unsafe-mode", false},
		"anyone may write the root": {func(s *Spool) string { mustDo(t, os.Chmod(s.Dir(), 0o707)); return "." }, "unsafe-mode", false},

		"a link": {func(s *Spool) string {
			mustDo(t, os.Symlink("/etc/passwd", s.abs(DropPath("x.json"))))
			return DropPath("x.json")
		}, "not-a-file", false},
		"a FIFO":      {func(s *Spool) string { mustDo(t, syscall.Mkfifo(s.abs(DropPath("x")), 0o600)); return DropPath("x") }, "not-a-file", false},
		"a directory": {func(s *Spool) string { mustDo(t, os.Mkdir(s.abs(DropPath("x")), 0o700)); return DropPath("x") }, "not-a-file", false},
		"a link in dead": {func(s *Spool) string {
			p := deadDir + "/" + s.file(Name{Due: aDue, Allowed: 1, ID: "x"})
			mustDo(t, os.Symlink("/etc/passwd", s.abs(p)))
			return p
		}, "not-a-file", false},
		"content that is no job": {func(s *Spool) string { writeFile(t, s.abs(job(s).Path), "bad"); return job(s).Path }, "bad-content", false},

		"an unknown name in pending":    {write(DropPath("notes.txt")), "unknown-file", false},
		"an unknown name in dead":       {write(deadDir + "/notes.json"), "unknown-file", false},
		"an unknown name in done":       {under(doneDir+"/20261123/08", doneDir+"/20261123/08/notes.json"), "unknown-file", false},
		"an unknown name in the future": {under(laterDir+"/20361123T08", laterDir+"/20361123T08/notes.json"), "unknown-file", false},
		"an unknown name among claims":  {under(workDir+"/"+otherBoot, workDir+"/"+otherBoot+"/notes.json"), "unknown-file", false},
		"an unknown name at the top":    {write("notes.txt"), "unknown-file", false},
		"an unknown directory":          {func(s *Spool) string { mustDo(t, os.Mkdir(s.abs("mine"), 0o700)); return "mine" }, "unknown-file", false},
		"no hour of the future":         {func(s *Spool) string { mustDo(t, os.Mkdir(s.abs(laterDir+"/2036"), 0o700)); return laterDir + "/2036" }, "unknown-file", false},
		"a file among the hours":        {write(laterDir + "/x.json"), "unknown-file", false},
		"no day": {func(s *Spool) string {
			mustDo(t, os.Mkdir(s.abs(doneDir+"/yesterday"), 0o700))
			return doneDir + "/yesterday"
		}, "unknown-file", false},
		"a file among the days": {write(doneDir + "/x.json"), "unknown-file", false},
		"no hour": {func(s *Spool) string {
			mustDo(t, os.MkdirAll(s.abs(doneDir+"/20261123/25"), 0o700))
			return doneDir + "/20261123/25"
		}, "unknown-file", false},
		"a file among the hours of a day": {under(doneDir+"/20261123", doneDir+"/20261123/x"), "unknown-file", false},
		"a file among the workers":        {write(workDir + "/x"), "unknown-file", false},
		"no worker's directory":           {func(s *Spool) string { mustDo(t, os.Mkdir(s.abs(workDir+"/me"), 0o700)); return workDir + "/me" }, "unknown-file", false},
		"no worker's entry":               {write(workersDir + "/x.json"), "unknown-file", false},
		"a request of no known kind":      {write(ctlDir + "/x"), "unknown-file", false},
		"a file among the bindings":       {write(idsDir + "/x"), "unknown-file", false},
		"a binding in the wrong place":    {under(idsDir+"/00", idsDir+"/00/job-2.json"), "unknown-file", false},
		"no binding":                      {under(idsDir+"/00", idsDir+"/00/-x.json"), "unknown-file", false},
		"a binding without .json": {func(s *Spool) string {
			return under(idsDir+"/"+bucket("job-2"), idsDir+"/"+bucket("job-2")+"/job-2")(s)
		}, "unknown-file", false},
		"a directory for a binding": {func(s *Spool) string {
			p := idsDir + "/" + bucket("job-2") + "/job-2.json"
			mustDo(t, os.MkdirAll(s.abs(p), 0o700))
			return p
		}, "not-a-file", false},
		"a file among the records":       {write(logsDir + "/x"), "unknown-file", false},
		"a record in the wrong place":    {under(logsDir+"/00", logsDir+"/00/job-1.a1.json"), "unknown-file", false},
		"no record":                      {under(logsDir+"/00", logsDir+"/00/x"), "unknown-file", false},
		"no time before a rejected file": {write(rejectedDir + "/x.json"), "unknown-file", false},

		"two names of one job": {func(s *Spool) string {
			e := job(s)
			mustDo(t, os.Link(s.abs(e.Path), s.abs(deadDir+"/"+s.file(e.Name))))
			return e.Path
		}, "duplicate-id", true},
		"two jobs of one id": {func(s *Spool) string {
			e := job(s)
			n := e.Name
			n.Attempt++
			writeFile(t, s.abs(deadDir+"/"+s.file(n)), "another")
			return e.Path
		}, "duplicate-id", false},
		"an id that is not bound": {func(s *Spool) string { mustDo(t, os.Remove(s.abs(s.idPath("job-1")))); return job(s).Path }, "unbound-id", true},
		"an id whose job is gone": {func(s *Spool) string { mustDo(t, os.Remove(s.abs(job(s).Path))); return s.idPath("job-1") }, "stale-id", true},
		"what a dead writer left": {func(s *Spool) string {
			return write(tmpDir + "/" + strings.Replace(s.host.newWID(), "."+pid(), ".1073741824", 1) + "-1!" + s.file(Name{Due: aDue, ID: "x"}))(s)
		}, "stale-tmp", true},
		"half a registration": {func(s *Spool) string {
			return write(workersDir + "/." + strings.Replace(s.host.newWID(), "."+pid(), ".1073741824", 1))(s)
		}, "stale-tmp", true},
		"settings half-written": {func(s *Spool) string {
			return write(tmpDir + "/" + strings.Replace(s.host.newWID(), "."+pid(), ".1073741824", 1) + "!" + configFile)(s)
		}, "stale-tmp", true},
		"a record whose job is gone": {func(s *Spool) string {
			mustDo(t, s.PrepareLogs("job-2"))
			return write(logsDir + "/" + bucket("job-2") + "/job-2.a1.out")(s)
		}, "stale-log", true},
		"a request to one that is gone": {write(ctlDir + "/drain/" + otherBoot), "stale-request", true},
		"a request to nobody":           {write(ctlDir + "/interrupt/x"), "stale-request", true},
		"a reason whose file is gone": {func(s *Spool) string {
			driveClock(s).add(2 * reasonGrace)
			return write(rejectedDir + "/20261123T084718123Z.x.json.why")(s)
		}, "stale-reason", true},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			mustPut(t, s, "job-1")
			rel := c.fault(s)
			clock := driveClock(s)
			clock.add(2 * time.Minute)
			before := tree(t, s)
			check := func() []Breach {
				r, err := s.Check(func(_ Entry, data []byte) error {
					if string(data) == "bad" {
						return errors.New("no job")
					}
					return nil
				})
				mustDo(t, err)
				return r.Breaches
			}
			i := slices.IndexFunc(check(), func(b Breach) bool { return b.Code == c.code && b.Path == rel })
			if i < 0 {
				t.Fatalf("want %s %s, have %+v", c.code, rel, check())
			}
			if after := tree(t, s); !slices.Equal(before, after) {
				t.Errorf("the check changed %q to %q", before, after)
			}
			b := check()[i]
			if b.Problem == "" || b.Hint == "" || (b.Repair != nil) != c.repair {
				t.Errorf("%+v", b)
			}
			if !c.repair {
				return
			}
			// Repairs of one thing can bring another one to light.
			for range 3 {
				for _, b := range check() {
					if b.Repair != nil {
						mustDo(t, b.Repair(), b.Repair())
					}
				}
			}
			if left := check(); len(left) > 0 {
				t.Errorf("after the repair: %+v", left)
			}
			if strings.Contains(what, "job is gone") || what == "pending is gone" || what == "an id whose job is gone" {
				return
			}
			if only(t, s).Name.ID != "job-1" {
				t.Error("the repair took the job")
			}
		})
	}
}

func pid() string { return strconv.Itoa(os.Getpid()) }

// Whatever lies where FORMAT.md says nothing of it is named, at every level.
func TestNothingUnknownIsPassedOver(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	c := mustClaim(t, s, l, "job-1")
	_, err := c.Done(Ending{Outcome: "done"})
	mustDo(t, err, s.WriteLog("job-1", 1, "json", []byte("{}")))
	far := item(s, "far")
	far.Name.Due = far.Name.Due.Add(100 * time.Hour)
	mustDo(t, s.Put(far))
	mustClaim(t, s, l, "job-2")
	var strays []string
	for _, rel := range append(tree(t, s), "./") {
		if !strings.HasSuffix(rel, "/") || rel == tmpDir+"/" {
			continue // in tmp/ what its writer may still be about is known by its age
		}
		for _, base := range []string{"stray", "stray.x.json", "stray.txt"} {
			p := filepath.Join(rel, base)
			if IsDrop(base) && rel == pendingDir+"/" || rel == bootedDir+"/" {
				continue
			}
			strays = append(strays, p)
			writeFile(t, s.abs(p), "x")
		}
	}
	clock := driveClock(s)
	clock.add(48 * time.Hour)
	named, _ := breaches(t, s)
	for _, p := range strays {
		if !slices.ContainsFunc(named, func(n string) bool { return strings.HasSuffix(n, " "+p) }) {
			t.Errorf("%s is passed over", p)
		}
	}
}

// TestCheckBesideARejection: the reason comes before the file, and a repair in between
// leaves it.
func TestCheckBesideARejection(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	clock := driveClock(s)
	other := reopen(t, s)
	drop(t, s, "bad.json", `{}`)
	looked := false
	before(s, "rename", func(string) {
		if len(files(t, s, rejectedDir)) == 0 {
			return
		}
		looked = true
		if named, _ := breaches(t, other); len(named) > 0 {
			t.Errorf("breaches: %q", named)
		}
		// A check that was made long after, and whose repair comes before the file.
		late := reopen(t, other)
		driveClock(late).add(2 * reasonGrace)
		_, found := breaches(t, late)
		rename := s.ops.rename
		s.ops.rename = func(from, to string) error {
			err := rename(from, to)
			for _, b := range found {
				mustDo(t, b.Repair())
			}
			return err
		}
	})
	adoptAll(t, s, clock, soon)
	r, err := s.Rejects()
	mustDo(t, err)
	if !looked || len(r) != 1 || r[0].Reason == "" {
		t.Errorf("looked %t, rejected %+v", looked, r)
	}
}
