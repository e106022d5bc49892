package spool

import (
	"os"
	"testing"
)

// On btrfs a power cut can leave a drop that was adopted under its own name too, while the
// job has gone on. It is a job already, and no other one comes of it; also if the document
// names no id, so that another one would be free.
func TestADropThatIsAJobAlreadyIsNoSecondOne(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "nightly"} {
		s := newSpool(t)
		writeFile(t, s.abs(DropPath("nightly.json")), aJob)
		own := s.ownName("nightly.json")
		mustDo(t, os.Link(s.abs(DropPath("nightly.json")), s.abs(DropPath(own))))
		a, err := s.Adopt("nightly.json", adoptAs(s, id))
		if err == nil && a.Again > 0 {
			a, err = s.Adopt(a.Base, adoptAs(s, id))
		}
		if err != nil || !a.Done || a.Rejected != "" {
			t.Fatalf("id %q: %+v, %v", id, a, err)
		}
		l := mustRegister(t, s)
		c, err := l.Claim(a.Name)
		mustDo(t, err)
		if _, err = c.Done(Ending{Outcome: "done"}); err != nil {
			t.Fatal(err)
		}
		again, err := s.Adopt(own, adoptAs(s, id))
		if err != nil || again.Rejected == "" {
			t.Errorf("id %q: a second job came of it: %+v, %v", id, again, err)
		}
		if e := only(t, s); e.State != Done {
			t.Errorf("id %q: %s", id, e.Path)
		}
	}
}
