package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	before := tree(t, s)
	for what, c := range map[string]struct {
		change func(*Item)
		want   error // nil: any
	}{
		"an id that cannot be":    {func(it *Item) { it.Name.ID = "../x" }, ErrInvalidID},
		"no id":                   {func(it *Item) { it.Name.ID = "" }, ErrInvalidID},
		"too many bytes":          {func(it *Item) { it.Data = make([]byte, DefaultMaxJobBytes+1) }, ErrTooLarge},
		"a priority out of range": {func(it *Item) { it.Name.Priority = 1000 }, nil},
		"a year out of range":     {func(it *Item) { it.Name.Due = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, nil},
		"a year before all":       {func(it *Item) { it.Name.Due = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) }, nil},
		"attempts out of range":   {func(it *Item) { it.Name.Allowed = MaxAttempt + 1 }, nil},
		"an outcome of two words": {func(it *Item) { it.Name.Outcome = "so so" }, nil},
	} {
		it := item(s, "job-1")
		c.change(&it)
		if err := s.Put(it); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", what, err)
		}
		if errs := s.PutBatch([]Item{it}); len(errs) != 1 || errs[0] == nil {
			t.Errorf("%s in a batch: %v", what, errs)
		}
	}
	if after := tree(t, s); !slices.Equal(before, after) {
		t.Errorf("before %q, after %q", before, after)
	}
	it := item(s, "largest")
	it.Data = make([]byte, DefaultMaxJobBytes)
	mustDo(t, s.Put(it))
}

// Where "Job" and "job" are one file, both can be ids all the same.
func TestFoldedCase(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.format.FoldCase = true
	mustPut(t, s, "Job", "job")
	var got []string
	for _, e := range all(t, s) {
		if strings.ContainsAny(e.Name.ID, "J") != strings.Contains(e.Path, "%4aob") || strings.Contains(e.Path, "J") {
			t.Errorf("%s is in %s", e.Name.ID, e.Path)
		}
		got = append(got, e.Name.ID)
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"Job", "job"}) {
		t.Errorf("have %q", got)
	}
	l := mustRegister(t, s)
	for _, e := range all(t, s) {
		c, err := l.Claim(e.Name)
		mustDo(t, err, s.WriteLog(e.Name.ID, 1, "json", nil))
		_, err = c.Done(Ending{Outcome: "done"})
		mustDo(t, err)
	}
	if err := s.Put(item(s, strings.Repeat("A", 43))); !errors.Is(err, ErrInvalidID) || !strings.Contains(err.Error(), "capital letters") {
		t.Errorf("an id that is too long when it is escaped: %v", err)
	}
	if b, _ := breaches(t, s); len(b) > 0 {
		t.Errorf("breaches: %q", b)
	}
}

func TestPutBatch(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, syncFSFrom - 1, syncFSFrom, 50} {
		s := newSpool(t)
		mustPut(t, s, "taken")
		var items []Item
		for i := range n {
			it := item(s, fmt.Sprintf("job-%d", i))
			it.Data = fmt.Appendf(nil, `{"n":%d}`, i)
			switch i % 5 {
			case 1:
				it.Name.ID = "taken"
			case 2:
				it.Name.ID, it.Reserved = s.NewID(), false
			case 3:
				it.Name.Due = it.Name.Due.Add(10 * time.Hour)
			case 4:
				it.Name.ID = "-"
			}
			items = append(items, it)
		}
		errs := s.PutBatch(items)
		if len(errs) != n {
			t.Fatalf("%d errors for %d jobs", len(errs), n)
		}
		want := map[string]string{}
		for i, err := range errs {
			switch i % 5 {
			case 1:
				if !errors.Is(err, ErrDuplicate) {
					t.Errorf("%d: %v", i, err)
				}
			case 4:
				if !errors.Is(err, ErrInvalidID) {
					t.Errorf("%d: %v", i, err)
				}
			default:
				if err != nil {
					t.Errorf("%d: %v", i, err)
				}
				want[items[i].Name.ID] = string(items[i].Data)
			}
		}
		for _, e := range all(t, s) {
			if data, err := s.Read(e); err != nil || e.Name.ID != "taken" && string(data) != want[e.Name.ID] {
				t.Errorf("%s: %q, %v", e.Path, data, err)
			}
			delete(want, e.Name.ID)
		}
		if len(want) > 0 || len(files(t, s, tmpDir)) > 0 {
			t.Errorf("of %d these are missing: %v; in tmp: %q", n, want, files(t, s, tmpDir))
		}
	}
}

// Two of one id in one batch are like two batches.
func TestPutBatchAgainstItself(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	errs := s.PutBatch([]Item{item(s, "job-1"), item(s, "job-1"), item(s, "job-2")})
	if errs[0] != nil || !errors.Is(errs[1], ErrDuplicate) || errs[2] != nil {
		t.Errorf("%v", errs)
	}
}

// Where there is no syncfs, each file is written again and synced.
func TestPutBatchWithoutSyncFS(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	s.ops.syncFS = func(string) error { return errors.ErrUnsupported }
	synced := 0
	create := s.ops.create
	s.ops.create = func(p string, perm fs.FileMode) (file, error) {
		f, err := create(p, perm)
		return countSync{f, &synced}, err
	}
	var items []Item
	for i := range syncFSFrom {
		items = append(items, item(s, fmt.Sprintf("job-%d", i)))
	}
	for _, err := range s.PutBatch(items) {
		mustDo(t, err)
	}
	if n := len(all(t, s)); n != syncFSFrom || synced != syncFSFrom || len(files(t, s, tmpDir)) > 0 {
		t.Errorf("%d jobs, %d synced, in tmp %q", n, synced, files(t, s, tmpDir))
	}
}

type countSync struct {
	file
	n *int
}

func (c countSync) Sync() error { *c.n++; return c.file.Sync() }

func TestPutThatIsNotKnownToBeDurable(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	fail := errors.New("refused")
	s.ops.syncDir = func(dir string) error {
		if dir == s.abs(pendingDir) {
			return fail
		}
		return nil
	}
	if err := s.Put(item(s, "job-1")); !errors.Is(err, ErrUncertain) || !errors.Is(err, fail) {
		t.Errorf("%v", err)
	}
	if errs := s.PutBatch([]Item{item(s, "job-2")}); !errors.Is(errs[0], ErrUncertain) {
		t.Errorf("%v", errs)
	}
	if n := len(all(t, s)); n != 2 {
		t.Errorf("%d jobs are there", n)
	}
}
