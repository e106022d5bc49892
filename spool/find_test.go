package spool

import (
	"path"
	"strings"
	"testing"
	"time"
)

// TestFindNear: a right guess spares the listing of what waits, and a wrong one costs
// nothing but that.
func TestFindNear(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	l := mustRegister(t, s)
	var listed []string
	s.ops = hooked(s.ops, path.Dir(s.dir), hook{before: func(c call) fault {
		if c.op == "names" {
			listed = append(listed, path.Base(c.path))
		}
		return fault{}
	}})
	find := func(id string, guess []Name, filed time.Time) (Entry, string) {
		t.Helper()
		listed = nil
		found, err := s.FindNear(id, guess, filed)
		mustDo(t, err)
		dirs := strings.Join(listed, " ")
		if len(found) != 1 {
			t.Fatalf("found %+v", found)
		}
		plain, err := s.Find(id)
		mustDo(t, err)
		if len(plain) != 1 || plain[0] != found[0] {
			t.Errorf("FindNear says %+v, Find %+v", found[0], plain)
		}
		return found[0], dirs
	}
	never := time.Time{}
	it := item(s, "Ä job")
	mustDo(t, s.Put(it))
	if e, dirs := find(it.Name.ID, []Name{it.Name}, never); e.State != Pending || strings.Contains(dirs, pendingDir) {
		t.Errorf("%+v, listing %s", e, dirs)
	}
	wrong := it.Name
	wrong.Priority++
	if e, _ := find(it.Name.ID, []Name{wrong}, never); e.Name != it.Name {
		t.Errorf("%+v", e)
	}
	later := item(s, "later")
	later.Name.Due = Truncate(s.Now().Add(LaterAfter + time.Hour))
	mustDo(t, s.Put(later))
	if e, _ := find("later", []Name{later.Name}, never); !strings.HasPrefix(e.Path, laterDir) {
		t.Errorf("%+v", e)
	}

	c, err := l.Claim(it.Name)
	mustDo(t, err)
	if e, dirs := find(it.Name.ID, []Name{wrong, it.Name}, never); e.State != Processing || e.Worker != l.Worker() || strings.Contains(dirs, pendingDir) {
		t.Errorf("%+v, listing %s", e, dirs)
	}
	// A file with the name is not the job if the id is bound to another.
	other := item(s, "other")
	mustDo(t, s.Put(other))
	mustDo(t, s.ops.rename(s.abs(pendingDir+"/"+s.file(other.Name)), s.abs(pendingDir+"/"+s.file(wrong))))
	if e, ok := s.findBound(it.Name.ID, []Name{wrong, it.Name}); !ok || e.State != Processing {
		t.Errorf("%v, %+v", ok, e)
	}
	mustDo(t, s.ops.unlink(s.abs(pendingDir+"/"+s.file(wrong))))

	settled, err := c.Done(Ending{Outcome: "done"})
	mustDo(t, err)
	e, dirs := find(it.Name.ID, nil, settled.Name.Due)
	if e.State != Done || strings.Contains(dirs, pendingDir) {
		t.Errorf("%+v, listing %s", e, dirs)
	}
	if e, _ := find(it.Name.ID, nil, settled.Name.Due.Add(-50*time.Hour)); e.State != Done {
		t.Errorf("%+v", e)
	}
	if found, err := s.FindNear("nobody", []Name{it.Name}, settled.Name.Due); err != nil || found != nil {
		t.Errorf("%+v, %v", found, err)
	}
}
