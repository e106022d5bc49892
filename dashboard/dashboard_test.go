package dashboard

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/queuectl/queuectl/fsq"
)

// rig is a dashboard over a spool of its own.
type rig struct {
	t   *testing.T
	dir string
	q   *fsq.Queue
	d   *Dashboard
}

func newRig(t *testing.T, opts ...func(*Options)) *rig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "spool")
	q, err := fsq.Open(dir, fsq.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Dir: dir}
	for _, o := range opts {
		o(&opt)
	}
	d, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return &rig{t: t, dir: dir, q: q, d: d}
}

func (r *rig) enqueue(commands ...string) (ids []string) {
	r.t.Helper()
	for _, c := range commands {
		j, err := r.q.Enqueue(r.t.Context(), fsq.Job{Command: fsq.Command{Shell: c}})
		if err != nil {
			r.t.Fatal(err)
		}
		ids = append(ids, j.ID)
	}
	return ids
}

func (r *rig) get(path string) *httptest.ResponseRecorder {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, path, http.NoBody)
	req.Host = "localhost"
	w := httptest.NewRecorder()
	r.d.ServeHTTP(w, req)
	return w
}

func TestOverviewCounts(t *testing.T) {
	r := newRig(t)
	r.enqueue("true", "false")
	w := r.get("/")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "2 ") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if s := r.d.snapshot(t.Context()); s.Status.Pending != 2 || s.Err != nil || s.Disk == nil {
		t.Errorf("%+v", s.Status)
	}
}
